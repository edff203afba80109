"""Rules from ChargeParameterDiscovery to the end of the charge loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...messages import common, dc
from ...messages.common_types import (
    Dynamic_CLResControlMode,
    EVSENotification,
    Processing,
    RationalNumber,
)
from ..events import Severity
from ..schedules import anchored, check_profile, covers, price_problems
from ..services import BPTChannel
from .context import Context
from .model import Fault, on_request, on_response

_CPD = ("AC_ChargeParameterDiscovery", "DC_ChargeParameterDiscovery")
_LOOPS = ("AC_ChargeLoop", "DC_ChargeLoop")
_CPD_REQ, _CPD_RES = tuple(f"{name}Req" for name in _CPD), tuple(f"{name}Res" for name in _CPD)
_LOOP_REQ, _LOOP_RES = tuple(f"{name}Req" for name in _LOOPS), tuple(f"{name}Res" for name in _LOOPS)
_MARGIN = 1.05
"""What a measured value may exceed a limit by: control is not exact."""
_REACTION = 1.0
"""s beyond NotificationMaxDelay that a reaction may take to arrive."""
_EARLIEST, _LATEST = 946_684_800, 4_102_444_800
"""Unix s of the years 2000 and 2100."""


def _number(value: RationalNumber | None) -> float | None:
    return None if value is None else float(value)


def _is_bpt(mode: Any) -> bool:
    return type(mode).__name__.startswith("BPT_")


def _is_dynamic(mode: Any) -> bool:
    return "Dynamic" in type(mode).__name__


def _kind(bidirectional: bool) -> str:
    return "the BPT element" if bidirectional else "the element without BPT"


# -- parameters ----------------------------------------------------------------------------------------------


@on_request(
    "parameters.kind",
    *_CPD_REQ,
    requirements=("V2G20-1619", "V2G20-2272"),
    refusal="FAILED_WrongChargeParameter V2G20-1619",
)
def requested_kind(context: Context, request: Any) -> Iterator[Fault]:
    """Limits for discharging are given exactly when a BPT service is selected."""
    mode = request.energy_transfer_mode
    if context.mode is not None and _is_bpt(mode) is not context.mode.bidirectional:
        service = context.mode.service.value
        yield Fault(f"{type(mode).__name__} for service {service}", _kind(context.mode.bidirectional))


@on_response("parameters.answer-kind", *_CPD_RES)
def answered_kind(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """The SECC answers with the kind of element that the EVCC used."""
    asked, given = request.energy_transfer_mode, response.energy_transfer_mode
    if _is_bpt(asked) is not _is_bpt(given):
        yield Fault(f"{type(given).__name__} to {type(asked).__name__}", _kind(_is_bpt(asked)))


@on_request(
    "parameters.limits",
    *_CPD_REQ,
    requirements=("V2G20-1619", "V2G20-2272"),
    refusal="FAILED_WrongChargeParameter V2G20-1619",
)
def requested_limits(context: Context, request: Any) -> Iterator[Fault]:
    """The EV's minima are not above its maxima."""
    yield from _contradictions(request.energy_transfer_mode)


