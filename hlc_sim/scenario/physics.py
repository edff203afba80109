"""Our vehicle or charger with correct messages and wrong hardware: what is told is what that does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from iso15118.messages.common_types import DisplayParameters
from iso15118.session.charger import ACOutput, DCOutput
from iso15118.session.values import DCLimits, MeterReading, PerPhase
from iso15118.session.vehicle import Measurement

from ..charger.simulated import SimulatedCharger
from ..vehicle import SimulatedVehicle

METERS = ("", "stands", "jumps", "runs-back")


@dataclass(frozen=True, slots=True)
class PhysicsSettings:
    """What is wrong with the hardware of our side. V, A, W, Wh, simulated s since the first loop."""

    pre_charge_voltage: float | None = None
    """Station: the output in pre-charge, whatever is asked."""
    pre_charge_factor: float = 1.0
    """Station: the output in pre-charge, of what is asked."""
    voltage_factor: float = 1.0
    """Station: the voltage in the loop, of what it should be."""
    current_factor: float = 1.0
    """Station: the current in the loop, of what it should be."""
    lowered_after: float | None = None
    """Station: from then on its limits are `lowered_current` and `lowered_power`."""
    lowered_current: float = 0.0
    lowered_power: float = 0.0
    meter: str = ""
    """Station: the meter "stands", "jumps" by 100 kWh each reading, or "runs-back"."""
    draws_factor: float = 1.0
    """Vehicle: what it draws, of what it should."""
    inlet_voltage: float | None = None
    """Vehicle: what it measures at its inlet, always."""
    socs: tuple[int, ...] = ()
    """Vehicle: the states of charge that it displays, one after the other, then again, in %."""

    def __post_init__(self) -> None:
        if self.meter not in METERS:
            raise ValueError(f"physics.meter: {self.meter!r} is not one of stands, jumps, runs-back")


class BadCharger(SimulatedCharger):
    """A simulated outlet whose hardware is as `physics` says."""

    physics = PhysicsSettings()
    _readings = 0

    def precharge(self, now: float, target_voltage: float) -> float:
        wrong = self.physics.pre_charge_voltage
        voltage = super().precharge(now, target_voltage)
        return wrong if wrong is not None else voltage * self.physics.pre_charge_factor

    def dc_limits(self, now: float) -> DCLimits:
        limits, physics = super().dc_limits(now), self.physics
        if physics.lowered_after is None or self._started_at is None:
            return limits
        if self._since_start < physics.lowered_after:
            return limits
        return replace(
            limits,
            max_charge_current=min(limits.max_charge_current, physics.lowered_current),
            max_charge_power=min(limits.max_charge_power, physics.lowered_power),
        )

    def deliver_dc(self, now: float, current: float | None, voltage: float | None) -> DCOutput:
        output, physics = super().deliver_dc(now, current, voltage), self.physics
        return replace(
            output,
            voltage=output.voltage * physics.voltage_factor,
            current=output.current * physics.current_factor,
        )

    def deliver_ac(self, now: float) -> ACOutput:
        output, factor = super().deliver_ac(now), self.physics.current_factor
        if output.present_active_power is None:
            return output
        return replace(output, present_active_power=_scaled(output.present_active_power, factor))

    def meter(self, now: float) -> MeterReading | None:
        reading = super().meter(now)
        if reading is None or not self.physics.meter:
            return reading
        self._readings += 1
        false = {"stands": 0.0, "jumps": 1e5 * self._readings, "runs-back": max(0.0, 5e3 - self._readings)}
        return replace(reading, charged_wh=false[self.physics.meter])


class BadVehicle(SimulatedVehicle):
    """A simulated vehicle whose hardware is as `physics` says."""

    physics = PhysicsSettings()
    _shown = 0

    def measure(self, now: float) -> Measurement:
        measured, physics = super().measure(now), self.physics
        wrong = physics.inlet_voltage
        return dataclasses.replace(
            measured,
            inlet_voltage=measured.inlet_voltage if wrong is None else wrong,
            current=measured.current * physics.draws_factor,
            active_power=_scaled(measured.active_power, physics.draws_factor),
        )

    def display(self, now: float) -> DisplayParameters | None:
        shown = super().display(now)
        if shown is None or not self.physics.socs:
            return shown
        shown.present_soc = self.physics.socs[self._shown % len(self.physics.socs)]
        self._shown += 1
        return shown


def _scaled(power: PerPhase, factor: float) -> PerPhase:
    return tuple(value * factor for value in power)  # type: ignore[return-value]


def charger_kind(physics: PhysicsSettings | None) -> Callable[..., SimulatedCharger]:
    """The class of our outlet."""
    return SimulatedCharger if physics is None else _kind(BadCharger, physics)


def vehicle_kind(physics: PhysicsSettings | None) -> Callable[..., SimulatedVehicle]:
    """The class of our vehicle."""
    return SimulatedVehicle if physics is None else _kind(BadVehicle, physics)


def _kind(base: type, physics: PhysicsSettings) -> Any:
    return type(base.__name__, (base,), {"physics": physics})
