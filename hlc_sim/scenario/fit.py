"""Our side, fitted to a device where a scenario says nothing: patience, dialects, timers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from ..config.reader import load, overlay
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from .model import Scenario


@dataclass(frozen=True, slots=True)
class OurSide:
    """What our vehicle and our station are unless a scenario sets it."""

    vehicle: VehicleConfig = field(default_factory=VehicleConfig)
    station: StationConfig = field(default_factory=StationConfig)

    @classmethod
    def load(cls, vehicle: Path | None, station: Path | None, *, relaxed: bool = False) -> OurSide:
        """From files; `relaxed`: our timers are those for slow devices. ConfigError names file and key."""
        ours = cls(
            load(VehicleConfig, vehicle) if vehicle is not None else VehicleConfig(),
            load(StationConfig, station) if station is not None else StationConfig(),
        )
        if relaxed:
            ours.vehicle.timers = ours.station.timers = "relaxed"
        return ours

    def in_any_service(self) -> OurSide:
        """The same without energy service and control mode."""
        any_, anywhere = VehicleConfig(), StationConfig()
        return OurSide(
            dataclasses.replace(self.vehicle, mode=any_.mode, control=any_.control),
            dataclasses.replace(
                self.station, modes=anywhere.modes, control=anywhere.control, energy=anywhere.energy
            ),
        )

    def fit(self, scenario: Scenario) -> Scenario:
        """The scenario played by this side. The session after it knows these settings, too."""
        return dataclasses.replace(
            scenario,
            vehicle=overlay(self.vehicle, scenario.vehicle),
            station=overlay(self.station, scenario.station),
            usual=self.vehicle.evcc,
        )
