"""W3C EXI for ISO 15118: messages to octets and back.

    data = exi.encode(SessionSetupReq(...))
    message = exi.decode(data, exi.SchemaSet.ISO20_COMMON)

Streams are schema-informed, bit-packed, non-strict, without options in the header and without string tables: the settings of
ISO 15118 (`80` and the body). Both functions are pure and may be called from any thread.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .codec import Codec, Fragment
from .errors import EXIDecodeError, EXIEncodeError, EXIError
from .schema import QName

if TYPE_CHECKING:
    from ..messages.schema_sets import SchemaSet

__all__ = [
    "EXIDecodeError",
    "EXIEncodeError",
    "EXIError",
    "Fragment",
    "SchemaSet",
    "codec",
    "decode",
    "decode_fragment",
    "encode",
    "encode_fragment",
]


def __getattr__(name: str) -> Any:
    if name == "SchemaSet":
        from ..messages.schema_sets import SchemaSet

        return SchemaSet
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def codec(schema_set: SchemaSet | str) -> Codec:
    """The codec of a schema set, made on first use and kept."""
    from ..messages.schema_sets import schema_of

    return Codec(schema_of(schema_set))


def _set_of(message: Any) -> SchemaSet:
    from ..messages.schema_sets import schema_set_of

    return schema_set_of(message)


def encode(message: Any, schema_set: SchemaSet | str | None = None) -> bytes:
    """The EXI document of a message. Without `schema_set`, that of the message's own namespace."""
    return codec(schema_set or _set_of(message)).encode(message)


def decode(data: bytes, schema_set: SchemaSet | str) -> Any:
    """The message in an EXI document; EXIDecodeError for anything that is not one."""
    return codec(schema_set).decode(data)


def encode_fragment(
    value: Any, name: str | QName | None = None, *, schema_set: SchemaSet | str | None = None
) -> bytes:
    """The EXI fragment of one element, as signatures digest it.

    `name` is needed where several elements have the class of `value`, or none has (an element of simple type).
    """
    return codec(schema_set or _set_of(value)).encode_fragment(value, name)


def decode_fragment(data: bytes, schema_set: SchemaSet | str) -> Fragment:
    """The element in an EXI fragment, with its name."""
    return codec(schema_set).decode_fragment(data)
