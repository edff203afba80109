"""`hlc encode`: back from what `hlc decode` prints, and what is said of JSON that is no message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hlc_sim.cli.app import app

RUNNER = CliRunner()
SESSION_SETUP = "808c0400000000000000000d7988dd80620b2ba6a4ab1899199a1a9b1b9c1c9820a121a222ac00"
"""SessionSetupReq of a recorded session: EVCCID WMIV1234567890ABCDEX."""
FRAME = "01fe800200000027" + SESSION_SETUP
STOP = {
    "Header": {"SessionID": "0102030405060708", "TimeStamp": 1700000000},
    "ChargingSession": "Pause",
}
STOP_HEX = "8094040081018202830384080e2cfaa06208"


def encode(*arguments: str, stdin: str | None = None) -> Result:
    return RUNNER.invoke(app, ["encode", *arguments], input=stdin)


@pytest.mark.parametrize("form", [(), ("--compact",)])
def test_what_decode_prints_becomes_the_same_octets(form: tuple[str, ...]) -> None:
    text = f"{FRAME}\n{SESSION_SETUP}\n80400040\n"
    told = RUNNER.invoke(app, ["decode", "-", *form], input=text)
    assert told.exit_code == 0
    again = encode(stdin=told.stdout)
    assert again.exit_code == 0, again.output
    assert again.stdout == text


def test_a_message_changed_in_a_file_is_another_message(tmp_path: Path) -> None:
    file = tmp_path / "stop.json"
    file.write_text(json.dumps({"SessionStopReq": STOP}))
    assert encode(str(file)).stdout == f"{STOP_HEX}\n"
    file.write_text(json.dumps({"SessionStopReq": {**STOP, "ChargingSession": "Terminate"}}))
    other = encode(str(file)).stdout
    told = json.loads(RUNNER.invoke(app, ["decode", other.strip()]).stdout)
    assert told["SessionStopReq"]["ChargingSession"] == "Terminate"


def test_what_only_a_facet_forbids_is_encoded_and_noted() -> None:
    header = {**STOP["Header"], "SessionID": "01"}  # type: ignore[dict-item]
    result = encode(stdin=json.dumps({"SessionStopReq": {**STOP, "Header": header}}))
    assert result.exit_code == 0
    assert "SessionID" in result.stderr
    assert result.stdout.strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[1]", "a JSON object"),
        ("{}", "no element in it"),
        ('{"SessionStopRq": {}}', "SessionStopRq is an element of no schema set"),
        ('{"Signature": {}}', "choose one with --schema"),
        ('{"SessionStopReq": {"ChargingSession": "Wait"}}', "SessionStopReq"),
        ('{"schema": "din", "SessionStopReq": {}}', "din"),
        ('{"payload_type": "0xZZ", "SessionStopReq": {}}', "0xZZ"),
        ('{"payload_type": 5.5, "SessionStopReq": {}}', "5.5"),
        ('{"payload_type": "0x123456", "SessionStopReq": ' + json.dumps(STOP) + "}", "0x123456"),
    ],
)
def test_what_is_no_message_is_said_with_its_place(text: str, said: str) -> None:
    result = encode(stdin=text)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.startswith("hlc: standard input")


def test_a_file_that_is_not_there_is_named() -> None:
    result = encode("nowhere.json")
    assert result.exit_code == 2
    assert "nowhere.json" in result.stderr
