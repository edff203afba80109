"""Configuration of a vehicle and its EVCC."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from iso15118.session.evcc_config import EVCCConfig, ServiceWish
from iso15118.session.services import ControlMode, ServiceID

from ..vehicle import Battery, Driver, OnBoardCharger, SimulatedVehicle
from .common import MODES, one_of, positive, timers
from .trust import TrustConfig


@dataclass(slots=True)
class VehicleConfig:
    """`hlc evcc --config`: the vehicle, its driver, and how its EVCC behaves."""

    mode: str = "dc"
    """One of MODES."""
    control: str | None = None
    """"scheduled" or "dynamic"; None: what the station prefers of what both can."""
    speed: float = 1.0
    """Simulated seconds per second."""
    timers: str = "strict"
    """"strict" or "relaxed"."""
    battery: Battery = field(default_factory=Battery)
    on_board_charger: OnBoardCharger = field(default_factory=OnBoardCharger)
    driver: Driver = field(default_factory=Driver)
    evcc: dict[str, Any] = field(default_factory=dict, metadata={"settings": EVCCConfig})
    """How the EVCC behaves: fields of EVCCConfig."""
    trust: TrustConfig = field(default_factory=TrustConfig)

    def __post_init__(self) -> None:
        one_of("mode", self.mode, MODES)
        if self.control is not None:
            one_of("control", self.control, ("scheduled", "dynamic"))
        one_of("timers", self.timers, ("strict", "relaxed"))
        positive("speed", self.speed)

    @property
    def service(self) -> ServiceID:
        return MODES[self.mode]

    def session(self) -> EVCCConfig:
        """The EVCC's configuration that follows."""
        control: tuple[ControlMode, ...] = (ControlMode.DYNAMIC, ControlMode.SCHEDULED)
        if self.control is not None:
            control = (ControlMode[self.control.upper()],)
        values: dict[str, Any] = {
            "services": (ServiceWish(self.service, control=control),),
            "timers": timers(self.timers),
            **self.evcc,
        }
        return EVCCConfig(**values)

    def vehicle(self, kind: Callable[..., SimulatedVehicle] = SimulatedVehicle) -> SimulatedVehicle:
        """A new vehicle, of another class if wanted."""
        return kind(
            dataclasses.replace(self.battery),
            self.on_board_charger,
            dataclasses.replace(self.driver, wishes=list(self.driver.wishes)),
            bidirectional=self.service.bidirectional,
            speed=self.speed,
        )
