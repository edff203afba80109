"""ISO 15118-20, sans-I/O: messages, EXI, framing, sessions, SLAC and security rules; bytes in, messages out.

Here is what turns octets into messages and back. The rest has rooms of its own:

- `iso15118.messages`: the message classes, one module per XML namespace;
- `iso15118.session`: the behaviour of SECC and EVCC, the sequence and timer tables, the judge of recordings;
- `iso15118.v2gtp`, `iso15118.sdp`: framing and discovery;
- `iso15118.slac`: matching over the powerline;
- `iso15118.security`: TLS profile as data, chain rules, signatures, contract keys;
- `iso15118.xml`, `iso15118.json`: other forms of messages.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .exi import EXIDecodeError, EXIEncodeError, EXIError, SchemaSet, decode, encode
    from .messages.validation import Violation, validate

__all__ = [
    "EXIDecodeError",
    "EXIEncodeError",
    "EXIError",
    "SchemaSet",
    "Violation",
    "decode",
    "encode",
    "validate",
]

_HOMES = {
    "EXIDecodeError": "exi",
    "EXIEncodeError": "exi",
    "EXIError": "exi",
    "SchemaSet": "exi",
    "decode": "exi",
    "encode": "exi",
    "Violation": "messages.validation",
    "validate": "messages.validation",
}
"""The module of each name, imported when the name is first used."""


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
