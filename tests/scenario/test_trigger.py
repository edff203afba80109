"""A car that a command makes plug in: over the loopback interface, the command is our own EVCC."""

from __future__ import annotations

import os
import select
import shlex
import socket
import sys
from pathlib import Path

import trio

from hlc_sim.scenario import Result, library, run
from hlc_sim.scenario.fit import OurSide
from hlc_sim.scenario.model import Verdict
from hlc_sim.scenario.targets import NetworkEVCC
from hlc_sim.scenario.trigger import Trigger


def play(name: str, command: str) -> Verdict:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
        free.bind(("::", 0))
        port = free.getsockname()[1]
    car = NetworkEVCC(
        "lo", port=0, sdp_port=port, patience=20, trigger=Trigger(command.replace("PORT", str(port)))
    )
    return trio.run(run, library()[name], car)


OUR_EVCC = f"{shlex.quote(str(Path(sys.executable).with_name('hlc')))} evcc --lab-plain-tcp --sdp-port PORT"


def test_the_command_brings_the_car_and_its_words_are_in_the_log() -> None:
    verdict = play("failed-in-ServiceDiscoveryRes", f"echo plugged in; exec {OUR_EVCC}")
    assert (verdict.result, verdict.reasons) == (Result.PASS, [])
    assert "trigger: plugged in" in verdict.log


def test_a_command_that_fails_is_not_waited_for() -> None:
    verdict = play("failed-in-ServiceDiscoveryRes", "echo no such relay >&2; exit 3")
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons == ["EVCC on lo: the trigger ended with exit code 3"]
    assert verdict.log == ["trigger: no such relay"]
    assert verdict.seconds < 20


def test_what_the_command_started_ends_with_the_session(tmp_path: Path) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)

    async def main() -> None:
        trigger = Trigger(f"sleep 1000 3> {held} & echo plugged in")
        async with trio.open_nursery() as nursery:
            await nursery.start(trigger.run, {})
            with trio.fail_after(20):
                while not trigger.said or trigger.code is None:
                    await trio.sleep(0.01)
            assert not select.select([reader], [], [], 0)[0]  # sleep has it open
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert select.select([reader], [], [], 20)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_what_runs_in_the_background_has_time_to_switch_off(tmp_path: Path) -> None:
    """A relay that is held, or a car that leaves its network."""
    done = tmp_path / "off"

    async def main() -> None:
        relay = f"trap 'sleep 0.1; echo off > {done}; exit' TERM; echo on; while :; do sleep 0.05; done"
        trigger = Trigger(f"({relay}) &")
        async with trio.open_nursery() as nursery:
            await nursery.start(trigger.run, {})
            with trio.fail_after(20):
                while not trigger.said or trigger.code is None:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert done.read_text() == "off\n"


def test_the_command_knows_what_is_wanted_of_the_car() -> None:
    verdict = play("failed-in-ac-ScheduleExchangeRes", "echo $HLC_MODE/$HLC_CONTROL; exit 1")
    assert verdict.log == ["trigger: ac/"]


def test_our_side_is_fitted_to_the_device_where_the_scenario_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "vehicle.toml"
    file.write_text('mode = "dc_bpt"\n[evcc]\npre_charge_patience = 1.0\nloop_interval = 0.1\n')
    ours = OurSide.load(file, None, relaxed=True)
    scenario = ours.fit(library()["silent-in-the-loop-ac"])
    assert scenario.vehicle.mode == "ac"
    assert scenario.vehicle.timers == scenario.station.timers == "relaxed"
    assert scenario.vehicle.evcc == scenario.usual == {"pre_charge_patience": 1.0, "loop_interval": 0.1}
    other = library()["failed-in-ServiceDiscoveryRes"]
    assert ours.fit(other).vehicle.mode == "dc_bpt"
    assert ours.in_any_service().fit(other).vehicle.mode == "dc"
