"""Second-level productions, wildcards and undeclared content: what EXI can carry beyond the schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lxml import etree

from iso15118 import exi
from iso15118.exi import DeviationKind
from iso15118.exi.schema import AnyElement
from iso15118.xml import to_xml

from ..messages.vectors import SETS, VECTORS

XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
EXOTIC = [
    line
    for line in map(json.loads, (VECTORS / "exotic.jsonl").read_text().splitlines())
    if line["schema_set"] in SETS
]
UNDECLARED = {
    DeviationKind.UNDECLARED_ATTRIBUTE,
    DeviationKind.UNDECLARED_ELEMENT,
    DeviationKind.UNDECLARED_TEXT,
}
# What each stream holds that the schema does not allow and the reference decoder nevertheless reads.
DEVIATIONS = {
    "exotic-002-attr-undeclared": (DeviationKind.UNDECLARED_ATTRIBUTE, "SessionStopReq", "bar"),
    "exotic-007-element-undeclared-end": (DeviationKind.UNDECLARED_ELEMENT, "SessionStopReq", "1"),
    "exotic-009-element-out-of-order": (DeviationKind.UNDECLARED_ELEMENT, "SessionStopReq", "c"),
    "exotic-011-element-repeated": (DeviationKind.UNDECLARED_ELEMENT, "SessionStopReq", "Terminate"),
    "exotic-012-enum-unknown": (DeviationKind.UNTYPED_VALUE, "SessionStopReq/ChargingSession", "Dance"),
    "exotic-013-int-not-a-number": (DeviationKind.UNTYPED_VALUE, "SessionStopReq/Header/TimeStamp", "soon"),
    "exotic-022-text-in-element-only": (DeviationKind.UNDECLARED_TEXT, "SessionStopReq", "text"),
}


def read(line: dict[str, Any], deviations: list[exi.Deviation] | None = None) -> Any:
    decode = exi.decode_fragment if line["fragment"] else exi.decode
    return decode(bytes.fromhex(line["exi"]), line["schema_set"], deviations=deviations)


def as_xml(line: dict[str, Any], decoded: Any) -> str:
    value, name = (decoded.value, decoded.name) if line["fragment"] else (decoded, None)
    return canonical(to_xml(value, name, schema_set=line["schema_set"]))


def canonical(xml: str) -> str:
    """Canonical XML with uniform prefixes."""
    return str(etree.canonicalize(xml, rewrite_prefixes=True))


def without_artefacts(xml: str) -> str:
    """The XML less the xsi:type that marks undeclared elements, or names the type that an element has
    anyway.
    """
    root = etree.fromstring(xml)
    for element in root.iter():
        element.attrib.pop(XSI_TYPE, None)
    return canonical(etree.tostring(root).decode())


@pytest.mark.parametrize(
    "line", [v for v in EXOTIC if v["id"] not in DEVIATIONS], ids=lambda line: line["id"]
)
def test_what_the_schema_allows_is_read(line: dict[str, Any]) -> None:
    decoded = read(line)
    if "xsi-type" in line["id"]:
        expected = without_artefacts(line["decoded_xml"])
        if line["id"] == "exotic-026-derived-type-xsi-type":  # the class of the derived type tells as much
            expected = expected.replace(":DC_CPDReqEnergyTransferMode", ":BPT_DC_CPDReqEnergyTransferMode")
        assert as_xml(line, decoded) == expected
        return
    assert as_xml(line, decoded) == without_artefacts(line["decoded_xml"])
    if line["id"] == "exotic-014-int-out-of-range-negative":
        return  # -1 as unsignedLong: readable as text, not expressible as the type
    if line["fragment"]:
        octets = exi.encode_fragment(decoded.value, decoded.name, schema_set=line["schema_set"])
    else:
        octets = exi.encode(decoded, line["schema_set"])
    assert octets.hex() == line["exi"]


@pytest.mark.parametrize("line", [v for v in EXOTIC if v["id"] in DEVIATIONS], ids=lambda line: line["id"])
def test_what_the_schema_forbids_is_refused_or_reported(line: dict[str, Any]) -> None:
    kind, path, content = DEVIATIONS[line["id"]]
    with pytest.raises(exi.EXIDecodeError, match=kind.value.split(",")[0]):
        read(line)
    deviations: list[exi.Deviation] = []
    message = read(line, deviations)
    (deviation,) = deviations
    assert (deviation.kind, deviation.path) == (kind, path)
    if isinstance(deviation.content, AnyElement):
        assert deviation.content.content == [content]
    elif isinstance(deviation.content, tuple):
        assert deviation.content[1] == content
    else:
        assert deviation.content == content
    if kind is DeviationKind.UNTYPED_VALUE:
        assert content in to_xml_or_fields(message)
    else:
        # Everything else of the message is as if the undeclared content were not there.
        plain = next(v for v in EXOTIC if v["id"] == "exotic-001-plain")
        assert message == read(plain)


def to_xml_or_fields(message: Any) -> str:
    """Values outside their type may have no XML form; the fields show them all the same."""
    return repr(message)


def test_a_declared_element_in_a_wildcard_is_an_object_of_its_class() -> None:
    line = next(v for v in EXOTIC if v["id"] == "exotic-041-object-wildcard-declared")
    (key_name,) = read(line).content
    assert type(key_name).__name__ == "KeyName"
    assert key_name.value == "k"


def test_undeclared_elements_survive_a_round_trip() -> None:
    from iso15118.exi.schema import QName
    from iso15118.messages.xmldsig import DigestMethod, KeyName, Object

    inner = AnyElement(QName("q", "urn:z"), {}, ["t", KeyName(value="k"), AnyElement(QName("P", "urn:z"))])
    outer = AnyElement(
        QName("P", "urn:z"), {QName("a", ""): "1", QName("b", "urn:y"): ""}, [inner, "é", inner]
    )
    for message in (Object(content=[outer, "text", outer]), DigestMethod(algorithm="", content=[outer])):
        assert exi.decode(exi.encode(message, "xmldsig"), "xmldsig") == message
