"""The control pilot of IEC 61851-1 as the matching uses it, and a simulated line for where there is none.

A real one (an interface board, a GPIO) implements the two small protocols below; nothing else in the project
looks at volts. The EVSE drives the oscillator, the EV loads the line with resistors, both read back what
results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class CpState(Enum):
    """The state of the line: what the EV's load and the EVSE's source make of it together."""

    A = "A"  # no vehicle
    B = "B"  # vehicle, not ready
    C = "C"  # vehicle ready (S2 closed)
    D = "D"  # vehicle ready, ventilation wanted
    E = "E"  # 0 V: error, line dead
    F = "F"  # -12 V: EVSE not available


VEHICLE_STATES = frozenset({CpState.B, CpState.C, CpState.D})

HLC_DUTY = 5.0  # per cent: high-level communication required
STEADY = 100.0  # per cent: no oscillation, the "1" of states A1, B1, C1 (X1)


@dataclass(frozen=True, slots=True)
class CpSignal:
    """One reading of the line: its state and the duty cycle in per cent (100 = steady, no PWM)."""

    state: CpState
    duty: float = STEADY

    @property
    def vehicle(self) -> bool:
        return self.state in VEHICLE_STATES

    @property
    def hlc(self) -> bool:
        """High-level communication asked for: 3 to 7 per cent count as 5."""
        return self.vehicle and 3.0 <= self.duty <= 7.0

    @property
    def pwm(self) -> bool:
        return self.vehicle and self.duty < STEADY


Listener = Callable[[CpSignal], None]


class EvControlPilot(Protocol):
    """The EV's end."""

    def read(self) -> CpSignal: ...

    def load(self, state: CpState) -> None:
        """Show B, C or D with the resistors; A stands for unplugged."""

    def listen(self, listener: Listener | None) -> None:
        """Have changes reported; None ends it."""


class EvseControlPilot(Protocol):
    """The EVSE's end."""

    def read(self) -> CpSignal: ...

    def drive(self, duty: float, fault: CpState | None = None) -> None:
        """Set the oscillator: duty cycle in per cent (100 = X1), or state E or F instead."""

    def listen(self, listener: Listener | None) -> None: ...


class SimulatedLine:
    """A control pilot wire with both ends in this process. ``line.ev`` and ``line.evse`` are its ends."""

    def __init__(self) -> None:
        self._load = CpState.A
        self._duty = STEADY
        self._fault: CpState | None = None
        self._listeners: dict[str, Listener] = {}
        self.history: list[CpSignal] = [self.signal]
        self.ev = _EvEnd(self, "ev")
        self.evse = _EvseEnd(self, "evse")

    @property
    def signal(self) -> CpSignal:
        if self._fault is not None:
            return CpSignal(self._fault)
        return CpSignal(self._load, self._duty)

    def plug(self) -> None:
        self._change(load=CpState.B)

    def unplug(self) -> None:
        self._change(load=CpState.A)

    def _change(
        self, load: CpState | None = None, duty: float | None = None, fault: CpState | None = None
    ) -> None:
        before = self.signal
        if load is not None:
            if load in (CpState.E, CpState.F):
                raise ValueError(f"load: a vehicle cannot show state {load.value}")
            self._load = load
        if duty is not None:
            if not 0 < duty <= 100:
                raise ValueError(f"duty: over 0 up to 100 per cent expected, got {duty}")
            if fault not in (None, CpState.E, CpState.F):
                raise ValueError(f"fault: state E or F expected, got {fault}")
            self._duty, self._fault = duty, fault
        if self.signal != before:
            self.history.append(self.signal)
            for listener in list(self._listeners.values()):
                listener(self.signal)


class _End:
    def __init__(self, line: SimulatedLine, name: str) -> None:
        self._line = line
        self._name = name

    def read(self) -> CpSignal:
        return self._line.signal

    def listen(self, listener: Listener | None) -> None:
        if listener is None:
            self._line._listeners.pop(self._name, None)
        else:
            self._line._listeners[self._name] = listener


class _EvEnd(_End):
    def load(self, state: CpState) -> None:
        self._line._change(load=state)


class _EvseEnd(_End):
    def drive(self, duty: float, fault: CpState | None = None) -> None:
        self._line._change(duty=duty, fault=fault)


def plugged_line() -> SimulatedLine:
    """A line with the vehicle plugged and 5 % on it: for a bench without a control pilot."""
    line = SimulatedLine()
    line.evse.drive(HLC_DUTY)
    line.plug()
    return line
