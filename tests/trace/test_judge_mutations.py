"""For each rule that the judge knows, a recording spoiled so that this rule fires, and no other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from hlc_sim.trace import events as ev
from hlc_sim.trace.check import check
from iso15118 import sdp
from iso15118.messages import common, dc
from iso15118.messages.common_types import EVSENotification, EVSEStatus, ResponseCode
from iso15118.session import schedules
from iso15118.session.judge import RULES
from iso15118.session.judge.timing import NOT_VISIBLE
from iso15118.session.timers import TIMERS

from . import recordings as rec
from .recordings import BEGIN, FINISHED, SESSION, Recording, of

FOREIGN = bytes.fromhex("FFFFFFFFFFFFFFFF")
Spoil = Callable[[Recording], Any]


class Case(NamedTuple):
    base: Callable[[], Recording]
    spoil: Spoil
    with_it: tuple[str, ...] = ()
    """Rules that cannot but be broken as well: what is not refused was wrong, what is far too late was
    late.
    """


def dc_base() -> Recording:
    return rec.dc_bpt_dynamic()


def pnc_base() -> Recording:
    return rec.dc_bpt_dynamic(pnc=True)


def ac_base() -> Recording:
    return rec.ac_scheduled()


def wpt_base() -> Recording:
    return rec.wpt_loop()


CASES: dict[str, Case] = {}


def case(rule: str, base: Callable[[], Recording], *with_it: str) -> Callable[[Spoil], Spoil]:
    def enter(spoil: Spoil) -> Spoil:
        assert rule not in CASES
        CASES[rule] = Case(base, spoil, with_it)
        return spoil

    return enter


def refused(
    rule: str, base: Callable[[], Recording], response: str, code: str, nth: int = 0
) -> Callable[[Spoil], Spoil]:
    """Two cases: the breach refused as it must be, and the same breach let pass."""

    def enter(spoil: Spoil) -> Spoil:
        def properly(recording: Recording) -> None:
            spoil(recording)
            recording.fail(response, code, nth)

        CASES[rule] = Case(base, properly)
        CASES[f"{rule}.refusal"] = Case(base, spoil, (rule,))
        return spoil

    return enter


def tls(**facts: Any) -> ev.TLS:
    good = {
        "version": "TLSv1.3",
        "suite": "TLS_AES_256_GCM_SHA384",
        "group": "secp521r1",
        "mutual": True,
    }
    return ev.TLS(time=BEGIN, connection=1, **{**good, **facts})


# -- frames --------------------------------------------------------------------------------------------------


@case("v2gtp.frame", dc_base)
def _(r: Recording) -> None:
    r.extra.append(
        ev.Damage(time=r.entries[5].time + 0.01, connection=1, sender="SECC", offset=7, text="garbage")
    )


@case("v2gtp.payload-type", dc_base)
def _(r: Recording) -> None:
    r.entries[r.index("SessionStopReq")].payload_type = 0x8001


@case("v2gtp.unknown-type", dc_base)
def _(r: Recording) -> None:
    odd = copy.deepcopy(r.entries[9])
    odd.payload_type, odd.payload = 0xA001, b"\x01\x02"
    r.entries.insert(10, odd)


@case("exi.decode", dc_base)
def _(r: Recording) -> None:
    # In the last message, so that no response lacks its request.
    r.entries[-1].payload = bytes.fromhex("80ffffff")


@case("schema.value", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupReq").evcc_id = "X" * 256


@case("header.timestamp", dc_base)
def _(r: Recording) -> None:
    for entry in r.entries[2:]:
        if entry.name.endswith("Req"):
            entry.message.header.timestamp *= 1_000_000


# -- supportedAppProtocol and TLS ----------------------------------------------------------------------------


@case("sap.priority", dc_base)
def _(r: Recording) -> None:
    r.message("supportedAppProtocolReq").app_protocol[1].priority = 1


@case("sap.offer-insecure", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(version="TLSv1.2", suite="TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"))
    del r.entries[2:]
    r.message("supportedAppProtocolRes").schema_id = 2  # the SECC rightly takes the other offer


@case("sap.choice-insecure", dc_base, "sap.offer-insecure")
def _(r: Recording) -> None:
    r.extra.append(tls(version="TLSv1.2"))


@case("sap.tls-asked", dc_base, "sap.offer-insecure", "sap.choice-insecure")
def _(r: Recording) -> None:
    r.extra += rec.sdp_exchange(asked=sdp.Security.TLS, given=sdp.Security.NONE)


@case("sap.choice", dc_base)
def _(r: Recording) -> None:
    r.message("supportedAppProtocolRes").schema_id = 9
    del r.entries[2:]


@case("tls.suite", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(suite="TLS_AES_128_GCM_SHA256"))


@case("tls.group", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(group="x25519"))


@case("tls.mutual", dc_base)
def _(r: Recording) -> None:
    r.extra.append(tls(mutual=False))


# -- session -------------------------------------------------------------------------------------------------


def _session_id(r: Recording, session_id: bytes, begin: int = 3) -> None:
    for entry in r.entries[begin:]:
        entry.message.header.session_id = session_id


@case("session.id-zero", dc_base)
def _(r: Recording) -> None:
    _session_id(r, bytes(8))


@case("session.id-fresh", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupReq").header.session_id = SESSION


@case("session.id-joined", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupReq").header.session_id = FOREIGN
    r.message("SessionSetupRes").response_code = ResponseCode.OK_OldSessionJoined
    del r.entries[4 : r.index("DC_ChargeParameterDiscoveryReq")]


@case("session.code", dc_base)
def _(r: Recording) -> None:
    r.message("SessionSetupRes").response_code = ResponseCode.OK


@refused("session.id-request", dc_base, "DC_CableCheckRes", "FAILED_UnknownSession")
def _(r: Recording) -> None:
    r.message("DC_CableCheckReq").header.session_id = FOREIGN


@case("session.id-response", dc_base)
def _(r: Recording) -> None:
    r.message("DC_CableCheckRes").header.session_id = FOREIGN


@case("refusal.session", dc_base)
def _(r: Recording) -> None:
    r.fail("DC_CableCheckRes", "FAILED_UnknownSession")


@case("refusal.sequence", dc_base)
def _(r: Recording) -> None:
    r.fail("DC_CableCheckRes", "FAILED_SequenceError")


# -- order ---------------------------------------------------------------------------------------------------


@refused("sequence.order", dc_base, "PowerDeliveryRes", "FAILED_SequenceError")
def _(r: Recording) -> None:
    first = r.index("DC_PreChargeReq")
    del r.entries[first : r.index("PowerDeliveryReq")]


@case("sequence.tolerated", dc_base)
def _(r: Recording) -> None:
    resumed = r.index("DC_ChargeParameterDiscoveryReq")
    r.message("SessionSetupReq").header.session_id = SESSION
    r.message("SessionSetupRes").response_code = ResponseCode.OK_OldSessionJoined
    del r.entries[4:resumed]
    del r.entries[4 : r.index("SessionStopReq")]


@case("sequence.response", dc_base)
def _(r: Recording) -> None:
    at = r.index("DC_WeldingDetectionRes")
    r.entries.insert(at + 1, copy.deepcopy(r.entries[at]))


@case("sequence.after-failed", dc_base)
def _(r: Recording) -> None:
    at = r.index("DC_CableCheckRes")
    r.entries[at].message.response_code = ResponseCode.FAILED
    del r.entries[at + 2 :]


# -- authorization -------------------------------------------------------------------------------------------


@case("authorization.mode", pnc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationSetupRes").authorization_mode = common.EIM_ASResAuthorizationMode()


def _select_eim(r: Recording) -> None:
    for nth in (0, 1):
        request = r.message("AuthorizationReq", nth)
        request.selected_authorization_service = common.Authorization.EIM
        request.authorization_mode = common.EIM_AReqAuthorizationMode()


@case("authorization.selection", pnc_base)
def _(r: Recording) -> None:
    _select_eim(r)
    r.message("AuthorizationRes").evse_processing = FINISHED
    r.message("AuthorizationRes").response_code = ResponseCode.WARNING_AuthorizationSelectionInvalid
    del r.entries[r.index("AuthorizationRes") + 1 :]


@case("authorization.selection.refusal", pnc_base, "authorization.selection")
def _(r: Recording) -> None:
    _select_eim(r)


def _wrong_challenge(r: Recording) -> None:
    for nth in (0, 1):
        r.message("AuthorizationReq", nth).authorization_mode.gen_challenge = bytes(16)


@case("authorization.challenge", pnc_base)
def _(r: Recording) -> None:
    _wrong_challenge(r)
    r.message("AuthorizationRes").evse_processing = FINISHED
    r.message("AuthorizationRes").response_code = ResponseCode.WARNING_ChallengeInvalid
    del r.entries[r.index("AuthorizationRes") + 1 :]


@case("authorization.challenge.refusal", pnc_base, "authorization.challenge")
def _(r: Recording) -> None:
    _wrong_challenge(r)


@case("authorization.repeat", pnc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationReq", 1).authorization_mode.id = "id2"


@case("authorization.code", dc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationRes", 1).response_code = ResponseCode.OK_PowerToleranceConfirmed


@case("authorization.refused-ongoing", dc_base)
def _(r: Recording) -> None:
    r.message("AuthorizationRes").response_code = ResponseCode.WARNING_EIMAuthorizationFailure


# -- services ------------------------------------------------------------------------------------------------


@case("service.unwanted", dc_base)
def _(r: Recording) -> None:
    r.message("ServiceDiscoveryRes").vas_list.service[0].service_id = 66
    del r.entries[r.index("ServiceDetailReq") : r.index("ServiceDetailReq", 1)]


@case("service.unknown-energy", dc_base)
def _(r: Recording) -> None:
    r.message("ServiceDiscoveryRes").energy_transfer_service_list.service[1].service_id = 40


@refused("service.detail", dc_base, "ServiceDetailRes", "FAILED_ServiceIDInvalid")
def _(r: Recording) -> None:
    r.message("ServiceDetailReq").service_id = r.message("ServiceDetailRes").service_id = 70


@case("service.detail-other", dc_base)
def _(r: Recording) -> None:
    r.message("ServiceDetailRes").service_id = 66


def _parameter(r: Recording, chosen: int, name: str) -> common.Parameter:
    sets = r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set
    return next(item for item in sets[chosen].parameter if item.name == name)


@case("service.mobility", dc_base)
def _(r: Recording) -> None:
    _parameter(r, 0, "MobilityNeedsMode").int_value = 2


@case("service.parameters", dc_base)
def _(r: Recording) -> None:
    _parameter(r, 0, "Pricing").int_value = 7
    # One usable set is left, of one control mode; another keeps that from being noted.
    sets = r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set
    good = copy.deepcopy(sets[0])
    good.parameter_set_id = 3
    next(item for item in good.parameter if item.name == "Pricing").int_value = 0
    sets.append(good)


@case("service.parameter-forms", dc_base)
def _(r: Recording) -> None:
    sets = r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set
    sets[0].parameter.append(common.Parameter(name="EVSENominalVoltage", int_value=400))


@case("service.control-modes", dc_base)
def _(r: Recording) -> None:
    del r.message("ServiceDetailRes", 1).service_parameter_list.parameter_set[0]


@refused("service.selection", dc_base, "ServiceSelectionRes", "FAILED_ServiceSelectionInvalid")
def _(r: Recording) -> None:
    r.message("ServiceSelectionReq").selected_energy_transfer_service.parameter_set_id = 9


@refused("service.energy", dc_base, "ServiceSelectionRes", "FAILED_NoEnergyTransferServiceSelected")
def _(r: Recording) -> None:
    chosen = r.message("ServiceSelectionReq").selected_energy_transfer_service
    chosen.service_id, chosen.parameter_set_id = 65, 1


@refused("stop.renegotiation", dc_base, "SessionStopRes", "FAILED_NoServiceRenegotiationSupported")
def _(r: Recording) -> None:
    r.message("SessionStopReq").charging_session = common.ChargingSession.ServiceRenegotiation


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


@case("power.profile-excess", ac_base)
def _(r: Recording) -> None:
    entries = r.message("PowerDeliveryReq").ev_power_profile.ev_power_profile_entries
    entries.ev_power_profile_entry[0].power = of(9000)


@case("power.channel", dc_base)
def _(r: Recording) -> None:
    _parameter(r, 1, "BPTChannel").int_value = 2


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


def slow(
    rule: str, base: Callable[[], Recording], message: str, seconds: float, *with_it: str, nth: int = 0
) -> None:
    CASES[rule] = Case(base, lambda r: r.late(message, seconds, nth), with_it)


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


# -- the tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [dc_base, pnc_base, ac_base, wpt_base])
def test_nothing_is_found_in_a_faultless_recording(base: Callable[[], Recording]) -> None:
    recording = base()
    verdict = check(recording.events())
    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.outcomes[1].frames == len(recording.entries)


@pytest.mark.parametrize("rule", CASES)
def test_the_rule_fires_and_no_other(rule: str) -> None:
    base, spoil, with_it = CASES[rule]
    recording = base()
    spoil(recording)
    verdict = check(recording.events())
    assert set(verdict.counts) == {rule, *with_it}, "\n".join(map(str, verdict.findings))
    for finding in verdict.findings:
        if finding.rule.binds is not None:
            assert finding.offender is finding.rule.binds
        if finding.rule.id == rule and finding.requirement is not None and rule != "sequence.order":
            assert finding.requirement in finding.rule.requirements


def test_what_only_some_stacks_accept_may_be_refused() -> None:
    base, spoil, _ = CASES["sequence.tolerated"]
    recording = base()
    spoil(recording)
    recording.fail("SessionStopRes", "FAILED_SequenceError")
    assert set(check(recording.events()).counts) == {"sequence.tolerated"}


def test_every_rule_has_a_mutation() -> None:
    assert set(CASES) == set(RULES)


def test_every_timer_is_judged_or_named_as_not_visible() -> None:
    assert {timer.name for timer in TIMERS} == set(NOT_VISIBLE) | {
        rule.removeprefix("timer.") for rule in RULES if rule.startswith("timer.")
    }


def test_what_an_implied_rule_says_is_mutated_by_itself_elsewhere() -> None:
    assert {implied for item in CASES.values() for implied in item.with_it} <= set(CASES)
