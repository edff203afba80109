"""Message elements to plain values and back, as an SECC needs them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ..messages import ac, common, dc
from ..messages.common_types import MeterInfo, RationalNumber
from .charger import ACOutput
from .services import Dialect
from .values import (
    ACGrid,
    ACLimits,
    DCLimits,
    MeterReading,
    MobilityNeeds,
    PerPhase,
    magnitudes,
    per_phase,
)

of = RationalNumber.of


def spread(field: str, value: PerPhase | None) -> dict[str, RationalNumber]:
    """Keyword arguments for `field` and its phases; none if there is no value."""
    if value is None:
        return {}
    if len(value) == 1:
        return {field: of(value[0])}
    return {field: of(value[0]), field + "_l2": of(value[1]), field + "_l3": of(value[2])}


_LONGEST = 2**32 - 1
"""s; a duration in a schedule cannot be longer."""


def _number(value: RationalNumber | None) -> float | None:
    return None if value is None else float(value)


def _magnitude(value: RationalNumber | None) -> float | None:
    return None if value is None else abs(float(value))


# -- what the EV says ----------------------------------------------------------------------------------------


def ac_limits_of(mode: Any, known: ACLimits | None = None) -> ACLimits:
    """Limits in a parameter discovery or charge-loop request; what is absent stays as `known`."""
    base = known or ACLimits(max_charge=(0.0,))
    bpt = isinstance(
        mode,
        ac.BPT_AC_CPDReqEnergyTransferMode
        | ac.BPT_Scheduled_AC_CLReqControlMode
        | ac.BPT_Dynamic_AC_CLReqControlMode,
    )
    return ACLimits(
        max_charge=per_phase(mode, "ev_maximum_charge_power") or base.max_charge,
        min_charge=per_phase(mode, "ev_minimum_charge_power") or base.min_charge,
        max_discharge=(magnitudes(per_phase(mode, "ev_maximum_discharge_power")) if bpt else None)
        or base.max_discharge,
        min_discharge=(magnitudes(per_phase(mode, "ev_minimum_discharge_power")) if bpt else None)
        or base.min_discharge,
    )


def dc_limits_of_discovery(mode: dc.DC_CPDReqEnergyTransferMode) -> DCLimits:
    limits = DCLimits(
        max_charge_power=float(mode.ev_maximum_charge_power),
        max_charge_current=float(mode.ev_maximum_charge_current),
        max_voltage=float(mode.ev_maximum_voltage),
        min_voltage=float(mode.ev_minimum_voltage),
        min_charge_power=float(mode.ev_minimum_charge_power),
        min_charge_current=float(mode.ev_minimum_charge_current),
    )
    if not isinstance(mode, dc.BPT_DC_CPDReqEnergyTransferMode):
        return limits
    return replace(
        limits,
        max_discharge_power=_magnitude(mode.ev_maximum_discharge_power),
        min_discharge_power=_magnitude(mode.ev_minimum_discharge_power),
        max_discharge_current=_magnitude(mode.ev_maximum_discharge_current),
        min_discharge_current=_magnitude(mode.ev_minimum_discharge_current),
    )


_DC_LOOP_FIELDS = {
    "max_charge_power": "ev_maximum_charge_power",
    "min_charge_power": "ev_minimum_charge_power",
    "max_charge_current": "ev_maximum_charge_current",
    "max_voltage": "ev_maximum_voltage",
    "min_voltage": "ev_minimum_voltage",
    "max_discharge_power": "ev_maximum_discharge_power",
    "min_discharge_power": "ev_minimum_discharge_power",
    "max_discharge_current": "ev_maximum_discharge_current",
}


def dc_limits_of_loop(mode: Any, known: DCLimits) -> DCLimits:
    """The limits of the discovery with those that the charge loop changes."""
    changes: dict[str, float] = {}
    for name, field in _DC_LOOP_FIELDS.items():
        value = getattr(mode, field, None)
        if value is not None:
            number = abs(float(value)) if "discharge" in name else float(value)
            if number != getattr(known, name):
                changes[name] = number
    return replace(known, **changes) if changes else known


def needs_of(mode: Any, known: MobilityNeeds | None = None) -> MobilityNeeds:
    """Departure, states of charge and energies of a schedule or charge-loop request; what its type does not
    have stays as `known`.
    """
    departure = getattr(mode, "departure_time", None)
    minimum, target = getattr(mode, "minimum_soc", None), getattr(mode, "target_soc", None)
    if known is not None:
        departure = known.departure if departure is None else departure
        minimum = known.min_soc if minimum is None else minimum
        target = known.target_soc if target is None else target
    return MobilityNeeds(
        departure=None if departure is None else min(departure, _LONGEST),
        min_soc=minimum,
        target_soc=target,
        target_energy=_number(getattr(mode, "ev_target_energy_request", None)),
        max_energy=_number(getattr(mode, "ev_maximum_energy_request", None)),
        min_energy=_number(getattr(mode, "ev_minimum_energy_request", None)),
        max_v2x_energy=_number(getattr(mode, "ev_maximum_v2x_energy_request", None)),
        min_v2x_energy=_number(getattr(mode, "ev_minimum_v2x_energy_request", None)),
    )


# -- what the SECC says --------------------------------------------------------------------------------------


def signed(value: PerPhase | None, dialect: Dialect) -> PerPhase:
    """A discharge limit as it is sent."""
    powers = magnitudes(value) or (0.0,)
    if not dialect.negative_discharge_limits:
        return powers
    return (-powers[0],) if len(powers) == 1 else (-powers[0], -powers[1], -powers[2])


def _discharge(value: float | None, dialect: Dialect) -> RationalNumber:
    return of(signed((value or 0.0,), dialect)[0])


def ac_discovery(
    limits: ACLimits, grid: ACGrid, present: PerPhase | None, bidirectional: bool, dialect: Dialect
) -> ac.AC_CPDResEnergyTransferMode:
    values: dict[str, Any] = {
        **spread("evse_maximum_charge_power", limits.max_charge),
        **spread("evse_minimum_charge_power", limits.min_charge),
        **spread("evse_present_active_power", present),
        "evse_nominal_frequency": of(grid.frequency),
        "maximum_power_asymmetry": None if grid.max_asymmetry is None else of(grid.max_asymmetry),
        "evse_power_ramp_limitation": None if grid.ramp is None else of(grid.ramp),
    }
    if not bidirectional:
        return ac.AC_CPDResEnergyTransferMode(**values)
    return ac.BPT_AC_CPDResEnergyTransferMode(
        **values,
        **spread("evse_maximum_discharge_power", signed(limits.max_discharge, dialect)),
        **spread("evse_minimum_discharge_power", signed(limits.min_discharge, dialect)),
    )


def dc_discovery(limits: DCLimits, bidirectional: bool, dialect: Dialect) -> dc.DC_CPDResEnergyTransferMode:
    values: dict[str, Any] = {
        "evse_maximum_charge_power": of(limits.max_charge_power),
        "evse_minimum_charge_power": of(limits.min_charge_power),
        "evse_maximum_charge_current": of(limits.max_charge_current),
        "evse_minimum_charge_current": of(limits.min_charge_current),
        "evse_maximum_voltage": of(limits.max_voltage),
        "evse_minimum_voltage": of(limits.min_voltage),
        "evse_power_ramp_limitation": None if limits.ramp is None else of(limits.ramp),
    }
    if not bidirectional:
        return dc.DC_CPDResEnergyTransferMode(**values)
    return dc.BPT_DC_CPDResEnergyTransferMode(
        **values,
        evse_maximum_discharge_power=_discharge(limits.max_discharge_power, dialect),
        evse_minimum_discharge_power=_discharge(limits.min_discharge_power, dialect),
        evse_maximum_discharge_current=_discharge(limits.max_discharge_current, dialect),
        evse_minimum_discharge_current=_discharge(limits.min_discharge_current, dialect),
    )


_AC_LOOP = {
    (True, False): ac.Scheduled_AC_CLResControlMode,
    (True, True): ac.BPT_Scheduled_AC_CLResControlMode,
    (False, False): ac.Dynamic_AC_CLResControlMode,
    (False, True): ac.BPT_Dynamic_AC_CLResControlMode,
}
_DC_LOOP = {
    (True, False): dc.Scheduled_DC_CLResControlMode,
    (True, True): dc.BPT_Scheduled_DC_CLResControlMode,
    (False, False): dc.Dynamic_DC_CLResControlMode,
    (False, True): dc.BPT_Dynamic_DC_CLResControlMode,
}


def ac_loop(output: ACOutput, scheduled: bool, bidirectional: bool, needs: dict[str, Any]) -> Any:
    """The AC control mode element; `needs` are the fields of MobilityNeedsMode 2."""
    target = output.target_active_power
    if target is None and not scheduled:
        target = (0.0,)
    return _AC_LOOP[scheduled, bidirectional](
        **needs,
        **spread("evse_target_active_power", target),
        **spread("evse_target_reactive_power", output.target_reactive_power),
        **spread("evse_present_active_power", output.present_active_power),
    )


def dc_loop(
    limits: DCLimits, scheduled: bool, bidirectional: bool, needs: dict[str, Any], dialect: Dialect
) -> Any:
    """The DC control mode element; `needs` are the fields of MobilityNeedsMode 2."""
    values: dict[str, Any] = {
        **needs,
        "evse_maximum_charge_power": of(limits.max_charge_power),
        "evse_minimum_charge_power": of(limits.min_charge_power),
        "evse_maximum_charge_current": of(limits.max_charge_current),
        "evse_maximum_voltage": of(limits.max_voltage),
    }
    if bidirectional:
        values |= {
            "evse_maximum_discharge_power": _discharge(limits.max_discharge_power, dialect),
            "evse_minimum_discharge_power": _discharge(limits.min_discharge_power, dialect),
            "evse_maximum_discharge_current": _discharge(limits.max_discharge_current, dialect),
            "evse_minimum_voltage": of(limits.min_voltage),
        }
    return _DC_LOOP[scheduled, bidirectional](**values)


def meter_info(reading: MeterReading) -> MeterInfo:
    """Registers as whole Wh and varh."""
    return MeterInfo(
        meter_id=reading.meter_id,
        charged_energy_reading_wh=max(0, round(reading.charged_wh)),
        bpt_discharged_energy_reading_wh=_register(reading.discharged_wh),
        capacitive_energy_reading_varh=_register(reading.capacitive_varh),
        bpt_inductive_energy_reading_varh=_register(reading.inductive_varh),
        meter_signature=reading.signature,
        meter_status=reading.status,
        meter_timestamp=reading.timestamp,
    )


def _register(value: float | None) -> int | None:
    return None if value is None else max(0, round(value))


def dynamic_needs(needs: MobilityNeeds, ack_max_delay: int | None = None) -> dict[str, Any]:
    """DepartureTime, MinimumSOC, TargetSOC and AckMaxDelay where the SECC provides mobility needs."""
    values: dict[str, Any] = {
        "departure_time": None if needs.departure is None else max(0, round(needs.departure)),
        "minimum_soc": needs.min_soc,
        "target_soc": needs.target_soc,
    }
    if ack_max_delay is not None:
        values["ack_max_delay"] = ack_max_delay
    return values


def least_dc(first: DCLimits, second: DCLimits) -> DCLimits:
    """The narrower of two: no more than was stated before [V2G20-2654], no less than the stated minima
    [V2G20-2655].
    """
    return DCLimits(
        max_charge_power=min(first.max_charge_power, second.max_charge_power),
        max_charge_current=min(first.max_charge_current, second.max_charge_current),
        max_voltage=min(first.max_voltage, second.max_voltage),
        min_voltage=max(first.min_voltage, second.min_voltage),
        min_charge_power=max(first.min_charge_power, second.min_charge_power),
        min_charge_current=max(first.min_charge_current, second.min_charge_current),
        max_discharge_power=_both(min, first.max_discharge_power, second.max_discharge_power),
        min_discharge_power=_both(max, first.min_discharge_power, second.min_discharge_power),
        max_discharge_current=_both(min, first.max_discharge_current, second.max_discharge_current),
        min_discharge_current=_both(max, first.min_discharge_current, second.min_discharge_current),
        ramp=first.ramp,
    )


def _both(choose: Any, first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else float(choose(first, second))


def dc_problems(limits: DCLimits) -> list[str]:
    """What contradicts itself in an EV's DC limits."""
    pairs = [
        ("power", limits.min_charge_power, limits.max_charge_power),
        ("current", limits.min_charge_current, limits.max_charge_current),
        ("voltage", limits.min_voltage, limits.max_voltage),
        ("discharge power", limits.min_discharge_power or 0.0, limits.max_discharge_power),
        ("discharge current", limits.min_discharge_current or 0.0, limits.max_discharge_current),
    ]
    found = [
        f"minimum {name} {low:g} above maximum {high:g}"
        for name, low, high in pairs
        if high is not None and low > high
    ]
    if limits.max_voltage <= 0:
        found.append(f"maximum voltage {limits.max_voltage:g} V")
    found += [f"maximum {name} {high:g}" for name, _, high in pairs[:2] if high is not None and high < 0]
    return found


