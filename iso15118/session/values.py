"""Plain physical values between the protocol and the physical sides, in SI units as floats.

Power is positive when it charges the vehicle and negative when it discharges it; limits of discharge are
magnitudes. An AC quantity is a tuple: one number is the line of a single-phase connection or the sum of a
symmetric three-phase one, three numbers are L1, L2, L3.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

PerPhase: TypeAlias = tuple[float] | tuple[float, float, float]


def total(value: PerPhase) -> float:
    """Sum over the phases."""
    return float(sum(value))


def per_phase(element: Any, name: str) -> PerPhase | None:
    """The field `name` of a message element, with its _l2 and _l3 if both are there; None if absent."""
    first = getattr(element, name)
    if first is None:
        return None
    second, third = getattr(element, f"{name}_l2"), getattr(element, f"{name}_l3")
    if second is None or third is None:
        return (float(first),)
    return float(first), float(second), float(third)


def magnitudes(value: PerPhase | None) -> PerPhase | None:
    """Discharge limits: some stacks send them negative."""
    if value is None:
        return None
    return (abs(value[0]),) if len(value) == 1 else (abs(value[0]), abs(value[1]), abs(value[2]))


class ACLimits(Struct, frozen=True):
    """Active power in W. Discharge limits are None where discharge is not possible."""

    max_charge: PerPhase
    min_charge: PerPhase = (0.0,)
    max_discharge: PerPhase | None = None
    min_discharge: PerPhase | None = None


class ACGrid(Struct, frozen=True):
    """What the EVSE tells of its AC connection: Hz, W, % of nominal power per minute."""

    frequency: float = 50.0
    max_asymmetry: float | None = None
    ramp: float | None = None


class DCLimits(Struct, frozen=True):
    """W, A, V. Discharge limits are None where discharge is not possible."""

    max_charge_power: float
    max_charge_current: float
    max_voltage: float
    min_voltage: float = 0.0
    min_charge_power: float = 0.0
    min_charge_current: float = 0.0
    max_discharge_power: float | None = None
    min_discharge_power: float | None = None
    max_discharge_current: float | None = None
    min_discharge_current: float | None = None
    ramp: float | None = None
    """Greatest change of power in % per minute; EVSE only."""


class MobilityNeeds(Struct, frozen=True):
    """When the driver leaves and with what.

    `departure` is in seconds from now. Energies (Wh) are from now to the named state of charge, negative
    once it is passed; the V2X pair reaches to the edges of the cycling range.
    """

    departure: float | None = None
    min_soc: int | None = None
    target_soc: int | None = None
    target_energy: float | None = None
    max_energy: float | None = None
    min_energy: float | None = None
    max_v2x_energy: float | None = None
    min_v2x_energy: float | None = None


class MeterReading(Struct, frozen=True):
    """Registers of the current service session [V2G20-902]: Wh, varh, Unix s."""

    meter_id: str
    charged_wh: float
    discharged_wh: float | None = None
    capacitive_varh: float | None = None
    inductive_varh: float | None = None
    signature: bytes | None = None
    status: int | None = None
    timestamp: int | None = None
