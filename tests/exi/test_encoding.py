"""What the encoder refuses, and how it says so; what it takes although no schema would."""

from __future__ import annotations

from typing import Any

import pytest

from iso15118 import exi
from iso15118.messages import app_protocol, common, dc, xmldsig
from iso15118.messages.common_types import MessageHeader, Processing, RationalNumber, ResponseCode
from iso15118.messages.schema_sets import SchemaSet

HEADER = MessageHeader(session_id=bytes(range(8)), timestamp=1_700_000_000)
VOLTS = RationalNumber(exponent=-1, value=4000)


def pre_charge(**changes: Any) -> dc.DC_PreChargeReq:
    fields = {
        "header": HEADER,
        "ev_processing": Processing.Ongoing,
        "ev_present_voltage": VOLTS,
        "ev_target_voltage": VOLTS,
    }
    return dc.DC_PreChargeReq(**{**fields, **changes})


def refusal(message: Any, schema_set: str | None = None) -> exi.EXIEncodeError:
    with pytest.raises(exi.EXIEncodeError) as caught:
        exi.encode(message, schema_set)
    return caught.value


def test_the_schema_set_is_that_of_the_message_unless_named() -> None:
    assert exi.encode(pre_charge()) == exi.encode(pre_charge(), SchemaSet.ISO20_DC)
    assert exi.encode(pre_charge(), "iso20_dc") == exi.encode(pre_charge())
    error = refusal(pre_charge(), "iso20_ac")
    assert "no root element of the schema set iso20_ac" in str(error)


@pytest.mark.parametrize(
    ("changes", "path", "why"),
    [
        ({"ev_processing": None}, "DC_PreChargeReq/EVPresentVoltage", "expected EVProcessing"),
        ({"ev_target_voltage": None}, "DC_PreChargeReq", "expected EVTargetVoltage"),
        ({"ev_processing": "Perhaps"}, "DC_PreChargeReq/EVProcessing", "no value of processingType"),
        ({"ev_processing": 1}, "DC_PreChargeReq/EVProcessing", "is not a str"),
        ({"ev_present_voltage": 400.0}, "DC_PreChargeReq/EVPresentVoltage", "is not a RationalNumber"),
        (
            {"ev_present_voltage": RationalNumber(exponent=128, value=1)},
            "DC_PreChargeReq/EVPresentVoltage/Exponent",
            "no value of byte",
        ),
        (
            {"ev_present_voltage": RationalNumber(exponent=0, value="1")},  # type: ignore[arg-type]
            "DC_PreChargeReq/EVPresentVoltage/Value",
            "is not a int",
        ),
        (
            {"header": MessageHeader(session_id=bytes(8), timestamp=-1)},
            "DC_PreChargeReq/Header/TimeStamp",
            "is negative",
        ),
        (
            {"header": MessageHeader(session_id="00", timestamp=1)},  # type: ignore[arg-type]
            "DC_PreChargeReq/Header/SessionID",
            "is not a bytes",
        ),
    ],
)
def test_what_cannot_be_expressed_is_named(changes: dict[str, Any], path: str, why: str) -> None:
    error = refusal(pre_charge(**changes))
    assert error.path == path
    assert why in error.why
    assert str(error).startswith(path)


@pytest.mark.parametrize(
    "message",
    [
        pre_charge(header=MessageHeader(session_id=b"", timestamp=0)),
        pre_charge(header=MessageHeader(session_id=bytes(300), timestamp=2**64)),
        pre_charge(ev_present_voltage=RationalNumber(exponent=127, value=10**30)),
        pre_charge(ev_present_voltage=RationalNumber(exponent=-128, value=-(10**30))),
        common.SessionSetupReq(header=HEADER, evcc_id="x" * 5000),
        common.SessionSetupReq(header=HEADER, evcc_id="\0\u20ac\U0001f697" * 100),
        xmldsig.KeyName(value=""),
        dc.DC_PreChargeRes(header=HEADER, response_code=ResponseCode.FAILED, evse_present_voltage=VOLTS),
    ],
)
def test_facets_do_not_keep_a_message_from_being_written(message: Any) -> None:
    octets = exi.encode(message)
    schema_set = {common: "iso20_common", xmldsig: "xmldsig", dc: "iso20_dc"}
    module = next(m for m in schema_set if m.__name__ == type(message).__module__)
    assert exi.decode(octets, schema_set[module]) == message


def test_half_a_surrogate_pair_is_refused() -> None:
    error = refusal(common.SessionSetupReq(header=HEADER, evcc_id="a\ud800"))
    assert error.path == "SessionSetupReq/EVCCID"
    assert "surrogate" in error.why


def test_every_integer_in_reach_of_the_cap_survives() -> None:
    for exponent in (0, 1, 6, 7, 8, 13, 14, 15, 31, 32, 55, 56, 57, 63, 64, 127, 160, 223):
        for value in (2**exponent - 1, 2**exponent, 2**exponent + 1, -(2**exponent), -(2**exponent) - 1):
            if value >= 2**224:
                continue
            serial = xmldsig.X509IssuerSerial(x509_issuer_name="", x509_serial_number=value)
            message = xmldsig.X509Data(content=[serial])
            assert exi.decode(exi.encode(message), "xmldsig") == message


def test_a_list_without_entries_is_refused_where_one_is_needed() -> None:
    error = refusal(app_protocol.SupportedAppProtocolReq(app_protocol=[]))
    assert error.path == "supportedAppProtocolReq"
    assert "expected AppProtocol" in error.why


def test_a_choice_takes_one_alternative() -> None:
    parameter = common.Parameter(name="x", bool_value=True, int_value=1)
    message = common.ServiceDetailRes(
        header=HEADER,
        response_code=ResponseCode.OK,
        service_id=1,
        service_parameter_list=common.ServiceParameterList(
            parameter_set=[common.ParameterSet(parameter_set_id=1, parameter=[parameter])]
        ),
    )
    error = refusal(message)
    assert error.path == "ServiceDetailRes/ServiceParameterList/ParameterSet/Parameter/intValue"
    parameter.bool_value = parameter.int_value = None
    assert "expected boolValue or byteValue" in refusal(message).why


def test_fragments_go_by_class_or_by_name() -> None:
    info = xmldsig.DigestMethod(algorithm="urn:a")
    octets = exi.encode_fragment(info, schema_set="xmldsig")
    fragment = exi.decode_fragment(octets, "xmldsig")
    assert (fragment.name.local, fragment.value) == ("DigestMethod", info)
    named = exi.encode_fragment(VOLTS, "EVTargetVoltage", schema_set="iso20_dc")
    fragment = exi.decode_fragment(named, "iso20_dc")
    assert (fragment.name.local, fragment.value) == ("EVTargetVoltage", VOLTS)
    plain = exi.encode_fragment("é", "EVCCID", schema_set="iso20_common")
    assert exi.decode_fragment(plain, "iso20_common").value == "é"
    with pytest.raises(exi.EXIEncodeError, match="names no single element"):
        exi.encode_fragment(VOLTS, schema_set="iso20_dc")
    with pytest.raises(exi.EXIEncodeError, match="found: none"):
        exi.encode_fragment(VOLTS, "Nothing", schema_set="iso20_dc")


def test_octets_may_come_as_any_buffer() -> None:
    octets = exi.encode(pre_charge())
    for data in (bytearray(octets), memoryview(octets)):
        assert exi.decode(data, "iso20_dc") == pre_charge()


def test_an_unknown_schema_set_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="iso20_xy"):
        exi.decode(b"\x80", "iso20_xy")
