"""SECC: charge loops and metering confirmation."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ..messages import ac, common, dc
from ..messages.common_types import (
    ChargeLoopReq,
    EVSENotification,
    EVSEStatus,
    MeterInfo,
    Receipt,
    ResponseCode,
)
from . import schedules
from . import secc_values as values
from .charger import ControlPilot, VehicleReport
from .events import Severity
from .secc_context import Context, Refusal
from .secc_notify import notification
from .sequence import Phase
from .services import MobilityNeedsMode
from .values import DCLimits, MobilityNeeds, per_phase, total

_SCHEDULED = (ac.Scheduled_AC_CLReqControlMode, dc.Scheduled_DC_CLReqControlMode)
_DYNAMIC = (ac.Dynamic_AC_CLReqControlMode, dc.Dynamic_DC_CLReqControlMode)
_BPT = (
    ac.BPT_Scheduled_AC_CLReqControlMode,
    ac.BPT_Dynamic_AC_CLReqControlMode,
    dc.BPT_Scheduled_DC_CLReqControlMode,
    dc.BPT_Dynamic_DC_CLReqControlMode,
)
LIMIT_SLACK = 1e-3
"""Relative difference that is put down to the rounding of a RationalNumber."""


def ac_loop(ctx: Context, request: ac.AC_ChargeLoopReq, now: float) -> ac.AC_ChargeLoopRes:
    element = request.control_mode
    scheduled, bidirectional = _variant(ctx, element)
    limits = values.ac_limits_of(element, ctx.ev_ac_stated)
    if ctx.ev_ac_stated is not None and _above(total(limits.max_charge), total(ctx.ev_ac_stated.max_charge)):
        ctx.error(
            f"EVMaximumChargePower {total(limits.max_charge):g} W",
            f"at most {total(ctx.ev_ac_stated.max_charge):g} W, as in parameter discovery",
        )
    present = per_phase(element, "ev_present_active_power") or (0.0,)
    ctx.report = VehicleReport(
        ac=limits,
        needs=_needs(ctx, element),
        display=request.display_parameters,
        present_active_power=present,
        present_reactive_power=per_phase(element, "ev_present_reactive_power"),
    )
    status, meter, receipt = _common_part(ctx, request, now)
    output = ctx.charger.deliver_ac(now)
    return ac.AC_ChargeLoopRes(
        header=ctx.header(now),
        response_code=_profile_verdict(ctx, total(present), now),
        evse_status=status,
        meter_info=meter,
        receipt=receipt,
        evse_target_frequency=None if output.target_frequency is None else values.of(output.target_frequency),
        control_mode=values.ac_loop(output, scheduled, bidirectional, _secc_needs(ctx, now)),
    )


def dc_loop(ctx: Context, request: dc.DC_ChargeLoopReq, now: float) -> dc.DC_ChargeLoopRes:
    element = request.control_mode
    scheduled, bidirectional = _variant(ctx, element)
    stated = ctx.ev_dc_stated or DCLimits(0.0, 0.0, 0.0)
    limits = values.dc_limits_of_loop(element, stated)
    _compare_limits(ctx, limits, stated)
    present = float(request.ev_present_voltage)
    ctx.report = VehicleReport(
        dc=limits,
        needs=_needs(ctx, element),
        display=request.display_parameters,
        present_voltage=present,
    )
    status, meter, receipt = _common_part(ctx, request, now)
    own = ctx.charger.dc_limits(now)
    if ctx.dc_stated is not None:
        own = values.least_dc(own, ctx.dc_stated)
    code, held = ResponseCode.OK, (False, False, False)
    if isinstance(element, dc.Scheduled_DC_CLReqControlMode):
        voltage, current, held, asked = _targets(ctx, element, values.least_dc(own, limits), present, now)
        code = _profile_verdict(ctx, asked, now)
        output = ctx.charger.deliver_dc(now, current, voltage)
    else:
        output = ctx.charger.deliver_dc(now, None, None)
    return dc.DC_ChargeLoopRes(
        header=ctx.header(now),
        response_code=code,
        evse_status=status,
        meter_info=meter,
        receipt=receipt,
        evse_present_current=values.of(output.current),
        evse_present_voltage=values.of(output.voltage),
        evse_power_limit_achieved=output.power_limited or held[0],
        evse_current_limit_achieved=output.current_limited or held[1],
        evse_voltage_limit_achieved=output.voltage_limited or held[2],
        control_mode=values.dc_loop(own, scheduled, bidirectional, _secc_needs(ctx, now), ctx.config.dialect),
    )


def _variant(ctx: Context, element: Any) -> tuple[bool, bool]:
    """Scheduled and BPT, as the EV has it: the answer is in kind [V2G20-1600]."""
    mode = ctx.selected
    scheduled, bidirectional = isinstance(element, _SCHEDULED), isinstance(element, _BPT)
    if scheduled is not mode.scheduled or not (scheduled or isinstance(element, _DYNAMIC)):
        raise Refusal(
            ResponseCode.FAILED,
            f"{type(element).__name__} in {mode.control.name.lower()} control",
            "the control mode of the selected parameter set",
            "V2G20-1600",
        )
    if bidirectional is not mode.bidirectional:
        ctx.tolerate(
            f"{type(element).__name__} in service {mode.service.name}",
            "the elements of the selected service",
            "V2G20-1600",
        )
    return scheduled, bidirectional


def _needs(ctx: Context, element: Any) -> MobilityNeeds:
    """The loop's needs over those of the schedule exchange, which alone state the states of charge."""
    if values.v2x_pair_broken(element):
        ctx.tolerate("one V2X energy request without the other", "both or neither", "V2G20-2681")
    return values.needs_of(element, ctx.report.needs)


