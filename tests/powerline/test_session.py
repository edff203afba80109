"""Everything over the simulated line, by the commands a user would type: SLAC, SDP, TLS 1.3, a whole DC
session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("scapy")

from hlc_sim.powerline import netns
from hlc_sim.powerline.sniff import describe, frames_of

BIN = Path(sys.executable).parent
PREFIX = f"s{os.getpid() % 10000}"

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(netns.available() is not None, reason=str(netns.available())),
]


def test_slac_sdp_tls_and_a_dc_session(tmp_path):
    subprocess.run([BIN / "v2g-pki", "mint", "--out", tmp_path / "pki"], check=True, capture_output=True)
    hlc = f"{sys.executable} -m hlc_sim.powerline.cli"
    ev, evse = (f"ip netns exec {PREFIX}-{name}" for name in ("ev", "evse"))

    def credentials(name: str) -> str:
        pki = tmp_path / "pki"
        return f"--cert {pki}/chains/{name}.pem --key {pki}/keys/{name}.key --root {pki}/roots.pem"

    common = "--iface plc0 --mode dc --speed 20 --sessions 1"
    script = tmp_path / "session.sh"
    script.write_text(
        f"{evse} {BIN}/hlc secc {common} {credentials('secc')} & secc=$!\n"
        f"{evse} {hlc} slac evse --iface plc0 > /dev/null &\n"
        "sleep 1\n"
        f"{ev} {hlc} slac ev --iface plc0 &&"
        f" {ev} {BIN}/hlc evcc {common} --loops 5 {credentials('vehicle')}\n"
        "code=$?; [ $code = 0 ] || kill $secc; wait $secc; exit $code\n"
    )
    pcap = tmp_path / "line.pcap"
    command = [*hlc.split(), "powerline", "--prefix", PREFIX, "--pcap", str(pcap), "--run", f"sh {script}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "TLS_1_3" in result.stdout
    assert "terminated" in result.stdout
    seen = [describe(frame) for _, frame in frames_of(pcap)]
    order = [
        next(i for i, line in enumerate(seen) if words in line)
        for words in ("MATCH_CNF", "SDP req", "SDP resp")
    ]
    assert order == sorted(order)
