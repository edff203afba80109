"""Derives `iso15118.exi.schema` objects from message classes: annotations and wire names are the schema.

Everything is cached: one class always gives the same `ComplexType`, one global element the same `Element`, in
whichever schema set they are met. A class that does not declare itself well is a TypeError naming the field.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence as Row
from enum import Enum
from functools import cache
from itertools import groupby
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

from msgspec import Meta
from msgspec.structs import FieldInfo, fields, replace

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
    QName,
    Sequence,
    SimpleType,
    Wildcard,
)
from .declare import (
    ENUMERATION_NAMES,
    GLOBAL_ELEMENTS,
    GlobalElement,
    Group,
    Node,
    Occurs,
    OneOf,
    SimpleElement,
    Xsd,
)

_T = TypeVar("_T")

_BUILT_IN: dict[type, tuple[Kind, str]] = {
    bool: (Kind.BOOLEAN, "boolean"),
    int: (Kind.INTEGER, "integer"),
    str: (Kind.STRING, "string"),
    bytes: (Kind.BINARY, "base64Binary"),
}
"""Python types of simple values, and the XSD type where no `Xsd` says more."""

INTEGER_BOUNDS: dict[str, tuple[int | None, int | None]] = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsignedByte": (0, 2**8 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedLong": (0, 2**64 - 1),
    "integer": (None, None),
}
"""Bounds of the integer types of XML Schema part 2."""

_DTD_OCCURS = {"?": (0, 1), "*": (0, UNBOUNDED), "+": (1, UNBOUNDED)}


class _Annotation(NamedTuple):
    """An annotation taken apart: its alternatives without None, whether None is one, and the metadata."""

    alternatives: tuple[Any, ...]
    optional: bool
    metadata: tuple[Any, ...]


def _take_apart(annotation: Any) -> _Annotation:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner = _take_apart(annotation.__origin__)
        return inner._replace(metadata=(*inner.metadata, *annotation.__metadata__))
    if origin is Union or origin is UnionType:
        given = tuple(a for a in get_args(annotation) if a is not NoneType)
        optional = len(given) < len(get_args(annotation))
        if len(given) == 1:
            return _take_apart(given[0])._replace(optional=optional)
        return _Annotation(given, optional, ())
    return _Annotation((annotation,), False, ())


def _find(metadata: tuple[Any, ...], kind: type[_T]) -> _T | None:
    return next((m for m in metadata if isinstance(m, kind)), None)


def namespace_of(cls: type) -> str:
    """The XML namespace that the module of a message class or enumeration declares."""
    return str(sys.modules[cls.__module__].NAMESPACE)


def _local_namespace(cls: type, form: str) -> str:
    unqualified = getattr(sys.modules[cls.__module__], form, "qualified") == "unqualified"
    return "" if unqualified else namespace_of(cls)


@cache
def simple_type(annotation: Any) -> SimpleType:
    """The simple type that an annotation like `Annotated[int, Meta(ge=0), Xsd("unsignedByte")]` describes."""
    (python_type, *others), _, metadata = _take_apart(annotation)
    if isinstance(python_type, type) and issubclass(python_type, Enum):
        return SimpleType(
            Kind.ENUMERATION,
            "string",
            ENUMERATION_NAMES[python_type],
            namespace_of(python_type),
            enumeration=python_type,
        )
    if others or python_type not in _BUILT_IN:
        raise TypeError(f"{annotation} is not a simple type")
    kind, base = _BUILT_IN[python_type]
    xsd = _find(metadata, Xsd) or Xsd(base)
    minimum, maximum = INTEGER_BOUNDS[xsd.base] if kind is Kind.INTEGER else (None, None)
    shortest = longest = None
    for meta in (m for m in metadata if isinstance(m, Meta)):
        minimum = minimum if meta.ge is None else int(meta.ge)
        maximum = maximum if meta.le is None else int(meta.le)
        shortest = shortest if meta.min_length is None else meta.min_length
        longest = longest if meta.max_length is None else meta.max_length
    namespace = sys.modules[xsd.module].NAMESPACE if xsd.name else None
    return SimpleType(kind, xsd.base, xsd.name, namespace, minimum, maximum, shortest, longest)


def named_simple_types(module: ModuleType) -> list[SimpleType]:
    """The named simple types that a module declares: its enumerations and its aliases, in order."""
    types: dict[str, SimpleType] = {}
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__ and value in ENUMERATION_NAMES:
            types.setdefault(ENUMERATION_NAMES[value], simple_type(value))
        elif get_origin(value) is Annotated:
            xsd = _find(value.__metadata__, Xsd)
            if xsd and xsd.name and xsd.module == module.__name__:
                types.setdefault(xsd.name, simple_type(value))
    return list(types.values())


@cache
def global_declaration(cls: type[Node]) -> GlobalElement | None:
    """How the class was declared a global element, if it was."""
    return next((d for d in GLOBAL_ELEMENTS.get(cls.__module__, ()) if d.cls is cls), None)


@cache
def global_element_of(cls: type[Node]) -> Element:
    """The global element of a class; KeyError if it has none."""
    declaration = global_declaration(cls)
    if declaration is None:
        raise KeyError(f"{cls.__name__} is not a global element")
    return Element(
        QName(declaration.name, namespace_of(cls)),
        _type_of(cls),
        wrapper=cls if issubclass(cls, SimpleElement) else None,
        substitutes=global_element_of(declaration.substitutes) if declaration.substitutes else None,
    )


def _type_of(cls: type[Node]) -> ComplexType | SimpleType:
    if issubclass(cls, SimpleElement):
        return simple_type(fields(cls)[0].type)
    return complex_type(cls)


def type_name(cls: type[Node]) -> str:
    """The schema's name of the type of a class; empty if the type is anonymous."""
    own = cls.__dict__.get("xsd_type")
    return f"{cls.__name__}Type" if own is None else str(own)


