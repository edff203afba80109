"""What a stream may hold beyond its schema: second-level event codes, wildcards, string tables.

Non-strict grammars can escape from every state (W3C EXI 1.0, 8.5.4.4.1). Some of it is valid against the
schema: xsi:type naming a derived type, empty values, a value written as text. The rest is a deviation,
which `decode` refuses unless the caller asked to be told instead. None of it is frequent, so nothing here
is written for speed.

Elements that no declaration describes are read by the built-in element grammar (8.4.3) and that of
xs:anyType. ISO 15118 streams never learn productions, and mark such elements with xsi:type="xs:anyType", as
we do when writing one.
"""

from __future__ import annotations

import base64
import re
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from . import codings, kernel
from .errors import EXIDecodeError
from .grammar import Position, code_width
from .names import ANY_TYPE, XSI, XSI_NIL, XSI_TYPE, read_index
from .schema import AnyElement, QName

if TYPE_CHECKING:
    from .codec import Codec

_INTEGER = re.compile(r"[ \t\r\n]*([+-]?[0-9]{1,1000})[ \t\r\n]*")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class DeviationKind(StrEnum):
    """What a stream has that its schema does not allow."""

    UNDECLARED_ATTRIBUTE = "undeclared attribute"
    UNDECLARED_ELEMENT = "undeclared element"
    UNDECLARED_TEXT = "undeclared text"
    UNTYPED_VALUE = "value outside its type, as text"
    MISSING_CONTENT = "content missing"
    TRAILING_OCTETS = "octets after the document"
    QUIRK = "quirk"


class Deviation(NamedTuple):
    """Something in a stream that its schema does not allow, and that was tolerated.

    `bit` is where it was met, `path` the element, `content` what was left out of the message (a str, an
    element, or a (name, value) pair for attributes) or the quirk.
    """

    kind: DeviationKind
    bit: int
    path: str
    content: Any


class StringTableHit(EXIDecodeError):
    """The stream refers to a string table: it must be read again with the tables kept."""


class _Event(Enum):
    END = auto()
    XSI_TYPE = auto()
    XSI_NIL = auto()
    ATTRIBUTE = auto()
    UNTYPED_ATTRIBUTE = auto()
    ELEMENT = auto()
    TEXT = auto()


def _second_level(position: Position, has_end: bool) -> list[_Event]:
    """The second-level productions of a state, in the order of their codes (8.5.4.4.1)."""
    events = [] if has_end else [_Event.END]
    if position is Position.FIRST:
        events += [_Event.XSI_TYPE, _Event.XSI_NIL]
    if position is not Position.CONTENT:
        events += [_Event.ATTRIBUTE, _Event.UNTYPED_ATTRIBUTE]
    return [*events, _Event.ELEMENT, _Event.TEXT]


_POSITIONS = list(Position)


def _read_event(decoder: kernel.Decoder, position: Position, has_end: bool) -> _Event:
    events = _second_level(position, has_end)
    width = code_width(len(events))
    code = decoder.bits(width)
    if code >= len(events):
        decoder.pos -= width
        raise decoder.error(f"second-level event code {code}", f"less than {len(events)}")
    return events[code]


