"""A whole session of ours as a capture: tshark with our key log must find every V2GTP frame in it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from iso15118.session.evcc_steps import Outcome

from ..security.test_tls_keylog_tshark import PORTS, Tapped, pcap
from .conftest import Lab

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")


async def test_tshark_reads_the_whole_session(lab: Lab, autojump_clock: MockClock, tmp_path: Path) -> None:
    keys, log = tmp_path / "keys.log", list[tuple[str, bytes]]()
    lab.tap = lambda stream, side: Tapped(stream, side, log)
    own = lab.vehicle()
    report = await lab.charge(replace(own, tls=replace(own.tls, keylog=keys)))
    assert report.session.outcome is Outcome.TERMINATED
    capture = tmp_path / "session.pcap"
    capture.write_bytes(pcap(log))
    port = PORTS["secc"]
    command = ["tshark", "-r", str(capture), "-o", f"tls.keylog_file:{keys}"]
    command += ["-d", f"tcp.port=={port},tls", "-d", f"tls.port=={port},data"]
    command += ["-T", "fields", "-e", "tcp.srcport", "-e", "data.data"]
    run = await trio.run_process(command, capture_stdout=True, stderr=subprocess.DEVNULL)
    sent = {"evcc": b"", "secc": b""}
    sides = {str(number): side for side, number in PORTS.items()}
    for line in run.stdout.decode().splitlines():
        source, _, data = line.partition("\t")
        sent[sides[source]] += b"".join(bytes.fromhex(part) for part in data.split(","))
    assert (len(sent["evcc"]), len(sent["secc"])) == (report.bytes_sent, report.bytes_received)
    frames = sum(len(list(_frames(data))) for data in sent.values())
    assert frames == report.session.messages


def _frames(data: bytes) -> list[bytes]:
    """Cut at the lengths that the V2GTP headers state."""
    found = []
    while data:
        assert data[:2] == b"\x01\xfe"
        size = 8 + int.from_bytes(data[4:8], "big")
        found.append(data[:size])
        data = data[size:]
    return found