@cache
def complex_type(cls: type[Node]) -> ComplexType:
    """The complex type that a message class declares."""
    base = complex_type(cls.__base__) if cls.__base__ not in (Node, None) else None
    name = QName(type_name(cls), namespace_of(cls))
    doc = cls.__doc__ or "" if "__doc__" in cls.__dict__ else ""
    if base and base.name == name:
        return replace(base, cls=cls, doc=doc or base.doc)

    inherited = {f.name for f in fields(base.cls)} if base else set()
    own = [f for f in fields(cls) if f.name not in inherited]
    attributes = tuple(_attribute(cls, f) for f in own if f.encode_name.startswith("@"))
    text = next((f for f in own if f.name == f.encode_name == "value"), None)
    children = [f for f in own if not f.encode_name.startswith("@") and f is not text]
    content = _content(cls, children)
    return ComplexType(
        name,
        cls,
        attributes=(*(base.attributes if base else ()), *attributes),
        content=_extend(base.content, content) if base else content,
        own_content=content,
        own_attributes=attributes,
        text=simple_type(text.type) if text else base.text if base else None,
        mixed=cls.mixed,
        ordered=any(f.name == "content" for f in children),
        abstract=bool(cls.__dict__.get("abstract", False)),
        base=base,
        doc=doc,
    )


def _extend(base: Sequence | Choice, own: Sequence | Choice) -> Sequence | Choice:
    """Extension puts what is new after the content of the base type."""
    if not base.particles:
        return own
    if not own.particles:
        return base
    parts = [p.particles if p in (Sequence(p.particles),) else (p,) for p in (base, own)]
    return Sequence((*parts[0], *parts[1]))


def _attribute(cls: type[Node], field: FieldInfo) -> AttributeUse:
    qname = QName(field.encode_name[1:], _local_namespace(cls, "ATTRIBUTE_FORM"))
    annotation = _take_apart(field.type)
    return AttributeUse(qname, simple_type(field.type), required=not annotation.optional, field=field.name)


def _content(cls: type[Node], children: Row[FieldInfo]) -> Sequence | Choice:
    """The content model of a class's own fields."""
    if children and children[0].name == "content":
        return _ordered_content(cls, children[0])
    particles = {f.name: _particle(cls, f) for f in children}
    if cls.content_model and children:
        return _grouped(cls.content_model, particles)
    sequence: list[Particle] = []
    for one_of, run in groupby(children, lambda f: _find(_take_apart(f.type).metadata, OneOf)):
        members = [particles[f.name] for f in run]
        if one_of is None:
            sequence += members
        else:
            alternatives = tuple(_occurring(p, 1, 1) for p in members)
            sequence.append(Choice(alternatives, min_occurs=0 if one_of.optional else 1))
    return Sequence(tuple(sequence))


