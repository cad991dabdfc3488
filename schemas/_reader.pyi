"""Reads JSON values into dataclasses by a plan (native/reader.cpp lists its kinds). Knows no schema, and no HTTP."""

from typing import Any, final

@final
class Reader:
    """A plan, compiled. Immutable."""

    def __new__(cls, plan: tuple[Any, ...], refusal: type[Exception], /) -> Reader:
        """``refusal`` is what a refused value raises, without a text. Raises ``ValueError`` for what is no plan."""

    def __call__(self, value: Any, /) -> Any:
        """What the value becomes. Raises ``refusal``, and whatever a callable of the plan raises."""
