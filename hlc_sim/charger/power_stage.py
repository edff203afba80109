"""Hardware of a DC outlet: power stage, isolation monitor, contactor. V, A, W, s of simulated time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from iso15118.session.charger import DCOutput, Progress
from iso15118.session.values import DCLimits


@dataclass(slots=True)
class Contactor:
    """A contactor that takes its time, and may fail open or welded."""

    closing_time: float = 0.05
    stuck_open: bool = False
    """A fault: it never closes."""
    welded: bool = False
    """A fault: once closed it stays closed."""
    closed: bool = field(default=False, init=False)
    _moving: float | None = field(default=None, init=False)

    def close(self, seconds: float) -> Progress:
        """One step of `seconds` towards closed; the first call starts it."""
        if self.closed:
            return Progress.DONE
        if self.stuck_open:
            return Progress.FAILED
        self._moving = self.closing_time if self._moving is None else self._moving - seconds
        if self._moving > 0:
            return Progress.ONGOING
        self.closed, self._moving = True, None
        return Progress.DONE

    def open(self) -> bool:
        """True if it is open afterwards."""
        self._moving = None
        self.closed = self.closed and self.welded
        return not self.closed


@dataclass(slots=True)
class IsolationMonitor:
    """Tests the insulation of cable and vehicle inlet before a DC transfer."""

    duration: float = 2.0
    resistance: float = 5_000_000.0
    """What it will measure, Ohm."""
    required: float = 100_000.0
    """Ohm; below it the test fails (IEC 61851-23: 100 Ohm/V at up to 1000 V)."""
    _remaining: float | None = field(default=None, init=False)

    def test(self, seconds: float) -> Progress:
        """One step of `seconds`; the first call starts the test."""
        self._remaining = self.duration if self._remaining is None else self._remaining - seconds
        if self._remaining > 0:
            return Progress.ONGOING
        return Progress.DONE if self.resistance >= self.required else Progress.FAILED

    def reset(self) -> None:
        self._remaining = None


@dataclass(slots=True)
class PowerStage:
    """A converter that ramps towards a set-point and never leaves its limits."""

    limits: DCLimits = field(
        default_factory=lambda: DCLimits(
            max_charge_power=150_000.0,
            max_charge_current=300.0,
            max_voltage=920.0,
            min_voltage=150.0,
            max_discharge_power=60_000.0,
            min_discharge_power=0.0,
            max_discharge_current=150.0,
            min_discharge_current=0.0,
        )
    )
    voltage_ramp: float = 500.0
    """V/s."""
    current_ramp: float = 150.0
    """A/s."""
    voltage: float = field(default=0.0, init=False)
    current: float = field(default=0.0, init=False)

    @property
    def power(self) -> float:
        return self.voltage * self.current

    def regulate_voltage(self, target: float, seconds: float) -> float:
        """Without load (pre-charge, off): the output voltage after `seconds`."""
        goal = min(target, self.limits.max_voltage)
        step = self.voltage_ramp * seconds
        self.voltage += max(-step, min(step, goal - self.voltage))
        self.current = 0.0
        return self.voltage

    def regulate(
        self,
        limits: DCLimits,
        current: float,
        voltage: float | None,
        load_voltage: float | None,
        seconds: float,
    ) -> DCOutput:
        """Into a battery: the current ramps towards `current`, the voltage is the battery's.

        `limits` are those of the moment (lowered ones of the site included), `voltage` is the target voltage
        (None or 0: unchanged), `load_voltage` what the vehicle measures at its inlet, if that is known and
        plausible.
        """
        if load_voltage is not None and 0 < load_voltage <= self.limits.max_voltage:
            self.voltage = load_voltage
        elif voltage:
            self.voltage = min(voltage, self.limits.max_voltage)
        voltage_limited = self.voltage >= limits.max_voltage or (voltage or 0.0) > limits.max_voltage
        at = max(self.voltage, 1.0)
        if current >= 0:
            current_limit, power_limit = limits.max_charge_current, limits.max_charge_power
        else:
            current_limit, power_limit = (
                limits.max_discharge_current or 0.0,
                limits.max_discharge_power or 0.0,
            )
        allowed = min(abs(current), current_limit, power_limit / at)
        goal = math.copysign(allowed, current)
        step = self.current_ramp * seconds
        self.current += max(-step, min(step, goal - self.current))
        # A limit that was lowered holds at once; only the way up takes the ramp.
        self.current = math.copysign(
            min(abs(self.current), current_limit, power_limit / at)
            if self.current * current >= 0
            else abs(self.current),
            self.current,
        )
        return DCOutput(
            voltage=self.voltage,
            current=self.current,
            power_limited=abs(current) * at > power_limit,
            current_limited=abs(current) > current_limit,
            voltage_limited=voltage_limited,
        )

    def off(self) -> None:
        self.voltage = self.current = 0.0
