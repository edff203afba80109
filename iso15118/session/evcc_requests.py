"""The mode elements of the EVCC's requests, made from plain values, and the SECC's limits read from its
responses.

Pure functions. Which element goes out follows from the service and the control mode alone: BPT or not,
scheduled or dynamic.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from ..messages import ac, common, dc
from ..messages.common_types import RationalNumber
from .services import Dialect, EnergyMode
from .values import ACLimits, DCLimits, MobilityNeeds, PerPhase, magnitudes, per_phase
from .vehicle import DCTarget, Measurement

number = RationalNumber.of


def _energies(needs: MobilityNeeds) -> dict[str, Any]:
    """The three energies, which dynamic mode needs: what the vehicle leaves open is zero, or the target."""
    target = needs.target_energy or 0.0
    return {
        "ev_target_energy_request": number(target),
        "ev_maximum_energy_request": number(target if needs.max_energy is None else needs.max_energy),
        "ev_minimum_energy_request": number(0.0 if needs.min_energy is None else needs.min_energy),
    }


def _known_energies(needs: MobilityNeeds) -> dict[str, Any]:
    """The energies that scheduled mode may state."""
    named = {
        "ev_target_energy_request": needs.target_energy,
        "ev_maximum_energy_request": needs.max_energy,
        "ev_minimum_energy_request": needs.min_energy,
    }
    return {name: number(value) for name, value in named.items() if value is not None}


def _v2x(needs: MobilityNeeds) -> dict[str, Any]:
    """Both values or neither [V2G20-2681]."""
    if needs.max_v2x_energy is None or needs.min_v2x_energy is None:
        return {}
    return {
        "ev_maximum_v2x_energy_request": number(needs.max_v2x_energy),
        "ev_minimum_v2x_energy_request": number(needs.min_v2x_energy),
    }


def _departure(needs: MobilityNeeds) -> int | None:
    return None if needs.departure is None else max(0, int(needs.departure))


def _phases(name: str, value: PerPhase, sign: float = 1.0) -> dict[str, Any]:
    """`name`, and its L2 and L3 if the value is per phase."""
    first = {name: number(sign * value[0])}
    if len(value) == 1:
        return first
    return {**first, f"{name}_l2": number(sign * value[1]), f"{name}_l3": number(sign * value[2])}


def _sign(dialect: Dialect) -> float:
    return -1.0 if dialect.negative_discharge_limits else 1.0


# -- ChargeParameterDiscovery ----------------------------------------------------------------------------


def dc_parameters(
    mode: EnergyMode, limits: DCLimits, target_soc: int | None, dialect: Dialect
) -> dc.DC_CPDReqEnergyTransferMode | dc.BPT_DC_CPDReqEnergyTransferMode:
    values: dict[str, Any] = {
        "ev_maximum_charge_power": number(limits.max_charge_power),
        "ev_minimum_charge_power": number(limits.min_charge_power),
        "ev_maximum_charge_current": number(limits.max_charge_current),
        "ev_minimum_charge_current": number(limits.min_charge_current),
        "ev_maximum_voltage": number(limits.max_voltage),
        "ev_minimum_voltage": number(limits.min_voltage),
        "target_soc": target_soc,
    }
    if not mode.bidirectional:
        return dc.DC_CPDReqEnergyTransferMode(**values)
    sign = _sign(dialect)
    return dc.BPT_DC_CPDReqEnergyTransferMode(
        **values,
        ev_maximum_discharge_power=number(sign * (limits.max_discharge_power or 0.0)),
        ev_minimum_discharge_power=number(sign * (limits.min_discharge_power or 0.0)),
        ev_maximum_discharge_current=number(sign * (limits.max_discharge_current or 0.0)),
        ev_minimum_discharge_current=number(sign * (limits.min_discharge_current or 0.0)),
    )


def ac_parameters(
    mode: EnergyMode, limits: ACLimits, dialect: Dialect
) -> ac.AC_CPDReqEnergyTransferMode | ac.BPT_AC_CPDReqEnergyTransferMode:
    values = _ac_charge(limits)
    if not mode.bidirectional:
        return ac.AC_CPDReqEnergyTransferMode(**values)
    return ac.BPT_AC_CPDReqEnergyTransferMode(**values, **_ac_discharge(limits, dialect))


def _ac_charge(limits: ACLimits) -> dict[str, Any]:
    return {
        **_phases("ev_maximum_charge_power", limits.max_charge),
        **_phases("ev_minimum_charge_power", limits.min_charge),
    }


def _ac_discharge(limits: ACLimits, dialect: Dialect) -> dict[str, Any]:
    sign = _sign(dialect)
    return {
        **_phases("ev_maximum_discharge_power", limits.max_discharge or (0.0,), sign),
        **_phases("ev_minimum_discharge_power", limits.min_discharge or (0.0,), sign),
    }


# -- ScheduleExchange ------------------------------------------------------------------------------------


def schedule_request(
    mode: EnergyMode, needs: MobilityNeeds, offer: common.EVEnergyOffer | None, default_departure: int
) -> common.Scheduled_SEReqControlMode | common.Dynamic_SEReqControlMode:
    """`default_departure` (s) is stated in dynamic mode, which needs one, when the vehicle knows none."""
    departure = _departure(needs)
    if mode.scheduled:
        return common.Scheduled_SEReqControlMode(
            departure_time=departure,
            ev_energy_offer=offer if mode.bidirectional else None,
            **_known_energies(needs),
        )
    return common.Dynamic_SEReqControlMode(
        departure_time=default_departure if departure is None else departure,
        minimum_soc=needs.min_soc,
        target_soc=needs.target_soc,
        **_energies(needs),
        **(_v2x(needs) if mode.bidirectional else {}),
    )


# -- charge loop -----------------------------------------------------------------------------------------


def dc_loop(
    mode: EnergyMode, limits: DCLimits, needs: MobilityNeeds, target: DCTarget | None, dialect: Dialect
) -> (
    dc.Scheduled_DC_CLReqControlMode
    | dc.BPT_Scheduled_DC_CLReqControlMode
    | dc.Dynamic_DC_CLReqControlMode
    | dc.BPT_Dynamic_DC_CLReqControlMode
):
    """`target` is the EV's set-point in scheduled mode; dynamic mode has none."""
    values: dict[str, Any] = {
        "ev_maximum_charge_power": number(limits.max_charge_power),
        "ev_minimum_charge_power": number(limits.min_charge_power),
        "ev_maximum_charge_current": number(limits.max_charge_current),
        "ev_maximum_voltage": number(limits.max_voltage),
        "ev_minimum_voltage": number(limits.min_voltage),
    }
    if mode.bidirectional:
        sign = _sign(dialect)
        values["ev_maximum_discharge_power"] = number(sign * (limits.max_discharge_power or 0.0))
        values["ev_minimum_discharge_power"] = number(sign * (limits.min_discharge_power or 0.0))
        values["ev_maximum_discharge_current"] = number(sign * (limits.max_discharge_current or 0.0))
    if target is not None:
        values |= _known_energies(needs)
        values["ev_target_current"] = number(target.current)
        values["ev_target_voltage"] = number(target.voltage)
        if mode.bidirectional:
            return dc.BPT_Scheduled_DC_CLReqControlMode(**values)
        return dc.Scheduled_DC_CLReqControlMode(**values)
    values |= _energies(needs)
    values["departure_time"] = _departure(needs)
    if mode.bidirectional:
        return dc.BPT_Dynamic_DC_CLReqControlMode(**values, **_v2x(needs))
    return dc.Dynamic_DC_CLReqControlMode(**values)


