"""The charger's values in the trace of a station, and the requirements that can be judged by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from hlc_sim.clock import unix_offset
from hlc_sim.config.station import StationConfig
from hlc_sim.config.vehicle import VehicleConfig
from hlc_sim.evcc import charge
from hlc_sim.secc import Station
from hlc_sim.trace import events as ev
from hlc_sim.trace.check import check
from hlc_sim.trace.jsonl import read
from hlc_sim.trace.run import tracing
from hlc_sim.transport.link import FrameRecord, Link
from hlc_sim.vehicle import Battery, Driver
from iso15118.session.charger import Charger
from iso15118.session.events import Role
from iso15118.session.judge.scale import Result

LIMIT, GRID = ("3B-4", "5-11")


def session(directory: Path, mode: str, incident: Callable[[StationConfig], None]) -> list[ev.Event]:
    """The station's trace of a session in which something happens to the site after the third charge loop."""
    station_config = StationConfig(modes=(mode,), speed=60.0)
    vehicle = VehicleConfig(
        mode=mode,
        speed=60.0,
        battery=Battery(soc=70.0),
        driver=Driver(target_soc=80),
        evcc={"charge_loops": 40},
    )
    loops = 0

    def count(record: FrameRecord) -> None:
        nonlocal loops
        loops += type(record.message).__name__.endswith("ChargeLoopRes")
        if loops == 3:
            loops += 1
            incident(station_config)

    async def main() -> None:
        outlets: dict[str, Charger] = {}
        with tracing(directory, Role.SECC, name="run", lab_plain_tcp=True, capture=False) as record:
            station = Station(
                station_config.session(),
                lambda: station_config.charger(unix_offset()),
                sink=lambda peer: record.sink(peer, count, charger=lambda: outlets.get(peer)),
                assigned=outlets.__setitem__,
                finished=lambda report: record.closed(report.peer, "EVCC", report.ended, report.deviations),
            )
            here, there = memory_stream_pair()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(record.watch)
                nursery.start_soon(station.handle, there)
                await charge(Link(here, Role.EVCC), vehicle.session(), vehicle.vehicle())
                while not station.served:
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return read(directory / "run.jsonl")


def samples(events: list[ev.Event]) -> list[dict[str, float]]:
    return [event.values for event in events if isinstance(event, ev.Sample) and event.source == "charger"]


def results(events: list[ev.Event]) -> dict[str, Result]:
    verdict = check(events, scale=True)
    return {item.requirement.id: item.result for item in verdict.scale[1]}


def limit(config: StationConfig) -> None:
    config.site.connection_power = 20_000.0


def lose_grid(config: StationConfig) -> None:
    config.site.grid_present = False


def nothing(_: StationConfig) -> None:
    pass


@pytest.mark.parametrize("mode", ["dc_bpt", "ac_bpt"])
def test_a_lower_limit_of_the_site_is_recorded_and_seen_to_be_told(tmp_path: Path, mode: str) -> None:
    events = session(tmp_path, mode, limit)
    told = [values["site_limit"] for values in samples(events) if "site_limit" in values]
    assert told[0] > 20_000
    assert told[-1] == 20_000
    assert results(events)[LIMIT] is Result.PASS


def test_a_limit_that_is_not_told_is_found(tmp_path: Path) -> None:
    """The same trace, the vehicle hearing of the limit more than a minute late."""
    events = session(tmp_path, "dc_bpt", limit)
    lowered = next(
        index
        for index, event in enumerate(events)
        if isinstance(event, ev.Sample) and event.values.get("site_limit") == 20_000
    )
    for event in events[lowered + 1 :]:
        event.time += 61
    assert results(events)[LIMIT] is Result.FAIL


def test_a_lost_grid_opens_the_contactor(tmp_path: Path) -> None:
    events = session(tmp_path, "dc_bpt", lose_grid)
    states = [(values["grid"], values["contactor"]) for values in samples(events)]
    kept = [state for index, state in enumerate(states) if index == 0 or state != states[index - 1]]
    assert kept == [(1, 0), (1, 1), (0, 1), (0, 0)]
    assert results(events)[GRID] is Result.PASS


def test_where_nothing_happens_nothing_is_shown(tmp_path: Path) -> None:
    found = results(session(tmp_path, "dc_bpt", nothing))
    assert found[LIMIT] is found[GRID] is Result.NOT_SHOWN


def test_values_of_the_power_and_of_the_meter_are_recorded(tmp_path: Path) -> None:
    values = samples(session(tmp_path, "dc_bpt", nothing))
    assert values[0] == {
        "grid": 1.0, "contactor": 0.0, "voltage": 0.0, "current": 0.0, "power": 0.0,
        "charged": 0.0, "discharged": 0.0,
    }  # fmt: skip
    flowing = [item for item in values if item["power"] > 0]
    assert flowing
    for item in flowing:
        assert item["power"] == pytest.approx(item["voltage"] * item["current"], rel=1e-4)
    registers = [item["charged"] for item in values]
    assert registers == sorted(registers)
    assert registers[-1] > 0
