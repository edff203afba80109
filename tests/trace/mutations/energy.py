"""Parameters, schedules, power delivery, the charge loop, times."""

from __future__ import annotations

import copy

from hlc_sim.trace import events as ev
from iso15118 import sdp
from iso15118.messages import common, dc
from iso15118.messages.common_types import EVSENotification, EVSEStatus
from iso15118.session import schedules

from .. import recordings as rec
from ..recordings import BEGIN, Recording, of
from .table import ac_base, case, dc_base, parameter, refused, slow, wpt_base

# -- parameters and schedules --------------------------------------------------------------------------------


def _plain_limits(r: Recording) -> None:
    fields = dc.DC_CPDReqEnergyTransferMode.__struct_fields__
    bpt = r.message("DC_ChargeParameterDiscoveryReq").energy_transfer_mode
    plain = dc.DC_CPDReqEnergyTransferMode(**{name: getattr(bpt, name) for name in fields})
    r.message("DC_ChargeParameterDiscoveryReq").energy_transfer_mode = plain


def _plain_answer(r: Recording) -> None:
    fields = dc.DC_CPDResEnergyTransferMode.__struct_fields__
    bpt = r.message("DC_ChargeParameterDiscoveryRes").energy_transfer_mode
    plain = dc.DC_CPDResEnergyTransferMode(**{name: getattr(bpt, name) for name in fields})
    r.message("DC_ChargeParameterDiscoveryRes").energy_transfer_mode = plain


@refused("parameters.kind", dc_base, "DC_ChargeParameterDiscoveryRes", "FAILED_WrongChargeParameter")
def _(r: Recording) -> None:
    _plain_limits(r)
    _plain_answer(r)


@case("parameters.answer-kind", dc_base)
def _(r: Recording) -> None:
    _plain_answer(r)


@refused("parameters.limits", dc_base, "DC_ChargeParameterDiscoveryRes", "FAILED_WrongChargeParameter")
def _(r: Recording) -> None:
    r.message("DC_ChargeParameterDiscoveryReq").energy_transfer_mode.ev_minimum_charge_power = of(90_000)


@case("parameters.answer-limits", dc_base)
def _(r: Recording) -> None:
    mode = r.message("DC_ChargeParameterDiscoveryRes").energy_transfer_mode
    mode.evse_minimum_charge_current = of(400)


@case("parameters.discharge-sign", dc_base)
def _(r: Recording) -> None:
    mode = r.message("DC_ChargeParameterDiscoveryReq").energy_transfer_mode
    mode.ev_maximum_discharge_power = of(-11_000)


@case("parameters.answer-discharge-sign", dc_base)
def _(r: Recording) -> None:
    mode = r.message("DC_ChargeParameterDiscoveryRes").energy_transfer_mode
    mode.evse_maximum_discharge_power = of(-20_000)


@case("schedule.mode", dc_base)
def _(r: Recording) -> None:
    r.message("ScheduleExchangeReq").control_mode = common.Scheduled_SEReqControlMode()
    r.fail("ScheduleExchangeRes", "FAILED")


@case("schedule.answer-mode", ac_base)
def _(r: Recording) -> None:
    r.message("ScheduleExchangeRes", 0).control_mode = common.Dynamic_SEResControlMode()


@case("schedule.soc", dc_base)
def _(r: Recording) -> None:
    r.message("ScheduleExchangeReq").control_mode.minimum_soc = 90


@case("schedule.answer-soc", dc_base)
def _(r: Recording) -> None:
    mode = r.message("ScheduleExchangeRes").control_mode
    mode.minimum_soc, mode.target_soc = 90, 50


@case("schedule.v2x", dc_base)
def _(r: Recording) -> None:
    r.message("ScheduleExchangeReq").control_mode.ev_maximum_v2x_energy_request = of(5000)


@case("schedule.points", ac_base)
def _(r: Recording) -> None:
    plan = schedules.power_schedule(int(BEGIN), [(600, (3600.0,))] * 13)
    item = r.message("ScheduleExchangeRes", 1).control_mode.schedule_tuple[0]
    item.charging_schedule.power_schedule = plan


@case("schedule.tuple-ids", ac_base)
def _(r: Recording) -> None:
    tuples = r.message("ScheduleExchangeRes", 1).control_mode.schedule_tuple
    tuples.append(copy.deepcopy(tuples[0]))