class StringTables:
    """Values met so far, for streams that refer to them (7.3.3): all of them, and those of each name."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self.of_name: dict[QName | None, list[str]] = {}

    def read(self, decoder: kernel.Decoder, name: QName | None) -> str:
        start = decoder.pos
        length = decoder.unsigned()
        if length < 2:
            table = self.all if length else self.of_name.get(name, [])
            index = read_index(decoder, code_width(len(table)))
            if index >= len(table):
                decoder.pos = start
                raise decoder.error(f"no string has index {index}")
            return table[index]
        if length - 2 > (decoder.end - decoder.pos) >> 3:
            decoder.pos = start
            raise decoder.error(f"a length of {length - 2}, beyond the end of the stream")
        value = decoder.string(length - 2)
        if value:
            self.all.append(value)
            self.of_name.setdefault(name, []).append(value)
        return value


class SecondLevel:
    """The slow path of one decoder; the tables of names belong to its stream."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self.names = codec.names.copy()
        self.built_in_grammars: dict[QName, BuiltInGrammar] = {}

    # Deviations

    def deviates(
        self, decoder: kernel.Decoder, kind: DeviationKind, bit: int, content: Any, expected: str = ""
    ) -> None:
        """Note a deviation, or refuse it."""
        if decoder.deviations is None:
            decoder.pos = bit
            shown = f" {content.qname}" if isinstance(content, AnyElement) else ""
            if isinstance(content, str):
                shown = f" {content[:40]!r}"
            elif isinstance(content, tuple):
                shown = f" {content[0]}"
            raise decoder.error(f"{kind.value}{shown}", expected)
        decoder.deviations.append(Deviation(kind, bit, self.codec.path(decoder), content))

    def untyped(self, decoder: kernel.Decoder, simple: kernel.Simple, bit: int) -> Any:
        """A value of a simple type that stands there as text."""
        text = decoder.text()
        value = _parse(simple, text)
        if value is None:
            self.deviates(decoder, DeviationKind.UNTYPED_VALUE, bit, text, simple.name)
            return text
        return value

    # Elements of simple type

    def content(self, decoder: kernel.Decoder, simple: kernel.Simple) -> Any:
        """The rest of an element of simple type after the escape from its first state, EE included."""
        position = Position.FIRST
        value: Any = None
        while True:
            bit = decoder.pos - 1
            match _read_event(decoder, position, False):
                case _Event.END:
                    return self.empty(decoder, simple, bit) if value is None else value
                case _Event.XSI_TYPE:
                    simple = self.simple_type(decoder, simple)
                case _Event.XSI_NIL:
                    self.nil(decoder, bit)
                case _Event.ATTRIBUTE | _Event.UNTYPED_ATTRIBUTE:
                    self.undeclared_attribute(decoder, bit)
                case _Event.ELEMENT:
                    self.undeclared_element(decoder, bit)
                    position = Position.CONTENT
                case _Event.TEXT:
                    if value is None:
                        value = self.untyped(decoder, simple, bit)
                    else:
                        self.deviates(decoder, DeviationKind.UNDECLARED_TEXT, bit, decoder.text())
                    position = Position.CONTENT
            if decoder.bits(1) == 0:
                typed = decoder.value(simple)
                if value is not None:
                    self.deviates(decoder, DeviationKind.UNDECLARED_TEXT, bit, str(value))
                if decoder.bits(1):
                    self.end(decoder)
                return typed

    def end(self, decoder: kernel.Decoder) -> None:
        """What follows the typed value of an element after an escape, EE included."""
        while True:
            bit = decoder.pos - 1
            if _read_event(decoder, Position.CONTENT, True) is _Event.ELEMENT:
                self.undeclared_element(decoder, bit)
            else:
                self.deviates(decoder, DeviationKind.UNDECLARED_TEXT, bit, decoder.text())
            if decoder.bits(1) == 0:
                return

    def empty(self, decoder: kernel.Decoder, simple: kernel.Simple, bit: int) -> Any:
        """An element without content: the empty value where the type has one."""
        if simple.coding == codings.STRING:
            return ""
        if simple.coding == codings.BINARY:
            return b""
        self.deviates(decoder, DeviationKind.MISSING_CONTENT, bit, "", simple.name)
        return None

    def simple_type(self, decoder: kernel.Decoder, declared: kernel.Simple) -> kernel.Simple:
        start = decoder.pos
        name = self.names.read(decoder)
        if name.local == declared.name or name.local == declared.base:
            return declared
        known = self.codec.simple_type_named(name)
        if known is None or known.base != declared.base:
            decoder.pos = start
            raise decoder.error(f"xsi:type {name}", declared.name)
        return known

    def nil(self, decoder: kernel.Decoder, bit: int) -> None:
        if decoder.bits(1):
            decoder.pos = bit
            raise decoder.error("xsi:nil on an element that is not nillable")

    # Elements of complex type

    def escape(
        self, decoder: kernel.Decoder, obj: Any, type_: kernel.Type, state: kernel.State, depth: int
    ) -> kernel.State | kernel.Type | None:
        """One second-level event; the state or type that goes on, None at the end of the element."""
        bit = decoder.pos - state.width
        event = _read_event(decoder, _POSITIONS[state.position], state.end is not None)
        text = next((p for p in state.productions if p.action == codings.TYPED_TEXT), None)
        after = state if state.content is None else state.content
        if event is _Event.END:
            if text is not None and text.simple is not None:
                setattr(obj, text.field, self.empty(decoder, text.simple, bit))
            else:
                self.deviates(decoder, DeviationKind.MISSING_CONTENT, bit, "", self.codec.expected(state))
            return None
        if event is _Event.XSI_TYPE:
            return self.derived_type(decoder, type_)
        if event is _Event.XSI_NIL:
            self.nil(decoder, bit)
            return state
        if event is _Event.ATTRIBUTE:
            self.undeclared_attribute(decoder, bit)
            return state
        if event is _Event.UNTYPED_ATTRIBUTE:
            declared = [p for p in state.productions if p.action == codings.ATTRIBUTE]
            code = decoder.bits(code_width(len(declared) + 1))
            if code >= len(declared):
                self.undeclared_attribute(decoder, bit)
                return state
            decoder.path[depth] = declared[code]
            decoder.depth = depth + 1
            attribute = declared[code]
            assert attribute.simple is not None
            setattr(obj, attribute.field, self.untyped(decoder, attribute.simple, bit))
            decoder.depth = depth
            return attribute.target
        if event is _Event.ELEMENT:
            self.undeclared_element(decoder, bit, depth)
            return after
        if text is not None and text.simple is not None:
            setattr(obj, text.field, self.untyped(decoder, text.simple, bit))
        else:
            self.deviates(
                decoder, DeviationKind.UNDECLARED_TEXT, bit, decoder.text(), self.codec.expected(state)
            )
        return after

    def derived_type(self, decoder: kernel.Decoder, declared: kernel.Type) -> kernel.Type:
        start = decoder.pos
        name = self.names.read(decoder)
        named = self.codec.derived_type(name, declared)
        if named is None:
            decoder.pos = start
            raise decoder.error(f"xsi:type {name}", f"{declared.qname} or a type derived from it")
        return named

    # What is not declared

    def undeclared_attribute(self, decoder: kernel.Decoder, bit: int) -> None:
        name = self.names.read(decoder)
        self.deviates(decoder, DeviationKind.UNDECLARED_ATTRIBUTE, bit, (name, self.text_of(decoder, name)))

    def undeclared_element(self, decoder: kernel.Decoder, bit: int, depth: int | None = None) -> None:
        depth = decoder.depth if depth is None else depth
        decoder.path[depth] = self.codec.nowhere
        element = self.any_element(decoder, depth + 1)
        decoder.depth = depth
        self.deviates(decoder, DeviationKind.UNDECLARED_ELEMENT, bit, element)

    def any_element(self, decoder: kernel.Decoder, depth: int) -> Any:
        """The element after SE(*): an object of its class if it is declared, else an `AnyElement`.

        Its place in the decoder's path is `depth - 1`.
        """
        return self.named_element(decoder, self.names.read(decoder), depth)

    def named_element(self, decoder: kernel.Decoder, name: QName, depth: int) -> Any:
        if depth >= codings.MAX_DEPTH:
            raise decoder.error(f"elements nested deeper than {codings.MAX_DEPTH}")
        decoder.reserve(depth)
        production = self.codec.root_named(name)
        if production is None:
            decoder.path[depth - 1] = _named(name)
            decoder.depth = depth
            return self.built_in(decoder, name, depth)
        return decoder.element(production, depth - 1)

    def built_in(self, decoder: kernel.Decoder, name: QName, depth: int) -> AnyElement:
        """An undeclared element, by the built-in element grammar or, once xsi:type says so, xs:anyType's."""
        element = AnyElement(name)
        grammar = self.built_in_grammars.setdefault(name, BuiltInGrammar())
        position = Position.FIRST
        any_type = False
        while True:
            learned: QName | None = None
            if any_type:
                event = _any_type_event(decoder, position)
            else:
                event, learned = grammar.read(decoder, position)
            if event is _Event.END:
                return element
            if event is _Event.ELEMENT:
                child = learned or self.names.read(decoder)
                if not any_type and learned is None:
                    grammar.learn(position, event, child)
                element.content.append(self.named_element(decoder, child, depth + 1))
                decoder.depth = depth
                position = Position.CONTENT
            elif event is _Event.TEXT:
                element.content.append(decoder.text())
                position = Position.CONTENT
            elif event is _Event.XSI_NIL:
                self.nil(decoder, decoder.pos)
            else:
                start = decoder.pos
                attribute = XSI_TYPE if event is _Event.XSI_TYPE else learned or self.names.read(decoder)
                if not any_type and learned is None:
                    grammar.learn(position, event, attribute)
                if attribute == XSI_TYPE:
                    if (type_name := self.names.read(decoder)) != ANY_TYPE:
                        decoder.pos = start
                        raise decoder.error(f"xsi:type {type_name} on an undeclared element", str(ANY_TYPE))
                    any_type = True
                elif attribute == XSI_NIL:
                    self.nil(decoder, start)
                else:
                    element.attributes[attribute] = self.text_of(decoder, attribute)

    def text_of(self, decoder: kernel.Decoder, name: QName) -> str:
        """The text of an attribute: its name decides the string table."""
        depth = decoder.depth
        decoder.path[depth] = _named(name)
        decoder.depth = depth + 1
        text: str = decoder.text()
        decoder.depth = depth
        return text


