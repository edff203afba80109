"""Recorded sessions of other stacks: every -20 frame decodes to the JSON that was recorded with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.decode_recorded import Disagreement, check, compare, main

RECORDED = Path(__file__).parents[1] / "data" / "sessions"


def records(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (RECORDED / name).read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("josev_iso20_DC_dynamic_EIM_tlsnone.jsonl", 66),
        ("everest091_AC_scheduled_tlsnone.jsonl", 48),
    ],
)
def test_every_frame_agrees(name: str, messages: int) -> None:
    kinds = [check(record) for record in records(name)]
    assert kinds.count("message") == messages
    assert kinds.count("SDP frame") == 2
    assert None not in kinds


def test_other_protocols_are_left_out() -> None:
    iso_2 = {"payload_type": 0x8001, "exi_hex": "8098", "ns": "urn:iso:15118:2:2013:MsgDef", "json": {}}
    assert check(iso_2) is None
    assert check({"protocol": "din", "exi": "80"}) is None


def test_a_changed_value_is_found() -> None:
    record = next(
        item
        for item in records("josev_iso20_DC_dynamic_EIM_tlsnone.jsonl")
        if item["msg"] == "SessionSetupReq"
    )
    record["json"]["SessionSetupReq"]["EVCCID"] = "other"  # type: ignore[index]
    with pytest.raises(Disagreement, match="/SessionSetupReq/EVCCID: recorded 'other'"):
        check(record)


def test_a_changed_byte_is_found() -> None:
    record = next(
        item
        for item in records("josev_iso20_DC_dynamic_EIM_tlsnone.jsonl")
        if item["msg"] == "DC_CableCheckRes"
    )
    data = bytearray.fromhex(str(record["exi_hex"]))
    data[-1] ^= 0x20
    record["exi_hex"] = data.hex()
    with pytest.raises(Disagreement):
        check(record)


def test_octets_compare_as_base64_or_hex() -> None:
    assert not list(compare({"a": "AQI=", "b": "0a", "Id": "x"}, {"a": "0102", "b": "0A", "@Id": "x"}))
    assert list(compare({"a": [1]}, {"a": [1, 2]}))


def test_the_totals_and_exit_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([str(RECORDED / "everest091_AC_scheduled_tlsnone.jsonl")]) == 0
    assert "total: 50 of 50 agree" in capsys.readouterr().out
    broken = tmp_path / "broken.jsonl"
    record = records("everest091_AC_scheduled_tlsnone.jsonl")[4]
    record["exi_hex"] = str(record["exi_hex"])[:-6]
    broken.write_text(json.dumps(record) + "\n")
    assert main([str(broken)]) == 1
    assert "broken.jsonl:1: not decoded: bit" in capsys.readouterr().err