@case("schedule.prices", ac_base)
def _(r: Recording) -> None:
    item = r.message("ScheduleExchangeRes", 1).control_mode.schedule_tuple[0]
    item.charging_schedule.price_schedule.number_of_price_levels = 1


@case("schedule.no-price", ac_base)
def _(r: Recording) -> None:
    item = r.message("ScheduleExchangeRes", 1).control_mode.schedule_tuple[0]
    item.charging_schedule.price_schedule = None


# -- power delivery and charge loop --------------------------------------------------------------------------


@case("power.profile", ac_base)
def _(r: Recording) -> None:
    r.message("PowerDeliveryReq").ev_power_profile = None


@refused("power.tuple", ac_base, "PowerDeliveryRes", "FAILED_ScheduleSelectionInvalid")
def _(r: Recording) -> None:
    r.message("PowerDeliveryReq").ev_power_profile.control_mode.selected_schedule_tuple_id = 7


@refused("power.profile-excess", ac_base, "PowerDeliveryRes", "FAILED_EVPowerProfileInvalid")
def _(r: Recording) -> None:
    entries = r.message("PowerDeliveryReq").ev_power_profile.ev_power_profile_entries
    entries.ev_power_profile_entry[0].power = of(9000)


@case("power.channel", dc_base)
def _(r: Recording) -> None:
    parameter(r, 1, "BPTChannel").int_value = 2


@case("loop.mode", dc_base)
def _(r: Recording) -> None:
    fields = dc.Dynamic_DC_CLReqControlMode.__struct_fields__
    for nth in range(4):
        request, response = r.message("DC_ChargeLoopReq", nth), r.message("DC_ChargeLoopRes", nth)
        values = {name: getattr(request.control_mode, name) for name in fields}
        request.control_mode = dc.Dynamic_DC_CLReqControlMode(**values)
        own = dc.Dynamic_DC_CLResControlMode.__struct_fields__
        values = {name: getattr(response.control_mode, name) for name in own}
        response.control_mode = dc.Dynamic_DC_CLResControlMode(**values)


@case("loop.answer-mode", ac_base)
def _(r: Recording) -> None:
    from iso15118.messages import ac

    r.message("AC_ChargeLoopRes").control_mode = ac.Dynamic_AC_CLResControlMode(
        evse_target_active_power=of(3000)
    )


@case("loop.meter", dc_base)
def _(r: Recording) -> None:
    r.message("DC_ChargeLoopRes", 2).meter_info = None


@case("loop.first-meter", ac_base)
def _(r: Recording) -> None:
    for nth in (2, 3):
        r.message("AC_ChargeLoopRes", nth).meter_info = rec.meter(5)


def _notify(r: Recording, nth: int, wish: EVSENotification, delay: int = 0) -> None:
    r.message("DC_ChargeLoopRes", nth).evse_status = EVSEStatus(
        notification_max_delay=delay, evse_notification=wish
    )


@case("loop.metering-confirmation", ac_base)
def _(r: Recording) -> None:
    r.message("AC_ChargeLoopRes", 1).evse_status = EVSEStatus(
        notification_max_delay=0, evse_notification=EVSENotification.MeteringConfirmation
    )


@case("loop.notification", lambda: rec.dc_bpt_dynamic(loops=16))
def _(r: Recording) -> None:
    _notify(r, 2, EVSENotification.Terminate)


@case("loop.ev-limit-raised", dc_base)
def _(r: Recording) -> None:
    r.message("DC_ChargeLoopReq", 1).control_mode.ev_maximum_charge_current = of(900)


@case("loop.limit-raised", dc_base)
def _(r: Recording) -> None:
    r.message("DC_ChargeLoopRes", 1).control_mode.evse_maximum_charge_current = of(200)


@case("loop.limit-lowered", dc_base)
def _(r: Recording) -> None:
    r.message("DC_ChargeLoopRes", 1).control_mode.evse_minimum_voltage = of(100)


@case("loop.soc", dc_base)
def _(r: Recording) -> None:
    mode = r.message("DC_ChargeLoopRes", 1).control_mode
    mode.minimum_soc, mode.target_soc = 60, 50


@case("loop.ev-limits", dc_base)
def _(r: Recording) -> None:
    r.message("DC_ChargeLoopRes", 1).evse_present_voltage = of(480)


# -- times ---------------------------------------------------------------------------------------------------

SECC_SLOW, EVCC_SLOW = "timer.V2G_SECC_Msg_Performance_Time", "timer.V2G_EVCC_Sequence_Performance_Time"
GIVE_UP, SILENCE = "timer.V2G_EVCC_Msg_Timeout", "timer.V2G_SECC_Sequence_Timeout"


