"""SECC: charge parameters, schedules, DC preparation, power delivery, end of the session."""

from __future__ import annotations

from msgspec.structs import replace

from ..messages import ac, common, dc
from ..messages.common_types import Processing, ResponseCode
from . import schedules
from . import secc_values as values
from .charger import ControlPilot, Direction, Progress, ScheduleRequest
from .events import Severity
from .secc_context import Context, Refusal
from .secc_notify import notification
from .services import BPTChannel, MobilityNeedsMode
from .values import MobilityNeeds

OK = ResponseCode.OK
_PROFILE_INVALID = ResponseCode.FAILED_EVPowerProfileInvalid
_PLUGGED_READY = (ControlPilot.C, ControlPilot.D)


def ac_parameters(
    ctx: Context, request: ac.AC_ChargeParameterDiscoveryReq, now: float
) -> ac.AC_ChargeParameterDiscoveryRes:
    mode, element = ctx.selected, request.energy_transfer_mode
    _require_direction(ctx, isinstance(element, ac.BPT_AC_CPDReqEnergyTransferMode), "V2G20-1619")
    limits = values.ac_limits_of(element)
    problems = [*values.ac_problems(limits), *values.phase_problems(element)]
    _require_consistent(problems, "V2G20-1619")
    _note_negative_discharge(ctx, getattr(element, "ev_maximum_discharge_power", None))
    ctx.ev_ac_stated = limits
    ctx.report = replace(ctx.report, ac=limits)
    ctx.charger.vehicle(now, ctx.report)
    ctx.ac_stated = ctx.charger.ac_limits(now)
    return ac.AC_ChargeParameterDiscoveryRes(
        header=ctx.header(now),
        response_code=OK,
        energy_transfer_mode=values.ac_discovery(
            ctx.ac_stated, ctx.charger.ac_grid(now), None, mode.bidirectional, ctx.config.dialect
        ),
    )


def dc_parameters(
    ctx: Context, request: dc.DC_ChargeParameterDiscoveryReq, now: float
) -> dc.DC_ChargeParameterDiscoveryRes:
    mode, element = ctx.selected, request.energy_transfer_mode
    _require_direction(ctx, isinstance(element, dc.BPT_DC_CPDReqEnergyTransferMode), "V2G20-2272")
    limits = values.dc_limits_of_discovery(element)
    own = ctx.charger.dc_limits(now)
    problems = values.dc_problems(limits)
    if limits.min_voltage > own.max_voltage or limits.max_voltage < own.min_voltage:
        problems.append(
            f"the EV's {limits.min_voltage:g} to {limits.max_voltage:g} V"
            f" miss the EVSE's {own.min_voltage:g} to {own.max_voltage:g} V"
        )
    _require_consistent(problems, "V2G20-2272")
    _note_negative_discharge(ctx, getattr(element, "ev_maximum_discharge_power", None))
    ctx.ev_dc_stated, ctx.dc_stated = limits, own
    ctx.report = replace(
        ctx.report, dc=limits, needs=replace(ctx.report.needs, target_soc=element.target_soc)
    )
    ctx.charger.vehicle(now, ctx.report)
    return dc.DC_ChargeParameterDiscoveryRes(
        header=ctx.header(now),
        response_code=OK,
        energy_transfer_mode=values.dc_discovery(own, mode.bidirectional, ctx.config.dialect),
    )


def _require_direction(ctx: Context, bidirectional: bool, requirement: str) -> None:
    mode = ctx.selected
    if bidirectional is not mode.bidirectional:
        kind = "BPT" if bidirectional else "unidirectional"
        raise Refusal(
            ResponseCode.FAILED_WrongChargeParameter,
            f"{kind} charge parameters in service {mode.service.name}",
            "the parameters of the selected service",
            requirement,
        )


def _require_consistent(problems: list[str], requirement: str) -> None:
    if problems:
        raise Refusal(
            ResponseCode.FAILED_WrongChargeParameter, "; ".join(problems), "limits that fit", requirement
        )


