"""A station and vehicles that meet over memory streams, on virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from hlc_sim.clock import unix_offset
from hlc_sim.config import StationConfig, VehicleConfig
from hlc_sim.evcc import ChargeReport, charge
from hlc_sim.secc import ConnectionReport, Station
from hlc_sim.transport.link import Link
from hlc_sim.vehicle import Battery, Driver
from iso15118.session.events import Role

SPEED = 240.0


@dataclass
class Bench:
    """One station; `plug` connects to it."""

    nursery: trio.Nursery
    station: Station
    reports: list[ConnectionReport] = field(default_factory=list)

    def plug(self) -> trio.abc.Stream:
        here, there = memory_stream_pair()
        self.nursery.start_soon(self.station.handle, there)
        return here

    async def charge(self, mode: str = "dc", control: str = "dynamic", soc: float = 70.0) -> ChargeReport:
        """A vehicle's whole session."""
        config = VehicleConfig(
            mode=mode,
            control=control,
            speed=SPEED,
            battery=Battery(soc=soc),
            driver=Driver(target_soc=80),
            evcc={"meter_interval": 1},
        )
        return await charge(Link(self.plug(), Role.EVCC), config.session(), config.vehicle())

    async def settled(self, count: int) -> None:
        """Until so many connections have ended."""
        with trio.fail_after(600):
            while len(self.reports) < count:
                await trio.sleep(0.01)


@pytest.fixture
async def bench(autojump_clock: MockClock, nursery: trio.Nursery) -> Bench:
    config = StationConfig(modes=("dc", "ac", "dc_bpt"), speed=SPEED)
    reports: list[ConnectionReport] = []
    station = Station(config.session(), lambda: config.charger(unix_offset()), finished=reports.append)
    return Bench(nursery, station, reports)
