"""A device at the other end of a connection: what is found on it, and whether it comes back."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hlc_sim.config.station import StationConfig
from hlc_sim.fuzz import device as fuzz_device
from hlc_sim.fuzz.cases import Case
from hlc_sim.fuzz.device import Device
from hlc_sim.fuzz.problem import Problem
from hlc_sim.fuzz.subject import Messages
from hlc_sim.scenario import SimulatedSECC
from hlc_sim.scenario.targets import NetworkEVCC, NoTarget, SimulatedEVCC, Target
from hlc_sim.scenario.trigger import Trigger
from hlc_sim.secc import Station
from iso15118.messages import common
from iso15118.session.evcc_dialogue import Dialogue
from iso15118.session.events import Role
from iso15118.session.secc import HANDLERS, SECC
from iso15118.session.secc_config import Closing
from iso15118.session.secc_setup import authorization_setup


def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


def on(target: Target) -> Device:
    return Device(lambda: target, rate=1e9, clock=clock)


def problems(device: Device, tests: Role, cases: range, seed: int = 1) -> list[Problem]:
    """Of the first case that has some."""
    subject = Messages(tests, device=device)
    return next((found for number in cases if (found := subject.run(subject.case(seed, number)))), [])


def test_our_own_secc_bears_it_and_what_it_does_not_offer_is_passed_over() -> None:
    only = StationConfig(modes=("ac",))
    device = on(SimulatedSECC(make=lambda _: Station(only.session(), lambda: only.charger(0.0))))
    assert problems(device, Role.SECC, range(20)) == []
    assert device.passed > 0
    assert set(device.unusable) >= {"dc", "dc-dynamic"}


def test_a_request_that_crosses_the_close_for_an_undecodable_frame_needs_no_answer() -> None:
    """The second of two frames is no EXI; our vehicle goes on before it sees the end."""
    subject = Messages(Role.SECC, device=on(SimulatedSECC()))
    assert subject.run(subject.case(1, 37)) == []


def test_our_own_evcc_bears_it() -> None:
    assert problems(on(SimulatedEVCC()), Role.EVCC, range(15)) == []


def test_a_device_that_dies_is_a_finding_and_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = False
    sound = SECC._refuse

    def planted(self: SECC, *arguments: Any) -> Any:
        nonlocal dead
        dead = True
        return sound(self, *arguments)

    class Mortal(SimulatedSECC):
        async def connect(self, *arguments: Any) -> trio.abc.Stream:
            if dead:
                raise NoTarget("connection refused")
            return await super().connect(*arguments)

    monkeypatch.setattr(SECC, "_refuse", planted)
    device = on(Mortal())
    subject = Messages(Role.SECC, device=device)
    found: list[Problem] = []
    number = 0
    while not found:
        found, number = subject.run(subject.case(1, number)), number + 1
    assert [problem.kind for problem in found] == ["no recovery"]
    with pytest.raises(NoTarget, match="serves no session since a case at"):
        subject.run(subject.case(1, number))


def test_a_device_that_answers_nothing_to_a_refused_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(self: SECC, request: Any, refusal: Any, now: float, stream: Any) -> None:
        self._finish(now, Closing.AFTER_PEER)

    monkeypatch.setattr(SECC, "_refuse", planted)
    assert "no answer" in {p.kind for p in problems(on(SimulatedSECC()), Role.SECC, range(30))}


def test_a_challenge_that_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """GenChallenge is to be random in each session."""

    def planted(context: Any, request: Any, now: float) -> Any:
        response = authorization_setup(context, request, now)
        mode = common.PnC_ASResAuthorizationMode(gen_challenge=b"the same again..", supported_providers=None)
        response.authorization_mode = mode
        return response

    monkeypatch.setitem(HANDLERS, common.AuthorizationSetupReq, planted)
    found = problems(on(SimulatedSECC()), Role.SECC, range(12))
    assert "leak/AuthorizationSetupRes/gen_challenge" in {problem.key for problem in found}


def test_an_evcc_that_keeps_the_session_id_of_the_last_station(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []
    sound = Dialogue.header

    def planted(self: Dialogue) -> Any:
        header = sound(self)
        kept.append(header.session_id)
        first = next((item for item in kept if any(item)), b"")
        if first and any(header.session_id):
            header.session_id = first
        return header

    monkeypatch.setattr(Dialogue, "header", planted)
    found = problems(on(SimulatedEVCC()), Role.EVCC, range(1))
    assert any(problem.kind == "leak" and "session_id" in problem.key for problem in found)


def test_a_device_that_gets_slower_is_found() -> None:
    from hlc_sim.scenario.watch import Record, Seen

    latency = fuzz_device._Latency()

    def session(took: float) -> Record:
        record = Record(Role.EVCC, 0.0)
        request = common.SessionSetupReq(header=None, evcc_id="")  # type: ignore[arg-type]
        response = common.SessionSetupRes(header=None, response_code=None, evse_id="")  # type: ignore[arg-type]
        record.seen += [
            Seen(0.0, Role.EVCC, 0x8002, 8, request, ""),
            Seen(took, Role.SECC, 0x8002, 8, response, ""),
        ]
        return record

    steady = [problem for _ in range(12) for problem in latency.note(session(0.1), Role.SECC)]
    slower = [problem for _ in range(12) for problem in latency.note(session(0.9), Role.SECC)]
    assert steady == []
    assert [problem.key for problem in slower] == ["growth/latency/SessionSetupRes"]


def test_no_device_is_no_finding() -> None:
    class Absent(SimulatedSECC):
        async def connect(self, *arguments: Any) -> trio.abc.Stream:
            raise NoTarget("connection refused")

    with pytest.raises(NoTarget, match="connection refused"):
        on(Absent())(Case(Role.SECC, "dc", 0, ()))


@pytest.mark.slow
def test_a_car_that_a_command_plugs_in() -> None:
    """`hlc evcc` on loopback finds us by SDP; each session is a run of it."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        port = sock.getsockname()[1]
    command = (
        f'{sys.executable} -c "from hlc_sim.cli import main; main()" evcc --iface lo --sdp-port {port} '
        "--lab-plain-tcp --mode ac --speed 20"
    )
    car = NetworkEVCC("lo", sdp_port=port, trigger=Trigger(command))
    device = Device(lambda: car, rate=100)
    assert device(replace(Messages(Role.EVCC).case(1, 6), profile="ac")) == []
    assert not device.unusable
