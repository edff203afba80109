"""W3C EXI for ISO 15118: messages to octets and back.

    data = exi.encode(SessionSetupReq(...))
    message = exi.decode(data, exi.SchemaSet.ISO20_COMMON)

Streams are schema-informed, bit-packed, non-strict, without options in the header and without string
tables: the settings of ISO 15118 (`80` and the body). Both functions are pure and may be called from any
thread.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..lazy import exports
from .schema import QName

if TYPE_CHECKING:
    from ..messages.schema_sets import SchemaSet


def _interpret_kernel() -> None:
    """Load the kernel from its source although a compiled one may lie beside it."""
    name = f"{__name__}.kernel"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("kernel.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


if os.environ.get("HLC_EXI_INTERPRETED") == "1":
    _interpret_kernel()

from .codec import Codec, Deviation, DeviationKind, Fragment, Quirk  # noqa: E402
from .errors import EXIDecodeError, EXIEncodeError, EXIError  # noqa: E402
from .kernel import COMPILED, Octets  # noqa: E402

__all__ = [
    "COMPILED",
    "Deviation",
    "DeviationKind",
    "EXIDecodeError",
    "EXIEncodeError",
    "EXIError",
    "Fragment",
    "Quirk",
    "SchemaSet",
    "codec",
    "decode",
    "decode_fragment",
    "encode",
    "encode_fragment",
]


__getattr__, __dir__ = exports(__name__, {"..messages.schema_sets": ("SchemaSet",)})

_CODECS: dict[str, Codec] = {}


def codec(schema_set: SchemaSet | str) -> Codec:
    """The codec of a schema set, made on first use and kept. ValueError for an unknown set."""
    try:
        return _CODECS[schema_set]
    except KeyError:
        from ..messages.schema_sets import schema_of

        return _CODECS.setdefault(schema_set, Codec(schema_of(schema_set)))


def _set_of(message: Any) -> SchemaSet:
    from ..messages.schema_sets import schema_set_of

    return schema_set_of(message)


def encode(message: Any, schema_set: SchemaSet | str | None = None, *, quirk: Quirk | None = None) -> bytes:
    """The EXI document of a message; without `schema_set`, in that of the message's own namespace.

    EXIEncodeError if it cannot be expressed. With a `quirk` it is written as the peer named there would.
    """
    return codec(schema_set or _set_of(message)).encode(message, quirk)


def decode(data: Octets, schema_set: SchemaSet | str, *, deviations: list[Deviation] | None = None) -> Any:
    """The message in an EXI document; EXIDecodeError for anything that is not one.

    With a list of `deviations`, what fails is tried again with the known quirks of peers, and then with
    everything tolerated that EXI can carry but the schema does not allow; what was tolerated is appended to
    the list.
    """
    return codec(schema_set).decode(data, deviations)


def encode_fragment(
    value: Any,
    name: str | QName | None = None,
    *,
    schema_set: SchemaSet | str | None = None,
    quirk: Quirk | None = None,
) -> bytes:
    """The EXI fragment of one element, as signatures digest it.

    `name` is needed where several elements have the class of `value`, or none has (an element of simple
    type).
    """
    return codec(schema_set or _set_of(value)).encode_fragment(value, name, quirk)


def decode_fragment(
    data: Octets, schema_set: SchemaSet | str, *, deviations: list[Deviation] | None = None
) -> Fragment:
    """The element in an EXI fragment, with its name; `deviations` as in `decode`."""
    return codec(schema_set).decode_fragment(data, deviations)