@on_response("parameters.answer-limits", *_CPD_RES)
def answered_limits(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """The EVSE's minima are not above its maxima."""
    yield from _contradictions(response.energy_transfer_mode)


def _contradictions(mode: Any) -> Iterator[Fault]:
    for name in mode.__struct_fields__:
        if "_minimum_" not in name:
            continue
        low, high = (
            _number(getattr(mode, name)),
            _number(getattr(mode, name.replace("_minimum_", "_maximum_"), None)),
        )
        if low is None or high is None:
            continue
        if "discharge" in name:  # some send them negative
            low, high = abs(low), abs(high)
        if low > high:
            what = name.partition("_minimum_")[2]
            yield Fault(f"minimum {what} {low:g} above maximum {high:g}", "minimum at most maximum")


@on_request("parameters.discharge-sign", *_CPD_REQ, severity=Severity.NOTE)
def discharge_sign(context: Context, request: Any) -> Iterator[Fault]:
    """Discharge limits are magnitudes; stacks that send them negative are noted."""
    yield from _negative(request.energy_transfer_mode)


@on_response("parameters.answer-discharge-sign", *_CPD_RES, severity=Severity.NOTE)
def answered_discharge_sign(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """Discharge limits are magnitudes; stacks that send them negative are noted."""
    yield from _negative(response.energy_transfer_mode)


def _negative(mode: Any) -> Iterator[Fault]:
    fields = [name for name in mode.__struct_fields__ if "discharge" in name]
    if any((_number(getattr(mode, name)) or 0.0) < 0 for name in fields):
        yield Fault("negative discharge limits", "magnitudes")


# -- schedules -----------------------------------------------------------------------------------------------


@on_request("schedule.mode", "ScheduleExchangeReq", requirements=("V2G20-1216",))
def schedule_mode(context: Context, request: common.ScheduleExchangeReq) -> Iterator[Fault]:
    """The schedule request is of the control mode that was selected."""
    if context.scheduled is not None and _is_dynamic(request.control_mode) is context.scheduled:
        yield Fault(type(request.control_mode).__name__, "Scheduled" if context.scheduled else "Dynamic")


@on_response("schedule.answer-mode", "ScheduleExchangeRes", requirements=("V2G20-1600",))
def schedule_answer(
    context: Context, request: common.ScheduleExchangeReq, response: common.ScheduleExchangeRes
) -> Iterator[Fault]:
    """The SECC answers in the control mode that the EVCC used."""
    dynamic = _is_dynamic(request.control_mode)
    if _is_dynamic(response.control_mode) is not dynamic:
        yield Fault(type(response.control_mode).__name__, "Dynamic" if dynamic else "Scheduled")


@on_request("schedule.soc", "ScheduleExchangeReq", requirements=("V2G20-1640",))
def schedule_soc(context: Context, request: common.ScheduleExchangeReq) -> Iterator[Fault]:
    """MinimumSOC is at most TargetSOC."""
    yield from _soc(request.control_mode)


@on_response("schedule.answer-soc", "ScheduleExchangeRes", requirements=("V2G20-1640",))
def schedule_answer_soc(
    context: Context, request: common.ScheduleExchangeReq, response: common.ScheduleExchangeRes
) -> Iterator[Fault]:
    """MinimumSOC is at most TargetSOC."""
    yield from _soc(response.control_mode)


def _soc(mode: Any) -> Iterator[Fault]:
    low, high = getattr(mode, "minimum_soc", None), getattr(mode, "target_soc", None)
    if low is not None and high is not None and low > high:
        yield Fault(f"MinimumSOC {low} % above TargetSOC {high} %", "MinimumSOC at most TargetSOC")


@on_request("schedule.v2x", "ScheduleExchangeReq", *_LOOP_REQ, requirements=("V2G20-2681",))
def v2x_pair(context: Context, request: Any) -> Iterator[Fault]:
    """EVMaximumV2XEnergyRequest and EVMinimumV2XEnergyRequest come both or not at all."""
    mode = request.control_mode
    high = getattr(mode, "ev_maximum_v2x_energy_request", None)
    low = getattr(mode, "ev_minimum_v2x_energy_request", None)
    if (high is None) is not (low is None):
        yield Fault("only one of the two V2X energy requests", "both or neither")


@on_response("schedule.points", "ScheduleExchangeRes", requirements=("V2G20-1056",))
def schedule_points(
    context: Context, request: common.ScheduleExchangeReq, response: common.ScheduleExchangeRes
) -> Iterator[Fault]:
    """No schedule has more entries than the EVCC can take."""
    limit = request.maximum_supporting_points
    for item in _tuples(response):
        for schedule in (item.charging_schedule, item.discharging_schedule):
            if schedule is None:
                continue
            count = len(schedule.power_schedule.power_schedule_entries.power_schedule_entry)
            if count > limit:
                yield Fault(f"{count} entries in tuple {item.schedule_tuple_id}", f"at most {limit}")


@on_response("schedule.tuple-ids", "ScheduleExchangeRes")
def tuple_ids(
    context: Context, request: common.ScheduleExchangeReq, response: common.ScheduleExchangeRes
) -> Iterator[Fault]:
    """Each schedule tuple has an id of its own."""
    ids = [item.schedule_tuple_id for item in _tuples(response)]
    if len(set(ids)) < len(ids):
        yield Fault(f"ScheduleTupleIDs {', '.join(map(str, ids))}", "each id once")


@on_response("schedule.prices", "ScheduleExchangeRes")
def prices(
    context: Context, request: common.ScheduleExchangeReq, response: common.ScheduleExchangeRes
) -> Iterator[Fault]:
    """A price schedule does not contradict itself."""
    offered = [getattr(response.control_mode, "price_schedule", None)]
    for item in _tuples(response):
        offered += [
            part.price_schedule for part in (item.charging_schedule, item.discharging_schedule) if part
        ]
    for schedule in offered:
        for problem in () if schedule is None else price_problems(schedule):
            yield Fault(problem, "a usable price schedule")


@on_response("schedule.no-price", "ScheduleExchangeRes", requirements=("V2G20-2176",), severity=Severity.NOTE)
def no_price(
    context: Context, request: common.ScheduleExchangeReq, response: common.ScheduleExchangeRes
) -> Iterator[Fault]:
    """Each ChargingSchedule carries a price schedule; the field treats this as withdrawn, so it is noted
    only.
    """
    if response.evse_processing == Processing.Finished:
        bare = [
            str(item.schedule_tuple_id)
            for item in _tuples(response)
            if item.charging_schedule.price_schedule is None
        ]
        if bare:
            yield Fault(f"no price schedule in tuple {', '.join(bare)}", "absolute prices or price levels")


def _tuples(response: common.ScheduleExchangeRes) -> list[common.ScheduleTuple]:
    mode = response.control_mode
    return mode.schedule_tuple if isinstance(mode, common.Scheduled_SEResControlMode) else []


# -- power delivery ------------------------------------------------------------------------------------------


@on_request("power.profile", "PowerDeliveryReq")
def profile_given(context: Context, request: common.PowerDeliveryReq) -> Iterator[Fault]:
    """PowerDeliveryReq(Start) in scheduled mode carries the EVPowerProfile with the chosen tuple."""
    start = request.charge_progress == common.ChargeProgress.Start
    if not (context.scheduled and start and request.ev_processing == Processing.Finished):
        return
    profile = request.ev_power_profile
    if profile is None:
        yield Fault("no EVPowerProfile", "EVPowerProfile with SelectedScheduleTupleID")
    elif not isinstance(profile.control_mode, common.Scheduled_EVPPTControlMode):
        yield Fault(type(profile.control_mode).__name__, "Scheduled_EVPPTControlMode")


def _selected(request: common.PowerDeliveryReq) -> int | None:
    """The tuple that the EV has chosen; it may still think while EVProcessing is Ongoing, and a Stop has
    none.
    """
    profile = request.ev_power_profile
    if request.ev_processing != Processing.Finished or request.charge_progress == common.ChargeProgress.Stop:
        return None
    if profile is None or not isinstance(profile.control_mode, common.Scheduled_EVPPTControlMode):
        return None
    return profile.control_mode.selected_schedule_tuple_id


@on_request("power.tuple", "PowerDeliveryReq", refusal="FAILED_ScheduleSelectionInvalid")
def selected_tuple(context: Context, request: common.PowerDeliveryReq) -> Iterator[Fault]:
    """The selected schedule tuple is one that the SECC offered."""
    chosen = _selected(request)
    if chosen is not None and context.tuples is not None and chosen not in context.tuples:
        offered = ", ".join(map(str, context.tuples))
        yield Fault(f"SelectedScheduleTupleID {chosen}", f"one of {offered}")


@on_request("power.profile-excess", "PowerDeliveryReq", refusal="FAILED_EVPowerProfileInvalid")
def profile_excess(context: Context, request: common.PowerDeliveryReq) -> Iterator[Fault]:
    """The EV's power profile stays within the schedule it has chosen; one that does not cover the present
    holds from the profile's beginning.
    """
    chosen = _selected(request)
    offer = (context.tuples or {}).get(chosen) if chosen is not None else None
    if offer is None or request.ev_power_profile is None:
        return
    if not covers(offer.charging_schedule.power_schedule, request.header.timestamp):
        offer = anchored(offer, request.ev_power_profile.time_anchor)
    confirmed = getattr(request.ev_power_profile.control_mode, "power_tolerance_acceptance", None)
    tolerant = confirmed == common.PowerToleranceAcceptance.PowerToleranceConfirmed
    for excess in check_profile(request.ev_power_profile, offer, with_tolerance=tolerant):
        if not excess.rounding:
            yield Fault(f"profile has {excess}", f"at most {excess.ceiling:g} W")
            return


@on_request("power.channel", "PowerDeliveryReq", requirements=("V2G20-2123",))
def channel(context: Context, request: common.PowerDeliveryReq) -> Iterator[Fault]:
    """Where the channels of a BPT service are separated, the EVCC names the direction."""
    mode = context.mode
    separated = mode is not None and mode.bidirectional and mode.channel is BPTChannel.SEPARATED
    start = request.charge_progress == common.ChargeProgress.Start
    if separated and start and request.bpt_channel_selection is None:
        yield Fault("no BPT_ChannelSelection with separated channels", "Charge or Discharge")


# -- charge loop ---------------------------------------------------------------------------------------------


@on_request("loop.mode", *_LOOP_REQ, requirements=("V2G20-1216",))
def loop_mode(context: Context, request: Any) -> Iterator[Fault]:
    """The charge loop is of the control mode and direction that were selected."""
    mode = request.control_mode
    if context.mode is None:
        return
    if _is_dynamic(mode) is context.scheduled or _is_bpt(mode) is not context.bidirectional:
        control = "Scheduled" if context.scheduled else "Dynamic"
        yield Fault(type(mode).__name__, f"{'BPT_' if context.bidirectional else ''}{control} control mode")


@on_request("loop.ev-limit-raised", *_LOOP_REQ)
def raised_ev_limits(context: Context, request: Any) -> Iterator[Fault]:
    """The EV's maxima in the loop are not above those of its ChargeParameterDiscovery."""
    for name, now, then in _changed_limits(context.requested, request.control_mode, "_maximum_"):
        if abs(now) > abs(then) * 1.0001:
            yield Fault(f"{name} {now:g}", f"at most {then:g}")


@on_response("loop.answer-mode", *_LOOP_RES, requirements=("V2G20-1600",))
def loop_answer(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """The SECC answers in the control mode and direction that the EVCC used."""
    asked, given = type(request.control_mode).__name__, type(response.control_mode).__name__
    if asked.replace("Req", "Res") != given:
        yield Fault(f"{given} to {asked}", asked.replace("Req", "Res"))


@on_response("loop.meter", *_LOOP_RES, requirements=("V2G20-1082", "V2G20-1081"))
def meter(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """MeterInfo is given when it was asked for."""
    if request.meter_info_requested and response.meter_info is None:
        yield Fault("no MeterInfo", "MeterInfo, as MeterInfoRequested is true")


@on_response("loop.first-meter", *_LOOP_RES, requirements=("V2G20-1833",))
def first_meter(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """An EVSE that meters sends MeterInfo in the very first response of the charge loop, unasked."""
    if response.meter_info is not None and context.loops and not context.metered:
        yield Fault(
            f"MeterInfo only in response {context.loops + 1} of the loop", "MeterInfo from the first on"
        )


@on_response("loop.metering-confirmation", *_LOOP_RES, "PowerDeliveryRes", requirements=("V2G20-1083",))
def metering_confirmation(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """A wish for MeteringConfirmation comes with the MeterInfo to confirm."""
    status = response.evse_status
    wanted = status is not None and status.evse_notification == EVSENotification.MeteringConfirmation
    if wanted and getattr(response, "meter_info", None) is None:
        yield Fault(
            "EVSENotification MeteringConfirmation without MeterInfo", "MeterInfo in the same response"
        )


@on_response("loop.limit-raised", *_LOOP_RES, requirements=("V2G20-2654",))
def raised_limits(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """The EVSE's maxima in the loop are not above those of ChargeParameterDiscovery."""
    for name, now, then in _changed_limits(context.discovered, response.control_mode, "_maximum_"):
        if abs(now) > abs(then) * 1.0001:
            yield Fault(f"{name} {now:g}", f"at most {then:g}")


@on_response("loop.limit-lowered", *_LOOP_RES, requirements=("V2G20-2655",))
def lowered_limits(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """The EVSE's minima in the loop are not below those of ChargeParameterDiscovery."""
    for name, now, then in _changed_limits(context.discovered, response.control_mode, "_minimum_"):
        if abs(now) < abs(then) * 0.9999:
            yield Fault(f"{name} {now:g}", f"at least {then:g}")


def _changed_limits(stated: Any, mode: Any, kind: str) -> Iterator[tuple[str, float, float]]:
    if stated is None:
        return
    for field in mode.__struct_fields__:
        now, then = _number_field(mode, field, kind), _number_field(stated, field, kind)
        if now is not None and then is not None:
            yield field, now, then


def _number_field(mode: Any, field: str, kind: str) -> float | None:
    value = getattr(mode, field, None)
    return float(value) if kind in field and isinstance(value, RationalNumber) else None


@on_response("loop.soc", *_LOOP_RES, requirements=("V2G20-1290", "V2G20-1366"))
def loop_soc(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """MinimumSOC is at most TargetSOC where the SECC provides mobility needs."""
    if isinstance(response.control_mode, Dynamic_CLResControlMode):
        yield from _soc(response.control_mode)


@on_response("loop.ev-limits", "DC_ChargeLoopRes", requirements=("V2G20-2188",))
def ev_limits(context: Context, request: Any, response: Any) -> Iterator[Fault]:
    """The EVSE does not exceed the limits that the EV has communicated."""
    for what, unit, value, limit in _measured(context, request.control_mode, response):
        if limit is not None and value > limit * _MARGIN + 1.0:
            yield Fault(f"{what} {value:g} {unit}", f"at most {limit:g} {unit}, as the EV said")


def _measured(
    context: Context, mode: Any, response: dc.DC_ChargeLoopRes
) -> Iterator[tuple[str, str, float, float | None]]:
    def limit(name: str) -> float | None:
        value = _number(getattr(mode, name, None))
        if value is None:
            value = _number(getattr(context.requested, name, None))
        return None if value is None else abs(value)

    current, voltage = float(response.evse_present_current), float(response.evse_present_voltage)
    yield "EVSEPresentVoltage", "V", voltage, limit("ev_maximum_voltage")
    direction = "charge" if current >= 0 else "discharge"
    yield "EVSEPresentCurrent", "A", abs(current), limit(f"ev_maximum_{direction}_current")
    yield "present power", "W", abs(current) * voltage, limit(f"ev_maximum_{direction}_power")


@on_request("loop.notification", *_LOOP_REQ)
def notification(context: Context, request: Any) -> Iterator[Fault]:
    """The EV reacts to a wish to pause or to terminate within NotificationMaxDelay."""
    if context.notified is None or context.now is None:
        return
    wish, until = context.notified
    if context.now > until + _REACTION:
        late = f"{context.now - until:.1f} s after the time to {wish.lower()}"
        yield Fault(f"still in the charge loop {late}", "PowerDeliveryReq(Stop)")


# -- all messages --------------------------------------------------------------------------------------------


def timestamp_problem(message: Any) -> Fault | None:
    """TimeStamp in a unit other than Unix seconds: some stacks send milli- or microseconds."""
    stamp = message.header.timestamp
    if _EARLIEST <= stamp <= _LATEST:
        return None
    for unit, factor in (("milliseconds", 1000), ("microseconds", 1_000_000)):
        if _EARLIEST <= stamp / factor <= _LATEST:
            return Fault(f"TimeStamp {stamp} is in {unit}", "Unix seconds")
    return Fault(f"TimeStamp {stamp} is not of this century", "Unix seconds")
