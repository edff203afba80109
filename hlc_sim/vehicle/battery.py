"""A traction battery: energy, voltage rising with state of charge, and currents that taper towards full and
empty.

Model: an open-circuit voltage that depends on the state of charge, behind one resistance. Holding the
terminal voltage at or below the maximum makes the constant-voltage phase by itself: the nearer the
open-circuit voltage comes to the maximum, the less current fits in between. Units: Wh, V, A, W, Ohm, s;
current and power are positive when charging.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_TRICKLE = 0.02
"""Part of the maximum current at which charging counts as finished."""


@dataclass(slots=True)
class Battery:
    """A battery with a voltage that rises with its charge, and limits of power and current."""

    capacity: float = 60_000.0
    soc: float = 40.0
    """%."""
    min_voltage: float = 330.0
    """Terminal voltage at which discharging ends."""
    max_voltage: float = 420.0
    resistance: float = 0.08
    max_charge_current: float = 250.0
    max_discharge_current: float = 150.0
    max_charge_power: float = 100_000.0
    max_discharge_power: float = 60_000.0
    current: float = field(default=0.0, init=False)
    """Flowing now."""
    charged: float = field(default=0.0, init=False)
    """Wh in at the terminals since the start."""
    discharged: float = field(default=0.0, init=False)
    """Wh out at the terminals since the start."""

    def __post_init__(self) -> None:
        if not 0 <= self.soc <= 100:
            raise ValueError(f"battery soc is {self.soc} %, must be between 0 and 100")
        if not 0 < self.min_voltage < self.max_voltage:
            limits = f"0 and max_voltage {self.max_voltage} V"
            raise ValueError(f"battery min_voltage {self.min_voltage} V must be between {limits}")
        for name in ("capacity", "resistance", "max_charge_current", "max_charge_power"):
            if not getattr(self, name) > 0:
                raise ValueError(f"battery {name} is {getattr(self, name)}, must be greater than 0")

    @property
    def energy(self) -> float:
        """Wh stored."""
        return self.capacity * self.soc / 100

    @property
    def open_circuit_voltage(self) -> float:
        """Steep at the empty end, then nearly linear; reaches the maximum when full."""
        level = self.soc / 100
        shape = 0.15 * (1 - math.exp(-15 * level)) + 0.85 * level
        return self.min_voltage + (self.max_voltage - self.min_voltage) * min(1.0, shape)

    @property
    def voltage(self) -> float:
        """At the terminals, under the present current."""
        return self.open_circuit_voltage + self.current * self.resistance

    def charge_current_limit(self) -> float:
        """What it takes now: the least of its current limit, its power limit and the room up to its maximum
        voltage.
        """
        source = self.open_circuit_voltage
        by_voltage = (self.max_voltage - source) / self.resistance
        by_power = (math.sqrt(source**2 + 4 * self.resistance * self.max_charge_power) - source) / (
            2 * self.resistance
        )
        limit = min(self.max_charge_current, by_power, by_voltage)
        return limit if limit > _TRICKLE * self.max_charge_current else 0.0

    def discharge_current_limit(self) -> float:
        """What it gives now, as a magnitude."""
        source = self.open_circuit_voltage
        by_voltage = (source - self.min_voltage) / self.resistance
        root = source**2 - 4 * self.resistance * self.max_discharge_power
        by_power = (source - math.sqrt(root)) / (2 * self.resistance) if root > 0 else math.inf
        limit = min(self.max_discharge_current, by_power, by_voltage)
        return limit if limit > _TRICKLE * self.max_charge_current else 0.0

    def current_for_power(self, power: float) -> float:
        """The current at which `power` crosses the terminals."""
        source = self.open_circuit_voltage
        root = source**2 + 4 * self.resistance * power
        return (math.sqrt(max(0.0, root)) - source) / (2 * self.resistance)

    def flow(self, current: float, seconds: float) -> None:
        """Let `current` flow for `seconds`; what no longer fits, or is no longer there, does not flow."""
        if seconds <= 0:
            self.current = current
            return
        source = self.open_circuit_voltage
        room = (self.capacity - self.energy) / (source * seconds / 3600)
        rest = self.energy / (source * seconds / 3600)
        self.current = current = max(-rest, min(room, current))
        at_terminals = (source + current * self.resistance) * current * seconds / 3600
        if current >= 0:
            self.charged += at_terminals
        else:
            self.discharged -= at_terminals
        stored = source * current * seconds / 3600
        self.soc = max(0.0, min(100.0, self.soc + 100 * stored / self.capacity))

    def energy_to(self, soc: float) -> float:
        """Wh to be charged to reach `soc` (%), negative once it is passed."""
        return self.capacity * (soc - self.soc) / 100
