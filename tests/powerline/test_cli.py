"""The powerline's commands: usage errors everywhere, the real thing in namespaces where there is root."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("scapy")

from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap
from typer.testing import CliRunner

from hlc_sim.cli.errors import Exit
from hlc_sim.powerline import netns
from hlc_sim.powerline.cli import app
from hlc_sim.powerline.layers import V2GTP, SDPRequest
from hlc_sim.powerline.wire import build
from iso15118.slac import messages as m

EV, EVSE = bytes.fromhex("020000000e01"), bytes.fromhex("0200000005e1")
HLC = f"{sys.executable} -m hlc_sim.powerline.cli"
PREFIX = f"c{os.getpid() % 10000}"

needs_namespaces = pytest.mark.skipif(netns.available() is not None, reason=str(netns.available()))


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["slac", "car", "--iface", "x"], "'car' is not one of 'ev', 'evse'"),
        (["slac", "ev", "--iface", "x", "--json"], "--json"),
        (["doctor", "--iface", "x", "--role", "car"], "'car' is not one of 'ev', 'evse'"),
        (["attack", "evse"], "--iface is wanted"),
        (["attack", "evse", "--iface", "x", "--only", "hug"], "no attack named hug"),
        (["attack", "evse", "--iface", "x", "--target", "12"], "--target '12' is no MAC address"),
        (["attack", "evse", "--iface", "x", "--target", "020000000001"], "need --i-own-this"),
        (["attack", "evse", "--iface", "x", "--i-own-this"], "addresses of their targets"),
        (["sniff"], "one of --iface and --read is wanted"),
        (["powerline", "--modem", "ev"], "modem 'ev': NAME:KIND:ROLE expected"),
        (["powerline", "--modem", "ev:qca1:EV"], "modem family 'qca1': one of spec"),
        (["powerline", "--modem", "ev:spec:CAR"], "role EV or EVSE expected"),
        (["powerline", "--attenuation", "ev,x=3"], "no modem 'x' on the line"),
        (["powerline", "--attenuation", "ev,evse=far"], "attenuation 'ev,evse=far': 'far' is no number"),
        (["powerline", "--fault", "drop:parm"], "'parm' is neither a message, as CM_SLAC_PARM_CNF, nor"),
        (["powerline", "--fault", "eat:0x6065"], "drop, duplicate or corrupt expected"),
        (["powerline", "--attachment", "glue"], "glue"),
    ],
)
def test_wrong_use_is_named(arguments, words):
    result = run(*arguments)
    assert result.exit_code == Exit.USAGE
    assert words in result.output


@pytest.mark.parametrize(
    "command", [["slac", "ev"], ["sniff"], ["attack", "ev", "--i-own-this", "--target", "020000000001"]]
)
def test_an_interface_that_is_not_there_is_named(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*command, "--iface", "nonesuch0")
    assert result.exit_code == Exit.NO_CONNECTION
    assert "nonesuch0" in result.output


def test_sniff_reads_a_capture(tmp_path):
    path, copy = tmp_path / "in.pcap", tmp_path / "out.pcap"
    frames = [
        build(m.BROADCAST, EV, m.SlacParmReq(bytes.fromhex("1122334455667788"))),
        build(EV, EVSE, m.AttenCharInd(bytes(8), EV, (20, 22) * 29, 10)),
        build(EVSE, EV, m.ValidateReq(timer=14)),
        build(EV, EVSE, m.SlacMatchCnf(bytes(8), EV, EVSE, bytes(7), b"0A1B2C3D4E5F6G7H")),
        build(EV, EVSE, m.SlacMatchCnf(bytes(8), EV, EVSE, bytes(7), bytes(16)))[:80],
        bytes(
            Ether(src="02:00:00:00:0e:01") / IPv6(dst="ff02::1") / UDP(dport=15118) / V2GTP() / SDPRequest()
        ),
        bytes(Ether() / IPv6() / UDP(dport=53)),
    ]
    wrpcap(str(path), [Ether(frame) for frame in frames])
    result = run("sniff", "--read", str(path), "--write", str(copy))
    lines = result.output.splitlines()
    assert len(lines) == 6
    assert "02:00:00:00:0e:01 > ff:ff:ff:ff:ff:ff  CM_SLAC_PARM_REQ run 1122334455667788" in lines[0]
    assert "CM_ATTEN_CHAR_IND 58 groups, mean 21.0 dB" in lines[1]
    assert "CM_VALIDATE_REQ step 2, 15 x 100 ms" in lines[2]
    assert "weak key: printable characters only" in lines[3]
    assert "malformed: CM_SLAC_MATCH_CNF" in lines[4]
    assert "SDP request, TLS, TCP" in lines[5]
    assert "###[ CM_VALIDATE_REQ ]###" in run("sniff", "--read", str(copy), "--show").output
    assert len(run("sniff", "--read", str(copy), "--count", "2").output.splitlines()) == 2


@pytest.mark.netns
@needs_namespaces
def test_two_programs_match_on_the_simulated_line(tmp_path):
    """Both roles as separate processes, as foreign programs would be; then the doctor and the capture."""
    evse, ev, pcap = tmp_path / "evse.json", tmp_path / "ev.json", tmp_path / "line.pcap"
    script = (
        f"ip netns exec {PREFIX}-evse {HLC} slac evse --iface plc0 --json - > {evse} & "
        f"sleep 1; ip netns exec {PREFIX}-ev {HLC} slac ev --iface plc0 --json - > {ev} && wait && "
        f"ip netns exec {PREFIX}-ev {HLC} doctor --iface plc0 --json - > {tmp_path}/doctor.json"
    )
    modems = ["--modem", "ev:cg5317:EV", "--modem", "evse:qca7000:EVSE", "--attenuation", "ev,evse=17"]
    command = [*HLC.split(), "powerline", "--prefix", PREFIX, *modems, "--pcap", str(pcap), "--run", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    ours, theirs = json.loads(ev.read_text()), json.loads(evse.read_text())
    assert {**ours, "attempts": 0}["nmk"] == theirs["nmk"]
    assert ours["run_id"] == theirs["run_id"]
    assert 16 < ours["attenuation_db"][ours["evse_mac"]] < 18
    rows = {row["check"]: row for row in json.loads((tmp_path / "doctor.json").read_text())}
    assert rows["modem"]["detail"].startswith("Lumissil CG5317")
    assert rows["link"]["status"] == "ok"
    assert run("sniff", "--read", str(pcap)).output.count("CM_SLAC_MATCH_CNF") == 1
    assert not [name for name in os.listdir("/run/netns") if name.startswith(PREFIX)]


@pytest.mark.netns
@needs_namespaces
def test_our_station_withstands_the_attacks(tmp_path):
    log = tmp_path / "attacks.txt"
    script = (
        f"ip netns exec {PREFIX}-evse {HLC} slac evse --iface plc0 --timeout 40 > /dev/null & "
        f"sleep 2; ip netns exec {PREFIX}-ev {HLC} attack evse --iface plc0 --target 02:48:4c:43:00:02 "
        f"--i-own-this --only 'bad headers' --only 'cut short' --capture {tmp_path}/a.pcap > {log}"
    )
    command = [
        *HLC.split(),
        "powerline",
        "--prefix",
        PREFIX,
        "--run",
        f"{script}; code=$?; kill $!; exit $code",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert log.read_text().splitlines() == [
        "good bad headers: none answered; honest request afterwards answered",
        "good cut short: no answer",
    ]
    assert "run-id flood: serves at least five" in run("attack", "evse", "--list").output


@pytest.mark.netns
@needs_namespaces
def test_a_target_that_answers_nothing_is_not_blamed(tmp_path):
    attack = (
        f"ip netns exec {PREFIX}-ev {HLC} attack evse --iface plc0 --target 02:48:4c:43:00:02 "
        f"--i-own-this --only 'sounds missing' --capture {tmp_path}/a.pcap"
    )
    command = [*HLC.split(), "powerline", "--prefix", PREFIX, "--run", attack]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == Exit.NO_CONNECTION
    assert "BAD" not in result.stdout
    assert "answers no CM_SLAC_PARM.REQ at all: nothing was judged" in result.stderr


@pytest.mark.netns
@needs_namespaces
def test_every_message_of_both_sides_is_shown_and_a_fault_that_met_nothing_is_told(tmp_path):
    log = tmp_path / "ev.txt"
    script = (
        f"ip netns exec {PREFIX}-evse {HLC} slac evse --iface plc0 > /dev/null 2>&1 & "
        f"sleep 1; ip netns exec {PREFIX}-ev {HLC} slac ev --iface plc0 -v > {log} && wait"
    )
    faults = ["--fault", "drop:CM_SLAC_PARM.CNF:1", "--fault", "drop:CM_VALIDATE_REQ"]
    command = [*HLC.split(), "powerline", "--prefix", PREFIX, *faults, "--run", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr.strip() == "hlc: fault 'drop:CM_VALIDATE_REQ': no such message came over the line"
    lines = log.read_text()
    assert "02:48:4c:43:00:01 > ff:ff:ff:ff:ff:ff  CM_SLAC_PARM_REQ" in lines
    assert "02:48:4c:43:00:02 > 02:48:4c:43:00:01  CM_SLAC_MATCH_CNF" in lines
    assert lines.count("CM_SLAC_PARM_CNF") == 2


@pytest.mark.netns
@needs_namespaces
def test_the_line_ends_on_sigterm_and_leaves_nothing():
    process = subprocess.Popen(
        [*HLC.split(), "powerline", "--prefix", PREFIX], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        for line in process.stdout:
            if "running" in line:
                break
        assert f"{PREFIX}-ev" in os.listdir("/run/netns")
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
    assert not [name for name in os.listdir("/run/netns") if name.startswith(PREFIX)]


def nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *HLC.split(), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd="/")


@pytest.mark.netns
@needs_namespaces
def test_without_root_the_reason_and_the_way_out_are_said():
    refused = nobody("powerline", "--prefix", PREFIX, "--run", "true")
    if "ModuleNotFoundError" in refused.stderr or "Permission denied" in refused.stderr:
        pytest.skip("this Python cannot be run by another user")
    assert refused.returncode == Exit.NO_CONNECTION
    assert "need root, or a user namespace" in refused.stderr
    assert "--user-namespace" in refused.stderr


@pytest.mark.netns
@needs_namespaces
def test_a_user_namespace_is_enough_for_a_whole_matching():
    script = (
        f"ip netns exec {PREFIX}-evse {HLC} slac evse --iface plc0 --json - > /dev/null & "
        f"sleep 1; ip netns exec {PREFIX}-ev {HLC} slac ev --iface plc0 --json -"
    )
    command = [
        *HLC.split(),
        "powerline",
        "--prefix",
        PREFIX,
        "--user-namespace",
        "--attachment",
        "veth",
        "--run",
        script,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    if "unshare: unshare failed" in result.stderr:
        pytest.skip(f"user namespaces are not allowed here: {result.stderr}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert '"evse_mac": "02:48:4c:43:00:02"' in result.stdout