def _common_part(
    ctx: Context, request: ChargeLoopReq, now: float
) -> tuple[EVSEStatus | None, MeterInfo | None, Receipt | None]:
    ctx.charger.vehicle(now, ctx.report)
    if ctx.pilot_deadline is not None and now > ctx.pilot_deadline:
        ctx.pilot_deadline = None
        pilot = ctx.charger.control_pilot(now)
        if pilot is not None and pilot not in (ControlPilot.C, ControlPilot.D):
            ctx.deviation(
                Severity.PERFORMANCE,
                f"control pilot is in state {pilot.value} after Start",
                "state C or D within 250 ms",
                "V2G20-847",
            )
    status = notification(ctx, now)
    receipt = ctx.charger.receipt(now)
    asked = status is not None and status.evse_notification == EVSENotification.MeteringConfirmation
    meter: MeterInfo | None = None
    # The first response of a loop carries the meter unasked [V2G20-1833], the others when it is needed.
    if request.meter_info_requested or not ctx.metered or asked or receipt is not None:
        reading = ctx.charger.meter(now)
        if reading is not None:
            if not ctx.config.dialect.discharge_register:
                reading = replace(reading, discharged_wh=None)
            meter = ctx.meter_sent = values.meter_info(reading)
        ctx.metered = True
    return status, meter, receipt


def _secc_needs(ctx: Context, now: float) -> dict[str, Any]:
    """MobilityNeedsMode 2: needs of the site; MinimumSOC at most TargetSOC [V2G20-1290], [V2G20-1366]."""
    if ctx.selected.mobility is not MobilityNeedsMode.SECC:
        return {}
    needs = ctx.charger.mobility_needs(now)
    if needs is None:
        return {}
    if needs.min_soc is not None and needs.target_soc is not None and needs.min_soc > needs.target_soc:
        ctx.deviation(
            Severity.ERROR,
            f"MinimumSOC {needs.min_soc} above TargetSOC {needs.target_soc}",
            "at most TargetSOC",
            "V2G20-1366" if ctx.selected.phases else "V2G20-1290",
            own=True,
        )
        needs = replace(needs, min_soc=needs.target_soc)
    return values.dynamic_needs(needs, ctx.charger.acknowledge_within(now))


def _targets(
    ctx: Context,
    element: dc.Scheduled_DC_CLReqControlMode,
    limits: DCLimits,
    present: float,
    now: float,
) -> tuple[float, float, tuple[bool, bool, bool], float]:
    """The EV's set-point within both sides' limits [V2G20-2188]: V, A, which limit held it (power, current,
    voltage), and the power in W that the EV asked for.

    A target voltage of zero means unchanged: the EV may name only one of the two [V2G20-2183].
    """
    voltage, current = float(element.ev_target_voltage), float(element.ev_target_current)
    if voltage == 0:
        ctx.note("EVTargetVoltage is zero", "a target voltage", "V2G20-2183")
        voltage = ctx.last_voltage or present
    ctx.last_voltage = voltage
    # The current flows at the battery's voltage, which the EV measures at its inlet.
    asked = current * (present or voltage)
    if current < 0 and not ctx.selected.bidirectional:
        ctx.error(f"EVTargetCurrent {current:g} A", "no discharge outside BPT services")
        current = 0.0
    if ctx.state.phase is Phase.STANDBY:
        current = 0.0
    volts = min(voltage, limits.max_voltage)
    bound = limits.max_charge_current if current >= 0 else -(limits.max_discharge_current or 0.0)
    amps = min(current, bound) if current >= 0 else max(current, bound)
    power = limits.max_charge_power if amps >= 0 else limits.max_discharge_power or 0.0
    ceiling = schedules.power_at(ctx.ceiling if amps >= 0 else ctx.discharge_ceiling, ctx.unix(now))
    if ceiling is not None:
        power = min(power, abs(total(ceiling)) + ctx.tolerance)
    by_power = False
    base = present or volts
    if base > 0 and abs(amps) * base > power:
        amps, by_power = (power / base if amps >= 0 else -power / base), True
    return volts, amps, (by_power, abs(amps) < abs(current) and not by_power, volts < voltage), asked


