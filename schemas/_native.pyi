"""Bodies into dataclasses, and dataclasses into bodies, by plans (native/*.hpp list their kinds). Knows no schema."""

from typing import Any, final

@final
class Reader:
    """A plan for reading, compiled. Immutable."""

    def __new__(cls, plan: tuple[Any, ...], refusal: type[Exception], /) -> Reader:
        """``refusal`` is what a refused value raises, without a text. Raises ``ValueError`` for what is no plan."""

    def __call__(self, value: Any, /) -> Any:
        """What the value becomes. Raises ``refusal``, and whatever a callable of the plan raises."""

@final
class Writer:
    """A plan for writing, compiled. Immutable."""

    def __new__(cls, plan: tuple[Any, ...], /) -> Writer:
        """Raises ``ValueError`` for what is no plan."""

    def __call__(self, value: Any, /) -> Any:
        """The JSON-able form. Raises AttributeError for another kind of value, and whatever a callable raises."""
