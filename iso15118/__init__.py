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

from typing import TYPE_CHECKING

from .lazy import exports

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
    ".exi": ("EXIDecodeError", "EXIEncodeError", "EXIError", "SchemaSet", "decode", "encode"),
    ".messages.validation": ("Violation", "validate"),
}
"""The names by their modules, which are imported when a name is first used."""

__getattr__, __dir__ = exports(__name__, _HOMES)
