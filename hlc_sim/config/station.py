"""Configuration of a charging station and its SECC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from iso15118.session.secc_config import SECCConfig, energy_modes
from iso15118.session.services import ControlMode, EnergyMode

from ..charger import Outlet, SimulatedCharger, Site
from .common import MODES, one_of, positive, timers
from .reader import copy_tree
from .trust import TrustConfig


@dataclass(slots=True)
class StationConfig:
    """`hlc secc --config`: the outlet, the site behind it, and how its SECC behaves."""

    modes: tuple[str, ...] = ("dc",)
    """Energy services on offer, of MODES; ignored where `energy` lists parameter sets."""
    control: str | None = None
    """"scheduled" or "dynamic" to offer only that; None offers both [V2G20-2656]."""
    speed: float = 1.0
    """Simulated seconds per second."""
    timers: str = "strict"
    """"strict" or "relaxed"."""
    energy: tuple[EnergyMode, ...] = ()
    """Parameter sets one by one."""
    outlet: Outlet = field(default_factory=Outlet)
    site: Site = field(default_factory=Site)
    secc: dict[str, Any] = field(default_factory=dict, metadata={"settings": SECCConfig})
    """Fields of SECCConfig."""
    trust: TrustConfig = field(default_factory=TrustConfig)

    def __post_init__(self) -> None:
        for mode in self.modes:
            one_of("modes", mode, MODES)
        if self.control is not None:
            one_of("control", self.control, ("scheduled", "dynamic"))
        one_of("timers", self.timers, ("strict", "relaxed"))
        positive("speed", self.speed)

    def session(self) -> SECCConfig:
        """The SECC's configuration that follows."""
        values: dict[str, Any] = {
            "energy": self.energy or self._energy(),
            "timers": timers(self.timers),
            **self.secc,
        }
        return SECCConfig(**values)

    def charger(
        self, unix_offset: float = 0.0, kind: Callable[..., SimulatedCharger] = SimulatedCharger
    ) -> SimulatedCharger:
        """A new outlet at the shared site, of another class if wanted; its hardware is a copy, so that
        sessions at the same time do not meet.
        """
        outlet = copy_tree(self.outlet)
        return kind(outlet, self.site, speed=self.speed, unix_offset=unix_offset)

    def _energy(self) -> tuple[EnergyMode, ...]:
        found: list[EnergyMode] = []
        for name in self.modes:
            service = MODES[name]
            phases = {"connector": self.outlet.ac_phases} if name.startswith("ac") else {}
            found += energy_modes(service, **phases)
        if self.control is None:
            return tuple(found)
        wanted = ControlMode[self.control.upper()]
        return tuple(mode for mode in found if mode.control is wanted)
