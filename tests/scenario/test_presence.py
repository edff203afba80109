"""A device that is not there is no device that failed, and none that passed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.cli.errors import Exit
from hlc_sim.config.station import StationConfig
from hlc_sim.config.vehicle import VehicleConfig
from hlc_sim.scenario import SimulatedSECC
from hlc_sim.scenario.files import library
from hlc_sim.scenario.model import Result
from hlc_sim.scenario.no_target import Unreached
from hlc_sim.scenario.presence import PATIENCE, PAUSE, Gone, Presence
from hlc_sim.scenario.runner import run
from hlc_sim.scenario.targets import NetworkEVCC, NetworkSECC
from hlc_sim.transport import sdp
from hlc_sim.transport.interface import LOOPBACK, Interface
from iso15118 import sdp as sdp_messages


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket(socket.AF_INET6) as bound:
        bound.bind(("::1", 0))
        yield f"[::1]:{bound.getsockname()[1]}"


@dataclass
class Made:
    unreached: bool
    reasons: list[str] = field(default_factory=lambda: ["SECC at x: Connection refused"])


class Device:
    """Reached or not, in the order given; then as the last time."""

    def __init__(self, *reached: bool) -> None:
        self.left = list(reached)
        self.waits: list[float] = []
        self.told: list[str] = []
        self.presence = Presence(self.told.append, self.waits.append)

    def once(self) -> Made:
        return Made(not (self.left.pop(0) if len(self.left) > 1 else self.left[0]))


def test_one_that_was_never_there_is_not_waited_for() -> None:
    device = Device(False)
    with pytest.raises(Gone, match="nothing was played: SECC at x: Connection refused"):
        device.presence.play(device.once)
    assert device.waits == []


def test_one_that_starts_again_is_waited_for() -> None:
    device = Device(True, False, False, True)
    assert not device.presence.play(device.once).unreached
    assert not device.presence.play(device.once).unreached
    assert device.waits == [PAUSE, PAUSE]
    assert len(device.told) == 1


def test_one_that_stays_away_ends_the_run() -> None:
    device = Device(True, False)
    device.presence.play(device.once)
    with pytest.raises(Gone, match="did not come back within 60 s"):
        device.presence.play(device.once)
    assert sum(device.waits) == PATIENCE


def test_scenarios_against_nobody_end_with_code_3(nobody: str) -> None:
    result = CliRunner().invoke(app, ["scenario", "run", "points-*", "--against", nobody, "--lab-plain-tcp"])
    assert result.exit_code == Exit.NO_CONNECTION
    assert "Connection refused" in result.stderr


def test_cases_against_nobody_end_with_code_3_and_leave_no_result(nobody: str, tmp_path: Path) -> None:
    (tmp_path / "box.toml").write_text("pause = true\n")
    results = tmp_path / "results.jsonl"
    arguments = ["conformance", "SECC.pause.*", "--address", nobody, "--lab-plain-tcp"]
    result = CliRunner().invoke(
        app, [*arguments, "--capabilities", str(tmp_path / "box.toml"), "--results", str(results)]
    )
    assert result.exit_code == Exit.NO_CONNECTION
    assert "Connection refused" in result.stderr
    assert "stopped after 0 of" in result.stderr
    assert not results.exists()


class OneSession(SimulatedSECC):
    """It is gone after its first session."""

    served = False

    async def connect(
        self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig
    ) -> trio.abc.Stream:
        if self.served:
            raise Unreached("Connection refused")
        self.served = True
        return await super().connect(nursery, vehicle, station)


def test_a_device_that_a_scenario_kills_has_failed() -> None:
    verdict = trio.run(run, library()["points-12"], OneSession(), clock=MockClock(autojump_threshold=0))
    assert verdict.result is Result.FAIL
    assert verdict.reasons == ["there was no next session: Connection refused"]
    assert not verdict.unreached


@pytest.mark.parametrize("interface", ["lo", "none0"])
def test_ports_that_are_taken_and_interfaces_that_are_not_there_are_no_fault_of_a_car(interface: str) -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.bind(("::1", 0))
        taken.listen()
        car = NetworkEVCC(interface, port=taken.getsockname()[1], patience=1)
        verdict = trio.run(run, library()["failed-in-ServiceDiscoveryRes"], car)
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.unreached


def test_a_station_that_offers_another_security_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def discover(
        interface: Interface, *, security: sdp_messages.Security, udp_port: int
    ) -> sdp.Discovered:
        answer = sdp_messages.Response(LOOPBACK, 50000, sdp_messages.Security.TLS)
        return sdp.Discovered(answer, interface, 1)

    monkeypatch.setattr(sdp, "discover", discover)
    verdict = trio.run(run, library()["points-12"], NetworkSECC(interface="lo"))
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons == ["SECC on lo: the SECC at [::1]:50000 offers TLS, and none was asked for"]
