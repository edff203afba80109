"""The derived schemas: every global element and every element of the standard's XSDs, and nothing else."""

from __future__ import annotations

import pytest

from iso15118 import exi
from iso15118.exi.grammar import fragment_elements
from iso15118.exi.schema import ComplexType, QName
from iso15118.messages import SchemaSet, ac, acdp, common, common_types, dc, schema_of, schema_set_of, xmldsig
from iso15118.messages.derive import complex_type, global_element_of
from iso15118.messages.layout import layouts_of

from .vectors import grammar_codes

DS = "http://www.w3.org/2000/09/xmldsig#"


def names(codes: dict[str, int]) -> list[str]:
    """Names in the order of their codes; grammar_codes.json writes "{}x" for names without namespace."""
    return [name.removeprefix("{}") for name in sorted(codes, key=codes.__getitem__)]


@pytest.mark.parametrize("schema_set", SchemaSet)
def test_documents_are_the_global_elements_of_the_xsd(schema_set: SchemaSet) -> None:
    elements = [e.qname for e in schema_of(schema_set).elements]
    assert len(elements) == len(set(elements))
    assert [str(q) for q in sorted(elements)] == names(grammar_codes()[schema_set]["document"])


@pytest.mark.parametrize("schema_set", SchemaSet)
def test_fragments_are_all_elements_of_the_xsd(schema_set: SchemaSet) -> None:
    found = [str(qname) for qname, _ in fragment_elements(schema_of(schema_set))]
    assert found == names(grammar_codes()[schema_set]["fragment"])


def test_messages_know_their_schema_set() -> None:
    assert schema_set_of(dc.DC_CableCheckReq) is SchemaSet.ISO20_DC
    assert schema_set_of(common.SessionSetupReq) is SchemaSet.ISO20_COMMON
    assert schema_set_of(xmldsig.DigestValue(value=b"")) is SchemaSet.XMLDSIG
    with pytest.raises(ValueError, match="EVSEStatus belongs to no single schema set"):
        schema_set_of(common_types.EVSEStatus)


def test_unknown_schema_set_is_named() -> None:
    with pytest.raises(ValueError, match="iso20_dcx"):
        schema_of("iso20_dcx")


def test_substitution_groups_hold_the_members_of_the_set_only() -> None:
    head = global_element_of(common_types.CLReqControlMode)
    for schema_set, mode in ((SchemaSet.ISO20_AC, "AC"), (SchemaSet.ISO20_DC, "DC")):
        members = {e.qname.local for e in layouts_of(schema_set).members[head]}
        assert members == {
            f"{bpt}{kind}_{mode}_CLReqControlMode"
            for bpt in ("", "BPT_")
            for kind in ("Scheduled", "Dynamic")
        }
    assert head not in layouts_of(SchemaSet.ISO20_ACDP).members


def test_two_elements_of_one_type_keep_their_own_classes() -> None:
    connect, disconnect = (complex_type(c) for c in (acdp.ACDP_ConnectReq, acdp.ACDP_DisconnectReq))
    assert connect.name == disconnect.name
    assert connect.content == disconnect.content
    assert (connect.cls, disconnect.cls) == (acdp.ACDP_ConnectReq, acdp.ACDP_DisconnectReq)


def test_attributes_are_qualified_but_in_signatures() -> None:
    (identifier,) = complex_type(common.PnC_AReqAuthorizationMode).attributes
    assert identifier.qname == QName("Id", common.NAMESPACE)
    assert identifier.required
    algorithm, *_ = complex_type(xmldsig.SignatureMethod).attributes
    assert algorithm.qname == QName("Algorithm", "")


def test_inherited_elements_keep_the_namespace_of_their_base() -> None:
    layout = layouts_of(SchemaSet.ISO20_DC).of(complex_type(dc.DC_PreChargeReq))
    assert [str(e.qname) for s in layout.slots for e in s.elements] == [
        f"{{{common_types.NAMESPACE}}}Header",
        f"{{{dc.NAMESPACE}}}EVProcessing",
        f"{{{dc.NAMESPACE}}}EVPresentVoltage",
        f"{{{dc.NAMESPACE}}}EVTargetVoltage",
    ]


def test_a_class_without_children_is_an_empty_type() -> None:
    for cls in (common_types.CLReqControlMode, common.EIM_AReqAuthorizationMode):
        type_ = complex_type(cls)
        assert isinstance(type_, ComplexType)
        assert not type_.content.particles


def test_bpt_in_ac_adds_to_the_plain_mode() -> None:
    base, derived = ac.Dynamic_AC_CLReqControlMode, ac.BPT_Dynamic_AC_CLReqControlMode
    inherited = complex_type(base).content.particles
    assert complex_type(derived).content.particles[: len(inherited)] == inherited
    assert complex_type(derived).base is complex_type(base)


def test_a_name_that_is_no_schema_set_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'iso20_xx' is no schema set; there are sap, iso20_common"):
        exi.decode(b"\x80", "iso20_xx")
