"""A station and a vehicle of one minted hierarchy that meet over TLS in memory, on virtual time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from hlc_sim.clock import unix_offset
from hlc_sim.config import StationConfig, VehicleConfig
from hlc_sim.evcc import ChargeReport, charge
from hlc_sim.secc import ConnectionReport, Station
from hlc_sim.transport.link import Intervention, Link
from hlc_sim.transport.tls import secure
from hlc_sim.trust import (
    StationTrust,
    VehicleTrust,
    describe,
    secc_identity,
    securing,
    station_of,
    vehicle_of,
)
from hlc_sim.vehicle import Battery, Driver
from iso15118.session.evcc_steps import PausedSession
from iso15118.session.events import Deviation, Role
from pki.hierarchy import Hierarchy
from pki.profiles import Edition, Family

SPEED = 240.0


@cache
def mint(edition: Edition = Edition.ISO_20, family: Family | None = None) -> Hierarchy:
    return Hierarchy.mint(edition, family, seed="tests")


@dataclass
class Lab:
    """One station; vehicles come one after another."""

    nursery: trio.Nursery
    hierarchy: Hierarchy = field(default_factory=mint)
    mode: str = "dc"
    control: str = "dynamic"
    station_config: dict[str, Any] = field(default_factory=dict)
    """Fields of StationConfig."""
    secc: dict[str, Any] = field(default_factory=dict)
    """Fields of SECCConfig."""
    reports: list[ConnectionReport] = field(default_factory=list)
    trust: StationTrust = field(init=False)
    tap: Callable[[trio.abc.Stream, str], trio.abc.Stream] = field(default=lambda stream, side: stream)

    def __post_init__(self) -> None:
        self.trust = station_of(self.hierarchy)

    def open(self) -> None:
        """The station, as it is configured now."""
        config = StationConfig(modes=(self.mode,), control=self.control, speed=SPEED, **self.station_config)
        self.station = Station(
            replace(config.session(), **(self.trust.offers | self.secc)),
            lambda: config.charger(unix_offset()),
            secure=securing(self.trust.tls),
            trust=self.trust.trust,
            finished=self.reports.append,
        )

    def vehicle(self, **options: Any) -> VehicleTrust:
        return vehicle_of(self.hierarchy, **options)

    async def charge(
        self,
        own: VehicleTrust | None = None,
        *,
        wishes: Sequence[tuple[float, Any]] = (),
        resume: PausedSession | None = None,
        intervention: Intervention | None = None,
        **evcc: Any,
    ) -> ChargeReport:
        """A vehicle's session from the handshake on, and the station's report at its end."""
        if not hasattr(self, "station"):
            self.open()
        own = own or self.vehicle()
        config = VehicleConfig(
            mode=self.mode,
            control=self.control,
            speed=SPEED,
            battery=Battery(soc=78),
            driver=Driver(target_soc=80, wishes=list(wishes)),
            evcc={"meter_interval": 1},
        )
        near, far = memory_stream_pair()
        self.nursery.start_soon(self.station.handle, self.tap(far, "secc"))
        stream = await secure(self.tap(near, "evcc"), own.tls, server_side=False)
        seen = len(self.reports)
        report = await charge(
            Link(stream, Role.EVCC, intervention=intervention),
            replace(config.session(), **(own.settings | evcc)),
            config.vehicle(),
            resume=resume,
            secc_identity=secc_identity(stream),
            tls=describe(stream.facts),
        )
        with trio.fail_after(60):
            while len(self.reports) == seen:
                await trio.sleep(0.01)
        return report

    def texts(self) -> list[str]:
        """Deviations in the station's last report."""
        return told(self.reports[-1].deviations)


def told(deviations: Sequence[Deviation]) -> list[str]:
    return [str(item) for item in deviations]


@pytest.fixture
async def lab(autojump_clock: MockClock, nursery: trio.Nursery) -> Lab:
    return Lab(nursery)
