"""Verdicts of conformance cases: not applicable, inconclusive, known and failed are told apart."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.config.reader import ConfigError
from hlc_sim.config.vehicle import VehicleConfig
from hlc_sim.conformance import (
    Capabilities,
    Case,
    CaseResult,
    Group,
    Result,
    of_simulator,
    output,
    run_case,
    suite,
)
from hlc_sim.conformance.template import text
from hlc_sim.evcc import charge
from hlc_sim.scenario import Do, SimulatedEVCC, SimulatedSECC, Step, Target, targets
from hlc_sim.scenario.no_target import Unreached
from hlc_sim.scenario.script import Script
from hlc_sim.transport.link import Link
from iso15118.messages import common, dc
from iso15118.messages.common_types import Processing
from iso15118.session.events import Role
from iso15118.session.secc import HANDLERS, SECC

runner = CliRunner()
ZERO = "SECC.session-id.ServiceDiscoveryReq.zero"


def play(
    case: Case, capabilities: Capabilities | None = None, device: Callable[[], Target] | None = None
) -> CaseResult:
    def made(role: Role) -> Target:
        if device is not None:
            return device()
        return SimulatedSECC() if role is Role.SECC else SimulatedEVCC()

    stated = capabilities or of_simulator()
    return trio.run(run_case, case, stated, made, clock=MockClock(autojump_threshold=0))


Connect = Callable[[trio.Nursery], Awaitable[trio.abc.Stream]]


async def closing(nursery: trio.Nursery) -> trio.abc.Stream:
    """A connection that is closed at once."""
    here, there = memory_stream_pair()
    await there.aclose()
    return here


async def unreached(nursery: trio.Nursery) -> trio.abc.Stream:
    raise Unreached("Connection refused")


def for_one(busy: Connect) -> Callable[[], Target]:
    """A station that serves one connection, and is `busy` for all others."""

    class One(SimulatedSECC):
        served = False

        async def connect(self, nursery: trio.Nursery, *wishes: Any) -> trio.abc.Stream:
            if self.served:
                return await busy(nursery)
            self.served = True
            return await super().connect(nursery, *wishes)

    return One


def test_what_the_device_does_not_state_is_not_applicable() -> None:
    result = play(suite()["SECC.pause.a-paused-session-is-resumed"], Capabilities(pause=False))
    assert result.result is Result.NOT_APPLICABLE
    assert "pause" in result.reasons[0]


def test_a_case_for_any_service_is_played_with_one_that_the_device_has() -> None:
    case = suite()["SECC.silence.ServiceDiscoveryReq.late-in-time"]
    result = play(case, Capabilities(services=("ac",)))
    assert result.result is Result.PASS
    assert any("AC_ChargeLoopReq" in line for line in result.log)


def test_a_device_that_ignores_the_session_id_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SECC, "_check_session", lambda self, request: None)
    result = play(suite()[ZERO])
    assert result.result is Result.FAIL
    assert any("expected FAILED_UnknownSession" in reason for reason in result.reasons)


def test_a_failure_that_is_known_does_not_fail_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SECC, "_check_session", lambda self, request: None)
    result = play(suite()[ZERO], Capabilities(known={"SECC.session-id.*": "ticket 7"}))
    assert result.result is Result.KNOWN
    assert "ticket 7" in result.reasons[-1]


def test_an_observation_fails_where_the_rule_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = HANDLERS[dc.DC_ChargeLoopReq]

    def without_meter(*arguments: Any) -> Any:
        response = sound(*arguments)
        response.meter_info = None  # type: ignore[union-attr]
        return response

    monkeypatch.setitem(HANDLERS, dc.DC_ChargeLoopReq, without_meter)
    broken = play(suite()["SECC.fields.dc-dynamic.DC_ChargeLoopRes.loop.meter"])
    assert broken.result is Result.FAIL
    assert play(suite()["SECC.fields.dc-dynamic.DC_CableCheckRes.form"]).result is Result.PASS


def test_an_observation_of_what_never_occurred_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setitem(HANDLERS, common.AuthorizationSetupReq, dies)
    result = play(suite()["SECC.fields.dc-dynamic.DC_ChargeLoopRes.loop.meter"])
    assert result.result is Result.INCONCLUSIVE
    assert "did not occur" in result.reasons[0]
    assert play(suite()["SECC.fields.dc-dynamic.whole"]).result is Result.FAIL


def test_a_time_is_not_kept_in_a_session_that_never_began(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> Any:
        raise RuntimeError("planted")

    case = suite()["SECC.fields.time.V2G_SECC_Msg_Performance_Time"]
    assert play(case).result is Result.PASS
    monkeypatch.setitem(HANDLERS, common.SessionSetupReq, dies)
    result = play(case)
    assert result.result is Result.INCONCLUSIVE
    assert result.reasons == ["the proper end of a session did not occur"]


def test_what_is_told_to_a_second_ev_is_not_known_where_there_was_none() -> None:
    result = play(suite()["SECC.session-id.nothing-of-another-session"], device=for_one(closing))
    assert result.result is Result.INCONCLUSIVE
    assert "the second session did not begin" in result.reasons[0]


@pytest.mark.parametrize("busy", [closing, unreached])
def test_a_station_for_one_ev_may_refuse_a_second(busy: Connect) -> None:
    result = play(suite()["SECC.session-id.two-EVs-at-once"], device=for_one(busy))
    assert (result.result, result.reasons) == (Result.PASS, [])


def test_a_station_that_closes_on_wrong_charge_parameters_has_not_refused_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def closes(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(SECC, "_refuse", closes)
    result = play(suite()["SECC.renegotiation.renegotiation-begins-with-the-services"])
    assert result.result is Result.FAIL
    assert result.reasons == ["DC_ChargeParameterDiscoveryReq was answered not at all"]


def test_a_station_that_authorizes_what_it_never_decided_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    case = suite()["SECC.silence.never-ready-AuthorizationRes"]
    assert play(case).result is Result.PASS
    sound = HANDLERS[common.AuthorizationReq]

    def generous(*arguments: Any) -> Any:
        response = sound(*arguments)
        response.evse_processing = Processing.Finished  # type: ignore[union-attr]
        return response

    monkeypatch.setitem(HANDLERS, common.AuthorizationReq, generous)
    result = play(case)
    assert result.result is Result.FAIL
    assert result.reasons == ["AuthorizationRes said Finished and OK"]


def test_a_car_that_leaves_after_the_resume_fails_and_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Leaves(SimulatedEVCC):
        """It closes behind SessionSetupRes of a resumed session."""

        async def connect(self, *arguments: Any) -> trio.abc.Stream:
            if self._paused is None:
                return await super().connect(*arguments)
            nursery, vehicle, _ = arguments
            here, there = memory_stream_pair()
            step = Step("*", Do.CLOSE, 3)
            nursery.start_soon(self._leave, there, vehicle, step)
            return here

        async def _leave(self, stream: trio.abc.Stream, vehicle: VehicleConfig, step: Step) -> None:
            link = Link(stream, Role.EVCC, intervention=Script((step,)))
            await charge(link, vehicle.session(), vehicle.vehicle(), resume=self._paused)

    result = play(suite()["EVCC.pause.a-paused-session-is-resumed"], device=Leaves)
    assert result.result is Result.FAIL
    assert result.reasons == ["nothing came after the resume"]


def test_a_car_that_takes_the_other_control_mode_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """HLC_CONTROL is a wish: a car that can do both may take dynamic control all the same."""

    class Dynamic(SimulatedEVCC):
        async def connect(self, nursery: trio.Nursery, vehicle: Any, station: Any) -> trio.abc.Stream:
            return await super().connect(nursery, replace(vehicle, control="dynamic"), station)

    for name in ("EVCC.values.a-lower-current-is-kept", "EVCC.services.the-tuple-that-is-offered"):
        result = play(suite()[name], device=Dynamic)
        assert result.result is Result.INCONCLUSIVE, name


def test_a_car_that_never_leaves_a_strange_schedule_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    charging = targets.charge

    async def for_ever(*arguments: Any, **options: Any) -> Any:
        await charging(*arguments, **options)
        await trio.sleep_forever()

    monkeypatch.setattr(targets, "charge", for_ever)
    for name in ("EVCC.values.schedule-power-zero", "EVCC.services.parameter-sets-under-other-ids"):
        assert play(suite()[name]).result is Result.FAIL, name


def test_a_strange_schedule_is_the_one_that_the_car_gets() -> None:
    """Not that of an answer Ongoing, which nobody reads."""
    spoilt = [case for case in suite().values() if case.tests is Role.EVCC and case.group is Group.VALUES]
    spoilt = [case for case in spoilt if case.message == "ScheduleExchangeRes" and "absent" not in case.id]
    assert len(spoilt) > 4
    for case in spoilt:
        log = play(case).log
        first = next(number for number, line in enumerate(log) if "ScheduleExchangeRes" in line)
        assert "ScheduleExchangeReq" not in log[first + 1], case.id


def test_a_crash_on_our_side_is_not_held_against_a_device_on_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("hlc_sim.scenario.runner.charge", broken)
    assert play(suite()[ZERO]).result is Result.FAIL
    result = play(suite()[ZERO], device=lambda: SimulatedSECC(name="a charger"))
    assert result.result is Result.INCONCLUSIVE
    assert result.reasons == ["our side crashed: ZeroDivisionError: planted"]


def test_random_values_that_count_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(range(1, 1000))
    monkeypatch.setattr("hlc_sim.secc.secrets.token_bytes", lambda size: next(drawn).to_bytes(size, "big"))
    result = play(suite()["SECC.session-id.session-ids-are-random"])
    assert result.result is Result.FAIL
    assert "is the same in all SessionIDs" in result.reasons[0]


def test_the_template_is_a_capability_file(tmp_path: Path) -> None:
    file = tmp_path / "device.toml"
    file.write_text(text())
    assert dataclasses.asdict(Capabilities.load(file)) == dataclasses.asdict(Capabilities())


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("paus = true", "paus: unknown key, did you mean 'pause'?"),
        ("services = ['dcc']", "services is 'dcc', must be one of"),
        ("eim = false", "eim, pnc: at least one way of authorization is needed"),
        ("control = []", "control: at least one is needed"),
    ],
)
def test_errors_of_a_capability_file_name_file_and_key(line: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "device.toml"
    file.write_text(line)
    with pytest.raises(ConfigError, match=r"device\.toml") as caught:
        Capabilities.load(file)
    assert complaint in str(caught.value)


def test_junit_tells_the_results_apart() -> None:
    case = suite()[ZERO]
    results = [CaseResult(case, result, ["why \x00"], ["a line"]) for result in Result]
    xml = ElementTree.fromstring(output.as_junit(results, "device"))
    kinds = [[child.tag for child in element if child.tag != "properties"] for element in xml]
    assert kinds == [[], ["failure"], ["skipped"], ["error"], ["skipped"]]
    assert (xml.get("failures"), xml.get("errors"), xml.get("skipped")) == ("1", "1", "2")
    assert xml[0].find("properties/property").get("value") == "V2G20-460"  # type: ignore[union-attr]


def test_a_run_goes_on_where_it_was_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    command = ["conformance", "--against", "secc", "SECC.pause.*", "--results", str(file)]
    assert runner.invoke(app, command).exit_code == 0
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], lines[3][:20]]))
    again = runner.invoke(app, command)
    assert again.exit_code == 0
    assert "goes on after 3 cases" in again.output
    kept = [json.loads(line)["case"] for line in file.read_text().splitlines() if line.endswith("}")]
    assert sorted(kept) == sorted(json.loads(line)["case"] for line in lines)


def test_results_of_something_else_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    for line in ("nonsense\n{}", '{"case": [], "result": "pass"}', '{"case": "x", "result": "pass"}'):
        file.write_text(f"{line}\n")
        result = runner.invoke(app, ["conformance", "SECC.pause.*", "--results", str(file)])
        assert result.exit_code == 2
        assert "line 1 is no result" in result.output


def test_a_failing_case_gives_exit_code_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(SECC, "_check_session", lambda self, request: None)
    junit = tmp_path / "verdicts.xml"
    result = runner.invoke(app, ["conformance", ZERO, "--junit", str(junit), "--log"])
    assert result.exit_code == 1
    assert "ServiceDiscoveryRes OK" in result.output
    assert ElementTree.parse(junit).getroot().get("failures") == "1"


def test_nothing_is_sent_to_a_device_that_nobody_described() -> None:
    result = runner.invoke(app, ["conformance", "--address", "[::1]:9"])
    assert result.exit_code == 2
    assert "--capabilities" in result.output


def test_a_dry_run_says_what_would_be_skipped(tmp_path: Path) -> None:
    file = tmp_path / "device.toml"
    file.write_text("services = ['ac']\ntls = false")
    result = runner.invoke(
        app, ["conformance", "--address", "[::1]:9", "--capabilities", str(file), "--dry-run"]
    )
    assert result.exit_code == 0
    assert "would skip SECC.fields.dc-scheduled.whole" in result.output
    assert "would run SECC.fields.ac-scheduled.whole" in result.output


def kept(path: Path, result: Result, **more: str) -> None:
    case = suite()["SECC.pause.a-paused-session-is-resumed"]
    path.write_text(
        json.dumps({**output.as_builtins(CaseResult(case, result, ["as it was"])), **more}) + "\n"
    )


def go_on(path: Path, capabilities: str, *options: str) -> Any:
    (path.parent / "box.toml").write_text(capabilities)
    stated = ["--capabilities", str(path.parent / "box.toml"), "--results", str(path)]
    return runner.invoke(app, ["conformance", "SECC.pause.a-paused-session-is-resumed", *stated, *options])


def test_results_of_another_device_are_not_taken_for_this_one(tmp_path: Path) -> None:
    kept(tmp_path / "r.jsonl", Result.PASS, device="box 1")
    result = go_on(tmp_path / "r.jsonl", 'device = "box 2"\npause = true\n')
    assert result.exit_code == 2
    assert "r.jsonl: line 1 is of device 'box 1', the capability file says 'box 2'" in result.stderr


def test_a_failure_that_became_known_is_known_when_the_run_goes_on(tmp_path: Path) -> None:
    kept(tmp_path / "r.jsonl", Result.FAIL)
    assert go_on(tmp_path / "r.jsonl", "pause = true\n").exit_code == 1
    result = go_on(tmp_path / "r.jsonl", 'pause = true\n[known]\n"SECC.pause.*" = "ticket 7"\n')
    assert result.exit_code == 0, result.output
    assert "known: ticket 7" in result.output


def test_a_case_is_played_once_the_device_states_what_it_needs(tmp_path: Path) -> None:
    kept(tmp_path / "r.jsonl", Result.NOT_APPLICABLE)
    result = go_on(tmp_path / "r.jsonl", "pause = true\n")
    assert "1 pass" in result.output
    assert (tmp_path / "r.jsonl").read_text().count("\n") == 2


@pytest.mark.parametrize("option", ["--junit", "--results"])
def test_a_file_that_cannot_be_written_is_said_before_the_run(tmp_path: Path, option: str) -> None:
    missing = tmp_path / "nowhere" / "file"
    result = runner.invoke(app, ["conformance", "SECC.pause.*", option, str(missing)])
    assert result.exit_code == 2
    assert f"{missing}: No such file or directory" in result.stderr
    assert "pass" not in result.output
