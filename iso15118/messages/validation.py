"""What is wrong with a message by its schema: all of it, in words.

Messages are never checked when they are built, and EXI cannot see most facets; this is where lengths, ranges,
occurrences, choices and types are checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..exi.schema import (
    UNBOUNDED,
    AnyElement,
    AttributeUse,
    Choice,
    ComplexType,
    Element,
    ElementParticle,
    Kind,
    Particle,
    Sequence,
    SimpleType,
    Wildcard,
)
from . import lexical
from .declare import Node
from .layout import Layout, Layouts, class_of, layouts_of, simple_value
from .schema_sets import SchemaSet, schema_set_of

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document can hold (XML 1.0, 2.2)."""

_NCNAME = re.compile(r"[^\W\d][\w.\-·]*")
"""Names without colon, as identifiers of the type xs:ID are (to the letter of \\w)."""


class Violation(NamedTuple):
    """One thing that is wrong: where ("DC_PreChargeReq/Header/SessionID", fields of lists with an index), and
    what.
    """

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path} {self.problem}"


def validate(message: Node, schema_set: SchemaSet | str | None = None) -> list[Violation]:
    """Every violation of the schema in a message or a part of one, in document order; empty if it is valid.

    `schema_set` is needed for a class that belongs to no single set.
    """
    layouts = layouts_of(SchemaSet(schema_set or schema_set_of(message)))
    root = layouts.root_by_class.get(type(message))
    name = root.qname.local if root else type(message).__name__
    checker = _Checker(layouts)
    if root is not None:
        return [*checker.element(root, message, name)]
    type_ = next((t for t in layouts.schema.types if t.cls is type(message)), None)
    if type_ is None:
        return [Violation(name, f"is no type of {layouts.schema.name}")]
    return [*checker.complex(type_, message, name)]


