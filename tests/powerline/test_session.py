"""Everything over the simulated line, by the commands a user would type: SLAC, SDP, TLS 1.3, whole DC
sessions, and the network left at the end."""

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


def line(
    tmp_path: Path, evse: str, ev: str, meanwhile: str = "true"
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A simulated line with `hlc secc` and `hlc evcc` on it, options given: the run, and what was said."""
    subprocess.run([BIN / "v2g-pki", "mint", "--out", tmp_path / "pki"], check=True, capture_output=True)
    common = f"--powerline --iface plc0 --speed 20 --pki {tmp_path}/pki"
    script, pcap = tmp_path / "session.sh", tmp_path / "line.pcap"
    hlc = f"timeout 60 {BIN}/hlc"  # neither waits for ever for the other
    script.write_text(
        f"ip netns exec {PREFIX}-evse {hlc} secc {common} {evse} 2> {tmp_path}/secc.log & secc=$!\n"
        f"ip netns exec {PREFIX}-ev {hlc} evcc {common} {ev} 2> {tmp_path}/evcc.log & evcc=$!\n"
        f"{meanwhile}\n"
        "wait $evcc; code=$?; wait $secc; echo secc $?; exit $code\n"
    )
    command = [BIN / "hlc", "powerline", "--prefix", PREFIX, "--pcap", str(pcap), "--run", f"sh {script}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return result, [describe(frame) for _, frame in frames_of(pcap)]


def at(seen: list[str], words: str) -> list[int]:
    return [index for index, said in enumerate(seen) if words in said]


def test_slac_sdp_tls_and_a_dc_session_then_the_network_is_left(tmp_path):
    result, seen = line(tmp_path, "--sessions 1", "--loops 5")
    assert result.returncode == 0, result.stdout + result.stderr + (tmp_path / "secc.log").read_text()
    assert "TLS 1.3" in result.stdout
    assert "terminated" in result.stdout
    assert "secc 0" in result.stdout
    match, request, response = (at(seen, words)[0] for words in ("MATCH_CNF", "SDP req", "SDP resp"))
    assert match < request < response
    # One key before the matching (EVSE), one of the match (EV), and a new one on each side at the end.
    keys = at(seen, "CM_SET_KEY_REQ")
    assert len([key for key in keys if key > response]) == 2


def test_two_vehicles_one_after_the_other(tmp_path):
    """The station leaves after the first session and matches anew, without a control pilot."""
    result, seen = line(tmp_path, "--sessions 2", "--loops 3 --sessions 2")
    assert result.returncode == 0, result.stdout + result.stderr + (tmp_path / "secc.log").read_text()
    assert len({seen[index] for index in at(seen, "MATCH_CNF")}) == 2  # each is seen at both ends
    assert result.stdout.count("terminated") == 2


def test_a_link_lost_ends_the_session_on_both_sides(tmp_path):
    """While charging, the station's modem gets another key behind its back."""
    lose = (
        f"until grep -q ChargeLoopRes {tmp_path}/evcc.log; do sleep 0.2; done\n"
        f"ip netns exec {PREFIX}-evse {BIN}/hlc doctor --iface plc0 --role evse --change-key > /dev/null"
    )
    result, seen = line(tmp_path, "--sessions 1", "--speed 1 -v", lose)
    assert result.returncode == 1, result.stdout + result.stderr
    for name in ("secc.log", "evcc.log"):
        log = (tmp_path / name).read_text()
        assert "powerline: link ended" in log
        assert "Traceback" not in log
    outcome = next(row for row in result.stdout.splitlines() if row.startswith("outcome"))
    assert "connection lost" in outcome or "timeout" in outcome, outcome
    assert "secc 1\n" in result.stdout, "a session without its proper end"
    ends = at(seen, "CM_SET_KEY_REQ")
    assert len(ends) >= 4  # EVSE, match, doctor, and the car's new one


def test_a_signal_while_charging_ends_both_sides_in_order(tmp_path):
    """SIGTERM to the station, as a service manager or a `kill` in a script sends it."""
    stop = f"until grep -q ChargeLoopRes {tmp_path}/evcc.log; do sleep 0.2; done\nkill $secc"
    result, seen = line(tmp_path, "--sessions 1", "--speed 1 -v", stop)
    log = (tmp_path / "secc.log").read_text()
    assert result.returncode == 1, result.stdout + result.stderr + log
    assert "secc 1\n" in result.stdout, log
    assert "Traceback" not in log + (tmp_path / "evcc.log").read_text()
    keys = at(seen, "CM_SET_KEY_REQ")
    assert len(keys) == 4  # EVSE, match, and a new one on each side at the end