def _note_negative_discharge(ctx: Context, limit: object) -> None:
    if limit is not None and float(limit) < 0:  # type: ignore[arg-type]
        ctx.note("discharge limits are negative", "magnitudes")


# -- schedules -----------------------------------------------------------------------------------------------


def schedule_exchange(
    ctx: Context, request: common.ScheduleExchangeReq, now: float, side: bool
) -> common.ScheduleExchangeRes:
    mode, element = ctx.selected, request.control_mode
    scheduled = isinstance(element, common.Scheduled_SEReqControlMode)
    if scheduled is not mode.scheduled:
        raise Refusal(
            ResponseCode.FAILED,
            f"{type(element).__name__} in {mode.control.name.lower()} control",
            "the control mode of the selected parameter set",
            "V2G20-1600",
        )
    needs = values.needs_of(element)
    if needs.min_soc is not None and needs.target_soc is not None and needs.min_soc > needs.target_soc:
        ctx.tolerate(
            f"MinimumSOC {needs.min_soc} above TargetSOC {needs.target_soc}",
            "at most TargetSOC",
            "V2G20-1640",
        )
    if values.v2x_pair_broken(element):
        ctx.tolerate("one V2X energy request without the other", "both or neither", "V2G20-2681")
    if not 12 <= request.maximum_supporting_points <= 1024:
        ctx.error(f"MaximumSupportingPoints {request.maximum_supporting_points}", "12 to 1024")
    energy_offer = element.ev_energy_offer if isinstance(element, common.Scheduled_SEReqControlMode) else None
    ctx.report = replace(ctx.report, needs=needs)
    ctx.charger.vehicle(now, ctx.report)
    points = max(12, min(1024, request.maximum_supporting_points))
    offer = ctx.charger.schedule(now, ScheduleRequest(needs, points, energy_offer))
    loop = f"schedule exchange{' on the side' if side else ''}"
    if offer is None:
        if ctx.ongoing_too_long(loop, now):
            raise Refusal(ResponseCode.FAILED, "no schedule in time", "a schedule", own=True)
        return common.ScheduleExchangeRes(
            header=ctx.header(now),
            response_code=OK,
            evse_processing=Processing.Ongoing,
            control_mode=_filler(ctx, now) if scheduled else common.Dynamic_SEResControlMode(),
        )
    ctx.finished(loop)
    answer: common.Scheduled_SEResControlMode | common.Dynamic_SEResControlMode
    if scheduled:
        tuples = [_in_dialect(ctx, schedules.fit_tuple(item, points)) for item in offer.tuples[:3]]
        if not tuples:
            raise Refusal(ResponseCode.FAILED, "the station has no schedule", "a schedule", own=True)
        ctx.offers_proposed = {item.schedule_tuple_id: item for item in tuples}
        if not side:
            ctx.offers = ctx.offers_proposed
        answer = common.Scheduled_SEResControlMode(schedule_tuple=tuples)
    else:
        provided = offer.needs if mode.mobility is MobilityNeedsMode.SECC else None
        answer = common.Dynamic_SEResControlMode(
            **values.dynamic_needs(provided or MobilityNeeds()),
            price_schedule=schedules.fit_prices(offer.prices, points),
        )
    response = common.ScheduleExchangeRes(
        header=ctx.header(now),
        response_code=OK,
        evse_processing=Processing.Finished,
        go_to_pause=True if offer.go_to_pause else None,
        control_mode=answer,
    )
    if ctx.trust.sign_prices is not None:
        response.header.signature = ctx.trust.sign_prices(response, ctx.contract)
    return response


def _filler(ctx: Context, now: float) -> common.Scheduled_SEResControlMode:
    """While Ongoing the schema still wants a tuple."""
    tuple_ = schedules.flat_tuple(int(ctx.unix(now)), (0.0,), duration=1)
    return common.Scheduled_SEResControlMode(schedule_tuple=[_in_dialect(ctx, tuple_)])


