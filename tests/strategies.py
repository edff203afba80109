"""Hypothesis strategies for messages, derived from the schema: any valid message can be built.

    @given(messages("iso20_dc"))
    def test_something(message): ...

The messages are valid: facets, occurrences and choices are respected. Lists stay short, but bounds of up to
four entries are reached.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from iso15118.exi.grammar import substitution_group
from iso15118.exi.schema import (
    UNBOUNDED,
    AnyElement,
    Choice,
    ComplexType,
    Element,
    ElementParticle,
    Kind,
    Particle,
    QName,
    Schema,
    Sequence,
    SimpleType,
    Wildcard,
)
from iso15118.messages.schema_sets import schema_of

_DEEP = 4
"""Elements deeper than this hold as little as they may."""
_LONGEST_LIST = 4
_CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn"))
_WORDS = st.text("abcXYZ_019.-", max_size=8).map("n".__add__)


@cache
def texts(least: int = 0, most: int = 40) -> st.SearchStrategy[str]:
    """Text that XML and its whitespace rules leave as it is."""
    return st.text(_CHARACTERS, min_size=least, max_size=most)


@cache
def simple_values(simple: SimpleType) -> st.SearchStrategy[Any]:
    """Valid values of a simple type, with its bounds often among them."""
    match simple.kind:
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.ENUMERATION:
            assert simple.enumeration is not None
            return st.sampled_from(list(simple.enumeration))
        case Kind.INTEGER:
            low = -(2**200) if simple.minimum is None else simple.minimum
            high = 2**200 if simple.maximum is None else simple.maximum
            return st.sampled_from([low, high]) | st.integers(low, high)
        case Kind.BINARY:
            most = 60 if simple.max_length is None else simple.max_length
            return st.binary(min_size=simple.min_length or 0, max_size=most)
    if simple.base == "ID":
        return _WORDS
    if simple.base == "anyURI":
        return _WORDS.map("urn:{}".format)
    return texts(simple.min_length or 0, min(40, simple.max_length if simple.max_length is not None else 40))


@cache
def _numbers(least: int, most: int) -> st.SearchStrategy[int]:
    return st.sampled_from([least, most]) | st.integers(least, most)


_YES_OR_NO = st.booleans()


def _pick(draw: st.DrawFn, alternatives: tuple[Any, ...] | list[Any]) -> Any:
    return alternatives[draw(_numbers(0, len(alternatives) - 1))]


@st.composite
def messages(draw: st.DrawFn, schema_set: str) -> Any:
    """Any valid document of a schema set."""
    schema = schema_of(schema_set)
    roots = [e for e in schema.elements if not (isinstance(e.type, ComplexType) and e.type.abstract)]
    return _value(draw, _pick(draw, roots), schema, 0)


def _value(draw: st.DrawFn, element: Element, schema: Schema, depth: int) -> Any:
    if isinstance(element.type, ComplexType):
        return _object(draw, element.type, schema, depth)
    value = draw(simple_values(element.type))
    return value if element.wrapper is None else element.wrapper(value=value)


def _object(draw: st.DrawFn, type_: ComplexType, schema: Schema, depth: int) -> Any:
    fields: dict[str, Any] = {}
    for use in type_.attributes:
        if use.required or (depth <= _DEEP and draw(_YES_OR_NO)):
            fields[use.field] = draw(simple_values(use.type))
    if type_.text is not None:
        fields["value"] = draw(simple_values(type_.text))
    found: list[tuple[str, bool, Any]] = []
    _fill(draw, type_.content, schema, depth, found)
    for field, is_list, value in found:
        if is_list:
            fields.setdefault(field, []).append(value)
        else:
            fields[field] = value
    if type_.mixed:
        fields["content"] = _with_text(draw, fields.get("content", []))
    return type_.cls(**fields)


def _with_text(draw: st.DrawFn, elements: list[Any]) -> list[Any]:
    content: list[Any] = []
    for element in [*elements, None]:
        if draw(_YES_OR_NO):
            content.append(draw(texts(1)))
        if element is not None:
            content.append(element)
    return content


def _count(draw: st.DrawFn, particle: Particle, depth: int) -> int:
    least, most = particle.min_occurs, particle.max_occurs
    if depth > _DEEP:
        return least
    most = _LONGEST_LIST if most == UNBOUNDED else min(most, max(least, _LONGEST_LIST))
    if least == most:
        return least
    return most if draw(_numbers(0, 5)) == 3 else draw(_numbers(least, min(most, least + 1)))


def _fill(
    draw: st.DrawFn, particle: Particle, schema: Schema, depth: int, found: list[tuple[str, bool, Any]]
) -> None:
    for _ in range(_count(draw, particle, depth)):
        if isinstance(particle, Sequence):
            for child in particle.particles:
                _fill(draw, child, schema, depth, found)
        elif isinstance(particle, Choice):
            alternatives = particle.particles
            if depth > _DEEP:  # away from what nests
                alternatives = tuple(p for p in alternatives if not _nests(p)) or alternatives
            _fill(draw, _pick(draw, alternatives), schema, depth, found)
        elif isinstance(particle, Wildcard):
            if not particle.strict:
                found.append((particle.field, True, _foreign(draw, depth)))
            elif particle.namespace == "##any":
                plain = [e for e in schema.elements if e.wrapper is not None]
                found.append((particle.field, True, _value(draw, _pick(draw, plain), schema, depth)))
        else:
            element = _pick(draw, _members(particle, schema))
            value = _value(draw, element, schema, depth + 1)
            found.append((particle.field, particle.is_list, value))


def _members(particle: ElementParticle, schema: Schema) -> list[Element]:
    if not particle.substitutable:
        return [particle.element]
    members = substitution_group(particle.element, schema)
    concrete = [e for e in members if not (isinstance(e.type, ComplexType) and e.type.abstract)]
    return concrete or [particle.element]


def _nests(particle: Particle) -> bool:
    return not isinstance(particle, ElementParticle) or isinstance(particle.element.type, ComplexType)


def _foreign(draw: st.DrawFn, depth: int) -> AnyElement:
    """An element that no schema set declares."""
    name = QName(draw(_WORDS), "urn:example:foreign")
    attributes = {QName(draw(_WORDS), ""): draw(texts()) for _ in range(draw(_numbers(0, 2)))}
    content: list[object] = []
    if depth <= _DEEP:
        content = _with_text(draw, [_foreign(draw, depth + 3) for _ in range(draw(_numbers(0, 2)))])
    return AnyElement(name, attributes, content)
