"""Configuration of a charging station and its SECC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from iso15118.session.secc_config import SECCConfig, energy_modes
from iso15118.session.services import ControlMode, EnergyMode, Pricing, ServiceID

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
    pricing: Pricing = Pricing.NONE
    """Prices that the schedules of `modes` carry, from `site.plan`."""
    speed: float = 1.0
    """Simulated seconds per second."""
    timers: str = "strict"
    """"strict" or "relaxed"."""
    energy: tuple[EnergyMode, ...] = ()
    """Parameter sets one by one; one whose `parameter_set_id` is 0 gets the next free one of its service."""
    outlet: Outlet = field(default_factory=Outlet)
    site: Site = field(default_factory=Site)
    secc: dict[str, Any] = field(default_factory=dict, metadata={"settings": SECCConfig})
    """How the SECC behaves: fields of SECCConfig."""
    trust: TrustConfig = field(default_factory=TrustConfig)

    def __post_init__(self) -> None:
        for mode in self.modes:
            one_of("modes", mode, MODES)
        if not self.modes and not self.energy:
            raise ValueError("modes: at least one energy service is needed")
        if self.control is not None:
            one_of("control", self.control, ("scheduled", "dynamic"))
        one_of("timers", self.timers, ("strict", "relaxed"))
        positive("speed", self.speed)

    def session(self) -> SECCConfig:
        """The SECC's configuration that follows."""
        values: dict[str, Any] = {
            "energy": tuple(_numbered(self.energy)) or self._energy(),
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
            found += energy_modes(service, pricing=self.pricing, **phases)
        if self.control is None:
            return tuple(found)
        wanted = ControlMode[self.control.upper()]
        return tuple(mode for mode in found if mode.control is wanted)


def _numbered(modes: Sequence[EnergyMode]) -> list[EnergyMode]:
    taken: dict[ServiceID, set[int]] = {}
    for mode in modes:
        taken.setdefault(mode.service, {0}).add(mode.parameter_set_id)
    found = []
    for mode in modes:
        if mode.parameter_set_id == 0:
            ids = taken[mode.service]
            mode = replace(mode, parameter_set_id=next(n for n in range(1, len(ids) + 1) if n not in ids))
            ids.add(mode.parameter_set_id)
        found.append(mode)
    return found
