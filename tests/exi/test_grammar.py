"""Event codes and widths of states, as EXI 1.0 assigns them: worked out by hand, or read in other codecs'
streams.
"""

from __future__ import annotations

import pytest

from iso15118.exi.grammar import Event, Position, State, code_width, substitution_group, type_grammar
from iso15118.exi.schema import (
    UNBOUNDED,
    AttributeUse,
    Choice,
    ComplexType,
    Element,
    ElementParticle,
    Kind,
    QName,
    Schema,
    Sequence,
    SimpleType,
    Wildcard,
)
from iso15118.messages.schema_sets import schema_of

STRING = SimpleType(Kind.STRING, "string")


def particle(name: str, least: int = 1, most: int = 1) -> ElementParticle:
    element = Element(QName(name, "urn:x"), STRING)
    return ElementParticle(element, name, least, most, is_list=most != 1)


def start_of(*particles: ElementParticle | Sequence | Choice | Wildcard, mixed: bool = False) -> State:
    type_ = ComplexType(QName("T", "urn:x"), object, content=Sequence(particles), mixed=mixed)
    return type_grammar(type_, Schema("x", "urn:x", ()))


def named(state: State) -> list[str]:
    """The productions of a state by name, in the order of their codes."""
    names = []
    for production in state.productions:
        if isinstance(production.declaration, Element | AttributeUse):
            names.append(production.declaration.qname.local)
        else:
            names.append(production.event.name)
    return names


def after(state: State, *names: str) -> State:
    for name in names:
        target = state.productions[named(state).index(name)].target
        assert target is not None
        state = target
    return state


def of_schema(schema_set: str, type_name: str) -> State:
    schema = schema_of(schema_set)
    return type_grammar(next(t for t in schema.types if t.name.local == type_name), schema)


@pytest.mark.parametrize(
    ("alternatives", "bits"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)]
)
def test_width_of_a_code(alternatives: int, bits: int) -> None:
    assert code_width(alternatives) == bits


def test_message_header() -> None:
    start = of_schema("iso20_dc", "MessageHeaderType")
    assert named(start) == ["SessionID"]
    assert named(after(start, "SessionID", "TimeStamp")) == ["Signature", "END"]


def test_control_mode_has_all_members_of_the_substitution_group_and_its_head() -> None:
    start = of_schema("iso20_dc", "DC_ChargeLoopReqType")
    state = after(start, "Header", "MeterInfoRequested", "EVPresentVoltage")
    assert named(state) == [
        "BPT_Dynamic_DC_CLReqControlMode",
        "BPT_Scheduled_DC_CLReqControlMode",
        "CLReqControlMode",
        "Dynamic_DC_CLReqControlMode",
        "Scheduled_DC_CLReqControlMode",
    ]


def test_optional_elements_come_before_the_next_required_one() -> None:
    start = of_schema("iso20_dc", "Scheduled_DC_CLReqControlModeType")
    assert named(start) == [
        "EVTargetEnergyRequest",
        "EVMaximumEnergyRequest",
        "EVMinimumEnergyRequest",
        "EVTargetCurrent",
    ]


@pytest.mark.parametrize(
    ("type_name", "path", "expected"),
    [
        ("ReferenceType", [], ["Id", "Type", "URI", "Transforms", "DigestMethod"]),
        ("TransformType", ["Algorithm"], ["XPath", "ANY_ELEMENT", "END", "TEXT"]),
        ("CanonicalizationMethodType", ["Algorithm"], ["ANY_ELEMENT", "END", "TEXT"]),
        ("DigestMethodType", ["Algorithm"], ["ANY_ELEMENT", "END", "TEXT"]),
        ("SignatureMethodType", ["Algorithm"], ["HMACOutputLength", "ANY_ELEMENT", "END", "TEXT"]),
        ("SignatureValueType", [], ["Id", "TEXT"]),
        ("SPKIDataType", ["SPKISexp"], ["SPKISexp", "ANY_ELEMENT", "END"]),
        ("PGPDataType", [], ["PGPKeyID", "PGPKeyPacket"]),
        ("PGPDataType", ["PGPKeyID"], ["PGPKeyPacket", "ANY_ELEMENT", "END"]),
        ("PGPDataType", ["PGPKeyPacket"], ["ANY_ELEMENT", "END"]),
        ("DSAKeyValueType", [], ["P", "G", "Y"]),
        ("DSAKeyValueType", ["Y"], ["J", "Seed", "END"]),
    ],
)
def test_signatures(type_name: str, path: list[str], expected: list[str]) -> None:
    assert named(after(of_schema("xmldsig", type_name), *path)) == expected


