"""What an EVCC asks of the vehicle it speaks for, and tells it: the EV side's counterpart of `charger`.

`Vehicle` is polled: every call carries `now` (s, the session's clock) and returns at once. Values are those
of `values`: power and current are negative when the vehicle discharges, limits of discharge are magnitudes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ..messages.common_types import DisplayParameters
from .charger import ControlPilot
from .values import ACLimits, DCLimits, MobilityNeeds, PerPhase


class Wish(Enum):
    """What the vehicle, or its driver, wants of the session.

    CHARGE, STANDBY, PAUSE and STOP are states: they hold as long as `Vehicle.wish` says so. The two
    renegotiations are requests: return each once for every time it is wanted.
    """

    CHARGE = "charge"
    STANDBY = "standby"
    PAUSE = "pause"
    STOP = "stop"
    RENEGOTIATE_SCHEDULE = "renegotiate schedule"
    RENEGOTIATE_SERVICE = "renegotiate service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the vehicle measures, in V, A, W, var: DC voltages on both sides of its contactors, AC power per
    phase.
    """

    battery_voltage: float = 0.0
    inlet_voltage: float = 0.0
    current: float = 0.0
    active_power: PerPhase = (0.0,)
    reactive_power: PerPhase = (0.0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DCTarget:
    """Set-point of a scheduled DC session, V and A; a negative current asks for discharge."""

    voltage: float
    current: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What the charger delivers and lets the vehicle take: told after every response that says something
    about it.

    `voltage` and `current` are measured at the charger's output (DC). `charge_power`, ... and
    `maximum_voltage` are ceilings: the least of the charger's limits and, in scheduled mode, of the power
    profile. `active_power`, `reactive_power` and `frequency` are an AC charger's set-points; None where there
    is none.
    """

    voltage: float | None = None
    current: float | None = None
    charge_power: float = math.inf
    discharge_power: float = math.inf
    charge_current: float = math.inf
    discharge_current: float = math.inf
    maximum_voltage: float = math.inf
    active_power: PerPhase | None = None
    reactive_power: PerPhase | None = None
    frequency: float | None = None


class Vehicle(Protocol):
    """A vehicle, real or simulated. Subclass to inherit the methods with a body."""

    # -- what it says ------------------------------------------------------------------------------------

    @abstractmethod
    def ac_limits(self, now: float) -> ACLimits:
        """Present limits of the on-board charger; they may fall in the session."""

    @abstractmethod
    def dc_limits(self, now: float) -> DCLimits:
        """Present limits of the battery; they may fall in the session."""

    @abstractmethod
    def needs(self, now: float) -> MobilityNeeds:
        """Energy still wanted (falls as energy flows), departure and states of charge."""

    @abstractmethod
    def measure(self, now: float) -> Measurement: ...

    @abstractmethod
    def dc_target(self, now: float) -> DCTarget:
        """What it wants of a DC charger in scheduled mode; the EVCC clamps it to the limits and the power
        profile.
        """

    def display(self, now: float) -> DisplayParameters | None:
        """For the charger's display; None sends none."""
        return None

    def wish(self, now: float) -> Wish:
        return Wish.CHARGE

    def selling(self, now: float) -> bool:
        """Scheduled BPT session: plan to discharge, rather than to charge. A change has the schedule
        renegotiated.
        """
        return False

    # -- what it is told ---------------------------------------------------------------------------------

    def control_pilot(self, now: float, state: ControlPilot) -> None:
        """Close S2 (C, D) or open it (B)."""
        return

    def contactors(self, now: float, closed: bool) -> None:
        """DC: connect the battery once pre-charge has met its voltage; disconnect it after the transfer."""
        return

    @abstractmethod
    def supply(self, now: float, supply: Supply) -> None:
        """The charger's last word. In AC the vehicle itself keeps its power within it."""

    def adopt_needs(self, now: float, needs: MobilityNeeds, ack_max_delay: int | None) -> None:
        """MobilityNeedsMode 2: the SECC provides departure or states of charge; the driver agrees within
        `ack_max_delay` s.

        The vehicle confirms by stating them itself in `needs` from then on.
        """
        return
