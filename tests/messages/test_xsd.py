"""The written XSDs: current, accepted by libxml2, and accepting what the standard's own accept."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from iso15118.messages import SchemaSet
from iso15118.xml import schema_errors
from tools.compare_schemas import compare
from tools.export_schemas import SCHEMAS, schema_texts

from .vectors import SETS, vectors

MESSAGES = tuple(s for s in SETS if s != "xmldsig")


def test_schema_files_are_current() -> None:
    written = {path.name: path.read_text() for path in SCHEMAS.glob("*.xsd")}
    assert written == schema_texts(), "run python -m tools.export_schemas"


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.xsd")), ids=lambda p: p.stem)
def test_libxml2_accepts_the_schema(path: Path) -> None:
    etree.XMLSchema(etree.parse(path))


@pytest.mark.parametrize("schema_set", SETS)
def test_vectors_are_valid(schema_set: str) -> None:
    wrong = {v["id"]: e for v in vectors(f"{schema_set}_dev") if (e := schema_errors(v["xml"], schema_set))}
    assert not wrong


@pytest.mark.parametrize("vector", vectors("exotic"), ids=lambda v: v["id"])
def test_verdict_is_that_of_the_official_schema(vector: dict[str, object]) -> None:
    errors = schema_errors(str(vector["xml"]), str(vector["schema_set"]))
    assert bool(errors) is not vector["schema_valid"], errors


def parsed(name: str) -> etree._Element:
    return etree.fromstring(schema_texts()[name])


def test_a_schema_does_not_differ_from_itself() -> None:
    for name in schema_texts():
        assert compare(parsed(name), parsed(name)) == []


XS = "{http://www.w3.org/2001/XMLSchema}"


@pytest.mark.parametrize(
    ("file", "find", "attribute", "value", "report"),
    [
        ("dc.xsd", "//xs:element[@name='EVTargetVoltage']", "name", "EVTargetVolt", "EVTargetVolt"),
        ("dc.xsd", "//xs:element[@name='TargetSOC']", "minOccurs", "1", "TargetSOC"),
        ("dc.xsd", "//xs:element[@name='TargetSOC']", "type", "xs:byte", "xs:byte 0..1"),
        ("wpt.xsd", "//xs:element[@name='TxSpecData']", "maxOccurs", "254", "2..254"),
        (
            "common.xsd",
            "//xs:simpleType[@name='dhPublicKeyType']//xs:length",
            "value",
            "132",
            "maxLength 132",
        ),
        ("common.xsd", "//xs:simpleType[@name='currencyType']//xs:maxLength", "value", "4", "maxLength 4"),
        ("common_types.xsd", "//xs:complexType[@abstract]", "abstract", "false", "abstract"),
        ("common_types.xsd", "//xs:enumeration[@value='Ongoing']", "value", "Going", "'Going'"),
        (
            "dc.xsd",
            "//xs:element[@substitutionGroup]",
            "substitutionGroup",
            "ct:CLReqControlMode",
            "substitutes",
        ),
        ("common.xsd", "//xs:attribute[@use]", "use", "optional", "optional"),
        ("xmldsig.xsd", "//xs:any", "namespace", "##local", "##local"),
        ("acdp.xsd", "//xs:schema", "elementFormDefault", "unqualified", "elements unqualified"),
    ],
)
def test_a_changed_schema_differs(file: str, find: str, attribute: str, value: str, report: str) -> None:
    changed = parsed(file).getroottree()
    nodes = changed.xpath(find, namespaces={"xs": XS.strip("{}")})
    nodes[0].set(attribute, value)
    differences = compare(changed.getroot(), parsed(file))
    assert any(report in line for line in differences), differences


def test_swapped_elements_differ() -> None:
    changed = parsed("dc.xsd")
    sequence = changed.find(f".//{XS}sequence")
    assert sequence is not None
    sequence.append(sequence[0])
    assert any("EVMaximumChargePower" in line for line in compare(changed, parsed("dc.xsd")))


def test_missing_and_surplus_components_differ() -> None:
    changed = parsed("dc.xsd")
    element = changed.find(f"{XS}element")
    assert element is not None
    name = element.get("name")
    changed.remove(element)
    assert f"element {name}: only in the classes" in compare(changed, parsed("dc.xsd"))
    assert f"element {name}: not in the classes" in compare(parsed("dc.xsd"), changed)


def test_every_set_has_files() -> None:
    assert {name.removesuffix(".xsd") for name in schema_texts()} == {
        "app_protocol",
        "common_types",
        "common",
        "ac",
        "dc",
        "acdp",
        "wpt",
        "xmldsig",
    }
    assert len(SchemaSet) == len(SETS)