def _in_dialect(ctx: Context, item: common.ScheduleTuple) -> common.ScheduleTuple:
    dialect = ctx.config.dialect
    if dialect.price_every_schedule:
        item = schedules.price_every_schedule(item)
    return schedules.with_discharge_sign(item, negative=dialect.negative_discharge_schedules)


# -- DC preparation and end ----------------------------------------------------------------------------------


def cable_check(ctx: Context, request: dc.DC_CableCheckReq, now: float) -> dc.DC_CableCheckRes:
    """Passes only with the EV in control pilot state C or D, where the station observes the pilot."""
    pilot = ctx.charger.control_pilot(now)
    ready = pilot is None or pilot in _PLUGGED_READY
    progress = ctx.charger.cable_check(now) if ready else Progress.ONGOING
    late = ctx.ongoing_too_long("cable check", now)
    if progress is Progress.FAILED:
        raise Refusal(ResponseCode.FAILED, "the isolation test failed", "isolation", own=True)
    if progress is Progress.ONGOING and late:
        cause = (
            "the isolation test did not finish"
            if ready
            else f"control pilot is in state {pilot and pilot.value}"
        )
        raise Refusal(ResponseCode.FAILED, cause, "state C or D and a passed test", own=ready)
    if progress is Progress.DONE:
        ctx.finished("cable check")
    processing = Processing.Finished if progress is Progress.DONE else Processing.Ongoing
    return dc.DC_CableCheckRes(header=ctx.header(now), response_code=OK, evse_processing=processing)


def precharge(ctx: Context, request: dc.DC_PreChargeReq, now: float) -> dc.DC_PreChargeRes:
    target = float(request.ev_target_voltage)
    stated, own = ctx.ev_dc_stated, ctx.charger.dc_limits(now)
    if stated is not None and target > stated.max_voltage:
        ctx.error(f"EVTargetVoltage {target:g} V", f"at most EVMaximumVoltage {stated.max_voltage:g} V")
    ctx.last_voltage = target or ctx.last_voltage
    present = ctx.charger.precharge(now, max(0.0, min(target, own.max_voltage)))
    return dc.DC_PreChargeRes(
        header=ctx.header(now), response_code=OK, evse_present_voltage=values.of(present)
    )


def welding_detection(
    ctx: Context, request: dc.DC_WeldingDetectionReq, now: float
) -> dc.DC_WeldingDetectionRes:
    _require_pilot_b(ctx, now)
    return dc.DC_WeldingDetectionRes(
        header=ctx.header(now),
        response_code=OK,
        evse_present_voltage=values.of(ctx.charger.output_voltage(now)),
    )


def _require_pilot_b(ctx: Context, now: float) -> None:
    pilot = ctx.charger.control_pilot(now)
    if pilot in _PLUGGED_READY:
        ctx.tolerate(f"control pilot is in state {pilot.value}", "state B after the end of power")


# -- power ---------------------------------------------------------------------------------------------------


def power_delivery(
    ctx: Context, request: common.PowerDeliveryReq, now: float, side: bool
) -> common.PowerDeliveryRes | None:
    """None while the charger is switching."""
    code = OK
    if request.ev_processing == Processing.Finished:
        match request.charge_progress:
            case common.ChargeProgress.ScheduleRenegotiation | common.ChargeProgress.Start if side:
                code = _accept_profile(ctx, request, now, side=True)
            case common.ChargeProgress.Start:
                started = _start(ctx, request, now)
                if started is None:
                    return None
                code = started
            case common.ChargeProgress.Stop:
                if ctx.switch("stopping power", ctx.charger.stop_power(now), now) is None:
                    return None
                ctx.profile, ctx.pilot_deadline = [], None
            case common.ChargeProgress.Standby:
                _check_profile(ctx, ctx.offers, request.ev_power_profile)
                if not ctx.charger.standby(now):
                    code = ResponseCode.WARNING_StandbyNotAllowed
            case common.ChargeProgress.ScheduleRenegotiation:
                _check_profile(ctx, ctx.offers, request.ev_power_profile)
                if not ctx.charger.renegotiation_allowed(now):
                    code = ResponseCode.WARNING_ScheduleRenegotiationFailed
    stopping = request.charge_progress == common.ChargeProgress.Stop
    return common.PowerDeliveryRes(
        header=ctx.header(now),
        response_code=code,
        evse_status=None if stopping else notification(ctx, now),
    )