slow(SECC_SLOW, dc_base, "ServiceSelectionRes", 1.6)
slow(f"{SECC_SLOW}.slow", dc_base, "ServiceDetailRes", 4.6)
slow(f"{SECC_SLOW}.DC_loop", dc_base, "DC_ChargeLoopRes", 0.3)
slow(f"{SECC_SLOW}.AC_loop", ac_base, "AC_ChargeLoopRes", 0.3)
slow(f"{SECC_SLOW}.WPT_loop", wpt_base, "WPT_ChargeLoopRes", 0.3)
slow(GIVE_UP, dc_base, "ServiceSelectionRes", 2.1, SECC_SLOW)
slow(f"{GIVE_UP}.slow", dc_base, "ServiceDetailRes", 5.1, f"{SECC_SLOW}.slow")
slow(f"{GIVE_UP}.DC_loop", dc_base, "DC_ChargeLoopRes", 0.6, f"{SECC_SLOW}.DC_loop")
slow(f"{GIVE_UP}.AC_loop", ac_base, "AC_ChargeLoopRes", 0.6, f"{SECC_SLOW}.AC_loop")
slow(f"{GIVE_UP}.WPT_loop", wpt_base, "WPT_ChargeLoopRes", 0.6, f"{SECC_SLOW}.WPT_loop")
slow(EVCC_SLOW, dc_base, "ServiceSelectionReq", 41.0)
slow(f"{EVCC_SLOW}.DC_loop", dc_base, "DC_ChargeLoopReq", 0.3, nth=1)
slow(f"{EVCC_SLOW}.AC_loop", ac_base, "AC_ChargeLoopReq", 0.3, nth=1)
slow(f"{EVCC_SLOW}.WPT_loop", wpt_base, "WPT_ChargeLoopReq", 0.3, nth=1)
slow(SILENCE, dc_base, "ServiceSelectionReq", 61.0, EVCC_SLOW)
slow(f"{SILENCE}.DC_loop", dc_base, "DC_ChargeLoopReq", 0.6, f"{EVCC_SLOW}.DC_loop", nth=1)
slow(f"{SILENCE}.AC_loop", ac_base, "AC_ChargeLoopReq", 0.6, f"{EVCC_SLOW}.AC_loop", nth=1)
slow(f"{SILENCE}.WPT_loop", wpt_base, "WPT_ChargeLoopReq", 0.6, f"{EVCC_SLOW}.WPT_loop", nth=1)


@case("timer.V2G_SECC_Ongoing_Performance_Time", ac_base)
def _(r: Recording) -> None:
    r.repeat("ScheduleExchangeReq", 2, 28.0)


@case("timer.V2G_EVCC_Ongoing_Timeout", ac_base, "timer.V2G_SECC_Ongoing_Performance_Time")
def _(r: Recording) -> None:
    r.repeat("ScheduleExchangeReq", 3, 21.0)


@case("timer.V2G_EVCC_CableCheck_Timeout", dc_base)
def _(r: Recording) -> None:
    r.repeat("DC_CableCheckReq", 2, 21.0)


@case("timer.V2G_EVCC_PreCharge_Timeout", dc_base)
def _(r: Recording) -> None:
    r.repeat("DC_PreChargeReq", 2, 6.0)


def _setup(r: Recording, before: float) -> None:
    r.extra += rec.sdp_exchange(asked=sdp.Security.TLS, given=sdp.Security.TLS, before=before)


@case("timer.V2G_SECC_CommunicationSetup_Performance_Time", dc_base)
def _(r: Recording) -> None:
    _setup(r, 18.5)


@case(
    "timer.V2G_EVCC_CommunicationSetup_Timeout",
    dc_base,
    "timer.V2G_SECC_CommunicationSetup_Performance_Time",
)
def _(r: Recording) -> None:
    _setup(r, 21.0)


@case("timer.SDP_Request_Timeout", dc_base)
def _(r: Recording) -> None:
    _setup(r, 0.5)
    request = copy.deepcopy(r.extra[0])
    request.time -= 0.1
    r.extra.insert(0, request)


@case("timer.V2G_SECC_TCP_Close", dc_base)
def _(r: Recording) -> None:
    r.extra.append(ev.Closed(time=r.entries[-1].time + 1.0, connection=1, by="SECC"))