def test_second_level_depends_on_the_position() -> None:
    start = of_schema("xmldsig", "ReferenceType")
    assert start.position is Position.FIRST
    assert after(start, "Type").position is Position.ATTRIBUTES
    assert named(after(start, "Type")) == ["URI", "Transforms", "DigestMethod"]
    assert after(start, "DigestMethod").position is Position.CONTENT
    assert start.content is not None
    assert named(start.content) == ["Transforms", "DigestMethod"]


@pytest.mark.parametrize("least", [0, 1, 2, 3])
@pytest.mark.parametrize("most", [3, 4, 255, 2048])
def test_a_list_is_counted_to_the_exact_maximum(least: int, most: int) -> None:
    """Below the minimum only SE, then SE and EE, and only EE after the last entry; what follows is seen
    throughout.
    """
    state = start_of(particle("a", least, most), particle("b", 0))
    count = 0
    for met in range(most + 1):
        expected = (["a"] if met < most else []) + (["b", "END"] if met >= least else [])
        assert named(state) == expected, met
        if met < most:
            taken = state.productions[0]
            count = taken.count if taken.count > 0 else count + (taken.count < 0)
            following = taken.full if taken.count < 0 and count == taken.limit else taken.target
            assert following is not None
            state = following


def test_a_long_list_needs_few_states() -> None:
    start = start_of(particle("a", 1, 2048), particle("b", 0, UNBOUNDED))
    seen: set[int] = set()
    pending = [start]
    while pending:
        state = pending.pop()
        if id(state) not in seen:
            seen.add(id(state))
            pending += [t for p in state.productions for t in (p.target, p.full) if t is not None]
    assert len(seen) <= 6


def test_a_repeated_group_starts_over() -> None:
    group = Sequence((particle("a"), particle("b", 0)), 0, UNBOUNDED)
    state = start_of(group, particle("c"))
    assert named(state) == ["a", "c"]
    assert named(after(state, "a")) == ["a", "b", "c"]
    assert named(after(state, "a", "b")) == ["a", "c"]
    assert named(after(state, "a", "b", "c")) == ["END"]


def test_a_group_that_may_be_empty_does_not_loop() -> None:
    state = start_of(Sequence((particle("a", 0), particle("b", 0)), 2, UNBOUNDED))
    assert named(state) == ["a", "b", "END"]


def test_a_bounded_group_is_counted() -> None:
    state = start_of(Choice((particle("a"), particle("b")), 1, 2))
    assert named(state) == ["a", "b"]
    assert named(after(state, "a")) == ["a", "b", "END"]
    assert named(after(state, "a", "b")) == ["END"]


def test_ambiguous_content_is_a_mistake_of_the_schema() -> None:
    with pytest.raises(ValueError, match="two particles compete"):
        start_of(particle("a", 0), particle("a"))


def test_an_abstract_head_keeps_its_place() -> None:
    head = Element(QName("m", "urn:x"), STRING, abstract=True)
    members = [Element(QName(n, "urn:x"), STRING, substitutes=head) for n in ("z", "a")]
    far = Element(QName("a", "urn:a"), STRING, substitutes=members[0])
    schema = Schema("x", "urn:x", (head, *members, far))
    assert [str(e.qname) for e in substitution_group(head, schema)] == [
        "{urn:a}a",
        "{urn:x}a",
        "{urn:x}m",
        "{urn:x}z",
    ]


def test_events_are_in_the_order_of_the_standard() -> None:
    optional = AttributeUse(QName("z", ""), STRING, False, "z")
    also = AttributeUse(QName("a", "urn:x"), STRING, False, "a")
    content = Sequence((Wildcard("##any", "w", 0, 1), particle("e", 0)))
    type_ = ComplexType(QName("T", ""), object, attributes=(optional, also), content=content, mixed=True)
    start = type_grammar(type_, Schema("x", "urn:x", ()))
    assert [p.event for p in start.productions] == [
        Event.ATTRIBUTE,
        Event.ATTRIBUTE,
        Event.ELEMENT,
        Event.ANY_ELEMENT,
        Event.END,
        Event.TEXT,
    ]
    assert named(start)[:2] == ["a", "z"]