def _start(ctx: Context, request: common.PowerDeliveryReq, now: float) -> ResponseCode | None:
    mode = ctx.selected
    fresh = "starting power" not in ctx.since
    if fresh:
        pilot = ctx.charger.control_pilot(now)
        if mode.family.value == "AC" and not ctx.state.running and pilot in _PLUGGED_READY:
            ctx.note(f"control pilot is in state {pilot.value} before Start", "state B", "V2G20-1617")
        ctx.start_code = _accept_profile(ctx, request, now, side=False)
        ctx.direction = _direction(ctx, request)
    if ctx.switch("starting power", ctx.charger.start_power(now, ctx.direction), now) is None:
        return None
    if not ctx.state.running:
        ctx.metered, ctx.violating_since = False, None
        if ctx.charger.control_pilot(now) is not None:
            ctx.pilot_deadline = now + ctx.config.timers.seconds("CP_C_after_Start")
    return ctx.start_code


def _direction(ctx: Context, request: common.PowerDeliveryReq) -> Direction | None:
    """The channel of a BPT service with separate ones; unified channels know only the sign of power."""
    selected, mode = request.bpt_channel_selection, ctx.selected
    if not (mode.bidirectional and mode.channel is BPTChannel.SEPARATED):
        if selected is not None:
            ctx.note(f"BPT_ChannelSelection {selected}", "none without separate BPT channels")
        return None
    if selected is None:
        ctx.tolerate(
            "no BPT_ChannelSelection with separate channels",
            "Charge or Discharge",
            code=ResponseCode.FAILED_PowerDeliveryNotApplied,
        )
        return Direction.CHARGE
    return Direction.DISCHARGE if selected == common.ChannelSelection.Discharge else Direction.CHARGE


def _accept_profile(
    ctx: Context, request: common.PowerDeliveryReq, now: float, *, side: bool
) -> ResponseCode:
    """Check the EV's power profile against what was offered and take it over."""
    mode, profile = ctx.selected, request.ev_power_profile
    offers = ctx.offers_proposed if side else ctx.offers
    if profile is None:
        if not ctx.state.running or side:
            ctx.tolerate("no EVPowerProfile", "one with Start", code=_PROFILE_INVALID)
        return OK
    scheduled = isinstance(profile.control_mode, common.Scheduled_EVPPTControlMode)
    if scheduled is not mode.scheduled:
        raise Refusal(
            _PROFILE_INVALID,
            f"{type(profile.control_mode).__name__} in {mode.control.name.lower()} control",
            "the control mode of the selected parameter set",
            "V2G20-1600",
        )
    code = OK
    if isinstance(profile.control_mode, common.Scheduled_EVPPTControlMode):
        chosen = profile.control_mode.selected_schedule_tuple_id
        code, tolerance = _check_profile(ctx, offers, profile)
        offer = offers[chosen]
        ctx.offers, ctx.tuple_id, ctx.tolerance = offers, chosen, tolerance
        ctx.ceiling = schedules.entries_of(offer.charging_schedule.power_schedule)
        back = offer.discharging_schedule
        ctx.discharge_ceiling = [] if back is None else schedules.entries_of(back.power_schedule)
    ctx.profile = _current(ctx, profile, now)
    ctx.violating_since = None
    ctx.charger.profile(now, ctx.tuple_id if scheduled else None, profile)
    return code


