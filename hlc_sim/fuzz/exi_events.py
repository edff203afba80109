"""EXI streams that break their schema, their grammar or the rules of EXI: a message as a list of coded parts,
from the same grammars as the codec's, with parts replaced, put in, repeated or left out.

What changes bits at random seldom gets past the first event code it hits; these streams stay readable up to
the place where they deviate, and often behind it (W3C EXI 1.0, 7.1, 7.3.3 and 8.5.4.4).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from random import Random
from typing import Any

from iso15118 import exi
from iso15118.exi import codings, kernel
from iso15118.exi.grammar import Position, code_width
from iso15118.messages.declare import Node
from iso15118.messages.schema_sets import schema_set_of

_POSITIONS = list(Position)
_LONGEST = 8 * 32 * 1024
"""Bits of a stretch that is repeated more than once, and of a stream that is changed once more."""


class Part(Enum):
    """What a piece of a stream is."""

    EVENT = auto()
    """A first-level event code."""
    NUMBER = auto()
    """An Unsigned Integer: a value of the message."""
    SIGN = auto()
    LENGTH = auto()
    """Of octets or a string; for a string 2 more, as 0 and 1 are hits in the string tables."""
    OCTETS = auto()
    CODE = auto()
    """An n-bit number: a boolean, an enumeration, a small range."""
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """`width` bits. `state` tells what else may stand in the place of an event; `text` is the value of a
    string.
    """

    part: Part
    value: int
    width: int
    state: kernel.State | None = None
    text: str | None = None


class NotCovered(ValueError):
    """The message holds what this writer does not write (wildcards)."""


def pieces(message: Node) -> list[Piece]:
    """The document of a message, header included. NotCovered, EXIEncodeError as `exi.encode`."""
    exi.encode(message)  # what cannot be expressed is refused here, with the reason
    codec = exi.codec(schema_set_of(message))
    root = codec.root_of(type(message))
    if root is None or root.type is None:
        raise NotCovered(type(message).__name__)
    out = [Piece(Part.OTHER, codings.HEADER, 8), Piece(Part.OTHER, root.code, root.width)]
    _emit(out, codec, message, root.type)
    return out


def _emit(out: list[Piece], codec: Any, obj: Any, type_: kernel.Type) -> None:
    """As `kernel.Encoder.emit`, with the pieces kept apart."""
    state, count = type_.start, 0
    for slot in type_.slots:
        held = getattr(obj, slot.field)
        for item in held if slot.is_list and held is not None else [held]:
            if item is None:
                continue
            term = slot.term if slot.term >= 0 else slot.terms.get(type(item), -1)
            production = state.by_term[term] if term >= 0 else None
            if production is None:
                raise NotCovered(slot.name)
            out.append(Piece(Part.EVENT, production.code, production.width, state))
            _item(out, codec, production, item)
            following = production.target
            if slot.is_list:
                count = production.count if production.count > 0 else count - production.count
                if production.limit and production.count < 0 and count == production.limit:
                    following = production.full
            assert following is not None
            state = following
    assert state.end is not None
    out.append(Piece(Part.EVENT, state.end.code, state.end.width, state))


def _item(out: list[Piece], codec: Any, production: kernel.Production, item: Any) -> None:
    match production.action:
        case codings.COMPLEX_ELEMENT:
            assert production.type is not None
            _emit(out, codec, item, production.type)
        case codings.SIMPLE_ELEMENT:
            out.append(Piece(Part.EVENT, 0, 1))
            _value(out, production.simple, item if production.wrapper is None else item.value)
            out.append(Piece(Part.EVENT, 0, 1))
        case codings.ATTRIBUTE | codings.TYPED_TEXT:
            _value(out, production.simple, item)
        case _:
            raise NotCovered(production.name)


def _value(out: list[Piece], simple: Any, value: Any) -> None:
    match simple.coding:
        case codings.TABLE:
            out.append(Piece(Part.CODE, simple.codes[value], simple.width))
        case codings.UNSIGNED:
            out.append(_number(Part.NUMBER, value))
        case codings.INTEGER:
            out.append(Piece(Part.SIGN, int(value < 0), 1))
            out.append(_number(Part.NUMBER, -value - 1 if value < 0 else value))
        case codings.BINARY:
            out.append(_number(Part.LENGTH, len(value)))
            out.append(_octets(value))
        case _:
            out.append(replace(_number(Part.LENGTH, len(value) + 2), text=value))
            out += [_number(Part.OTHER, ord(character)) for character in value]


def _number(part: Part, value: int) -> Piece:
    """An Unsigned Integer (7.1.6)."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return replace(_octets(bytes(data)), part=part)


