"""XML and JSON forms: what the vectors say, both ways; clear errors for what has no form."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import Any

import pytest

from iso15118 import json as json_form
from iso15118 import xml
from iso15118.exi.schema import AnyElement, QName
from iso15118.messages import SchemaSet, common, dc, xmldsig
from iso15118.messages.common_types import MessageHeader, Processing, RationalNumber
from iso15118.messages.layout import FormError

from .vectors import SETS, canonical, vectors

FILES = [f"{s}_dev" for s in SETS] + ["fragments_dev", "bench_messages"]
HEADER = MessageHeader(session_id=bytes(range(1, 9)), timestamp=1_700_000_000)
HEADER_JSON = {"SessionID": "0102030405060708", "TimeStamp": 1_700_000_000}
CT = 'xmlns:ct="urn:iso:std:iso:15118:-20:CommonTypes"'
HEADER_XML = (
    "<ct:Header><ct:SessionID>0102030405060708</ct:SessionID>"
    "<ct:TimeStamp>1700000000</ct:TimeStamp></ct:Header>"
)


@pytest.mark.parametrize("file", FILES)
def test_vectors_survive_as_xml(file: str) -> None:
    for vector in vectors(file):
        name, value = xml.fragment_from_xml(vector["xml"], vector["schema_set"])
        text = xml.to_xml(value, name, schema_set=vector["schema_set"])
        assert canonical(text) == canonical(vector["xml"]), vector["id"]


@pytest.mark.parametrize("file", FILES)
def test_vectors_survive_as_json(file: str) -> None:
    for vector in vectors(file):
        name, value = xml.fragment_from_xml(vector["xml"], vector["schema_set"])
        text = json_form.to_json(value, name, schema_set=vector["schema_set"])
        assert json_form.from_json(text, vector["schema_set"]) == value, vector["id"]


@pytest.mark.parametrize("identifier", ["exotic-031-frag-xpath-mixed", "exotic-041-object-wildcard-declared"])
def test_mixed_content_keeps_its_order(identifier: str) -> None:
    (vector,) = (v for v in vectors("exotic") if v["id"] == identifier)
    name, value = xml.fragment_from_xml(vector["xml"], "xmldsig")
    assert canonical(xml.to_xml(value, name)) == canonical(vector["xml"])
    assert json_form.from_json(json_form.to_json(value, name), "xmldsig") == value


def test_undeclared_elements_are_kept() -> None:
    text = (
        '<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">m<z:x xmlns:z="urn:z" a="1">t<z:y/></z:x>'
        "<ds:KeyName>k</ds:KeyName></ds:KeyInfo>"
    )
    value = xml.from_xml(text, "xmldsig")
    foreign = AnyElement(QName("x", "urn:z"), {QName("a", ""): "1"}, ["t", AnyElement(QName("y", "urn:z"))])
    assert value == xmldsig.KeyInfo(content=["m", foreign, xmldsig.KeyName(value="k")])
    assert xml.from_xml(xml.to_xml(value), "xmldsig") == value
    assert json_form.to_builtins(value) == {
        "KeyInfo": {
            "content": [
                "m",
                {"{urn:z}x": {"@a": "1", "content": ["t", {"{urn:z}y": {}}]}},
                {"KeyName": "k"},
            ]
        }
    }
    assert json_form.from_json(json_form.to_json(value), "xmldsig") == value


def test_json_form_of_a_message() -> None:
    """Written out by hand: hex and base64, choices, substitution, attributes, lists, enumerations."""
    request = common.AuthorizationReq(
        header=HEADER,
        selected_authorization_service=common.Authorization.PnC,
        authorization_mode=common.PnC_AReqAuthorizationMode(
            id="id1",
            gen_challenge=bytes(16),
            contract_certificate_chain=common.ContractCertificateChain(
                certificate=b"leaf", sub_certificates=common.SubCertificates(certificate=[b"one", b"two"])
            ),
        ),
    )
    expected = {
        "AuthorizationReq": {
            "Header": HEADER_JSON,
            "SelectedAuthorizationService": "PnC",
            "PnC_AReqAuthorizationMode": {
                "@Id": "id1",
                "GenChallenge": "AAAAAAAAAAAAAAAAAAAAAA==",
                "ContractCertificateChain": {
                    "Certificate": "bGVhZg==",
                    "SubCertificates": {"Certificate": ["b25l", "dHdv"]},
                },
            },
        }
    }
    assert json.loads(json_form.to_json(request)) == expected
    assert json_form.from_builtins(expected, "iso20_common") == request


def test_json_form_names_the_substituted_element() -> None:
    limit = RationalNumber(exponent=3, value=11)
    mode = dc.Scheduled_DC_CLReqControlMode(ev_target_current=limit, ev_target_voltage=limit)
    loop = dc.DC_ChargeLoopReq(
        header=HEADER, meter_info_requested=False, ev_present_voltage=limit, control_mode=mode
    )
    form = json_form.to_builtins(loop)["DC_ChargeLoopReq"]
    number = {"Exponent": 3, "Value": 11}
    assert form["Scheduled_DC_CLReqControlMode"] == {"EVTargetCurrent": number, "EVTargetVoltage": number}
    assert form["MeterInfoRequested"] is False


def test_json_form_of_simple_content() -> None:
    value = xmldsig.SignatureValue(id="s", value=b"\x00\xff")
    assert json_form.to_builtins(value) == {"SignatureValue": {"@Id": "s", "value": "AP8="}}


def test_big_serial_numbers_stay_exact() -> None:
    serial = xmldsig.X509IssuerSerial(x509_issuer_name="CN=x", x509_serial_number=2**159)
    value = xmldsig.X509Data(content=[serial])
    assert json_form.from_json(json_form.to_json(value), "xmldsig") == value
    assert xml.from_xml(xml.to_xml(value), "xmldsig") == value


def test_xml_is_compact_with_fixed_prefixes() -> None:
    request = dc.DC_CableCheckReq(header=HEADER)
    assert xml.to_xml(request) == (
        f'<dc:DC_CableCheckReq xmlns:dc="urn:iso:std:iso:15118:-20:DC" {CT}>'
        f"{HEADER_XML}</dc:DC_CableCheckReq>"
    )


def test_xml_takes_any_prefix_blanks_and_comments() -> None:
    text = f"""<?xml version="1.0"?>
        <DC_WeldingDetectionReq xmlns="urn:iso:std:iso:15118:-20:DC" {CT}>
          <!-- blanks --> {HEADER_XML}
          <EVProcessing> Ongoing </EVProcessing>
        </DC_WeldingDetectionReq>"""
    assert xml.from_xml(text.encode(), "iso20_dc") == dc.DC_WeldingDetectionReq(
        header=HEADER, ev_processing=Processing.Ongoing
    )


def stop(inside: str) -> str:
    cm = 'xmlns:cm="urn:iso:std:iso:15118:-20:CommonMessages"'
    return f"<cm:SessionStopReq {cm} {CT}>{inside}</cm:SessionStopReq>"


CHARGING = "<cm:ChargingSession>Pause</cm:ChargingSession>"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("<x", "XML: "),
        ("<x/>", "x: is no element of iso20_common"),
        (
            f"<ct:SessionID {CT}>00</ct:SessionID>",
            "{urn:iso:std:iso:15118:-20:CommonTypes}SessionID: is no document of iso20_common",
        ),
        (stop(HEADER_XML), "SessionStopReq: ChargingSession missing"),
        (stop(CHARGING), "SessionStopReq: Header missing"),
        (stop(HEADER_XML + CHARGING * 2), "SessionStopReq/ChargingSession: is there beside another or twice"),
        (stop(HEADER_XML + "<cm:Extra/>"), "SessionStopReq: has an unknown child"),
        (stop(f"hello{HEADER_XML}{CHARGING}"), "SessionStopReq: has text 'hello' between its elements"),
        (stop(HEADER_XML + CHARGING.replace("Pause", "Rest")), "'Rest' is no chargingSessionType"),
        (stop(HEADER_XML.replace("17", "seventeen") + CHARGING), "Header/TimeStamp: 'seventeen"),
        (stop(HEADER_XML.replace("0102", "01020") + CHARGING), "Header/SessionID: '010200304"),
        (
            stop(HEADER_XML.replace("<ct:Header>", '<ct:Header a="1">') + CHARGING),
            "has an unknown attribute a",
        ),
    ],
)
def test_xml_errors_name_the_place(text: str, error: str) -> None:
    with pytest.raises(FormError) as caught:
        xml.from_xml(text, "iso20_common")
    assert error in str(caught.value)


def test_validation_on_request() -> None:
    long = stop(HEADER_XML + CHARGING + f"<cm:EVTerminationCode>{'x' * 81}</cm:EVTerminationCode>")
    assert xml.from_xml(long, "iso20_common").ev_termination_code == "x" * 81
    with pytest.raises(FormError, match=r"EVTerminationCode.*'80'"):
        xml.from_xml(long, "iso20_common", validate=True)


def test_document_type_declarations_are_refused() -> None:
    text = '<!DOCTYPE x [<!ENTITY e "secret">]>' + stop(
        HEADER_XML + CHARGING + "<cm:EVTerminationCode>&e;</cm:EVTerminationCode>"
    )
    with pytest.raises(FormError, match="XML: has a document type declaration"):
        xml.from_xml(text, "iso20_common")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("{", "JSON: "),
        ("[]", "JSON: is not an object with one key"),
        ('{"Nothing": {}}', "Nothing: is not one element of iso20_common (found: none)"),
        ('{"SessionStopReq": 1}', "SessionStopReq: is an integer, not an object"),
        ('{"SessionStopReq": {}}', "SessionStopReq: Header and ChargingSession missing"),
        ('{"SessionStopReq": {"header": {}}}', "SessionStopReq: has an unknown key 'header'"),
        (
            '{"SessionStopReq": {"ChargingSession": "Rest"}}',
            "ChargingSession: 'Rest' is no chargingSessionType",
        ),
        ('{"SessionStopReq": {"Header": {"TimeStamp": "1"}}}', "TimeStamp: is a string, not an integer"),
        ('{"SessionStopReq": {"Header": {"TimeStamp": true}}}', "TimeStamp: is a boolean, not an integer"),
        ('{"SessionStopReq": {"Header": {"TimeStamp": 1.5}}}', "TimeStamp: is a number, not an integer"),
        ('{"SessionStopReq": {"Header": {"SessionID": null}}}', "SessionID: is null, not a string"),
        ('{"SessionStopReq": {"Header": {"SessionID": "xy"}}}', "SessionID: 'xy' is no hexBinary"),
    ],
)
def test_json_errors_name_the_place(data: str, error: str) -> None:
    with pytest.raises(FormError) as caught:
        json_form.from_json(data, "iso20_common")
    assert error in str(caught.value)


def test_json_refuses_two_of_a_choice() -> None:
    mode: dict[str, Any] = {"EIM_ASResAuthorizationMode": {}}
    form = {
        "AuthorizationSetupRes": {
            "Header": HEADER_JSON,
            "ResponseCode": "OK",
            "AuthorizationServices": ["EIM"],
            "CertificateInstallationService": False,
            **mode,
        }
    }
    message = json_form.from_builtins(form, "iso20_common")
    assert message.authorization_mode == common.EIM_ASResAuthorizationMode()
    form["AuthorizationSetupRes"]["PnC_ASResAuthorizationMode"] = {"GenChallenge": ""}
    with pytest.raises(FormError, match="is there beside another of its choice"):
        json_form.from_builtins(form, "iso20_common")


@pytest.mark.parametrize("write", [xml.to_xml, json_form.to_json])
def test_what_no_field_can_hold_has_no_form(write: Any) -> None:
    stop = common.SessionStopReq(header=HEADER, charging_session="Pause")  # type: ignore[arg-type]
    with pytest.raises(FormError, match="ChargingSession: 'Pause' is no chargingSessionType"):
        write(stop)
    number = RationalNumber(exponent=0, value=1)
    loop = dc.DC_ChargeLoopReq(
        header=HEADER,
        meter_info_requested=True,
        ev_present_voltage=number,
        control_mode=number,  # type: ignore[arg-type]
    )
    with pytest.raises(FormError, match="control_mode: cannot hold a RationalNumber"):
        write(loop)


def test_control_characters_have_no_xml_form() -> None:
    request = common.SessionSetupReq(header=HEADER, evcc_id="a\x00b")
    with pytest.raises(FormError, match="SessionSetupReq/EVCCID: has a character that XML does not allow"):
        xml.to_xml(request)
    assert json_form.from_json(json_form.to_json(request), "iso20_common") == request


def test_a_part_of_a_message_has_a_form() -> None:
    number = RationalNumber(exponent=-1, value=5)
    text = xml.to_xml(number, "EVTargetVoltage", schema_set=SchemaSet.ISO20_DC)
    assert text.startswith("<dc:EVTargetVoltage ")
    assert xml.fragment_from_xml(text, "iso20_dc") == (QName("EVTargetVoltage", dc.NAMESPACE), number)
    with pytest.raises(FormError, match="is not one element of iso20_dc"):
        xml.to_xml(number, schema_set=SchemaSet.ISO20_DC)


def test_garbage_has_no_message() -> None:
    """Any text, and any vector with one value replaced, is a message or a FormError."""
    rng = random.Random(20)
    junk: list[Any] = [None, True, -1, 2**70, 1.5, "", "AA==", "x", [], [[]], {}, {"x": {}}, {"@Id": 1}]
    outcomes = {True: 0, False: 0}
    for vector in (v for s in SETS for v in vectors(f"{s}_dev") if len(v["xml"]) < 5000):
        name, value = xml.fragment_from_xml(vector["xml"], vector["schema_set"])
        form = json_form.to_builtins(value, name, schema_set=vector["schema_set"])
        holder: Any = form
        while True:
            key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            if not holder[key] or not isinstance(holder[key], (dict, list)) or rng.random() < 0.1:
                break
            holder = holder[key]
        holder[key] = rng.choice(junk)
        try:
            json_form.from_builtins(form, vector["schema_set"])
            outcomes[True] += 1
        except FormError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 20, outcomes


@pytest.mark.parametrize("data", ["[" * 100_000, b"\xff", '{"Object": ' * 400 + "1" + "}" * 400, "1" * 5000])
def test_hostile_json_is_refused(data: str | bytes) -> None:
    with pytest.raises(FormError):
        json_form.from_json(data, "xmldsig")


@pytest.mark.parametrize("depth", [450, 2000])
def test_deep_content_is_refused(depth: int) -> None:
    deep = '{"content": [{"{u}a": ' * depth + "{}" + "}]}" * depth
    with pytest.raises(FormError, match=r"recursion|nested too deeply"):
        json_form.from_json('{"Object": ' + deep + "}", "xmldsig")


def test_lone_surrogates_have_no_form() -> None:
    request = common.SessionSetupReq(header=HEADER, evcc_id="\ud800")
    with pytest.raises(FormError):
        json_form.to_json(request)
    with pytest.raises(FormError):
        xml.to_xml(request)


def test_lxml_is_imported_when_needed_only() -> None:
    code = "import sys, iso15118.xml, iso15118.json, iso15118.messages.dc; assert 'lxml' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
