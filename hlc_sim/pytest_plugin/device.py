"""A device under test, as the fixtures `secc` and `evcc` give it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from trio.testing import MockClock

from iso15118.session.events import Role
from iso15118.session.secc_config import SessionStore

from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..scenario.fit import OurSide
from ..scenario.model import Result, Scenario, Verdict
from ..scenario.runner import run
from ..scenario.targets import NoTarget, Target
from ..scenario.watch import Watched
from .evidence import Evidence
from .portal import Portal
from .speaker import HeldLink, Speaker, as_evcc, as_secc
from .verdict import Inconclusive


class DeviceUnderTest:
    """An SECC or an EVCC. `connect` opens connections to the one and waits for those of the other, one after
    another or several at once.
    """

    def __init__(self, target: Target, ours: OurSide, evidence: Evidence) -> None:
        self.target = target
        self.ours = ours
        self._evidence = evidence
        self._recorded = evidence.watch(target)
        self._store = SessionStore()

    @contextmanager
    def connect(
        self, vehicle: VehicleConfig | None = None, station: StationConfig | None = None
    ) -> Iterator[Speaker]:
        """A connection and our side of it, closed at the end. Inconclusive if there is none.

        `vehicle` and `station` are in place of what the options say: of our side, and of a simulated device.
        """
        vehicle, station = vehicle or self.ours.vehicle, station or self.ours.station
        ours = self.target.role.other
        with Portal() as portal:
            try:
                stream = portal.run(self._watch, portal.nursery, vehicle, station)
            except NoTarget as error:
                raise Inconclusive(str(error)) from None
            self._evidence.sources.append(lambda: self._told(stream))
            behave = as_evcc(vehicle) if ours is Role.EVCC else as_secc(station, self._store)
            link = HeldLink(stream, ours, behave, portal.nursery)
            try:
                yield Speaker(portal, stream, link)
            finally:
                portal.run(stream.aclose)

    def play(self, scenario: Scenario) -> Verdict:
        """Judge the device by a scenario. Inconclusive."""
        clock = MockClock(autojump_threshold=0) if is_simulated(self.target) else None
        verdict = trio.run(run, self.ours.fit(scenario), self._recorded, clock=clock)
        self._evidence.sources.append(lambda: verdict.log)
        if verdict.result is Result.INCONCLUSIVE:
            raise Inconclusive("; ".join(verdict.reasons))
        return verdict

    async def _watch(self, nursery: trio.Nursery, vehicle: VehicleConfig, station: StationConfig) -> Watched:
        stream = await self._recorded.connect(nursery, vehicle, station)
        return Watched(stream, self.target.role.other, lab=self.target.plain)

    def _told(self, stream: Watched) -> Iterator[str]:
        for frame in stream.record.seen:
            yield frame.line(stream.record.opened)
        for finding in stream.record.findings:
            yield f"judge: {finding}"
        for line in getattr(self.target, "said", ()):
            yield f"trigger: {line}"


def is_simulated(target: Target) -> bool:
    return target.name.startswith("simulated")
