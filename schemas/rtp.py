"""Codec parameters by name, as they stand in JSON. All else of RTP is read into the values of ``worker_bridge``, whose
types hold their limits; which codecs go together is checked by its ORTC functions.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from worker_bridge.rtp import NO_PARAMETERS, Parameters, ParameterValue
from worker_bridge.value import PRINTABLE

MAX_PARAMETERS: Final = 64  # of one codec or extension

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Fraction = Annotated[float, Meta(extra_json_schema={"not": {"type": "integer"}})]
ParameterName = Annotated[str, Meta(min_length=1, max_length=128), PRINTABLE]
ParameterText = Annotated[str, Meta(max_length=1024), PRINTABLE]
"""H.264 and H.265 parameter sets in base 64 take a few hundred characters."""
ParameterMap = Annotated[
    dict[ParameterName, ParameterText | Int32 | Fraction | None],
    Meta(max_length=MAX_PARAMETERS),
]
"""Null stands for a name without a value, which mediasoup's own clients write as ``""``."""


class _Parameters(msgspec.Struct):
    """Wraps the map, because msgspec keeps a decoder for a Struct and none for a bare map."""

    checked: ParameterMap


def read_hook(kind: type, value: Any) -> Parameters:
    """msgspec's ``dec_hook`` for the one type of ``worker_bridge`` that it does not know. Raises
    ``msgspec.ValidationError`` where the value is no such map, TypeError for another type."""
    if kind is not Parameters:
        raise TypeError(f"{kind.__name__} is not read from JSON")
    return _checked(value) if value != {} else NO_PARAMETERS


def _checked(value: Any) -> Parameters:
    return parameters_of(msgspec.convert({"checked": value}, _Parameters).checked)


def parameters_of(checked: dict[str, ParameterValue | None]) -> Parameters:
    """The parameters in a checked map. Raises ``msgspec.ValidationError`` for a whole number like 1e10 that is out of
    range."""
    return Parameters({name: _parameter(value) for name, value in checked.items()}) if checked else NO_PARAMETERS


def _parameter(value: ParameterValue | None) -> ParameterValue:
    if type(value) is float and value.is_integer():
        return msgspec.convert(int(value), Int32)
    return "" if value is None else value