def ac_loop(
    mode: EnergyMode, limits: ACLimits, needs: MobilityNeeds, present: Measurement, dialect: Dialect
) -> (
    ac.Scheduled_AC_CLReqControlMode
    | ac.BPT_Scheduled_AC_CLReqControlMode
    | ac.Dynamic_AC_CLReqControlMode
    | ac.BPT_Dynamic_AC_CLReqControlMode
):
    values = {
        **_ac_charge(limits),
        **_phases("ev_present_active_power", present.active_power),
        **_phases("ev_present_reactive_power", present.reactive_power),
    }
    if mode.bidirectional:
        values |= _ac_discharge(limits, dialect)
    if mode.scheduled:
        values |= _known_energies(needs)
        if mode.bidirectional:
            return ac.BPT_Scheduled_AC_CLReqControlMode(**values)
        return ac.Scheduled_AC_CLReqControlMode(**values)
    values |= _energies(needs)
    values["departure_time"] = _departure(needs)
    if mode.bidirectional:
        return ac.BPT_Dynamic_AC_CLReqControlMode(**values, **_v2x(needs))
    return ac.Dynamic_AC_CLReqControlMode(**values)


# -- what the SECC says ----------------------------------------------------------------------------------


def magnitude(value: RationalNumber | None) -> float | None:
    """Discharge limits come as magnitudes from most stacks and as negative numbers from some."""
    return None if value is None else abs(float(value))


