"""The fuzzer finds what is planted, finds nothing elsewhere, and writes down what it found so that it can be
played again.
"""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.fuzz import inprocess, workers
from hlc_sim.fuzz.campaign import Campaign, CampaignError
from hlc_sim.fuzz.cases import Case, Kind, case
from hlc_sim.fuzz.minimise import minimise, smaller
from hlc_sim.fuzz.problem import Problem, guarded
from hlc_sim.fuzz.saved import as_scenario, as_toml
from hlc_sim.fuzz.subject import Messages
from hlc_sim.fuzz.walks import PROFILES, walk
from hlc_sim.scenario import Result, SimulatedSECC, load_file, run
from iso15118.messages import common
from iso15118.session.evcc_dialogue import Dialogue
from iso15118.session.events import Role
from iso15118.session.secc import HANDLERS, SECC

BUDGET = 600
"""Cases in which a planted defect must be found."""


def found(tests: Role, seed: int = 7) -> set[str]:
    inprocess._after.cache_clear()
    kinds: set[str] = set()
    for number in range(BUDGET):
        kinds |= {problem.kind for problem in inprocess.execute(case(tests, seed, number))}
        if kinds:
            break
    inprocess._after.cache_clear()
    return kinds


@pytest.mark.parametrize("profile", PROFILES)
def test_walks_are_whole_sessions(profile: str) -> None:
    names = [type(item.request).__name__ for item in walk(profile).exchanges]
    assert names[0] == "SupportedAppProtocolReq"
    assert names[-1] == "SessionStopReq"
    assert any(name.endswith("ChargeLoopReq") for name in names)


@pytest.mark.parametrize("tests", Role)
def test_a_case_follows_from_seed_and_number(tests: Role) -> None:
    cases = [case(tests, 3, number) for number in range(40)]
    assert cases == [case(tests, 3, number) for number in range(40)]
    assert cases != [case(tests, 4, number) for number in range(40)]
    assert {kind for item in cases for kind in item.kinds} >= {Kind.STRUCTURE, Kind.BITS}
    subject = Messages(tests)
    assert subject.load(subject.dump(cases[0])) == cases[0]


@pytest.mark.parametrize("tests", Role)
def test_our_own_devices_bear_it(tests: Role) -> None:
    problems = [(n, p) for n in range(300) for p in inprocess.execute(case(tests, 11, n))]
    assert problems == []


def test_finds_a_crash_on_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = HANDLERS[common.SessionSetupReq]

    def planted(context: Any, request: Any, now: float) -> Any:
        assert len(request.evcc_id) < 30
        return sound(context, request, now)

    monkeypatch.setitem(HANDLERS, common.SessionSetupReq, planted)
    assert found(Role.SECC) == {"crash"}


def test_finds_a_missing_check_of_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SECC, "_check_order", lambda self, request, stream: None)
    assert found(Role.SECC)


def test_finds_an_answer_after_the_close(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = SECC.handle

    def planted(self: SECC, request: Any, now: float, payload_type: int | None = None) -> Any:
        closing, self.closing = self.closing, None
        response = sound(self, request, now, payload_type)
        self.closing = self.closing or closing
        return response

    monkeypatch.setattr(SECC, "handle", planted)
    assert "after close" in found(Role.SECC)


def test_finds_a_missing_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SECC, "_refuse", lambda self, request, refusal, now, stream: None)
    assert found(Role.SECC) == {"no answer"}


def test_finds_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inprocess, "guarded", partial(guarded, seconds=0.2))

    def planted(*_: Any) -> Any:
        while True:
            pass

    monkeypatch.setattr(SECC, "_refuse", planted)
    assert found(Role.SECC) == {"hang"}


def test_finds_an_ev_that_ignores_response_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [name for name in vars(Dialogue) if "check" in name]
    monkeypatch.setattr("iso15118.messages.common_types.ResponseCode.is_failed", property(lambda self: False))
    assert checks
    assert found(Role.EVCC)


