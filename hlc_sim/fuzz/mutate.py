"""Mutations: of messages by their structure, of EXI octets by bits, of frames by their header."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from enum import Enum
from random import Random
from typing import Annotated, Any, get_args, get_origin

from msgspec import Meta

from iso15118 import exi, v2gtp
from iso15118.messages.common_types import MessageHeader, RationalNumber
from iso15118.messages.declare import Node
from iso15118.session.fillers import fillers as fillers
from iso15118.session.streams import payload_type_of

from ..scenario import edit

_INTEGERS = (
    0, 1, -1, 2, 10, 11, 12, 100, 101, 127, 128, -128, -129, 255, 256, 1023, 1024, 1025, 4095, 4096,
    2**15 - 1, 2**15, -(2**15), 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1,
)  # fmt: skip
_LENGTHS = (0, 1, 7, 8, 9, 16, 64, 65, 80, 81, 160, 161, 255, 256, 800, 1600, 20_000)
_CHARACTERS = ("A", "0", "é", "\N{GRINNING FACE}", " ", "\x00", "\uffff", "<")
_LARGEST = 2 * v2gtp.DEFAULT_MAX_PAYLOAD
"""Octets of a payload; lists in lists can make it as long as one likes."""
_TYPES = (0, 0x7FFF, 0x8000, *v2gtp.PayloadType, 0x8007, 0x80FF, 0x8105, 0xA000, 0xFFFF)


def structure(rng: Random, message: Node, times: int = 1) -> Node:
    """A copy with `times` values replaced by boundary values, left out, repeated or of other types."""
    result: Node = _copied(message)
    for _ in range(times):
        places = list(_places(result))
        if not places:
            break
        holder, name = rng.choice(places)
        value = getattr(holder, name)
        setattr(holder, name, _other(rng, value, edit.annotation_of(type(holder), name)))
    return result


def generated(rng: Random, header: MessageHeader, names: list[str]) -> Node:
    """A message of any kind with the least it must have, mutated up to three times."""
    return structure(rng, edit.build(rng.choice(names), copy.copy(header)), rng.randint(0, 3))


def oversize(rng: Random, message: Node, payload_type: int) -> bytes | None:
    """A frame much longer than a message is: by its texts and lists, octets behind it, or only its word."""
    match rng.randrange(3):
        case 0:
            result = _copied(message)
            places = [(h, n) for h, n in _places(result) if isinstance(getattr(h, n), str | bytes | list)]
            for holder, name in rng.sample(places, min(len(places), rng.choice((1, 3)))):
                value = getattr(holder, name)
                setattr(holder, name, value * (rng.choice((4096, 30_000, 70_000)) // max(1, len(value))))
            return pack(result, payload_type)
        case 1:
            more = bytes(rng.choice((1000, 65_000, 70_000)))
            return v2gtp.pack(payload_type, exi.encode(message) + more)
        case _:
            frame = bytearray(v2gtp.pack(payload_type, exi.encode(message)))
            frame[4:8] = rng.choice((2**16, 2**20, 2**24, 2**31, 2**32 - 1)).to_bytes(4, "big")
            return bytes(frame) + bytes(rng.choice((0, 1000, 70_000)))


def bits(rng: Random, payload: bytes, other: bytes) -> bytes:
    """`payload` with bits inverted, cut, lengthened, or spliced with another one."""
    data = bytearray(payload)
    match rng.randrange(7):
        case 0 | 1 | 2:
            for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
                bit = rng.randrange(8 * len(data))
                data[bit // 8] ^= 0x80 >> bit % 8
        case 3:
            del data[rng.randrange(len(data)) :]
        case 4:
            data += rng.randbytes(rng.choice((1, 2, 8, 64, 1000)))
        case 5:
            data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]
        case _:
            start = rng.randrange(len(data))
            data[start : start + rng.choice((1, 2, 4))] = rng.choice(
                (b"\xff" * 5, b"\x00" * 5, b"\xff\xff\xff\x7f", rng.randbytes(4))
            )
    return bytes(data)


def framed(rng: Random, payload_type: int, payload: bytes) -> bytes:
    """A frame with something wrong in its header, or with bytes around it."""
    frame = bytearray(v2gtp.pack(payload_type, payload))
    match rng.randrange(7):
        case 0 | 1:
            frame[2:4] = rng.choice((*_TYPES, rng.randrange(65536))).to_bytes(2, "big")
        case 2:
            wrong = rng.choice((0, 1, len(payload) - 1, len(payload) + 1, 2**16, 2**31, 2**32 - 1))
            frame[4:8] = max(0, wrong).to_bytes(4, "big")
        case 3:
            frame[rng.randrange(2)] = rng.randrange(256)
        case 4:
            del frame[rng.randrange(1, len(frame)) :]
        case 5:
            frame = bytearray(rng.randbytes(rng.choice((1, 7, 8, 9, 100))))
        case _:
            frame += v2gtp.pack(rng.choice(_TYPES), rng.randbytes(rng.choice((0, 1, 30))))
    return bytes(frame)


def pack(message: Node, payload_type: int | None = None) -> bytes | None:
    """The frame of a message; None if EXI cannot express it."""
    try:
        payload = exi.encode(message)
    except (exi.EXIEncodeError, ValueError):  # ValueError: a shared type is no message of one set
        return None
    if len(payload) > _LARGEST:
        return None
    return v2gtp.pack(payload_type if payload_type is not None else payload_type_of(message), payload)


def _copied(value: Any) -> Any:
    """A deep copy of a message; quicker than `copy.deepcopy`, which must expect anything."""
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if not isinstance(value, Node):
        return value
    twin = copy.copy(value)
    for name in value.__struct_fields__:
        held = getattr(value, name)
        if isinstance(held, Node | list):
            setattr(twin, name, _copied(held))
    return twin


def _places(node: Any) -> Iterator[tuple[Node, str]]:
    for name in node.__struct_fields__:
        yield node, name
        value = getattr(node, name)
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Node):
                yield from _places(item)


def _other(rng: Random, value: Any, hint: Any) -> Any:
    if value is None:
        return _filled(rng, hint)
    if rng.random() < 0.1:
        return None
    match value:
        case bool():
            return not value
        case int():  # before Enum: service ids are both
            if (ends := _ends(hint)) and rng.random() < 0.5:
                return rng.choice(ends)
            return rng.choice((int(value) - 1, int(value) + 1, -int(value), *_INTEGERS))
        case Enum():
            return rng.choice(list(type(value)))
        case str():
            return rng.choice(_CHARACTERS) * rng.choice(_LENGTHS)
        case bytes():
            return rng.choice(
                (
                    rng.randbytes(len(value)),
                    bytes(len(value)),
                    value[:-1],
                    rng.randbytes(rng.choice(_LENGTHS)),
                )
            )
        case list():
            return _list(rng, value)
        case RationalNumber():
            return RationalNumber(
                exponent=rng.choice((-128, -3, 0, 0, 3, 127)),
                value=rng.choice((0, 1, -1, 32767, -32768, 400)),
            )
        case Node():
            return _node(rng, value, hint)
    return value


def _ends(hint: Any) -> list[int]:
    """The ends of the range that a number may have by its type, and what is beside them."""
    if get_origin(hint) is Annotated:
        facets = [item for item in get_args(hint)[1:] if isinstance(item, Meta)]
        ends = [end for facet in facets for end in (facet.ge, facet.le) if end is not None]
        return [int(end) + beside for end in ends for beside in (-1, 0, 1)] or _ends(get_args(hint)[0])
    return [end for part in get_args(hint) for end in _ends(part)]


def _list(rng: Random, value: list[Any]) -> list[Any]:
    match rng.randrange(5):
        case 0:
            return []
        case 1:
            return value[:-1]
        case 2:
            return value * 2
        case 3:
            return (value * 2000)[: rng.choice((8, 9, 16, 17, 20, 21, 32, 33, 1024, 1025))]
        case _:
            return value[::-1]


def _node(rng: Random, value: Node, hint: Any) -> Any:
    classes = [
        c for c in edit.with_subclasses(edit.classes_of(hint)) if issubclass(c, Node) and not c.abstract
    ]
    return _built(rng.choice(classes)) if classes else value


def _filled(rng: Random, hint: Any) -> Any:
    """A value for an element that is absent."""
    classes = edit.classes_of(hint)
    kind = rng.choice(classes) if classes else None
    if kind is None:
        return None
    if issubclass(kind, Node):
        return _built(kind)
    if issubclass(kind, Enum):
        return rng.choice(list(kind))
    if kind is bool:
        return rng.random() < 0.5
    return {int: rng.choice(_INTEGERS), str: "x", bytes: b"\0"}.get(kind)


def _built(kind: type[Node]) -> Node | None:
    try:
        # Copies: fillers are shared, and we write into them.
        return kind(**{name: _copied(value) for name, value in fillers(kind).items()})
    except TypeError:  # a class that needs more than fillers know (header)
        return None
