"""Messages for people: wire names, bytes as text, numbers with their units."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from iso15118.messages.common_types import RationalNumber
from iso15118.messages.declare import GLOBAL_ELEMENTS, Node, Unit, Xsd


class _Field(NamedTuple):
    name: str
    """Python name."""
    wire: str
    """Wire name, or names of the alternatives with "|" between."""
    unit: str
    base: str
    """XSD type of a simple value, "" if it has none of its own."""


def _metadata(annotation: Any, kind: type[Any]) -> Any:
    """The first metadata of a kind anywhere in an annotation."""
    for item in getattr(annotation, "__metadata__", ()):
        if isinstance(item, kind):
            return item
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    for argument in inner:
        if (found := _metadata(argument, kind)) is not None:
            return found
    return None


@cache
def _fields(cls: type[Node]) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        _Field(
            name,
            wire,
            getattr(_metadata(hints[name], Unit), "symbol", ""),
            getattr(_metadata(hints[name], Xsd), "base", ""),
        )
        for name, wire in zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
    )


@cache
def element_name(cls: type[Node], wire: str) -> str:
    """The element that an object of this class is in a field with this wire name (or names)."""
    if cls.__name__ in wire.split("|"):
        return cls.__name__
    for declared in GLOBAL_ELEMENTS.get(cls.__module__, ()):
        if declared.cls is cls and declared.substitutes is not None:
            return declared.name
    return wire


@cache
def message_name(cls: type[Node]) -> str:
    """The global element of a message class."""
    for declared in GLOBAL_ELEMENTS.get(cls.__module__, ()):
        if declared.cls is cls:
            return declared.name
    return cls.__name__


def _text(value: Any, base: str) -> Any:
    match value:
        case Enum():
            return value.value
        case bytes():
            return base64.b64encode(value).decode() if base == "base64Binary" else value.hex().upper()
        case _:
            return value


class Item(NamedTuple):
    """One element of a message: `value` is its text, "" where it has children."""

    depth: int
    name: str
    value: str


def outline(message: Node) -> Iterator[Item]:
    """The elements of a message in document order, numbers as decimal with their unit."""
    yield Item(0, message_name(type(message)), "")
    yield from _outline(message, 1)


def _outline(node: Node, depth: int) -> Iterator[Item]:
    for field in _fields(type(node)):
        content = getattr(node, field.name)
        for value in content if isinstance(content, list) else (content,):
            if value is None:
                continue
            if isinstance(value, RationalNumber):
                yield Item(depth, field.wire, quantity(float(value), field.unit))
            elif isinstance(value, Node):
                yield Item(depth, element_name(type(value), field.wire), "")
                yield from _outline(value, depth + 1)
            else:
                yield Item(depth, field.wire, _with_unit(_text(value, field.base), field.unit))


def _with_unit(value: Any, unit: str) -> str:
    if unit == "Unix s" and isinstance(value, int) and 0 < value < 2**33:
        return f"{value} ({datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC)"
    return f"{value} {unit}".rstrip()


def quantity(value: float, unit: str) -> str:
    """A number with its unit, without exponent for the sizes of this trade."""
    text = f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) >= 1e-4 or value == 0 else f"{value:g}"
    return f"{text} {unit}".rstrip()