def evse_dc_limits(parameters: dc.DC_CPDResEnergyTransferMode) -> DCLimits:
    ramp = parameters.evse_power_ramp_limitation
    limits = DCLimits(
        max_charge_power=float(parameters.evse_maximum_charge_power),
        max_charge_current=float(parameters.evse_maximum_charge_current),
        max_voltage=float(parameters.evse_maximum_voltage),
        min_voltage=float(parameters.evse_minimum_voltage),
        min_charge_power=float(parameters.evse_minimum_charge_power),
        min_charge_current=float(parameters.evse_minimum_charge_current),
        ramp=None if ramp is None else float(ramp),
    )
    if not isinstance(parameters, dc.BPT_DC_CPDResEnergyTransferMode):
        return limits
    return replace(
        limits,
        max_discharge_power=magnitude(parameters.evse_maximum_discharge_power),
        min_discharge_power=magnitude(parameters.evse_minimum_discharge_power),
        max_discharge_current=magnitude(parameters.evse_maximum_discharge_current),
        min_discharge_current=magnitude(parameters.evse_minimum_discharge_current),
    )


def evse_ac_limits(parameters: ac.AC_CPDResEnergyTransferMode) -> ACLimits:
    limits = ACLimits(
        max_charge=per_phase(parameters, "evse_maximum_charge_power") or (0.0,),
        min_charge=per_phase(parameters, "evse_minimum_charge_power") or (0.0,),
    )
    if not isinstance(parameters, ac.BPT_AC_CPDResEnergyTransferMode):
        return limits
    return replace(
        limits,
        max_discharge=magnitudes(per_phase(parameters, "evse_maximum_discharge_power")),
        min_discharge=magnitudes(per_phase(parameters, "evse_minimum_discharge_power")),
    )


LOOP_LIMITS = {
    "evse_maximum_charge_power": "max_charge_power",
    "evse_minimum_charge_power": "min_charge_power",
    "evse_maximum_charge_current": "max_charge_current",
    "evse_maximum_voltage": "max_voltage",
    "evse_maximum_discharge_power": "max_discharge_power",
    "evse_minimum_discharge_power": "min_discharge_power",
    "evse_maximum_discharge_current": "max_discharge_current",
    "evse_minimum_voltage": "min_voltage",
}
"""Fields of a DC charge-loop response and the limits they lower or raise."""


def loop_limits(control_mode: Any) -> Iterator[tuple[str, float]]:
    """The limits that a DC charge-loop response states, by field of DCLimits."""
    for name, limit in LOOP_LIMITS.items():
        value = getattr(control_mode, name, None)
        if value is not None:
            yield limit, abs(float(value)) if "discharge" in limit else float(value)