def _octets(data: bytes) -> Piece:
    return Piece(Part.OCTETS, int.from_bytes(data, "big"), 8 * len(data))


def packed(parts: list[Piece]) -> bytes:
    """The stream, padded with zeros."""
    total = width = 0
    for piece in parts:
        total = total << piece.width | piece.value
        width += piece.width
    padding = -width % 8
    return (total << padding).to_bytes((width + padding) // 8, "big")


# -- deviations ----------------------------------------------------------------------------------------------


def deviating(rng: Random, message: Node) -> bytes | None:
    """The stream of `message` with one to three deviations; None if it is not covered."""
    try:
        parts = pieces(message)
    except (exi.EXIEncodeError, ValueError):
        return None
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if sum(piece.width for piece in parts) > _LONGEST:
            break
        rng.choice((_event, _event, _escape, _escape, _string, _string, _number_form, _span, _head))(
            rng, parts
        )
    return packed(parts)


def _places(parts: list[Piece], *kinds: Part) -> list[int]:
    return [index for index, piece in enumerate(parts) if piece.part in kinds and piece.width]


def _event(rng: Random, parts: list[Piece]) -> None:
    """Another event code, or another number in a table: one that is there, or one beyond the last."""
    places = _places(parts, Part.EVENT, Part.CODE)
    if places:
        at = rng.choice(places)
        parts[at] = replace(parts[at], value=rng.randrange(1 << parts[at].width))


def _escape(rng: Random, parts: list[Piece]) -> None:
    """A second-level event in front of an event, or in its place, with what follows such an event."""
    places = _places(parts, Part.EVENT)
    if not places:
        return
    at = rng.choice(places)
    state, width = parts[at].state, parts[at].width
    productions = 1 if state is None else len(state.productions)
    has_end = state is not None and state.end is not None
    first = state is None or _POSITIONS[state.position] is Position.FIRST
    inner = state is not None and _POSITIONS[state.position] is Position.CONTENT
    events = ["text", "element"]
    if not inner:
        events += ["attribute", "untyped"]
    if first:
        events += ["type", "nil"]
    if not has_end:
        events += ["end"]
    order = [
        name for name in ("end", "type", "nil", "attribute", "untyped", "element", "text") if name in events
    ]
    chosen = rng.choice(order)
    made = [
        Piece(Part.OTHER, productions, width),
        Piece(Part.OTHER, order.index(chosen), code_width(len(order))),
        *_payload(rng, chosen, state),
    ]
    parts[at : at + rng.randrange(2)] = made * rng.choice((1, 1, 1, 2, 60))


def _payload(rng: Random, event: str, state: kernel.State | None) -> list[Piece]:
    match event:
        case "text":
            return _text(rng)
        case "nil":
            return [Piece(Part.OTHER, rng.randrange(2), 1)]
        case "untyped":
            declared = [p for p in state.productions if p.action == codings.ATTRIBUTE] if state else []
            return [
                Piece(Part.OTHER, rng.randrange(len(declared) + 1), code_width(len(declared) + 1)),
                *_text(rng),
            ]
        case "type" | "element":
            return _name(rng)
        case "attribute":
            return [*_name(rng), *_text(rng)]
    return []


def _name(rng: Random) -> list[Piece]:
    """A qualified name: of a table, or with a new local name or namespace. The width of the first index is
    that of the -20 sets, which have 8 to 15 namespaces.
    """
    if rng.random() < 0.3:
        new = [Piece(Part.OTHER, 0, 4), *_string_of(rng.choice(("", "urn:x", "u" * 300)), 0)]
        return [*new, *_string_of(rng.choice(("x", "", "n" * 200)), 1)]
    known = Piece(Part.OTHER, rng.randrange(16), 4)
    if rng.random() < 0.5:
        return [known, *_string_of(rng.choice(("x", "Header", "n" * 200)), 1)]
    return [known, _number(Part.OTHER, 0), Piece(Part.OTHER, rng.randrange(256), rng.choice((5, 6, 7, 8)))]


def _text(rng: Random) -> list[Piece]:
    text = rng.choice(
        ("", "1", "true", "-0", " 12 ", "1e400", "9" * 60, "\N{GRINNING FACE}", "\x00", "A" * 300)
    )
    return _string_of(text, 2)


def _string_of(text: str, more: int) -> list[Piece]:
    return [_number(Part.OTHER, len(text) + more), *(_number(Part.OTHER, ord(c)) for c in text)]


def _string(rng: Random, parts: list[Piece]) -> None:
    """A hit in the string tables, of a value that is there or of none; a wrong length; no character."""
    places = [i for i, piece in enumerate(parts) if piece.part is Part.LENGTH]
    if not places:
        return
    at = rng.choice(places)
    text = parts[at].text
    size = len(text) if text is not None else 1
    met = [piece.text for piece in parts[:at] if piece.text]
    match rng.randrange(6):
        case 0 if text is not None and met:  # legal: another value, from the table of all
            parts[at : at + 1 + size] = [
                _number(Part.OTHER, 1),
                Piece(Part.OTHER, rng.randrange(len(met)), code_width(len(met))),
            ]
        case 0 | 1:
            hit = _number(Part.OTHER, rng.randrange(2))
            parts[at : at + 1 + size] = [hit, Piece(Part.OTHER, rng.randrange(256), rng.randrange(9))]
        case 2:
            wrong = (
                0,
                1,
                2,
                size,
                size + 1,
                size + 3,
                255,
                1 << 16,
                (1 << 31) - 1,
                1 << 31,
                1 << 32,
                1 << 63,
            )
            parts[at] = _number(Part.OTHER, rng.choice(wrong))
        case 3 if text:
            bad = (0xD800, 0xDFFF, 0x110000, 0x7FFFFFFF, 0xFFFF, 0, 1 << 64)
            parts[at + 1 + rng.randrange(size)] = _number(Part.OTHER, rng.choice(bad))
        case 4:
            long = rng.choice((1000, 20_000))
            more = 2 if text is not None else 0
            parts[at : at + 1 + size] = [
                _number(Part.OTHER, long + more),
                _octets(bytes([rng.choice((0, 65, 127))]) * long),
            ]
        case _:
            parts[at] = _overlong(rng, parts[at])


def _number_form(rng: Random, parts: list[Piece]) -> None:
    """An Unsigned Integer in more octets than it needs, or greater than any type."""
    places = _places(parts, Part.NUMBER, Part.LENGTH)
    if places:
        at = rng.choice(places)
        parts[at] = _overlong(rng, parts[at])


def _overlong(rng: Random, piece: Piece) -> Piece:
    data = piece.value.to_bytes(piece.width // 8, "big")
    padded = data[:-1] + bytes([data[-1] | 0x80]) + b"\x80" * rng.choice((0, 1, 8, 60)) + b"\0"
    more = padded, padded, b"\xff" * rng.choice((4, 9, 10, 500, 511, 512, 513, 3000)) + b"\x01"
    return replace(_octets(rng.choice(more)), part=piece.part)


def _span(rng: Random, parts: list[Piece]) -> None:
    """A stretch between two events left out, repeated, or moved: elements missing, twice, out of order."""
    places = _places(parts, Part.EVENT)
    if len(places) < 3:
        return
    first, second = sorted(rng.sample(places, 2))
    stretch = parts[first:second]
    match rng.randrange(3):
        case 0:
            del parts[first:second]
        case 1:
            size = sum(piece.width for piece in stretch)
            parts[second:second] = stretch * min(rng.choice((1, 1, 20, 300)), 1 + _LONGEST // (size + 1))
        case _:
            del parts[first:second]
            at = rng.choice(places)
            parts[at:at] = stretch


def _head(rng: Random, parts: list[Piece]) -> None:
    """Another header (5.): the cookie, options, a preview or another version; or another root."""
    if rng.random() < 0.5 and len(parts) > 1:
        parts[1] = replace(parts[1], value=rng.randrange(1 << parts[1].width))
        return
    cookie = int.from_bytes(b"$EXI", "big") << 8 | codings.HEADER
    value, width = rng.choice(
        ((cookie, 40), (0xA0, 8), (0x90, 8), (0x81, 8), (0x8F, 8), (0x00, 8), (0xC0, 8))
    )
    parts[0] = Piece(Part.OTHER, value, width)