def _named(name: QName) -> kernel.Production:
    production = kernel.Production(codings.ANY_ELEMENT, 0, 0)
    production.name, production.qname = name.local, name
    return production


_BUILT_IN_START = [_Event.END, _Event.ATTRIBUTE, _Event.ELEMENT, _Event.TEXT]
_BUILT_IN_CONTENT = [_Event.ELEMENT, _Event.TEXT]
_ANY_TYPE_START = [_Event.ATTRIBUTE, _Event.ELEMENT, _Event.END, _Event.TEXT]
_ANY_TYPE_CONTENT = [_Event.ELEMENT, _Event.END, _Event.TEXT]


class BuiltInGrammar:
    """The grammar of undeclared elements of one name (8.4.3): each event that was met gets a first-level
    code.

    By the EXI profile that ISO 15118 streams follow, only xsi:type is ever learned, and not made use of.
    """

    def __init__(self) -> None:
        self.start: list[tuple[_Event, QName | None]] = []
        self.content: list[tuple[_Event, QName | None]] = [(_Event.END, None)]
        self.knows_xsi_type = False

    def read(self, decoder: kernel.Decoder, position: Position) -> tuple[_Event, QName | None]:
        """The next event, with its name if it was learned."""
        first = position is Position.FIRST
        learned = self.start if first else self.content
        code = read_index(decoder, code_width(len(learned) + 1))
        if code < len(learned):
            return learned[len(learned) - 1 - code]
        if code > len(learned):
            raise decoder.error(f"event code {code}", f"at most {len(learned)}")
        event = _BUILT_IN_START[decoder.bits(2)] if first else _BUILT_IN_CONTENT[decoder.bits(1)]
        if event in (_Event.END, _Event.TEXT):
            self.learn(position, event, None)
        return event, None

    def learn(self, position: Position, event: _Event, name: QName | None) -> None:
        """Later productions have smaller codes, so they are kept in reverse."""
        if name == XSI_TYPE:
            if self.knows_xsi_type:
                return
            self.knows_xsi_type = True
        (self.start if position is Position.FIRST else self.content).append((event, name))


