"""How the objects of message classes correspond to XML elements: what the XML and JSON forms and `validate`
share.

A `Layout` is a complex type seen from its Python class: which element each field holds, by class and by name.
The order of its slots is the order of the elements.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from msgspec.structs import fields

from ..exi.grammar import fragment_elements
from ..exi.schema import (
    AnyElement,
    Choice,
    ComplexType,
    Element,
    ElementParticle,
    QName,
    Schema,
    Sequence,
    SimpleType,
    Wildcard,
)
from .schema_sets import SchemaSet, schema_of


class FormError(ValueError):
    """A message that has no XML or JSON form, or a text that is none of a message. `path` names the place."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class Slot:
    """A field and the elements that it may hold."""

    def __init__(self, field: str, is_list: bool) -> None:
        self.field = field
        self.is_list = is_list
        self.elements: list[Element] = []
        self.by_class: dict[type | None, Element] = {}

    def add(self, element: Element) -> None:
        self.elements.append(element)
        self.by_class[class_of(element)] = element

    def element_of(self, value: object) -> Element | None:
        """The element for a value: by its class, or the only one for a simple value."""
        return self.by_class.get(type(value)) or self.by_class.get(None)


class Layout:
    """One complex type in one schema set."""

    def __init__(self, type_: ComplexType, members: dict[Element, list[Element]]) -> None:
        self.type = type_
        self.cls = type_.cls
        self.wildcards: list[Wildcard] = []
        slots: dict[str, Slot] = {}
        for particle in _leaves(type_.content):
            if isinstance(particle, Wildcard):
                self.wildcards.append(particle)
                continue
            slot = slots.setdefault(particle.field, Slot(particle.field, particle.is_list))
            slot.add(particle.element)
            if particle.substitutable:
                for member in members.get(particle.element, ()):
                    slot.add(member)
        self.slots = tuple(slots.values())
        self.by_name = {e.qname: (s, e) for s in self.slots for e in s.elements}
        self.by_local_name = {e.qname.local: (s, e) for s in self.slots for e in s.elements}


class Child(NamedTuple):
    """A child in document order: `element` is None for text and for an undeclared element (`AnyElement`).

    `place` is its index in the field if that is a list.
    """

    element: Element | None
    value: Any
    field: str
    place: int | None


class Layouts:
    """The layouts of a schema set, made when first needed."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.members: dict[Element, list[Element]] = {}
        for element in schema.elements:
            head = element.substitutes
            while head is not None:
                self.members.setdefault(head, []).append(element)
                head = head.substitutes
        self.roots = {e.qname: e for e in schema.elements}
        self.root_by_class = {class_of(e): e for e in schema.elements}
        self.types = {t.name: t for t in schema.types}
        self._layouts: dict[int, Layout] = {}
        self._fragments: dict[QName, list[Element]] | None = None

    def of(self, type_: ComplexType) -> Layout:
        layout = self._layouts.get(id(type_))
        if layout is None:
            layout = self._layouts[id(type_)] = Layout(type_, self.members)
        return layout

    @property
    def fragments(self) -> dict[QName, list[Element]]:
        """Every element of the set, global or local, by its name."""
        if self._fragments is None:
            self._fragments = dict(fragment_elements(self.schema))
        return self._fragments

    def root(self, value: object, name: str | QName | None) -> Element:
        """The element that a value stands alone as; `name` decides where the class does not."""
        if name is None and type(value) in self.root_by_class:
            return self.root_by_class[type(value)]
        named = [n for n in self.fragments if name is None or name in (n, n.local)]
        candidates = (next((e for e in self.fragments[n] if _may_hold(e, value)), None) for n in named)
        found = [e for e in candidates if e is not None]
        if len(found) != 1:
            names = ", ".join(str(e.qname) for e in found) or "none"
            what = str(name) if name else type(value).__name__
            raise FormError(what, f"is not one element of {self.schema.name} (found: {names})")
        return found[0]

    def children(self, layout: Layout, holder: object, path: str) -> Iterator[Child]:
        """The children of an object in document order."""
        if layout.type.ordered:
            yield from self._ordered(layout, holder, path)
            return
        for slot in layout.slots:
            value = getattr(holder, slot.field)
            if value is None:
                continue
            if slot.is_list != isinstance(value, (list, tuple)):
                raise FormError(f"{path}/{slot.field}", "is a list" if not slot.is_list else "is not a list")
            for index, item in enumerate(value if slot.is_list else (value,)):
                element = slot.element_of(item)
                if element is None:
                    raise FormError(f"{path}/{slot.field}", f"cannot hold {_kind(item)}")
                yield Child(element, item, slot.field, index if slot.is_list else None)

    def _ordered(self, layout: Layout, holder: Any, path: str) -> Iterator[Child]:
        slot = layout.slots[0] if layout.slots else Slot("content", True)
        for index, item in enumerate(holder.content):
            element = slot.by_class.get(type(item))
            if element is None and layout.wildcards:
                element = self.root_by_class.get(type(item))
            text = isinstance(item, str) and layout.type.mixed
            if element is None and not text and not (isinstance(item, AnyElement) and layout.wildcards):
                raise FormError(f"{path}/content[{index}]", f"cannot hold {_kind(item)}")
            yield Child(element, item, "content", index)


@cache
def layouts_of(schema_set: SchemaSet | str) -> Layouts:
    return Layouts(schema_of(schema_set))


def class_of(element: Element) -> type | None:
    """The class that holds an element; None for a plain value."""
    return element.type.cls if isinstance(element.type, ComplexType) else element.wrapper


def simple_value(element: Element, value: Any) -> Any:
    """The plain value of an element of simple type, taken out of its one-field class."""
    wrapped = element.wrapper is not None and type(value) is element.wrapper
    return value.value if wrapped else value


def build(layout: Layout, values: dict[str, Any], path: str) -> Any:
    """An object of the layout's class; FormError if a field that has no default is missing."""
    try:
        return layout.cls(**values)
    except TypeError:
        absent = [f.encode_name for f in fields(layout.cls) if f.required and f.name not in values]
        raise FormError(path, f"{' and '.join(absent).replace('|', ' or ')} missing") from None


def _leaves(group: Sequence | Choice) -> Iterator[ElementParticle | Wildcard]:
    for particle in group.particles:
        if isinstance(particle, (Sequence, Choice)):
            yield from _leaves(particle)
        else:
            yield particle


def _may_hold(element: Element, value: object) -> bool:
    holder = class_of(element)
    if holder is not None:
        return type(value) is holder
    return isinstance(element.type, SimpleType) and isinstance(value, (bool, int, str, bytes))


def _kind(value: object) -> str:
    return f"text {value[:20]!r}" if isinstance(value, str) else f"a {type(value).__name__}"
