"""`hlc demo --powerline`, `hlc doctor` on the demo's kind of line, and kind words where they cannot run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("scapy")

from typer.testing import CliRunner, Result

from hlc_sim.cli import demo_powerline
from hlc_sim.cli.app import app
from hlc_sim.powerline import netns
from hlc_sim.trace import events as ev
from hlc_sim.trace.jsonl import read

BIN = Path(sys.executable).parent
HLC = [str(BIN / "hlc")]

needs_namespaces = pytest.mark.skipif(netns.available() is not None, reason=str(netns.available()))


def hlc(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# --- without root, modem or scapy ---------------------------------------------------------------------


def test_without_root_and_user_namespaces_the_reason_is_said(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(demo_powerline, "user_namespaces_work", lambda: False)
    result = hlc("demo", "--powerline")
    assert result.exit_code == 2
    assert "network namespaces need root, or a user namespace" in result.output
    assert "hlc demo without --powerline needs none" in result.output


def test_root_that_may_not_make_namespaces_is_told_so(monkeypatch):
    """As in a container: root, but `ip netns add` is refused."""

    def refused(*_: str) -> None:
        raise netns.NoNamespaces("ip netns add x: Operation not permitted")

    monkeypatch.setattr(netns, "available", lambda: None)
    monkeypatch.setattr(netns, "_ip", refused)
    result = hlc("demo", "--powerline")
    assert result.exit_code == 2
    assert "Operation not permitted (in a container: run it privileged)" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["slac", "ev", "--iface", "x"],
        ["sniff", "--iface", "x"],
        ["doctor", "--iface", "x"],
        ["powerline"],
        ["attack", "ev"],
        ["demo", "--powerline"],
        ["secc", "--powerline", "--iface", "x", "--lab-plain-tcp"],
        ["evcc", "--powerline", "--iface", "x", "--lab-plain-tcp", "--connect", "[::1]:1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_scapy_what_to_install_is_said(arguments, monkeypatch):
    monkeypatch.setitem(sys.modules, "scapy", None)
    from hlc_sim.transport import interface

    monkeypatch.setattr(interface, "find", lambda name: interface.Interface(name, 1, interface.LOOPBACK))
    result = hlc(*arguments)
    assert result.exit_code == 2
    assert "pip install 'hlc-sim[hpgp]'" in result.output


@pytest.mark.parametrize("command", ["secc", "evcc"])
def test_loopback_has_no_modem(command):
    result = hlc(command, "--powerline", "--lab-plain-tcp")
    assert result.exit_code == 2
    assert "--powerline needs --iface" in result.output


# --- in namespaces ------------------------------------------------------------------------------------


def left_over(process: int) -> list[str]:
    return [name for name in os.listdir("/run/netns") if name.startswith(f"hlc{process}-")]


@pytest.mark.netns
@needs_namespaces
def test_the_demo_from_slac_to_the_end_of_the_session(tmp_path):
    started = time.monotonic()
    command = [*HLC, "demo", "--powerline", "--json", str(tmp_path / "demo.json"), "--trace", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    shown, errors = process.communicate(timeout=120)
    print(f"hlc demo --powerline took {time.monotonic() - started:.1f} s")
    assert process.returncode == 0, shown + errors
    for words in ("SEARCHING", "MATCHED link up", "12.0 dB  (chosen)", "31.0 dB", "TLS 1.3", "Plug & Charge"):
        assert words in shown
    told = json.loads((tmp_path / "demo.json").read_text())
    assert told["ok"]
    assert told["left"]
    assert told["slac"]["evse_mac"] == "02:48:4c:43:00:02"
    assert len(told["slac"]["attenuation_db"]) == 2
    assert not left_over(process.pid)
    (trace,) = tmp_path.glob("*.jsonl")
    frames = [event for event in read(trace) if isinstance(event, ev.SLAC)]
    names = [event.name for event in frames]
    assert names.count("CM_SLAC_MATCH.CNF") == 1  # though both sides hear it
    keys = {event.frame[12:24] for event in frames if event.name == "CM_SET_KEY.REQ"}
    assert len(keys) == 2  # each host to its own modem
    assert hlc("check", str(trace)).exit_code == 0


@pytest.mark.netns
@needs_namespaces
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["SEARCHING", "EV and charger on"])
def test_an_interrupted_demo_leaves_no_namespaces(moment, number):
    process = subprocess.Popen(
        [*HLC, "demo", "--powerline", "--speed", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any(moment in line for line in process.stdout)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not left_over(process.pid)


@pytest.mark.netns
@needs_namespaces
def test_the_doctor_on_a_sound_line_and_on_one_without_a_station():
    prefix = f"d{os.getpid() % 10000}"
    examine = f"ip netns exec {prefix}-ev {HLC[0]} doctor --iface plc0 --json -"
    command = [*HLC, "powerline", "--prefix", prefix, "--run"]
    sound = subprocess.run([*command, f"{examine}; {examine} --role evse"], capture_output=True, text=True)
    as_ev, as_evse = (json.loads(line) for line in sound.stdout.splitlines() if line.startswith("["))
    assert not [row for row in as_ev if row["status"] == "fail"]
    assert [row["check"] for row in as_evse if row["status"] == "fail"] == ["role"]
    assert sound.returncode == 1
