"""Whole sessions in which nothing is disturbed, for the cases that look at what a device says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from iso15118.session.events import Role
from iso15118.session.secc_config import energy_modes
from iso15118.session.services import Pricing

from ..charger.site import Slot
from ..config.common import MODES
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..scenario.model import Expect, Outcome, Scenario
from .capabilities import CONTROL_MODES
from .making import polling_station

LOOPS = 6
"""Charge loops of a reference session; MeterInfo is asked for in every second."""


_LIMITED = {"dc": 20_000.0, "ac": 5_000.0}
"""W of the site's plan in sessions whose EV could take more."""
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Reference:
    """One kind of session, and what a device must support for it."""

    name: str
    mode: str
    control: str
    priced: bool = False
    limited: bool = False
    """The site gives less than the EV could take."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (
            f"service:{self.mode}",
            f"control:{self.control}",
            *(("prices",) if self.priced else ()),
        )

    def scenario(self, tests: Role) -> Scenario:
        """The session, with a device of this side under test."""
        return Scenario(
            name=f"reference {self.name}",
            title=f"an undisturbed {self.mode} session under {self.control} control",
            plays=tests.other,
            sound="Comes to its proper end.",
            expect=Expect(Outcome.CONTINUES, health=False),
            vehicle=VehicleConfig(
                mode=self.mode,
                control=self.control,
                evcc={"charge_loops": LOOPS, "meter_interval": 2},
            ),
            station=self._station(),
        )

    def _station(self) -> StationConfig:
        station = polling_station(self.mode)
        if self.priced:
            station.energy = energy_modes(MODES[self.mode], pricing=Pricing.ABSOLUTE)
        if self.limited:
            station.site.plan = (Slot(_DAY, charge=_LIMITED[self.mode]),)
        return station


@cache
def references() -> Mapping[str, Reference]:
    """By name: each energy service under each control mode; the plain ones also with prices, and at a site
    that gives little.
    """
    found = [Reference(f"{mode}-{control}", mode, control) for mode in MODES for control in CONTROL_MODES]
    found += [
        Reference(f"{mode}-{control}-priced", mode, control, priced=True)
        for mode in ("dc", "ac")
        for control in CONTROL_MODES
    ]
    found += [
        Reference(f"{mode}-{control}-limited", mode, control, limited=True)
        for mode in _LIMITED
        for control in CONTROL_MODES
    ]
    return {item.name: item for item in found}