def _check_profile(
    ctx: Context, offers: dict[int, common.ScheduleTuple], profile: common.EVPowerProfile | None
) -> tuple[ResponseCode, float]:
    """The EV may choose only among the tuples that it was offered [V2G20-1058], and plan only within them.
    Code of the response and the power tolerance that holds, W.
    """
    if profile is None or not isinstance(profile.control_mode, common.Scheduled_EVPPTControlMode):
        return OK, 0.0
    chosen = profile.control_mode.selected_schedule_tuple_id
    if chosen not in offers:
        raise Refusal(
            ResponseCode.FAILED_ScheduleSelectionInvalid,
            f"schedule tuple {chosen}",
            f"one of {sorted(offers)}",
            "V2G20-1058",
        )
    code, tolerance = _tolerance(ctx, profile.control_mode, offers[chosen])
    for excess in schedules.check_profile(profile, offers[chosen], with_tolerance=tolerance > 0):
        if not excess.rounding:
            raise Refusal(_PROFILE_INVALID, f"EVPowerProfile: {excess}", "power within the schedule")
        ctx.note(f"EVPowerProfile: {excess}", "power within the schedule")
    return code, tolerance


def _current(ctx: Context, profile: common.EVPowerProfile, now: float) -> list[schedules.Entry]:
    """The profile's intervals as they are, or from now on if they are over: some stacks anchor at 0."""
    entries, unix = schedules.entries_of(profile), ctx.unix(now)
    if not entries or schedules.power_at(entries, unix) is not None:
        return entries
    late = unix - entries[0].start
    ctx.error(
        f"EVPowerProfile runs from {profile.time_anchor} for {entries[-1].end - entries[0].start:g} s",
        "a profile that covers the present; taken from now on",
    )
    return [replace(entry, start=entry.start + late, end=entry.end + late) for entry in entries]


def _tolerance(
    ctx: Context, mode: common.Scheduled_EVPPTControlMode, offer: common.ScheduleTuple
) -> tuple[ResponseCode, float]:
    """The handshake on PowerTolerance: the EV may leave the schedule by it once it has confirmed."""
    offered = offer.charging_schedule.power_schedule.power_tolerance
    answer = mode.power_tolerance_acceptance
    if answer == common.PowerToleranceAcceptance.PowerToleranceConfirmed:
        if offered is None:
            ctx.note("PowerToleranceConfirmed without PowerTolerance in the schedule", "no answer")
            return OK, 0.0
        return ResponseCode.OK_PowerToleranceConfirmed, float(offered)
    if answer == common.PowerToleranceAcceptance.PowerToleranceNotConfirmed and offered is not None:
        return ResponseCode.WARNING_PowerToleranceNotConfirmed, 0.0
    return OK, 0.0


# -- end -----------------------------------------------------------------------------------------------------


def session_stop(ctx: Context, request: common.SessionStopReq, now: float) -> common.SessionStopRes | None:
    """None while the charger is still switching power off."""
    powered = ctx.state.running or ctx.state.prepared
    if powered and ctx.switch("stopping power", ctx.charger.stop_power(now), now) is None:
        return None
    _require_pilot_b(ctx, now)
    wanted = request.charging_session
    if wanted == common.ChargingSession.Pause and not (
        ctx.config.pause and ctx.mode is not None and ctx.charger.pause_allowed(now)
    ):
        raise Refusal(
            ResponseCode.FAILED_PauseNotAllowed, "pause", "no pause at this station now", "V2G20-1195"
        )
    renegotiate = wanted == common.ChargingSession.ServiceRenegotiation
    if renegotiate and not (ctx.config.service_renegotiation and ctx.state.authorized):
        raise Refusal(
            ResponseCode.FAILED_NoServiceRenegotiationSupported,
            "service renegotiation",
            "an authorized EV and ServiceRenegotiationSupported",
        )
    ctx.termination = (request.ev_termination_code, request.ev_termination_explanation)
    if any(ctx.termination):
        ctx.deviation(
            Severity.NOTE,
            f"the EV says why it stops: {' - '.join(text for text in ctx.termination if text)}",
            "no trouble",
        )
    ctx.charging_session = request.charging_session
    if renegotiate:
        ctx.leave_service()
    return common.SessionStopRes(header=ctx.header(now), response_code=OK)
