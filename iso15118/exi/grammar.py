"""Schema-informed EXI grammars (W3C EXI 1.0, 8.5.4) for non-strict streams with default options.

`type_grammar` turns a complex type into a deterministic automaton. What the standard gets by concatenating,
copying and normalising proto-grammars is had here directly: a state is what remains of the content model,
its productions are the events that may come next, and the position of a production is its first-level event
code (8.5.4.3): attributes by local name and namespace, elements in schema order, wildcards, EE, CH. One
more code, the number of productions, escapes to the second level.

Occurrences are expanded as the standard has it, but a long list is one state and a counter: the production
that repeats it leads to `full` instead of `target` once `limit` entries have been met.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from itertools import count

from msgspec import Struct

from .schema import (
    UNBOUNDED,
    AttributeUse,
    Choice,
    ComplexType,
    Element,
    ElementParticle,
    Particle,
    QName,
    Schema,
    Sequence,
    SimpleType,
    Wildcard,
)

_LOOP = -1
"""Occurrences met so far, once the minimum is reached: a counter of the codec knows the rest."""


class Event(Enum):
    ATTRIBUTE = auto()
    ELEMENT = auto()
    ANY_ELEMENT = auto()
    END = auto()
    TEXT = auto()


class Position(Enum):
    """Where in an element a state is, which decides its second-level productions (8.5.4.4.1)."""

    FIRST = auto()
    """Nothing read: xsi:type, xsi:nil and undeclared attributes may come."""
    ATTRIBUTES = auto()
    """After an attribute, before content: undeclared attributes may still come."""
    CONTENT = auto()


class Production(Struct, eq=False):
    """One event. `declaration` is what it declares, `held` the particle that says where Python holds it.

    `count` is what the list counter becomes: 0 leaves it alone, -1 adds one, anything else sets it. With a
    `limit`, the production that brings the counter to it leads to `full`.
    """

    event: Event
    target: State | None = None
    declaration: AttributeUse | Element | Wildcard | SimpleType | None = None
    held: ElementParticle | Wildcard | None = None
    count: int = 0
    limit: int = 0
    full: State | None = None


class State(Struct, eq=False):
    """`content` is where content goes on after an escape from before it (content2 in 8.5.4.4.1)."""

    position: Position
    productions: list[Production] = []
    content: State | None = None

    @property
    def has_end(self) -> bool:
        return any(p.event is Event.END for p in self.productions)


def code_width(alternatives: int) -> int:
    """Bits of an n-bit unsigned integer that tells `alternatives` values apart."""
    return (alternatives - 1).bit_length() if alternatives > 0 else 0


def order(qname: QName) -> tuple[str, str]:
    """Sort key of qualified names in EXI: local name, then namespace."""
    return (qname.local, qname.namespace)


def sort_elements(elements: Iterable[Element]) -> list[Element]:
    return sorted(elements, key=lambda e: order(e.qname))


def substitution_group(head: Element, schema: Schema) -> list[Element]:
    """The head and all that may stand in its place, sorted; an abstract head keeps its code (8.5.4.1.6)."""

    def stands_for_head(element: Element) -> bool:
        link: Element | None = element
        while link is not None and link is not head:
            link = link.substitutes
        return link is head

    return sort_elements({id(e): e for e in (head, *schema.elements) if stands_for_head(e)}.values())


class _Node:
    """A particle in its place: equal particles at two places of a content model are two nodes."""

    __slots__ = ("children", "index", "maximum", "minimum", "particle")

    def __init__(self, particle: Particle, indices: Iterator[int], unbounded_from: int) -> None:
        self.particle = particle
        self.index = next(indices)
        self.minimum = particle.min_occurs
        self.maximum = particle.max_occurs if particle.max_occurs < unbounded_from else UNBOUNDED
        self.children: list[_Node] = []
        if isinstance(particle, Sequence | Choice):
            self.children = [_Node(p, indices, unbounded_from) for p in particle.particles]


_Items = tuple[tuple[_Node, int], ...]
"""What remains of a content model: nodes, each with the number of its occurrences met."""


class _Step(Struct):
    """One way to go on: an occurrence of `node`, and what then remains."""

    node: _Node
    rest: _Items
    count: int = 0
    limit: int = 0
    full: _Items = ()


def _steps(node: _Node, met: int, rest: _Items, out: list[_Step]) -> bool:
    """Add the ways into `node`, of which `met` occurrences have been; True if it may also be left out."""
    if node.maximum == 0:
        return True
    if isinstance(node.particle, ElementParticle | Wildcard):
        if met == _LOOP:
            limit = 0 if node.maximum == UNBOUNDED else node.maximum
            out.append(_Step(node, ((node, _LOOP), *rest), -1 if limit else 0, limit, rest))
            return True
        done = met + 1
        if done == node.maximum:
            out.append(_Step(node, rest))
        elif done < node.minimum:
            out.append(_Step(node, ((node, done), *rest)))
        else:
            out.append(_Step(node, ((node, _LOOP), *rest), 0 if node.maximum == UNBOUNDED else done))
        return met >= node.minimum
    done = met + 1 if node.maximum != UNBOUNDED else min(met + 1, node.minimum)
    after = rest if done == node.maximum else ((node, done), *rest)
    if isinstance(node.particle, Choice):
        empty = [_steps(child, 0, after, out) for child in node.children]
        return any(empty) or met >= node.minimum
    body: _Items = tuple((child, 0) for child in node.children)
    for position, (child, _) in enumerate(body):
        if not _steps(child, 0, (*body[position + 1 :], *after), out):
            return met >= node.minimum
    return True


class _TypeBuilder:
    """The automaton of one complex type."""

    def __init__(self, type_: ComplexType, schema: Schema, unbounded_from: int) -> None:
        self.type = type_
        self.schema = schema
        self.unbounded_from = unbounded_from
        self.attributes = sorted(type_.attributes, key=lambda a: order(a.qname))
        self.states: dict[tuple[Position, int, _Items], State] = {}
        self.pending: list[tuple[Position, int, _Items]] = []

    def build(self) -> State:
        content = _Node(self.type.content, count(), self.unbounded_from)
        start = self.state(Position.FIRST, 0, ((content, 0),))
        while self.pending:
            key = self.pending.pop()
            self.states[key].productions = self.productions(*key)
            if key[0] is not Position.CONTENT:
                self.states[key].content = self.state(Position.CONTENT, len(self.attributes), key[2])
        return start

    def state(self, position: Position, attribute: int, items: _Items) -> State:
        key = (position, attribute, items)
        if key not in self.states:
            self.states[key] = State(position)
            self.pending.append(key)
        return self.states[key]

    def productions(self, position: Position, attribute: int, items: _Items) -> list[Production]:
        found: list[Production] = []
        for index, use in enumerate(self.attributes[attribute:], attribute):
            after = self.state(Position.ATTRIBUTES, index + 1, items)
            found.append(Production(Event.ATTRIBUTE, after, use))
            if use.required:
                return found
        return found + self.content(items)

    def content(self, items: _Items) -> list[Production]:
        done = len(self.attributes)
        if self.type.text is not None:
            if not items:
                return [Production(Event.END)]
            return [Production(Event.TEXT, self.state(Position.CONTENT, done, ()), self.type.text)]
        steps: list[_Step] = []
        may_end = True
        for position, (node, met) in enumerate(items):
            if not _steps(node, met, items[position + 1 :], steps):
                may_end = False
                break
        steps.sort(key=lambda step: step.node.index)  # stable: an earlier iteration of a group comes first
        steps = [s for i, s in enumerate(steps) if i == 0 or s.node is not steps[i - 1].node]
        declared: list[Production] = []
        wild: list[Production] = []
        for step in steps:
            target = self.state(Position.CONTENT, done, step.rest)
            full = self.state(Position.CONTENT, done, step.full) if step.limit else None
            particle = step.node.particle
            if isinstance(particle, Wildcard):
                wild.append(
                    Production(Event.ANY_ELEMENT, target, particle, particle, step.count, step.limit, full)
                )
                continue
            assert isinstance(particle, ElementParticle)
            members = [particle.element]
            if particle.substitutable:
                members = substitution_group(particle.element, self.schema)
            declared += [
                Production(Event.ELEMENT, target, member, particle, step.count, step.limit, full)
                for member in members
            ]
        self.check(declared)
        productions = declared + wild[:1]
        if may_end:
            productions.append(Production(Event.END))
        if self.type.mixed:
            productions.append(Production(Event.TEXT, self.state(Position.CONTENT, done, items)))
        return productions

    def check(self, declared: list[Production]) -> None:
        names = [p.declaration.qname for p in declared if isinstance(p.declaration, Element)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{self.type.name}: two particles compete for {name}")


def type_grammar(type_: ComplexType, schema: Schema, unbounded_from: int = sys.maxsize) -> State:
    """The start state of the automaton that reads the attributes and content of `type_`.

    Particles that may occur `unbounded_from` times or more are taken for unbounded, which the standard does
    not.
    """
    return _TypeBuilder(type_, schema, unbounded_from).build()


def _particles(particle: Particle) -> Iterator[ElementParticle]:
    if isinstance(particle, ElementParticle):
        yield particle
    elif isinstance(particle, Sequence | Choice):
        for child in particle.particles:
            yield from _particles(child)


def all_elements(schema: Schema) -> list[Element]:
    """Every element declaration of the set, global and local, in no particular order."""
    found: dict[int, Element] = {}
    pending = [*schema.elements, *(p.element for t in schema.types for p in _particles(t.content))]
    while pending:
        element = pending.pop()
        if id(element) in found:
            continue
        found[id(element)] = element
        if isinstance(element.type, ComplexType):
            pending += [p.element for p in _particles(element.type.content)]
    return list(found.values())


def fragment_elements(schema: Schema) -> list[tuple[QName, list[Element]]]:
    """The elements a fragment may consist of, by qualified name, in the order of their codes (8.5.2)."""
    by_name: dict[QName, list[Element]] = {}
    for element in all_elements(schema):
        by_name.setdefault(element.qname, []).append(element)
    return sorted(by_name.items(), key=lambda pair: order(pair[0]))