def _profile_verdict(ctx: Context, power: float, now: float) -> ResponseCode:
    """A scheduled EV that leaves its own power profile is warned, and failed if it does not come back."""
    if not ctx.selected.scheduled or not ctx.profile or ctx.state.phase is Phase.STANDBY:
        return ResponseCode.OK
    planned = schedules.power_at(ctx.profile, ctx.unix(now))
    allowed = abs(total(planned)) if planned is not None else 0.0
    slack = max(allowed * 0.02, 50.0) + ctx.tolerance
    if abs(power) <= allowed + slack:
        ctx.violating_since = None
        return ResponseCode.OK
    if ctx.violating_since is None:
        ctx.violating_since = now
    ctx.error(f"power of {power:g} W", f"at most {allowed:g} W, as in the EVPowerProfile")
    limit = ctx.config.profile_violation_time
    if limit is not None and now - ctx.violating_since >= limit:
        raise Refusal(
            ResponseCode.FAILED_EVPowerProfileViolation,
            f"power profile left for {now - ctx.violating_since:.0f} s",
            f"back within {limit:g} s",
        )
    return ResponseCode.WARNING_EVPowerProfileViolation


def _above(value: float, bound: float) -> bool:
    return value > bound * (1 + LIMIT_SLACK) + 1e-9


def _compare_limits(ctx: Context, limits: DCLimits, stated: DCLimits) -> None:
    """Loop maxima at most, minima at least those of parameter discovery.

    V2G20-2654 and V2G20-2655 say so of the SECC's limits; for the EV's no id is known.
    """
    if limits is stated:
        return
    for name in (
        "max_charge_power",
        "max_charge_current",
        "max_voltage",
        "max_discharge_power",
        "max_discharge_current",
        "min_charge_power",
        "min_voltage",
    ):
        value, bound = getattr(limits, name), getattr(stated, name)
        if value is None or bound is None:
            continue
        if _above(value, bound) if name.startswith("max") else _above(bound, value):
            ctx.error(f"EV limit {name} {value:g} in the loop", f"{bound:g} as in parameter discovery")


def metering_confirmation(
    ctx: Context, request: common.MeteringConfirmationReq, now: float
) -> common.MeteringConfirmationRes:
    signed = request.signed_metering_data
    if signed.session_id != ctx.session_id:
        raise Refusal(
            ResponseCode.FAILED_MeteringSignatureNotValid, "a foreign SessionID is signed", "this session's"
        )
    scheduled = isinstance(signed.control_mode, common.Scheduled_SMDTControlMode)
    if scheduled is not ctx.selected.scheduled:
        ctx.tolerate(
            f"{type(signed.control_mode).__name__} in {ctx.selected.control.name.lower()} control",
            "the control mode of the selected parameter set",
        )
    if signed.meter_info != ctx.meter_sent:
        ctx.tolerate(
            "the signed MeterInfo differs from the one sent",
            "the last MeterInfo of this session",
            "V2G20-1083",
            ResponseCode.FAILED_MeteringSignatureNotValid,
        )
    verify = ctx.trust.verify_metering
    if verify is None:
        ctx.deviation(Severity.NOTE, "no means to verify the metering signature", "one", own=True)
    else:
        try:
            problem = "" if verify(request, ctx.contract) else "it does not verify"
        except ValueError as error:
            problem = str(error)
        if problem:
            raise Refusal(
                ResponseCode.FAILED_MeteringSignatureNotValid,
                f"the metering signature is wrong: {problem}",
                "a signature with the key of the contract",
            )
    ctx.charger.metering_confirmed(now, request)
    return common.MeteringConfirmationRes(header=ctx.header(now), response_code=ResponseCode.OK)