def test_a_finding_is_minimised_and_saved_as_a_scenario(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sound = HANDLERS[common.ServiceDetailReq]

    def planted(context: Any, request: Any, now: float) -> Any:
        if request.service_id > 60_000:
            raise RuntimeError("planted")
        return sound(context, request, now)

    with monkeypatch.context() as patch:
        patch.setitem(HANDLERS, common.ServiceDetailReq, planted)
        inprocess._after.cache_clear()
        number, key = next(
            (n, p.key)
            for n in range(20_000)
            for p in inprocess.execute(case(Role.SECC, 2, n))
            if p.key.startswith("crash/RuntimeError")
        )
        original = case(Role.SECC, 2, number)
        smallest = minimise(original, key, smaller, inprocess.execute)
        assert len(smallest.frames) <= len(original.frames)
        assert sum(map(len, smallest.frames)) <= sum(map(len, original.frames))
        assert any(problem.key == key for problem in inprocess.execute(smallest))
        file = tmp_path / "finding.toml"
        file.write_text(as_toml("finding", "planted", smallest))
        scenario = load_file(file)["finding"]
        clock = MockClock(autojump_threshold=0)
        spoilt = trio.run(run, scenario, SimulatedSECC(), clock=clock)
    inprocess._after.cache_clear()
    sound_one = trio.run(run, scenario, SimulatedSECC(), clock=MockClock(autojump_threshold=0))
    assert sound_one.result is Result.PASS, sound_one.reasons
    assert "ServiceDetailReq" in "\n".join(spoilt.log), "the frame came under the SessionID of that session"


@pytest.mark.parametrize("number", [1, 12, 13, 32])
def test_a_case_is_judged_over_a_stream_as_without_one(number: int) -> None:
    """Several frames go one by one: an answer is then judged by the request that it answers."""
    scenario = as_scenario("case", case(Role.SECC, 1, number))
    verdict = trio.run(run, scenario, SimulatedSECC(), clock=MockClock(autojump_threshold=0))
    assert verdict.result is not Result.FAIL, verdict.reasons


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_campaign_goes_on_and_runs_no_case_twice(jobs: int, tmp_path: Path) -> None:
    file = tmp_path / "campaign.sqlite"
    code = (
        "import sys\nfrom pathlib import Path\nfrom hlc_sim.fuzz.campaign import Campaign\n"
        "from hlc_sim.fuzz.subject import Messages\nfrom iso15118.session.events import Role\n"
        "if __name__ == '__main__':\n"
        "    work = Campaign(Path(sys.argv[1]), Messages(Role.SECC), 5, batch=10, jobs=int(sys.argv[2]))\n"
        "    for now in work.go(cases=100_000):\n"
        "        print(now.cases, flush=True)\n"
    )
    script = tmp_path / "campaign.py"
    script.write_text(code)
    command = [sys.executable, str(script), str(file), str(jobs)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    work = Campaign(file, Messages(Role.SECC), 5, batch=10)
    before = work.cases
    assert before >= 30
    for _ in work.go(cases=before + 20):
        pass
    rows = sqlite3.connect(file).execute("SELECT first, count FROM done ORDER BY first").fetchall()
    assert [first for first, _ in rows] == [sum(count for _, count in rows[:i]) for i in range(len(rows))]
    assert work.cases == before + 20
    with pytest.raises(CampaignError, match="has seed 5, not 6"):
        Campaign(file, Messages(Role.SECC), 6)
    with pytest.raises(CampaignError, match="has tests SECC, not EVCC"):
        Campaign(file, Messages(Role.EVCC), 5)


def test_findings_are_counted_once_each(tmp_path: Path) -> None:
    def run_case(this: Case) -> list[Problem]:
        return [Problem("crash", f"crash/{this.profile}", "planted")]

    work = Campaign(tmp_path / "c.sqlite", Messages(Role.SECC, device=run_case), 1, batch=5)
    *_, last = work.go(cases=50)
    findings = work.findings()
    assert last.cases == 50
    assert {row[0] for row in findings} == {f"crash/{profile}" for profile in PROFILES}
    assert sum(row[4] for row in findings) == 50
    assert len(work.scenarios()) == len(PROFILES)


def test_the_command(tmp_path: Path) -> None:
    options = ["--against", "simulator", "--campaign", str(tmp_path / "c.sqlite"), "--cases", "30"]
    result = CliRunner().invoke(app, ["fuzz", "secc", *options])
    assert result.exit_code == 0, result.output
    assert "30 cases, 0 findings" in result.output
    assert "SECC at simulator: cases of seed 1 until 30 cases are run" in result.output
    dry = CliRunner().invoke(
        app, ["fuzz", "secc", "--against", "192.0.2.1:5000", "--cases", "3", "--dry-run"]
    )
    assert dry.output.count("to 192.0.2.1:5000\n") == 3
    assert "at most 1 sessions/s" in dry.output


@pytest.mark.parametrize(
    ("arguments", "needs"),
    [
        (["secc", "--layer", "slac"], ["needs its control pilot in state B"]),
        (["evcc", "--layer", "sdp"], ["the car must connect again for each session"]),
        (["evcc", "--layer", "sdp", "--trigger", "true"], []),
        (["secc", "--layer", "tls"], ["without --pki a hello is all"]),
        (["secc", "--layer", "tls", "--pki", "lab"], []),
    ],
)
def test_a_dry_run_says_what_the_device_must_have(arguments: list[str], needs: list[str]) -> None:
    dry = CliRunner().invoke(app, ["fuzz", *arguments, "--iface", "none", "--cases", "2", "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert all(words in dry.output for words in needs)
    assert dry.output.count("to the device on none\n") == 2
    assert len(dry.output.splitlines()) == 3 + len(needs)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["secc", "--cases", "1"], "say whom"),
        (["secc", "--against", "simulator"], "say how much"),
        (["evcc", "--against", "127.0.0.1:1", "--cases", "1"], "name it by --iface"),
        (["evcc", "--iface", "lo", "--layer", "slac", "--cases", "1"], "only the simulated one"),
        (["evcc", "--against", "127.0.0.1:1", "--layer", "tls", "--cases", "1"], "name it by --iface"),
        (["secc", "--against", "127.0.0.1:1", "--layer", "sdp", "--cases", "1"], "name it by --iface"),
        (["secc", "--against", "127.0.0.1:1", "--layer", "slac", "--cases", "1"], "name it by --iface"),
        (["secc", "--against", "127.0.0.1:1", "--jobs", "2", "--cases", "1"], "--jobs is for the simulator"),
        (["secc", "--against", "simulator", "--seeds", "pyproject.toml", "--cases", "1"], "pyproject.toml"),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(app, ["fuzz", *arguments])
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_device_that_is_not_there_is_told_apart_from_a_wrong_command_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6) as silent:  # bound, and nobody listens
        silent.bind(("::1", 0))
        where = f"[::1]:{silent.getsockname()[1]}"
        options = ["--lab-plain-tcp", "--cases", "1", "--campaign", str(tmp_path / "c.sqlite")]
        result = CliRunner().invoke(app, ["fuzz", "secc", "--against", where, *options])
    assert result.exit_code == 3, result.output
    assert "no connection to" in result.output


def test_a_process_that_grows_without_end_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter(range(10_000, 10_000_000, 30_000))
    monkeypatch.setattr(workers, "resident", lambda: next(sizes))
    monkeypatch.setattr(workers, "WARM_UP", 5)
    runner = workers.Runner(Messages(Role.SECC, device=lambda case: []), 1)
    found = [runner.run(first, 5).found for first in range(0, 50, 5)]
    assert [list(keys) for keys in found if keys] == [["growth/resident"]]