def ac_problems(limits: ACLimits) -> list[str]:
    """What contradicts itself in an EV's AC limits."""
    found = []
    if sum(limits.min_charge) > sum(limits.max_charge):
        found.append(
            f"minimum charge power {sum(limits.min_charge):g} W above maximum {sum(limits.max_charge):g} W"
        )
    if min(limits.max_charge) < 0:
        found.append(f"maximum charge power {min(limits.max_charge):g} W")
    if limits.max_discharge is not None and sum(limits.min_discharge or (0.0,)) > sum(limits.max_discharge):
        found.append("minimum discharge power above maximum")
    return found


def phase_problems(element: Any) -> list[str]:
    """What contradicts itself in a single phase of an EV's AC limits, whether the other phases are there or
    not.
    """
    found = []
    for what in ("charge", "discharge"):
        for phase in ("", "_l2", "_l3"):
            low = getattr(element, f"ev_minimum_{what}_power{phase}", None)
            high = getattr(element, f"ev_maximum_{what}_power{phase}", None)
            if low is None or high is None:
                continue
            low, high = (abs(float(v)) if what == "discharge" else float(v) for v in (low, high))
            if low > high:
                found.append(f"minimum {what} power{phase} {low:g} W above maximum {high:g} W")
    return found


def v2x_pair_broken(mode: common.Dynamic_SEReqControlMode | Any) -> bool:
    """One V2X energy without the other [V2G20-2681]."""
    high = getattr(mode, "ev_maximum_v2x_energy_request", None)
    low = getattr(mode, "ev_minimum_v2x_energy_request", None)
    return (high is None) is not (low is None)
