"""Traces as files: written line by line, read even when cut, bounded on request."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.trace import events as ev
from hlc_sim.trace.frames import Decoder
from hlc_sim.trace.jsonl import Reader, Writer, lines_of, read
from hlc_sim.trace.load import open_input
from hlc_sim.trace.recorder import recording
from hlc_sim.trace.run import tracing
from hlc_sim.transport.link import FrameRecord
from hlc_sim.transport.tls import TLSConfig
from iso15118 import exi
from iso15118.messages import common_types
from iso15118.session.events import Role

from . import recordings as rec


def header() -> ev.Header:
    return ev.Header(time=1.0, version="1", command=["demo"], seed=7, config={"mode": "dc"})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    events: list[ev.Event] = [
        ev.SDP(time=2.0, sender="EVCC", payload_type=0x9000, payload="0000"),
        ev.TLS(time=3.0, connection=1, version="TLSv1.3", mutual=True),
        ev.Sample(time=4.0, source="vehicle", values={"soc": 40.5}),
        ev.Closed(time=5.0, connection=1, by="EVCC"),
    ]
    with Writer(path, header()) as writer:
        for number, event in enumerate(events, start=1):
            writer.write(event)
            # Each line is in the file at once: a crash loses what was not yet said, not what was.
            assert path.read_bytes().count(b"\n") == number + 1
    assert read(path) == [header(), *events]


def test_a_cut_last_line_is_reported_and_the_rest_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Writer(path, header()) as writer:
        writer.write(ev.Note(time=2.0, text="first"))
        writer.write(ev.Note(time=3.0, text="second"))
    path.write_bytes(path.read_bytes()[:-9])
    with path.open("rb") as stream:
        reader = Reader(lines_of(stream))
        assert list(reader) == [header(), ev.Note(time=2.0, text="first")]
    assert reader.problems == ["line 3 is cut off, the rest of it is lost"]


@pytest.mark.parametrize("line", [b"{}\n", b'{"event":"note"}\n', b"nonsense\n", b'{"event":"unheard of"}\n'])
def test_a_broken_line_is_reported_and_reading_goes_on(line: bytes) -> None:
    reader = Reader([line, b'{"event":"note","time":1.0,"text":"x"}\n'])
    assert list(reader) == [ev.Note(time=1.0, text="x")]
    assert len(reader.problems) == 1
    assert reader.problems[0].startswith("line 1: ")


def test_a_bounded_trace_keeps_its_latest_part_with_header(tmp_path: Path) -> None:
    limit = 64 * 1024
    with Writer(tmp_path / "a.jsonl", header(), max_bytes=limit) as writer:
        for number in range(3000):
            writer.write(ev.Note(time=float(number), text="x" * 100))
    files = sorted(tmp_path.iterdir())
    assert files == sorted(writer.paths)
    assert sum(path.stat().st_size for path in files) <= limit
    kept = [event for path in writer.paths for event in read(path)]
    assert kept[-1] == ev.Note(time=2999.0, text="x" * 100)
    for path in writer.paths:
        first = read(path)[0]
        assert isinstance(first, ev.Header)
        assert (first.seed, first.config) == (7, {"mode": "dc"})
        assert first.part > 1


def test_a_recorder_notes_the_phase_around_each_frame(tmp_path: Path) -> None:
    base = rec.dc_bpt_dynamic()
    with recording(tmp_path, role="SECC", name="run", seed=3, lab_plain_tcp=True) as recorder:
        connection = recorder.connection(evcc="[::1]:50000", secc="[::1]:50001")
        for number, event in enumerate(base.events(), start=1):
            assert isinstance(event, ev.Frame)
            payload = bytes.fromhex(event.payload)
            entry = base.entries[number - 1]
            connection.sink(
                FrameRecord(
                    number, event.time, Role(event.sender), event.payload_type, payload, entry.message
                )
            )
        connection.closed("EVCC")
    frames = [event for event in read(tmp_path / "run.jsonl") if isinstance(event, ev.Frame)]
    assert len(frames) == len(base.entries)
    loop = next(frame for frame in frames if frame.name == "DC_ChargeLoopRes")
    assert (loop.before, loop.after) == ("Started", "Charge loop")
    assert frames[-1].after == "Closed"
    assert frames[2].message is not None
    assert frames[2].message["EVCCID"] == "WMIHLC00000000001"
    assert (tmp_path / "run.pcapng").stat().st_size > 1000


def test_messages_of_other_protocols_are_named_not_guessed() -> None:
    decoder = Decoder()
    base = rec.dc_bpt_dynamic()
    base.message("supportedAppProtocolRes").schema_id = 2
    for entry in base.entries[:2]:
        assert decoder.decode(0x8001, exi.encode(entry.message))[1] == ""
    message, error = decoder.decode(0x8001, bytes.fromhex("809802"))
    assert message is None
    assert error == "a message of urn:iso:15118:2:2013:MsgDef, not of ISO 15118-20"


def test_a_part_without_the_handshake_shows_the_frames_in_its_capture(tmp_path: Path) -> None:
    base = [event for event in rec.dc_bpt_dynamic().events() if isinstance(event, ev.Frame)]
    with recording(tmp_path, name="run", max_bytes=64 * 1024) as recorder:
        connection = recorder.connection(evcc="[::1]:50000", secc="[::1]:50001", tapped=True)
        for turn in range(20):
            for event in base:
                sender, payload = Role(event.sender), bytes.fromhex(event.payload)
                connection.segment(sender, bytes(len(payload) + 30))  # what TLS made of it
                frame = FrameRecord(
                    event.number, event.time + turn, sender, event.payload_type, payload, None
                )
                connection.sink(frame)
    parts = sorted(tmp_path.glob("run.*.jsonl"))
    assert parts
    for part in parts:
        frames = [event.payload for event in read(part) if isinstance(event, ev.Frame)]
        with open_input(part.with_suffix(".pcapng")) as capture:
            captured = [event.payload for event in capture if isinstance(event, ev.Frame)]
        assert captured == frames
        assert frames


@pytest.mark.parametrize("command", ["secc", "evcc", "demo"])
def test_the_commands_bound_their_trace(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def tracing(directory: Path, _role: Role, **header: object) -> None:
        raise Asked(directory, header["max_bytes"])

    home = "demo" if command == "demo" else "common"
    monkeypatch.setattr(importlib.import_module(f"hlc_sim.cli.{home}"), "tracing", tracing)
    arguments = [command, "--lab-plain-tcp", "--trace-max-mb", "2"]
    result = CliRunner().invoke(app, [*arguments, "--trace", str(tmp_path)])
    assert isinstance(result.exception, Asked)
    assert result.exception.args == (tmp_path, 2_000_000)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "--trace-max-mb needs --trace" in result.output


def test_a_document_of_a_shared_element_is_described() -> None:
    """EXI lets any global element be the root, also one that several message sets share."""
    message = common_types.CLReqControlMode()
    payload = exi.encode(message, "iso20_dc")
    lines = [b'{"exi": "' + payload.hex().encode() + b'", "schema_set": "iso20_dc"}']
    with open_input(None, io.BytesIO(b"\n".join(lines))) as opened:
        (frame,) = opened
    assert isinstance(frame, ev.Frame)
    assert frame.name == type(message).__name__


def test_a_key_log_beside_a_trace_is_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "keys.log"
    with tracing(tmp_path, Role.EVCC) as record:
        config = record.tls_config(TLSConfig(keylog=file))
        assert config is not None
        assert callable(config.keylog)
        config.keylog("CLIENT_RANDOM 00 11")
    assert file.read_text() == "CLIENT_RANDOM 00 11\n"
    assert file.stat().st_mode & 0o077 == 0