def _any_type_event(decoder: kernel.Decoder, position: Position) -> _Event:
    events = _ANY_TYPE_START if position is Position.FIRST else _ANY_TYPE_CONTENT
    code = decoder.bits(code_width(len(events) + 1))
    if code < len(events):
        return events[code]
    if code > len(events):
        raise decoder.error(f"event code {code}", f"at most {len(events)}")
    event = _read_event(decoder, position, True)
    return _Event.ATTRIBUTE if event is _Event.UNTYPED_ATTRIBUTE else event


def _parse(simple: kernel.Simple, text: str) -> Any:
    """The value that `text` denotes in a simple type, None if it denotes none."""
    coding = simple.coding
    if coding == codings.STRING:
        return text
    if coding == codings.TABLE and simple.cls is not int:
        value: Any = _BOOLEANS.get(text.strip()) if simple.cls is bool else text
        return simple.members[simple.codes[value]] if value in simple.codes else None
    if coding == codings.BINARY:
        try:
            if simple.base == "hexBinary":
                return bytes.fromhex(text)
            return base64.b64decode(text.encode("ascii"), validate=True)
        except ValueError:
            return None
    number = _INTEGER.fullmatch(text)
    return int(number[1]) if number else None


# Writing


def put_any_element(codec: Codec, encoder: kernel.Encoder, item: Any, depth: int) -> None:
    """The counterpart of `any_element`: qualified name and content after SE(*)."""
    if depth >= codings.MAX_DEPTH:
        raise encoder.error(item, f"is nested deeper than {codings.MAX_DEPTH} elements")
    encoder.reserve(depth)
    if encoder.names is None:
        encoder.names = codec.names.copy()
        encoder.undeclared = set()
    if not isinstance(item, AnyElement):
        production = codec.root_of(type(item))
        if production is None:
            raise encoder.error(item, "is neither an AnyElement nor a declared element")
        encoder.names.write(encoder, production.qname)
        encoder.element(production, item, depth - 1)
        return
    encoder.path[depth - 1] = _named(item.qname)
    encoder.depth = depth
    encoder.names.write(encoder, item.qname)
    if item.qname in encoder.undeclared:
        encoder.put(1, 1)  # not the xsi:type that the built-in grammar has learned
    encoder.undeclared.add(item.qname)
    encoder.put(_BUILT_IN_START.index(_Event.ATTRIBUTE), 2)
    encoder.names.write(encoder, XSI_TYPE)
    encoder.names.write(encoder, ANY_TYPE)
    start_width, content_width = code_width(len(_ANY_TYPE_START) + 1), code_width(len(_ANY_TYPE_CONTENT) + 1)
    for name, value in sorted(item.attributes.items()):
        if name.namespace == XSI:
            raise encoder.error(name, "is written by the codec, not by the message")
        encoder.put(_ANY_TYPE_START.index(_Event.ATTRIBUTE), start_width)
        encoder.names.write(encoder, name)
        encoder.text(value)
    events, width = _ANY_TYPE_START, start_width
    for part in item.content:
        if isinstance(part, str):
            encoder.put(events.index(_Event.TEXT), width)
            encoder.text(part)
        else:
            encoder.put(events.index(_Event.ELEMENT), width)
            encoder.path[depth] = codec.nowhere
            put_any_element(codec, encoder, part, depth + 1)
            encoder.depth = depth
        events, width = _ANY_TYPE_CONTENT, content_width
    encoder.put(events.index(_Event.END), width)
