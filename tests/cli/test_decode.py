"""`hlc decode`: forms of input, readable output, and what is said of broken frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hlc_sim.cli.app import app

RUNNER = CliRunner()
SAP_RES = "80400040"
SESSION_SETUP = "808c0400000000000000000d7988dd80620b2ba6a4ab1899199a1a9b1b9c1c9820a121a222ac00"
"""SessionSetupReq of a recorded session: EVCCID WMIV1234567890ABCDEX."""


def decode(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return RUNNER.invoke(app, ["decode", "--compact", *arguments], input=stdin)


def test_hex_of_a_bare_stream_finds_its_schema_set() -> None:
    result = decode(SAP_RES)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "schema": "sap",
        "supportedAppProtocolRes": {"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1},
    }


def test_hex_of_frames_one_after_another() -> None:
    result = decode("01fe9000000000021000" + "01fe800200000027" + SESSION_SETUP)
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first == {
        "payload_type": "0x9000 SDP_REQUEST",
        "SDP Request": {"security": "NONE", "transport": "TCP"},
    }
    assert second["payload_type"] == "0x8002 COMMON"
    assert second["SessionSetupReq"]["EVCCID"] == "WMIV1234567890ABCDEX"
    assert result.exit_code == 0


def test_json_lines_from_standard_input() -> None:
    lines = [
        {"payload_type": 0x8002, "exi_hex": SESSION_SETUP},
        {"protocol": "sap", "exi": SAP_RES},
    ]
    result = decode(stdin="\n".join(map(json.dumps, lines)))
    assert result.exit_code == 0
    assert [
        "SessionSetupReq" in result.stdout.splitlines()[0],
        "OK_Successful" in result.stdout.splitlines()[1],
    ] == [
        True,
        True,
    ]


def test_files_of_hex_and_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.hex").write_text(f"{SAP_RES}\n{SESSION_SETUP}\n")
    (tmp_path / "b.bin").write_bytes(bytes.fromhex("01fe800100000004" + SAP_RES))
    result = decode(str(tmp_path / "a.hex"), str(tmp_path / "b.bin"))
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3


def test_a_broken_stream_shows_what_was_read_where_it_ends_and_what_was_expected() -> None:
    result = decode("--schema", "iso20_common", SESSION_SETUP[:40])
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    header = shown["decoded"]["SessionSetupReq"]["Header"]
    assert header["SessionID"] == "00" * 8
    assert shown["error"]["path"] == "SessionSetupReq/EVCCID"
    assert shown["error"]["bit"] > 130
    assert "hlc: 808c040000000000...: bit" in result.stderr


def test_an_event_code_that_cannot_stand_there_names_what_can() -> None:
    # AC_ChargeParameterDiscoveryReq with a mode of Amendment 1 in place of the two of edition 1.
    result = decode(
        "--schema",
        "iso20_ac",
        "8010041ea65fc99ba76c4d8c3bfe1b606307e08019020000008000003f068078100000040000020fc1003243f0680790",
    )
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert error["path"] == "AC_ChargeParameterDiscoveryReq"
    assert error["expected"] == "AC_CPDReqEnergyTransferMode or BPT_AC_CPDReqEnergyTransferMode"


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ("01fd8001", "inverse version is 0xFD"),
        ("01fe800100000004" + "8040", "ends after 2 of 4 payload bytes"),
        ("01fe805000000001" + "80", "0x8050 reserved is not known"),
        ("01fe900000000003" + "100000", "SDP request has 3 bytes, expected 2"),
    ],
)
def test_broken_frames_end_with_code_1(frames: str, words: str) -> None:
    result = decode(frames)
    assert result.exit_code == 1
    assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["zz"], None, "'zz' is neither hex digits nor a file"),
        (["--schema", "iso2", "80"], None, "--schema 'iso2' is not one of sap, iso20_common"),
        (["-"], "", "standard input is empty"),
        (["-"], "{bad", "standard input:1: not JSON"),
        (["-"], '{"x": 1}', "standard input:1: no field exi or exi_hex"),
        (["-"], "8040\nxyz", "standard input:2: neither hex digits nor a line of JSON"),
    ],
)
def test_unusable_input_ends_with_code_2(arguments: list[str], stdin: str | None, words: str) -> None:
    result = decode(*arguments, stdin=stdin)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_recorded_session_decodes_line_by_line() -> None:
    recorded = Path(__file__).parents[1] / "data" / "sessions" / "everest091_AC_scheduled_tlsnone.jsonl"
    result = decode(str(recorded))
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 50
