"""Bad input of every kind: a message or an EXIDecodeError that says where, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from iso15118 import exi
from iso15118.exi.codings import MAX_DEPTH
from iso15118.exi.grammar import code_width
from iso15118.messages import common, dc, xmldsig
from iso15118.messages.common_types import MessageHeader
from iso15118.xml import FormError, to_xml

from ..messages.vectors import SETS, VECTORS, canonical, vectors

MALFORMED = [
    line
    for line in map(json.loads, (VECTORS / "malformed.jsonl").read_text().splitlines())
    if line["schema_set"] in SETS
]
ACCEPTED = {
    # The reference has no room in its tables, so that a hit is an error; ours are as large as EXI's default.
    "malformed-0025": "a hit on a value that the stream has shown under another name",
    "malformed-0064": "a hit on a value that the stream has shown",
}
REFUSED = {
    "malformed-0804": "the EXI cookie: ISO 15118 streams have none",
    "malformed-0807": "a header that announces options: ISO 15118 streams have none",
    "malformed-0813": "a preview version of EXI",
}


def read(line: dict[str, Any], deviations: list[exi.Deviation] | None = None) -> Any:
    decode = exi.decode_fragment if line["fragment"] else exi.decode
    return decode(bytes.fromhex(line["exi"]), line["schema_set"], deviations=deviations)


def to_bits(octets: bytes) -> str:
    return f"{int.from_bytes(octets):0{8 * len(octets)}b}"


def from_bits(bits: str) -> bytes:
    return int(bits.ljust(len(bits) + -len(bits) % 8, "0"), 2).to_bytes((len(bits) + 7) // 8)


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: f"{line['id']}-{line['mutation']}")
def test_agrees_with_the_reference(line: dict[str, Any]) -> None:
    error = None
    try:
        decoded = read(line)
    except exi.EXIDecodeError as caught:
        error = caught
    if error is not None:
        assert 0 <= error.bit <= 4 * len(line["exi"])
        assert str(error)
        assert line["verdict"] == "error" or line["schema_error"] or line["id"] in REFUSED
        return
    if line["verdict"] == "error":
        assert line["id"] in ACCEPTED
        return
    value, name = (decoded.value, decoded.name) if line["fragment"] else (decoded, None)
    try:
        xml = to_xml(value, name, schema_set=line["schema_set"])
    except FormError:
        assert line["schema_error"]  # U+0000, which XML cannot hold
    else:
        assert canonical(xml) == canonical(line["xml"])


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: f"{line['id']}-{line['mutation']}")
def test_the_tolerant_reading_raises_nothing_else_either(line: dict[str, Any]) -> None:
    deviations: list[exi.Deviation] = []
    try:
        strict = read(line)
    except exi.EXIDecodeError:
        strict = None
    try:
        tolerant = read(line, deviations)
    except exi.EXIDecodeError:
        assert strict is None
        assert not deviations
    else:
        if strict is None:
            assert deviations
        elif any(d.kind is exi.DeviationKind.QUIRK for d in deviations):
            assert line["mutation"] == "trailing"
        else:
            assert tolerant == strict
            assert all(d.kind is exi.DeviationKind.TRAILING_OCTETS for d in deviations)


@pytest.mark.parametrize("schema_set", SETS)
def test_every_truncation_of_a_message_is_an_error_at_its_end(schema_set: str) -> None:
    line = max((v for v in vectors(f"{schema_set}_dev") if len(v["exi"]) < 600), key=lambda v: len(v["exi"]))
    octets = bytes.fromhex(line["exi"])
    for n in range(len(octets)):
        with pytest.raises(exi.EXIDecodeError) as caught:
            exi.decode(octets[:n], schema_set)
        assert caught.value.bit <= 8 * n


def test_an_error_names_the_place_and_keeps_what_was_read() -> None:
    message = common.SessionSetupReq(
        header=MessageHeader(session_id=bytes(range(8)), timestamp=1_700_000_000),
        evcc_id="WMIV1234567890ABCDEX",
    )
    octets = exi.encode(message)
    with pytest.raises(exi.EXIDecodeError) as caught:
        exi.decode(octets[:-4], "iso20_common")
    error = caught.value
    assert error.path == "SessionSetupReq/EVCCID"
    assert error.partial == common.SessionSetupReq(header=message.header, evcc_id=None)  # type: ignore[arg-type]
    assert "beyond the end" in str(error)
    with pytest.raises(exi.EXIDecodeError) as caught:
        exi.decode(octets[:8], "iso20_common")
    assert caught.value.path == "SessionSetupReq/Header/SessionID"
    assert str(caught.value).startswith("bit 17 in SessionSetupReq/Header/SessionID: a length of 8")


def test_an_entry_of_a_list_is_named_by_its_index() -> None:
    line = next(v for v in vectors("bench_messages") if v["name"].startswith("ScheduleExchangeRes (96"))
    octets = bytes.fromhex(line["exi"])
    with pytest.raises(exi.EXIDecodeError) as caught:
        exi.decode(octets[:300], "iso20_common")
    assert "PowerScheduleEntry[" in caught.value.path
    tuples = caught.value.partial.control_mode.schedule_tuple
    assert (
        0 < len(tuples[0].charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry) < 96
    )


def test_what_could_have_stood_there_is_named() -> None:
    octets = bytearray(
        exi.encode(dc.DC_CableCheckReq(header=MessageHeader(session_id=bytes(8), timestamp=0)))
    )
    with pytest.raises(exi.EXIDecodeError, match="no root element has event code") as caught:
        exi.decode(b"\x80\xff" + octets[2:], "iso20_dc")
    assert caught.value.expected == "less than 48"
    with pytest.raises(exi.EXIDecodeError) as caught:
        exi.decode(b"", "iso20_dc")
    assert caught.value.bit == 0
    assert caught.value.partial is None


def test_nesting_is_bounded_both_ways() -> None:
    inner = xmldsig.Object(content=[])
    for _ in range(200):
        inner = xmldsig.Object(content=[inner])
    with pytest.raises(exi.EXIEncodeError, match="nested deeper"):
        exi.encode(inner)
    shallow = xmldsig.Object(content=[])
    for _ in range(MAX_DEPTH - 3):
        shallow = xmldsig.Object(content=[shallow])
    assert exi.decode(exi.encode(shallow), "xmldsig") == shallow
    # The same without an end: SE(*), the index of the namespace, a hit, the index of the name; over and over.
    names = exi.codec("xmldsig").names
    step = 3 + code_width(len(names.uris) + 1) + 8 + code_width(len(names.locals[xmldsig.NAMESPACE]))
    bits = to_bits(exi.encode(shallow))
    octets = from_bits(bits[:13] + bits[13 : 13 + step] * 10_000)
    with pytest.raises(exi.EXIDecodeError, match="nested deeper"):
        exi.decode(octets, "xmldsig")


@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x55, 0xAA, 0x80, 0x01])
@pytest.mark.parametrize("schema_set", SETS)
def test_long_streams_come_to_an_end_in_one_way_only(schema_set: str, fill: int) -> None:
    """Every root, then a long monotonous stream: no other error; quadratic behaviour would take minutes."""
    width = exi.codec(schema_set).event_codes().document_width
    for code in range(0, 1 << width, 7):
        octets = (0x80 << 8 | code << (8 - width)).to_bytes(2) + bytes([fill]) * 200_000
        for decode in (exi.decode, exi.decode_fragment):
            with suppress(exi.EXIDecodeError):
                decode(octets, schema_set)


def test_a_long_integer_is_bounded() -> None:
    header = MessageHeader(session_id=bytes(8), timestamp=0)
    octets = exi.encode(dc.DC_CableCheckReq(header=header))
    bits = to_bits(octets)
    position = 8 + 6 + 1 + 1 + 1 + 8 + 64 + 1 + 1 + 1  # up to the value of TimeStamp
    endless = bits[:position] + "1" * 80_000
    with pytest.raises(exi.EXIDecodeError, match="an integer of more than") as caught:
        exi.decode(from_bits(endless), "iso20_dc")
    assert caught.value.path == "DC_CableCheckReq/Header/TimeStamp"
