"""`hlc secc`, `hlc evcc` and `hlc demo` as processes and in-process: results, exit codes, clean ends."""

from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from typer.testing import CliRunner, Result

from hlc_sim.cli.app import app
from hlc_sim.transport import tcp

RUNNER = CliRunner()


def hlc(*arguments: str) -> Result:
    return RUNNER.invoke(app, list(arguments))


@contextmanager
def secc(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`hlc secc` on loopback, without SDP, and its TCP port once it is ready."""
    command = [sys.executable, "-m", "hlc_sim", "secc"]
    command += ["--lab-plain-tcp", "--no-sdp", "--speed", "2000", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            ready = re.search(r"ready: SECC on lo, \[::1\]:(\d+)", line)
            if ready:
                yield process, int(ready[1])
                break
        else:
            pytest.fail("hlc secc did not become ready")
    finally:
        process.kill()
        process.communicate()


def test_demo_ends_with_a_whole_session(tmp_path: Path) -> None:
    told = ["--json", str(tmp_path / "demo.json"), "--trace", str(tmp_path)]
    result = hlc("demo", "--speed", "2000", *told)
    assert result.exit_code == 0
    assert f"recorded         {tmp_path}/demo-dc-dynamic.jsonl" in result.stdout
    assert "outcome          terminated" in result.stdout
    assert "deviations" in result.stdout
    data = json.loads((tmp_path / "demo.json").read_text())
    assert data["ok"]
    assert data["soc_end"] >= 80
    assert data["charge_loops"] > 0
    assert data["energy_charged_wh"] > 20_000


def test_secc_and_evcc_as_two_processes_and_ctrl_c(tmp_path: Path) -> None:
    report = tmp_path / "secc.json"
    with secc("--mode", "dc", "--mode", "ac", "--json", str(report)) as (process, port):
        result = hlc(
            "evcc",
            "--lab-plain-tcp",
            "--connect",
            f"[::1]:{port}",
            "--speed",
            "2000",
            "--sessions",
            "2",
            "--json",
            "-",
        )
        assert result.exit_code == 0, result.output
        first, second = json.loads(result.stdout)
        assert first["ok"]
        assert second["ok"]
        assert first["session_id"] != second["session_id"]
        assert process.stderr is not None
        over = ""
        while over.count("session over") < 2:  # it hears of the end a little after the car
            over += (line := process.stderr.readline())
            assert line, over
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=10)
        assert process.returncode == 0
    assert "Traceback" not in log
    assert "stopped" in log
    assert [item["session_id"] for item in json.loads(report.read_text())] == [
        first["session_id"],
        second["session_id"],
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_a_station_in_a_script_with_its_files_written(tmp_path: Path, number: int) -> None:
    """A shell starts a script's background jobs with SIGINT ignored."""
    report = tmp_path / "secc.json"
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with secc("--json", str(report)) as (process, _):
            process.send_signal(number)
            _, log = process.communicate(timeout=10)
            assert process.returncode == 0, log
    finally:
        signal.signal(signal.SIGINT, mine)
    assert "Traceback" not in log
    assert "stopped" in log
    assert json.loads(report.read_text()) == []


def test_secc_ends_after_its_sessions_and_says_if_one_failed() -> None:
    import socket

    with secc("--sessions", "1") as (process, port):
        with socket.create_connection(("::1", port)) as peer:
            peer.sendall(b"garbage!")
            assert peer.recv(1) == b""
        _, log = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "broken V2GTP frame, connection closed: V2GTP version is 0x67, expected 0x01" in log


def test_the_sessions_before_one_that_finds_no_charger_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, connect, asked = tmp_path / "evcc.json", tcp.connect, []

    async def once(address: tuple[str, int]) -> trio.SocketStream:
        asked.append(address)
        if len(asked) > 1:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return await connect(address)

    monkeypatch.setattr(tcp, "connect", once)
    with secc() as (_, port):
        options = ["--speed", "2000", "--sessions", "2", "--json", str(report)]
        result = hlc("evcc", "--lab-plain-tcp", "--connect", f"[::1]:{port}", *options)
    assert result.exit_code == 3, result.output
    assert [item["ok"] for item in json.loads(report.read_text())] == [True]


@pytest.mark.parametrize("command", ["secc", "evcc"])
def test_plain_tcp_needs_the_flag(command: str) -> None:
    result = hlc(command)
    assert result.exit_code == 2
    assert "--lab-plain-tcp" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["evcc", "--lab-plain-tcp", "--connect", "nowhere"], 2, "'nowhere' is not HOST:PORT"),
        (["evcc", "--lab-plain-tcp", "--iface", "nic9"], 3, "there is no network interface 'nic9'"),
        (
            ["secc", "--lab-plain-tcp", "--config", "nowhere.toml"],
            2,
            "nowhere.toml: No such file or directory",
        ),
        (["secc", "--lab-plain-tcp", "--cert", "x.pem"], 2, "--lab-plain-tcp"),
        (["evcc", "--lab-plain-tcp", "--connect", "[::1]:1"], 3, "::1"),
        (["evcc", "--mode", "tram"], 2, "tram"),
    ],
)
def test_mistakes_read_well(arguments: list[str], code: int, words: str) -> None:
    result = hlc(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_help_imports_nothing_heavy() -> None:
    script = "import sys; sys.argv = ['hlc', '--help']\nfrom hlc_sim.cli import main\n"
    script += "try: main()\nexcept SystemExit: pass\n"
    script += "slow = {'trio', 'iso15118.messages', 'OpenSSL', 'cryptography', 'lxml', 'scapy'}\n"
    script += "print(sorted(slow & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_config_file_reaches_the_session(tmp_path: Path) -> None:
    config = tmp_path / "car.toml"
    config.write_text(
        'mode = "dc"\ncontrol = "scheduled"\n[battery]\nsoc = 79\n[evcc]\nevcc_id = "WMIFROMFILE"\n'
    )
    with secc() as (_, port):
        result = hlc(
            "evcc",
            "--lab-plain-tcp",
            "--connect",
            f"[::1]:{port}",
            "--config",
            str(config),
            "--speed",
            "500",
            "--json",
            "-",
        )
        assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["control"] == "scheduled"
    assert data["soc_start"] == 79


def test_a_pause_that_the_driver_wishes_is_resumed_by_the_next_session(tmp_path: Path) -> None:
    station, car = tmp_path / "station.toml", tmp_path / "car.toml"
    station.write_text("[secc]\nresume_without_certificate = true\n")
    car.write_text("[driver]\nwishes = [[600.0, 'pause']]\n")
    with secc("--config", str(station)) as (_, port):
        told = ["--connect", f"[::1]:{port}", "--speed", "2000", "--sessions", "2", "--json", "-"]
        result = hlc("evcc", "--lab-plain-tcp", "--config", str(car), *told)
    assert result.exit_code == 0, result.output
    first, second = json.loads(result.stdout)
    assert first["outcome"] == "paused"
    assert second["outcome"] == "terminated"
    assert second["resumed"]
    assert second["soc_end"] >= 80


def test_a_session_that_fails_ends_with_code_1(tmp_path: Path) -> None:
    config = tmp_path / "station.toml"
    config.write_text("[outlet.contactor]\nstuck_open = true\n")
    with secc("--config", str(config)) as (_, port):
        result = hlc(
            "evcc", "--lab-plain-tcp", "--connect", f"[::1]:{port}", "--speed", "2000", "--json", "-"
        )
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert data["response_code"] == "FAILED_ContactorError"
