"""Simple values as XML text and back (XML Schema part 2, canonical forms)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from ..exi.schema import Kind, SimpleType

_INTEGER = re.compile(r"[+-]?[0-9]{1,4300}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_FITS: dict[Kind, type | tuple[type, ...]] = {
    Kind.BOOLEAN: bool,
    Kind.INTEGER: int,
    Kind.STRING: str,
    Kind.BINARY: (bytes, bytearray, memoryview),
}


def fits(simple: SimpleType, value: object) -> bool:
    """Whether a value has the Python type of a simple type."""
    if simple.enumeration is not None:
        return isinstance(value, simple.enumeration)
    if isinstance(value, bool):
        return simple.kind is Kind.BOOLEAN
    return isinstance(value, _FITS[simple.kind])


def write(simple: SimpleType, value: Any) -> str:
    """The text of a value; ValueError if it is not of the type."""
    if not fits(simple, value):
        raise ValueError(f"{value!r} is no {simple.name or simple.base}")
    if simple.kind is Kind.BOOLEAN:
        return "true" if value else "false"
    if simple.kind is Kind.INTEGER:
        return str(int(value))
    if simple.kind is Kind.ENUMERATION:
        return str(value.value)
    if simple.kind is Kind.BINARY:
        return write_binary(simple, value)
    return str(value)


def write_binary(simple: SimpleType, value: bytes) -> str:
    """Octets as upper-case hex if the type is hexBinary, else base64."""
    data = bytes(value)
    return data.hex().upper() if simple.base == "hexBinary" else base64.b64encode(data).decode()


def read(simple: SimpleType, text: str) -> Any:
    """The value of a text; ValueError if it is none of the type (facets do not matter)."""
    if simple.kind is Kind.STRING:
        return text if simple.base == "string" else " ".join(text.split())
    text = text.strip(" \t\r\n")
    if simple.kind is Kind.BOOLEAN:
        if text not in _BOOLEANS:
            raise ValueError(f"{text!r} is no boolean")
        return _BOOLEANS[text]
    if simple.kind is Kind.INTEGER:
        if not _INTEGER.fullmatch(text):
            raise ValueError(f"{text[:40]!r} is no integer")
        return int(text)
    if simple.enumeration is not None:
        try:
            return simple.enumeration(text)
        except ValueError:
            raise ValueError(f"{text!r} is no {simple.name}") from None
    return _read_binary(simple, text)


def _read_binary(simple: SimpleType, text: str) -> bytes:
    try:
        if simple.base == "hexBinary":
            return binascii.unhexlify(text)
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no {simple.base} ({error})") from None
