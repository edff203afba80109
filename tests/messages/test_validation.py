"""`validate` finds what libxml2 finds by the schemas, and says it in words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import fields

from iso15118 import xml
from iso15118.messages import Node, Violation, ac, common, dc, validate, wpt, xmldsig
from iso15118.messages.common_types import (
    CLReqControlMode,
    EVSEStatus,
    MessageHeader,
    Processing,
    RationalNumber,
    ResponseCode,
)

from .vectors import SETS, vectors

HEADER = MessageHeader(session_id=bytes(8), timestamp=0)
ONE = RationalNumber(exponent=0, value=1)


@pytest.mark.parametrize("file", [f"{s}_dev" for s in SETS] + ["fragments_dev", "bench_messages"])
def test_vectors_are_valid(file: str) -> None:
    for vector in vectors(file):
        _, value = xml.fragment_from_xml(vector["xml"], vector["schema_set"])
        if isinstance(value, Node):
            assert validate(value, vector["schema_set"]) == [], vector["id"]


def problems(message: Node, schema_set: str | None = None) -> list[str]:
    return [str(v) for v in validate(message, schema_set)]


def test_all_that_is_wrong_is_said_at_once() -> None:
    request = dc.DC_PreChargeReq(
        header=MessageHeader(session_id=b"abc", timestamp=-1),
        ev_processing="Ongoing",  # type: ignore[arg-type]
        ev_present_voltage=RationalNumber(exponent=200, value=40000),
        ev_target_voltage=3.5,  # type: ignore[arg-type]
    )
    assert validate(request) == [
        Violation("DC_PreChargeReq/Header/SessionID", "has 3 octets; exactly 8 are needed"),
        Violation("DC_PreChargeReq/Header/TimeStamp", "is -1; at least 0 is needed"),
        Violation("DC_PreChargeReq/EVProcessing", "is 'Ongoing', not processingType"),
        Violation("DC_PreChargeReq/EVPresentVoltage/Exponent", "is 200; at most 127 is allowed"),
        Violation("DC_PreChargeReq/EVPresentVoltage/Value", "is 40000; at most 32767 is allowed"),
        Violation("DC_PreChargeReq/EVTargetVoltage", "is 3.5, not RationalNumber"),
    ]


def test_strings() -> None:
    request = common.SessionSetupReq(header=HEADER, evcc_id="é" * 256)
    assert problems(request) == ["SessionSetupReq/EVCCID has 256 characters; at most 255 are allowed"]
    request.evcc_id = "a\x01"
    assert problems(request) == ["SessionSetupReq/EVCCID has the character U+0001, which XML does not allow"]
    request.evcc_id = 7  # type: ignore[assignment]
    assert problems(request) == ["SessionSetupReq/EVCCID is 7, not identifierType"]


def test_true_is_no_integer_and_one_is_no_boolean() -> None:
    request = dc.DC_ChargeLoopReq(
        header=MessageHeader(session_id=bytes(8), timestamp=True),
        meter_info_requested=1,  # type: ignore[arg-type]
        ev_present_voltage=ONE,
        control_mode=dc.Scheduled_DC_CLReqControlMode(ev_target_current=ONE, ev_target_voltage=ONE),
    )
    assert problems(request) == [
        "DC_ChargeLoopReq/Header/TimeStamp is True, not unsignedLong",
        "DC_ChargeLoopReq/MeterInfoRequested is 1, not boolean",
    ]


def test_lists() -> None:
    response = common.ServiceDetailRes(
        header=HEADER,
        response_code=ResponseCode.OK,
        service_id=1,
        service_parameter_list=common.ServiceParameterList(
            parameter_set=[common.ParameterSet(parameter_set_id=1, parameter=[])]
        ),
    )
    path = "ServiceDetailRes/ServiceParameterList/ParameterSet"
    assert problems(response) == [f"{path}[0]/Parameter has 0 entries; at least 1 are needed"]
    ok = common.ParameterSet(parameter_set_id=1, parameter=[common.Parameter(name="a", int_value=1)])
    response.service_parameter_list.parameter_set = [ok] * 33
    assert problems(response) == [f"{path} has 33 entries; at most 32 are allowed"]
    response.service_parameter_list.parameter_set = ok  # type: ignore[assignment]
    assert problems(response) == [f"{path} is a ParameterSet, not a list"]


def test_parameters_have_one_value() -> None:
    parameter = common.Parameter(name="a")
    every = "boolValue or byteValue or shortValue or intValue or rationalNumber or finiteString"
    assert problems(parameter) == [f"Parameter lacks {every}"]
    parameter.int_value, parameter.bool_value = 1, False
    assert problems(parameter) == ["Parameter has boolValue and intValue; only one of them may be there"]


def test_choices_by_class() -> None:
    request = common.AuthorizationReq(
        header=HEADER,
        selected_authorization_service=common.Authorization.EIM,
        authorization_mode=None,  # type: ignore[arg-type]
    )
    both = "EIM_AReqAuthorizationMode or PnC_AReqAuthorizationMode"
    assert problems(request) == [f"AuthorizationReq lacks {both}"]
    request.authorization_mode = ONE  # type: ignore[assignment]
    assert problems(request)[0] == f"AuthorizationReq has a RationalNumber as {both}"


def test_substitution_groups_take_members_of_the_set() -> None:
    request = ac.AC_ChargeLoopReq(
        header=HEADER,
        meter_info_requested=False,
        control_mode=dc.Scheduled_DC_CLReqControlMode(  # type: ignore[arg-type]
            ev_target_current=ONE, ev_target_voltage=ONE
        ),
    )
    assert problems(request) == [
        "AC_ChargeLoopReq/CLReqControlMode is a Scheduled_DC_CLReqControlMode, not CLReqControlMode"
    ]


def test_the_bare_head_is_abstract() -> None:
    request = ac.AC_ChargeLoopReq(header=HEADER, meter_info_requested=False, control_mode=CLReqControlMode())  # type: ignore[arg-type]
    assert problems(request) == [
        "AC_ChargeLoopReq/CLReqControlMode is of the abstract type CLReqControlModeType"
    ]


def test_groups_within_a_sequence() -> None:
    key = xmldsig.DSAKeyValue(p=b"p", y=b"y", seed=b"s", pgen_counter=b"c")
    assert problems(key) == ["DSAKeyValue/Q is missing"]
    key.q = b"q"
    assert problems(key) == []
    key.p = key.q = key.pgen_counter = None
    assert problems(key) == ["DSAKeyValue/PgenCounter is missing"]


def test_content_in_document_order() -> None:
    packet, identifier = xmldsig.PGPKeyPacket(value=b"p"), xmldsig.PGPKeyID(value=b"i")
    assert problems(xmldsig.PGPData(content=[identifier, packet])) == []
    assert problems(xmldsig.PGPData(content=[packet])) == []
    allowed = "((PGPKeyID, PGPKeyPacket?, any foreign element*) or (PGPKeyPacket, any foreign element*))"
    assert problems(xmldsig.PGPData(content=[packet, identifier])) == [
        f"PGPData contains PGPKeyPacket, PGPKeyID; allowed is {allowed}"
    ]
    assert problems(xmldsig.X509Data()) != []
    assert problems(xmldsig.PGPData(content=["text", packet])) == [  # type: ignore[list-item]
        "PGPData/content[0] is 'text', not an element"
    ]


def test_identifiers() -> None:
    reference = xmldsig.Reference(
        id="1", digest_method=xmldsig.DigestMethod(algorithm="urn:a"), digest_value=b""
    )
    manifest = xmldsig.Manifest(id="m", reference=[reference])
    assert problems(manifest) == ["Manifest/Reference[0]/@Id is '1', which is no XML name"]
    reference.id = "m"
    assert problems(manifest) == [
        "Manifest/Reference[0]/@Id is 'm', which another element of the message has"
    ]


def test_shared_types_need_a_schema_set() -> None:
    status = EVSEStatus(notification_max_delay=70_000, evse_notification=Processing.Ongoing)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name one"):
        validate(status)
    assert problems(status, "iso20_dc") == [
        "EVSEStatus/NotificationMaxDelay is 70000; at most 65535 is allowed",
        f"EVSEStatus/EVSENotification is {Processing.Ongoing!r}, not evseNotificationType",
    ]
    assert problems(wpt.WPT_CoordinateXYZ(coord_x=0, coord_y=0, coord_z=0), "iso20_dc") == [
        "WPT_CoordinateXYZ is no type of iso20_dc"
    ]


# Against libxml2


def nodes(node: Any) -> Iterator[Node]:
    """A node and all below it."""
    if isinstance(node, Node):
        yield node
        for field in fields(type(node)):
            yield from nodes(getattr(node, field.name))
    elif isinstance(node, list):
        for item in node:
            yield from nodes(item)


def broken(value: Any, rng: random.Random) -> Any:
    """A value of the same Python type that may break a facet, an occurrence or a choice."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return rng.choice(
            [-1, 0, 1, 11, 100, 101, 127, 128, 1025, 2**15, 2**16, 2**32, 2**63, 2**64, -(2**31) - 1]
        )
    if isinstance(value, bytes):
        return bytes(rng.choice([0, 1, 7, 8, 9, 15, 16, 17, 64, 65, 94, 133, 256, 257, 1600, 1601]))
    if isinstance(value, str) and type(value) is str:
        return rng.choice(["x", "é", "😀"]) * rng.choice([1, 3, 4, 32, 33, 80, 81, 160, 161, 255, 256])
    if isinstance(value, list):
        return rng.choice([[], value[:-1], value[:1] * rng.choice([2, 3, 4, 8, 9, 17, 33])])
    return None


@pytest.mark.parametrize("schema_set", SETS)
def test_agrees_with_libxml2_on_broken_messages(schema_set: str) -> None:
    rng = random.Random(15118)
    seen = {True: 0, False: 0}
    for vector in vectors(f"{schema_set}_dev"):
        if len(vector["xml"]) > 20_000:
            continue
        for _ in range(4):
            message = xml.from_xml(vector["xml"], schema_set)
            node = rng.choice([n for n in nodes(message) if fields(type(n))])
            field = rng.choice(fields(type(node)))
            setattr(node, field.name, broken(getattr(node, field.name), rng))
            try:
                text = xml.to_xml(message, schema_set=schema_set)
            except xml.FormError:
                assert validate(message, schema_set)
                continue
            errors = xml.schema_errors(text, schema_set)
            violations = validate(message, schema_set)
            assert bool(errors) is bool(violations), (vector["id"], field.name, errors, violations, text)
            seen[bool(errors)] += 1
    assert seen[True] > 15
    assert seen[False] > 15
