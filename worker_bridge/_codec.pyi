"""The native FlatBuffers codec (native/codec/module.cpp). Knows one schema, and no worker."""

from typing import Any, final

@final
class Codec:
    """Dicts to size-prefixed FlatBuffers and back, by a binary schema. Immutable."""

    def __new__(cls, schema: bytes, root: str, max_size: int) -> Codec:
        """``max_size``: bytes of a frame, prefix included. Raises ``ValueError`` for what is no supported schema."""

    def encode(self, message: dict[str, Any], /) -> bytes:
        """A size-prefixed frame. Raises ``ValueError("<path>: <what>")``."""

    def decode(self, frame: bytes | bytearray | memoryview, /) -> dict[str, Any]:
        """Of exactly one size-prefixed frame. Raises ``ValueError``."""

    def values(self, name: str, /) -> dict[str, int]:
        """The names of an enum or union with their numbers. Raises ``ValueError`` if the schema has none such."""