class _Checker:
    def __init__(self, layouts: Layouts) -> None:
        self.layouts = layouts
        self.ids: set[str] = set()

    def element(self, declared: Element, value: Any, path: str) -> Iterator[Violation]:
        if isinstance(declared.type, ComplexType):
            yield from self.complex(declared.type, value, path)
        else:
            yield from self.simple(declared.type, simple_value(declared, value), path)

    def complex(self, declared: ComplexType, value: Any, path: str) -> Iterator[Violation]:
        if type(value) is not declared.cls:
            yield Violation(path, f"is {_kind(value)}, not {declared.cls.__name__}")
            return
        holder: Any = value
        if declared.abstract:
            yield Violation(path, f"is of the abstract type {declared.name.local}")
        layout = self.layouts.of(declared)
        for use in declared.attributes:
            yield from self._attribute(use, getattr(holder, use.field), f"{path}/@{use.qname.local}")
        if declared.text is not None:
            yield from self.simple(declared.text, holder.value, path)
        if declared.ordered:
            yield from self._ordered(layout, holder.content, path)
        else:
            yield from self._group(declared.content, layout, holder, path)

    def _attribute(self, use: AttributeUse, value: Any, path: str) -> Iterator[Violation]:
        if value is not None:
            yield from self.simple(use.type, value, path)
        elif use.required:
            yield Violation(path, "is missing")

    # Content of separate fields

    def _group(self, group: Sequence | Choice, layout: Layout, holder: Any, path: str) -> Iterator[Violation]:
        present = [p for p in group.particles if _is_present(p, layout, holder)]
        if isinstance(group, Choice):
            yield from self._choice(group, present, layout, holder, path)
            present = present[:1]
        elif group.min_occurs > 0 or present:
            present = list(group.particles)
        for particle in present:
            if isinstance(particle, (Sequence, Choice)):
                yield from self._group(particle, layout, holder, path)
            elif isinstance(particle, ElementParticle):
                yield from self._field(particle, layout, holder, path)

    def _choice(
        self, group: Choice, present: list[Particle], layout: Layout, holder: Any, path: str
    ) -> Iterator[Violation]:
        if len(present) > 1:
            yield Violation(path, f"has {_names(present, ' and ')}; only one of them may be there")
        strange = {p.field for p in group.particles if isinstance(p, ElementParticle)} if not present else ()
        for field in sorted(strange):
            value = getattr(holder, field)
            if value is not None:
                yield Violation(path, f"has {_kind(value)} as {_names(list(group.particles), ' or ')}")
                return
        if not present and group.min_occurs > 0:
            yield Violation(path, f"lacks {_names(list(group.particles), ' or ')}")

    def _field(
        self, particle: ElementParticle, layout: Layout, holder: Any, path: str
    ) -> Iterator[Violation]:
        value = getattr(holder, particle.field)
        name = particle.element.qname.local
        if particle.is_list != isinstance(value, (list, tuple)):
            if value is not None:
                yield Violation(f"{path}/{name}", f"is {_kind(value)}" + ", not a list" * particle.is_list)
            elif particle.min_occurs > 0:
                yield Violation(f"{path}/{name}", "is missing")
            return
        items = value if particle.is_list else [] if value is None else [value]
        if len(items) < particle.min_occurs:
            few = f"has {len(items)} entries; at least {particle.min_occurs} are needed"
            yield Violation(f"{path}/{name}", few if particle.is_list else "is missing")
        elif particle.max_occurs != UNBOUNDED and len(items) > particle.max_occurs:
            yield Violation(
                f"{path}/{name}", f"has {len(items)} entries; at most {particle.max_occurs} are allowed"
            )
        slot = next(s for s in layout.slots if s.field == particle.field)
        for index, item in enumerate(items):
            declared = slot.element_of(item) or particle.element
            place = f"{path}/{declared.qname.local}" + (f"[{index}]" if particle.is_list else "")
            yield from self.element(declared, item, place)

    # Content in document order

    def _ordered(self, layout: Layout, content: Any, path: str) -> Iterator[Violation]:
        if not isinstance(content, list):
            yield Violation(f"{path}/content", f"is {_kind(content)}, not a list")
            return
        symbols = _Symbols()
        pattern = re.compile(symbols.pattern(layout.type.content))
        found = ""
        names: list[str] = []
        for index, item in enumerate(content):
            if isinstance(item, str) and layout.type.mixed:
                yield from _characters(item, f"{path}/content[{index}]")
                continue
            declared = layout.slots[0].by_class.get(type(item)) if layout.slots else None
            declared = declared or self.layouts.root_by_class.get(type(item))
            if declared is None and not isinstance(item, AnyElement):
                yield Violation(f"{path}/content[{index}]", f"is {_kind(item)}, not an element")
                continue
            names.append(declared.qname.local if declared else item.qname.local)
            found += symbols.of(declared, item, layout)
            if declared is not None:
                yield from self.element(declared, item, f"{path}/{names[-1]}[{index}]")
        if not pattern.fullmatch(found):
            expected = _describe(layout.type.content)
            yield Violation(path, f"contains {', '.join(names) or 'nothing'}; allowed is {expected}")

    # Simple values

    def simple(self, declared: SimpleType, value: Any, path: str) -> Iterator[Violation]:
        if not lexical.fits(declared, value):
            yield Violation(path, f"is {_kind(value)}, not {declared.name or declared.base}")
        elif declared.kind is Kind.INTEGER:
            if declared.minimum is not None and value < declared.minimum:
                yield Violation(path, f"is {value}; at least {declared.minimum} is needed")
            elif declared.maximum is not None and value > declared.maximum:
                yield Violation(path, f"is {value}; at most {declared.maximum} is allowed")
        elif declared.kind in (Kind.STRING, Kind.BINARY):
            yield from _length(declared, value, path)
            if isinstance(value, str):
                yield from _characters(value, path)
            if declared.base == "ID":
                yield from self._identifier(value, path)

    def _identifier(self, value: str, path: str) -> Iterator[Violation]:
        if not _NCNAME.fullmatch(value):
            yield Violation(path, f"is {value!r}, which is no XML name")
        if value in self.ids:
            yield Violation(path, f"is {value!r}, which another element of the message has")
        self.ids.add(value)


