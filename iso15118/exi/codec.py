"""Compiles a schema into the tables that the kernel runs, and is the codec of that schema.

A codec is made once per schema set, which takes some milliseconds, and holds no state of any stream.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from . import codings, kernel
from .errors import EXIDecodeError, EXIEncodeError
from .grammar import (
    Event,
    Position,
    code_width,
    fragment_elements,
    order,
    sort_elements,
    type_grammar,
)
from .grammar import Production as GrammarProduction
from .grammar import State as GrammarState
from .kernel import Octets
from .names import Names
from .schema import (
    AttributeUse,
    ComplexType,
    Element,
    ElementParticle,
    Kind,
    QName,
    Schema,
    SimpleType,
    Wildcard,
)
from .second_level import (
    Deviation,
    DeviationKind,
    SecondLevel,
    StringTableHit,
    StringTables,
    put_any_element,
)

_N_BIT_RANGE = 4096
"""Integers with at most this many values are n-bit numbers (W3C EXI 1.0, 7.1.5)."""


def compile_simple(simple: SimpleType) -> kernel.Simple:
    """The coding of a simple type (W3C EXI 1.0, table 7-1)."""
    name, base = simple.name or simple.base, simple.base
    low, high = simple.minimum, simple.maximum
    members: Sequence[Any] = ()
    cls: type = int
    match simple.kind:
        case Kind.STRING:
            return kernel.Simple(codings.STRING, name, base, str)
        case Kind.BINARY:
            return kernel.Simple(codings.BINARY, name, base, bytes)
        case Kind.BOOLEAN:
            members, cls = (False, True), bool
        case Kind.ENUMERATION:
            assert simple.enumeration is not None
            members = list(simple.enumeration)
            cls = str if issubclass(simple.enumeration, str) else simple.enumeration
        case Kind.INTEGER if low is not None and high is not None and high - low < _N_BIT_RANGE:
            members = range(low, high + 1)
    if members:
        return kernel.Simple(codings.TABLE, name, base, cls, code_width(len(members)), members)
    return kernel.Simple(
        codings.UNSIGNED if low is not None and low >= 0 else codings.INTEGER, name, base, cls
    )


class Quirk(StrEnum):
    """How other codecs are known to depart from the standard."""

    LISTS_NEVER_FULL = (
        "cbV2G: after the last entry that a list may have, its end is written as if more could follow"
    )
    LONG_LISTS_NEVER_FULL = "Josev: the same, for lists of 255 entries and more"
    ACDP_ROOTS_SWAPPED = "cbV2G: the event codes of ACDP_ConnectRes and ACDP_DisconnectReq are swapped"


_UNBOUNDED_FROM = {Quirk.LISTS_NEVER_FULL: 3, Quirk.LONG_LISTS_NEVER_FULL: 255}
_SWAPPED = ("ACDP_ConnectRes", "ACDP_DisconnectReq")


class Fragment(NamedTuple):
    """An element that stands alone, as in what a signature digests."""

    name: QName
    value: Any


class _Reading(NamedTuple):
    """What was read, and the octets behind it."""

    result: Any
    unread: bytes


class EventCodes(NamedTuple):
    """Event codes of the documents and fragments of a schema set, by qualified name, and their widths."""

    documents: dict[str, int]
    document_width: int
    fragments: dict[str, int]
    fragment_width: int


_Read = Callable[["Codec", kernel.Decoder], Any]


class Codec:
    """Encodes and decodes the documents and fragments of one schema, exactly or with one quirk."""

    def __init__(self, schema: Schema, quirk: Quirk | None = None) -> None:
        self.schema = schema
        self.quirk = quirk
        self.unbounded_from = sys.maxsize if quirk is None else _UNBOUNDED_FROM.get(quirk, sys.maxsize)
        self.nowhere = kernel.Production(codings.END, 0, 0)
        self._variants: dict[Quirk, Codec] = {}
        self._types: dict[int, kernel.Type] = {}
        self._simple: dict[SimpleType, kernel.Simple] = {}
        roots = sort_elements(schema.elements)
        if quirk is Quirk.ACDP_ROOTS_SWAPPED:
            first, second = (i for i, e in enumerate(roots) if e.qname.local in _SWAPPED)
            roots[first], roots[second] = roots[second], roots[first]
        self._root_width = code_width(len(roots) + 1)
        self._roots = [self._element(e, code, self._root_width) for code, e in enumerate(roots)]
        self._root_of = {self._class_of(e): p for e, p in zip(roots, self._roots, strict=True)}
        self._fragment_table: list[kernel.Production] | None = None
        self._fragment_width = 0
        self._fragment_of: dict[QName, kernel.Production] = {}

    # Documents

    def decode(self, data: Octets, deviations: list[Deviation] | None = None) -> Any:
        """The message of an EXI document, EXIDecodeError for anything else; what follows it is ignored.

        With a list of `deviations`, a stream that fails is tried again with the known quirks, and then with
        all tolerated that EXI can carry but the schema does not allow; what was tolerated is appended.
        """
        if deviations is not None:
            return self._tolerant(data, deviations, Codec._document)
        try:
            return kernel.Decoder(data, self).document(self._roots, self._root_width)
        except StringTableHit:
            return self._strict(data, Codec._document)

    def encode(self, message: Any, quirk: Quirk | None = None) -> bytes:
        """The EXI document of a message; EXIEncodeError for what is none or cannot be expressed."""
        if quirk is not None:
            return self.with_quirk(quirk).encode(message)
        production = self._root_of.get(type(message))
        if production is None:
            raise EXIEncodeError(
                type(message).__name__, message, f"is no root element of the schema set {self.schema.name}"
            )
        encoder = kernel.Encoder(self)
        encoder.put(production.code, production.width)
        encoder.element(production, message, 0)
        return encoder.finish()

    def with_quirk(self, quirk: Quirk) -> Codec:
        """The codec that writes and reads this quirk; ValueError if no stream of the set can show it."""
        if quirk not in self._quirks():
            raise ValueError(f"the schema set {self.schema.name} has no ACDP messages")
        if quirk not in self._variants:
            self._variants[quirk] = Codec(self.schema, quirk)
        return self._variants[quirk]

    def _quirks(self) -> list[Quirk]:
        """Those that streams of this schema set may show."""
        swapped = any(p.name in _SWAPPED for p in self._roots)
        return [q for q in Quirk if swapped or q is not Quirk.ACDP_ROOTS_SWAPPED]

    def _tolerant(self, data: Octets, deviations: list[Deviation], read: _Read) -> Any:
        exact = self._attempt(data, None, read)
        if not isinstance(exact, EXIDecodeError) and not exact.unread:
            return exact.result
        for quirk in self._quirks():
            quirky = self.with_quirk(quirk)._attempt(data, None, read)
            if not isinstance(quirky, EXIDecodeError) and (
                isinstance(exact, EXIDecodeError) or not quirky.unread
            ):
                bit, path = (exact.bit, exact.path) if isinstance(exact, EXIDecodeError) else (8, "")
                deviations.append(Deviation(DeviationKind.QUIRK, bit, path, quirk))
                return quirky.result
        if isinstance(exact, EXIDecodeError):
            found: list[Deviation] = []
            tolerated = self._attempt(data, found, read)
            if isinstance(tolerated, EXIDecodeError):
                raise exact
            deviations += found
            exact = tolerated
        if exact.unread:
            bit = 8 * (len(data) - len(exact.unread))
            deviations.append(Deviation(DeviationKind.TRAILING_OCTETS, bit, "", exact.unread))
        return exact.result

    def _attempt(
        self, data: Octets, deviations: list[Deviation] | None, read: _Read
    ) -> _Reading | EXIDecodeError:
        """Streams that refer to string tables are read from the start with the tables kept."""
        decoder = None
        try:
            try:
                decoder = kernel.Decoder(data, self, deviations)
                result = read(self, decoder)
            except StringTableHit:
                if deviations is not None:
                    deviations.clear()
                decoder = kernel.Decoder(data, self, deviations, StringTables())
                result = read(self, decoder)
        except EXIDecodeError as error:
            return error
        return _Reading(result, bytes(data[(decoder.pos + 7) >> 3 :]))

    def _strict(self, data: Octets, read: _Read) -> Any:
        reading = self._attempt(data, None, read)
        if isinstance(reading, EXIDecodeError):
            raise reading
        return reading.result

    def _document(self, decoder: kernel.Decoder) -> Any:
        return decoder.document(self._roots, self._root_width)

    def event_codes(self) -> EventCodes:
        fragments = {str(p.qname): p.code for p in self._fragments()}
        documents = {str(p.qname): p.code for p in self._roots}
        return EventCodes(documents, self._root_width, fragments, self._fragment_width)

    # Fragments

    def decode_fragment(self, data: Octets, deviations: list[Deviation] | None = None) -> Fragment:
        """The single element of an EXI fragment; `deviations` as for documents."""
        fragment: Fragment
        if deviations is not None:
            fragment = self._tolerant(data, deviations, Codec._fragment)
        else:
            fragment = self._strict(data, Codec._fragment)
        return fragment

    def _fragment(self, decoder: kernel.Decoder) -> Fragment:
        table = self._fragments()
        code = decoder.bits(self._fragment_width)
        if code >= len(table):
            decoder.pos -= self._fragment_width
            raise decoder.error(f"no element has event code {code}", f"less than {len(table)}")
        value = decoder.element(table[code], 0)
        end = decoder.bits(self._fragment_width)
        if end != len(table) + 1:
            decoder.pos -= self._fragment_width
            raise decoder.error(f"event code {end} after the element", "the end of the fragment")
        return Fragment(table[code].qname, value)

    def encode_fragment(
        self, value: Any, name: str | QName | None = None, quirk: Quirk | None = None
    ) -> bytes:
        """The EXI fragment of one element: `value` is what a field would hold.

        `name` is needed where the class of the value has several elements, or none.
        """
        if quirk is not None:
            return self.with_quirk(quirk).encode_fragment(value, name)
        table = self._fragments()
        production = self._fragment_production(value, name)
        encoder = kernel.Encoder(self)
        encoder.put(production.code, production.width)
        encoder.element(production, value, 0)
        encoder.put(len(table) + 1, self._fragment_width)
        return encoder.finish()

    def _fragments(self) -> list[kernel.Production]:
        if self._fragment_table is None:
            named = fragment_elements(self.schema)
            self._fragment_width = code_width(len(named) + 2)
            self._fragment_table = [
                self._element(_declaration_of(elements), code, self._fragment_width)
                for code, (_, elements) in enumerate(named)
            ]
            self._fragment_of = {p.qname: p for p in self._fragment_table}
        return self._fragment_table

    def _fragment_production(self, value: Any, name: str | QName | None) -> kernel.Production:
        if isinstance(name, QName):
            matches = [p for q, p in self._fragment_of.items() if q == name]
        elif name is not None:
            matches = [p for q, p in self._fragment_of.items() if q.local == name]
        else:
            matches = [
                p
                for p in self._fragment_of.values()
                if p.wrapper is type(value) or (p.type is not None and p.type.cls is type(value))
            ]
        if len(matches) != 1:
            found = ", ".join(str(p.qname) for p in matches) or "none"
            what = str(name) if name is not None else type(value).__name__
            raise EXIEncodeError(
                what, value, f"names no single element of {self.schema.name} (found: {found})"
            )
        return matches[0]

    # Compiling

    def _class_of(self, element: Element) -> type:
        if isinstance(element.type, ComplexType):
            return element.type.cls
        assert element.wrapper is not None, f"{element.qname} has a simple type and no class to hold it"
        return element.wrapper

    def _element(self, element: Element, code: int, width: int) -> kernel.Production:
        if isinstance(element.type, ComplexType):
            production = kernel.Production(codings.COMPLEX_ELEMENT, code, width)
            production.type = self._type(element.type)
        else:
            production = kernel.Production(codings.SIMPLE_ELEMENT, code, width)
            production.simple = self._simple_type(element.type)
            production.wrapper = element.wrapper
        production.qname = element.qname
        production.name = element.qname.local
        return production

    def _simple_type(self, simple: SimpleType) -> kernel.Simple:
        if simple not in self._simple:
            self._simple[simple] = compile_simple(simple)
        return self._simple[simple]

    def _type(self, type_: ComplexType) -> kernel.Type:
        compiled = self._types.get(id(type_))
        if compiled is None:
            lists = list_fields(type_)
            fields: tuple[str, ...] = type_.cls.__struct_fields__  # type: ignore[attr-defined]
            template = type_.cls(**dict.fromkeys(fields))
            compiled = kernel.Type(type_.cls, type_.name, template, lists)
            self._types[id(type_)] = compiled
            _TypeCompiler(self, type_, compiled)
        return compiled

    # What the kernel and the second level ask

    @cached_property
    def names(self) -> Names:
        return Names.of(self.schema)

    @cached_property
    def _types_by_name(self) -> dict[QName, ComplexType]:
        return {t.name: t for t in reversed(self.schema.types)}

    def beyond(self, decoder: kernel.Decoder) -> SecondLevel:
        if decoder.second_level is None:
            decoder.second_level = SecondLevel(self)
        second_level: SecondLevel = decoder.second_level
        return second_level

    def root_named(self, name: QName) -> kernel.Production | None:
        return next((p for p in self._roots if p.qname == name), None)

    def root_of(self, cls: type) -> kernel.Production | None:
        return self._root_of.get(cls)

    def derived_type(self, name: QName, declared: kernel.Type) -> kernel.Type | None:
        """The type called `name`, if it is `declared` or derived from it."""
        if name == declared.qname:
            return declared
        named = base = self._types_by_name.get(name)
        while base is not None and base.name != declared.qname:
            base = base.base
        return self._type(named) if base is not None and named is not None else None

    def simple_type_named(self, name: QName) -> kernel.Simple | None:
        """The named simple type, as far as elements or attributes that were met have it."""
        found = (s for s in self._simple if s.name == name.local and s.namespace == name.namespace)
        return next((self._simple[s] for s in found), None)

    def tabled_text(self, decoder: kernel.Decoder) -> str:
        production = decoder.path[decoder.depth - 1]
        if production.action in (codings.TYPED_TEXT, codings.MIXED_TEXT):
            production = decoder.path[decoder.depth - 2]
        text: str = decoder.tables.read(decoder, production.qname)
        return text

    def string_table_hit(self, decoder: kernel.Decoder) -> StringTableHit:
        return StringTableHit("a reference to a string table", bit=decoder.pos, path=self.path(decoder))

    def expected(self, state: kernel.State) -> str:
        return " or ".join(_describe(p) for p in state.productions)

    def path(self, decoder: kernel.Decoder) -> str:
        parts: list[str] = []
        place = decoder.root
        for depth in range(decoder.depth):
            production = decoder.path[depth]
            name = _describe(production) if production.action == codings.ATTRIBUTE else production.name
            if depth and place is not None:
                place = getattr(place, production.field or "content", None)
                if isinstance(place, list):
                    last = len(place) - 1 if production.type is not None else len(place)
                    name += f"[{last}]"
                    place = place[-1] if place else None
            if name:
                parts.append(name)
        return "/".join(parts)

    def encode_path(self, encoder: kernel.Encoder) -> str:
        return "/".join(part.name for part in encoder.path[: encoder.depth] if part.name)

    def term(self, encoder: kernel.Encoder, slot: kernel.Slot, item: Any) -> int:
        """The term of the grammar that an item of a slot with several terms is, by its class."""
        term = slot.terms.get(type(item), slot.terms.get(object))
        if term is None:
            allowed = ", ".join(sorted(cls.__name__ for cls in slot.terms))
            raise encoder.error(item, f"is none of {allowed}")
        return term

    def misplaced(self, encoder: kernel.Encoder, state: kernel.State, item: Any) -> EXIEncodeError:
        return encoder.error(item, f"cannot stand or end here, expected {self.expected(state)}")

    def put_any_element(self, encoder: kernel.Encoder, item: Any, depth: int) -> None:
        put_any_element(self, encoder, item, depth)


def _describe(production: kernel.Production) -> str:
    if production.action == codings.END:
        return "the end of the element"
    if production.action == codings.ANY_ELEMENT:
        return "any element"
    if production.action == codings.MIXED_TEXT:
        return "text"
    if production.action == codings.TYPED_TEXT:
        return production.simple.name if production.simple else "text"
    return ("@" if production.action == codings.ATTRIBUTE else "") + production.name


def _declaration_of(elements: list[Element]) -> Element:
    """One of several declarations of a name, all of one type: the one whose class can stand alone.

    Declarations of different types would need the relaxed grammar of W3C EXI 1.0, 8.5.3; no schema set of
    ISO 15118-20 has any.
    """
    types = {e.type.name if isinstance(e.type, ComplexType) else e.type for e in elements}
    if len(types) > 1:
        raise NotImplementedError(f"{elements[0].qname} is declared with several types")
    return next((e for e in elements if isinstance(e.type, ComplexType) or e.wrapper), elements[0])


def list_fields(type_: ComplexType) -> list[str]:
    """The fields of a class that hold lists, by its content model."""
    found: dict[str, None] = {}

    def visit(particle: Any) -> None:
        if isinstance(particle, ElementParticle | Wildcard):
            if particle.is_list:
                found[particle.field] = None
        else:
            for child in particle.particles:
                visit(child)

    visit(type_.content)
    if type_.mixed:
        found["content"] = None
    return list(found)


class _TypeCompiler:
    """Fills the tables of one type."""

    def __init__(self, codec: Codec, type_: ComplexType, compiled: kernel.Type) -> None:
        self.codec = codec
        self.type = type_
        self.lists = set(compiled.lists)
        self.terms: dict[Any, int] = {}
        self.slots: dict[str, kernel.Slot] = {}
        self.states: dict[int, kernel.State] = {}
        self.order: dict[str, int] = {}
        for attribute in sorted(type_.attributes, key=lambda a: order(a.qname)):
            self.slot(attribute.field, "@" + attribute.qname.local)
        self.declare(type_.content)
        start = type_grammar(type_, codec.schema, codec.unbounded_from)
        self.visit(start)
        for state in self.states.values():
            state.by_term += [None] * (len(self.terms) - len(state.by_term))
        compiled.start = self.states[id(start)]
        compiled.slots = list(self.slots.values())
        for slot in compiled.slots:
            distinct = set(slot.terms.values())
            if len(distinct) == 1 and object not in slot.terms:
                slot.term = distinct.pop()

    def declare(self, particle: Any) -> None:
        """Slots in schema order, whatever the order in which states are met."""
        if isinstance(particle, ElementParticle):
            self.slot(particle.field, particle.element.qname.local)
        elif isinstance(particle, Wildcard):
            self.slot(particle.field, "*")
        else:
            for child in particle.particles:
                self.declare(child)

    def slot(self, field: str, name: str) -> kernel.Slot:
        if field not in self.slots:
            self.slots[field] = kernel.Slot(field, name, field in self.lists)
        return self.slots[field]

    def visit(self, start: GrammarState) -> None:
        pending = [start]
        self.states[id(start)] = kernel.State(list(Position).index(start.position))
        while pending:
            source = pending.pop()
            state = self.states[id(source)]
            state.width = code_width(len(source.productions) + 1)
            for code, production in enumerate(source.productions):
                for target in (production.target, production.full, source.content):
                    if target is not None and id(target) not in self.states:
                        self.states[id(target)] = kernel.State(list(Position).index(target.position))
                        pending.append(target)
                state.productions.append(self.production(production, code, state))
            if source.content is not None:
                state.content = self.states[id(source.content)]

    def production(self, source: GrammarProduction, code: int, state: kernel.State) -> kernel.Production:
        if source.event is Event.END:
            state.end = kernel.Production(codings.END, code, state.width)
            return state.end
        declared = source.declaration
        held_by: Any = None
        if isinstance(declared, AttributeUse):
            made = kernel.Production(codings.ATTRIBUTE, code, state.width)
            made.name, made.qname, made.field = declared.qname.local, declared.qname, declared.field
            made.simple = self.codec._simple_type(declared.type)
        elif isinstance(declared, Element):
            made = self.codec._element(declared, code, state.width)
            held = source.held
            assert held is not None
            made.field = held.field
            held_by = made.wrapper or (made.type.cls if made.type else None)
        elif isinstance(declared, Wildcard):
            made = kernel.Production(codings.ANY_ELEMENT, code, state.width)
            made.field, made.name = declared.field, "*"
            held_by = object
        elif isinstance(declared, SimpleType):
            made = kernel.Production(codings.TYPED_TEXT, code, state.width)
            made.field = "value"
            made.simple = self.codec._simple_type(declared)
        else:
            made = kernel.Production(codings.MIXED_TEXT, code, state.width)
            made.field = "content"
            held_by = str
        made.is_list = made.field in self.lists
        made.target = self.states[id(source.target)] if source.target else None
        made.full = self.states[id(source.full)] if source.full else None
        made.count, made.limit = source.count, source.limit
        self.enter(made, held_by, state)
        return made

    def enter(self, made: kernel.Production, held_by: Any, state: kernel.State) -> None:
        key = (made.action, made.field, made.qname)
        term = self.terms.setdefault(key, len(self.terms))
        slot = self.slot(made.field, made.name or "text")
        if slot.terms.setdefault(held_by, term) != term:
            raise ValueError(
                f"{self.type.name}: the class of a value in {made.field} does not tell {made.name} apart"
            )
        state.by_term += [None] * (term + 1 - len(state.by_term))
        state.by_term[term] = made


__all__ = ["Codec", "Deviation", "DeviationKind", "Fragment", "Quirk"]