def _particle(cls: type[Node], field: FieldInfo) -> Particle:
    """The particle of one field: an element, a reference to a global element, or a choice of elements."""
    alternatives, optional, metadata = _take_apart(field.type)
    is_list = get_origin(alternatives[0]) is list
    least, most = (0 if optional else 1), 1
    if is_list:
        occurs = _find(metadata, Occurs)
        if occurs is None:
            raise TypeError(f"{cls.__name__}.{field.name} is a list without Occurs")
        least, most = occurs.minimum, UNBOUNDED if occurs.maximum is None else occurs.maximum
        alternatives, _, metadata = _take_apart(get_args(alternatives[0])[0])
    names = field.encode_name.split("|")
    if len(names) == 1:
        element, reference = _element(cls, names[0], alternatives, metadata)
        return ElementParticle(element, field.name, least, most, is_list, substitutable=reference)
    if len(names) != len(alternatives):
        raise TypeError(f"{cls.__name__}.{field.name} names {len(names)} of {len(alternatives)} alternatives")
    members = (_element(cls, n, (a,), ()) for n, a in zip(names, alternatives, strict=True))
    return Choice(
        tuple(ElementParticle(e, field.name, is_list=is_list, substitutable=r) for e, r in members),
        least,
        most,
    )


def _element(
    cls: type[Node], name: str, alternatives: tuple[Any, ...], metadata: tuple[Any, ...]
) -> tuple[Element, bool]:
    """The element called `name` in the class `cls`, and whether it is a reference to a global element."""
    first = alternatives[0]
    if not (isinstance(first, type) and issubclass(first, Node)):
        value_type = simple_type(Annotated[(first, *metadata)] if metadata else first)
        qname = QName(name, _local_namespace(cls, "ELEMENT_FORM"))
        return Element(qname, value_type), _is_global_value(cls, name, value_type)
    head = _head(first, name)
    if head:
        return global_element_of(head), True
    if len(alternatives) > 1:
        raise TypeError(
            f"{cls.__name__}: {name} is not the head of a substitution group with {first.__name__}"
        )
    wrapper = first if issubclass(first, SimpleElement) else None
    return Element(QName(name, _local_namespace(cls, "ELEMENT_FORM")), _type_of(first), wrapper), False


def _head(cls: type[Node], name: str) -> type[Node] | None:
    """The class whose global element is called `name`: `cls` itself or a head that it may substitute."""
    candidate: type[Node] | None = cls
    while candidate and (declaration := global_declaration(candidate)):
        if declaration.name == name:
            return candidate
        candidate = declaration.substitutes
    return None


def _is_global_value(cls: type[Node], name: str, value_type: SimpleType) -> bool:
    """Whether a plain value stands for the global element of simple type with this name."""
    declarations = GLOBAL_ELEMENTS.get(cls.__module__, ())
    return any(d.name == name and _type_of(d.cls) == value_type for d in declarations)


def _ordered_content(cls: type[Node], field: FieldInfo) -> Sequence | Choice:
    """The content model of a field `content`, which holds every child in document order."""
    (list_type, *_), _, metadata = _take_apart(field.type)
    alternatives = [
        a for a in _take_apart(get_args(list_type)[0]).alternatives if a not in (str, Node, AnyElement)
    ]
    names = field.encode_name.split("|")
    if sum(not n.startswith("##") for n in names) != len(alternatives):
        raise TypeError(f"{cls.__name__}.content names {names} for {alternatives}")
    classes = iter(alternatives)
    particles: dict[str, Particle] = {}
    for name in names:
        if name.startswith("##"):
            particles[name] = Wildcard(name.rstrip("!"), field.name, strict=name.endswith("!"))
        else:
            element, reference = _element(cls, name, (next(classes),), ())
            particles[name] = ElementParticle(element, field.name, is_list=True, substitutable=reference)
    if cls.content_model:
        return _grouped(cls.content_model, particles)
    occurs = _find(metadata, Occurs)
    if occurs is None:
        raise TypeError(f"{cls.__name__}.content has neither Occurs nor content_model")
    return Choice(
        tuple(particles.values()), occurs.minimum, UNBOUNDED if occurs.maximum is None else occurs.maximum
    )


def _grouped(group: Group, particles: dict[str, Particle]) -> Sequence | Choice:
    """The particles arranged as a `Group` says."""
    members: list[Particle] = []
    for member in group.members:
        if isinstance(member, Group):
            members.append(_grouped(member, particles))
        elif member[-1] in _DTD_OCCURS:
            members.append(_occurring(particles[member[:-1]], *_DTD_OCCURS[member[-1]]))
        else:
            particle = particles[member]
            keep = isinstance(particle, ElementParticle) and particle.max_occurs != 1
            members.append(particle if keep else _occurring(particle, 1, 1))
    return group.kind(tuple(members), group.minimum, UNBOUNDED if group.maximum is None else group.maximum)


def _occurring(particle: Particle, least: int, most: int) -> Particle:
    return replace(particle, min_occurs=least, max_occurs=most)