def _length(declared: SimpleType, value: Any, path: str) -> Iterator[Violation]:
    unit = "characters" if declared.kind is Kind.STRING else "octets"
    length, shortest, longest = len(value), declared.min_length, declared.max_length
    if shortest is not None and shortest == longest and length != longest:
        yield Violation(path, f"has {length} {unit}; exactly {longest} are needed")
    elif shortest is not None and length < shortest:
        yield Violation(path, f"has {length} {unit}; at least {shortest} are needed")
    elif longest is not None and length > longest:
        yield Violation(path, f"has {length} {unit}; at most {longest} are allowed")


def _characters(text: str, path: str) -> Iterator[Violation]:
    if bad := _NOT_XML.search(text):
        yield Violation(path, f"has the character U+{ord(bad[0]):04X}, which XML does not allow")


def _is_present(particle: Particle, layout: Layout, holder: Any) -> bool:
    """Whether anything of a particle is there; of a choice by class, whether the value is of its class."""
    if isinstance(particle, (Sequence, Choice)):
        return any(_is_present(p, layout, holder) for p in particle.particles)
    value = getattr(holder, particle.field)
    if value is None or value == []:
        return False
    slot = next(s for s in layout.slots if s.field == particle.field)
    shared = len(slot.elements) > 1 and not getattr(particle, "substitutable", False)
    return not shared or (isinstance(particle, ElementParticle) and _holds(particle.element, value))


def _holds(element: Element, value: Any) -> bool:
    return type(value[0] if isinstance(value, list) else value) is class_of(element)


class _Symbols:
    """A content model as a regular expression: each element that it names is one character."""

    _DECLARED, _FOREIGN = "\x01", "\x02"

    def __init__(self) -> None:
        self.by_name: dict[Any, str] = {}

    def of(self, declared: Element | None, item: Any, layout: Layout) -> str:
        """The character of a child; what only a wildcard lets in shares two, declared or not."""
        if declared is not None and declared.qname in self.by_name:
            return self.by_name[declared.qname]
        name = declared.qname if declared is not None else item.qname
        other = name.namespace not in ("", layout.type.name.namespace)
        within = any(w.namespace == "##any" or other for w in layout.wildcards)
        if not within:
            return "\x03"
        return self._FOREIGN if declared is None else self._DECLARED

    def pattern(self, particle: Particle) -> str:
        if isinstance(particle, ElementParticle):
            symbol = self.by_name.setdefault(particle.element.qname, chr(0xE000 + len(self.by_name)))
            inner = symbol
        elif isinstance(particle, Wildcard):
            inner = self._DECLARED if particle.strict else f"[{self._DECLARED}{self._FOREIGN}]"
        else:
            joint = "|" if isinstance(particle, Choice) else ""
            inner = joint.join(self.pattern(p) for p in particle.particles)
        most = "" if particle.max_occurs == UNBOUNDED else particle.max_occurs
        return f"(?:{inner}){{{particle.min_occurs},{most}}}"


def _describe(particle: Particle) -> str:
    """A content model in the notation of a DTD."""
    if isinstance(particle, ElementParticle):
        text = particle.element.qname.local
    elif isinstance(particle, Wildcard):
        kind = "declared" if particle.strict else "foreign" if particle.namespace == "##other" else ""
        text = " ".join(filter(None, ("any", kind, "element")))
    else:
        joint = " or " if isinstance(particle, Choice) else ", "
        text = joint.join(_describe(p) for p in particle.particles)
        text = f"({text})" if len(particle.particles) > 1 else text
    marks = {(1, 1): "", (0, 1): "?", (0, UNBOUNDED): "*", (1, UNBOUNDED): "+"}
    return text + marks.get((particle.min_occurs, particle.max_occurs), "")


def _names(particles: list[Particle], joint: str) -> str:
    return joint.join(_describe(p) for p in particles)


def _kind(value: object) -> str:
    if value is None:
        return "missing"
    return repr(value) if isinstance(value, (bool, int, float, str, bytes)) else f"a {type(value).__name__}"
