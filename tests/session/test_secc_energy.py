"""SECC: DC preparation, power delivery, standby, the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iso15118.messages import common
from iso15118.messages.common_types import ResponseCode
from iso15118.session import schedules
from iso15118.session.charger import ControlPilot, Direction, Progress, ScheduleRequest
from iso15118.session.events import Role
from iso15118.session.secc_config import Closing, energy_modes
from iso15118.session.services import (
    BPTChannel,
    ControlMode,
    EnergyMode,
    Pricing,
    ServiceID,
)

from .client import Finished, Ongoing, code_of, of, offering, rules, start
from .pair import EPOCH, EVSE_DC, BenchCharger

OK = ResponseCode.OK


# -- cable check and pre-charge ------------------------------------------------------------------------------


def test_a_failed_isolation_test_fails_and_powers_off():
    made = offering(charger=BenchCharger(cable_check_result=Progress.FAILED)).to_scheduled()
    assert code_of(made.send("DC_CableCheckReq")) is ResponseCode.FAILED
    assert made.secc.closing is Closing.AFTER_PEER
    assert made.secc.events[-1].offender is Role.SECC


def test_a_cable_check_after_a_renegotiation_has_its_own_time():
    made = offering(charger=BenchCharger(cable_check_result=Progress.ONGOING)).to_scheduled()
    made.send("DC_CableCheckReq")
    made.send("SessionStopReq", charging_session=common.ChargingSession.ServiceRenegotiation)
    made.send_all(["ServiceDiscoveryReq", "ServiceDetailReq", "ServiceSelectionReq"])
    made.now += 50
    made.send_all(["DC_ChargeParameterDiscoveryReq", "ScheduleExchangeReq"])
    made.now += 10  # more than V2G_SECC_Ongoing_Performance_Time since the first of all
    response = made.send("DC_CableCheckReq")
    assert (response.response_code, response.evse_processing) == (OK, Ongoing)


def test_cable_check_waits_for_the_control_pilot():
    made = offering()
    made.charger.pilot = lambda: ControlPilot.B
    made.to_scheduled()
    assert made.send("DC_CableCheckReq").evse_processing == Ongoing
    made.charger.pilot = lambda: ControlPilot.C
    assert made.send("DC_CableCheckReq").evse_processing == Finished


def test_precharge_stays_within_the_limits_of_both_sides():
    made = offering().to_scheduled()
    made.send_all(["DC_CableCheckReq"])
    response = made.send("DC_PreChargeReq", ev_target_voltage=of(2000), ev_processing=Ongoing)
    assert float(response.evse_present_voltage) == EVSE_DC.max_voltage
    assert "EVTargetVoltage 2000 V" in made.secc.events[-1].text


def test_power_delivery_after_an_unfinished_precharge_is_out_of_place():
    """A public station once let it pass [V2G20-2005]."""
    made = offering().to_scheduled()
    made.send_all(["DC_CableCheckReq"])
    made.send("DC_PreChargeReq", ev_processing=Ongoing)
    assert code_of(made.send("PowerDeliveryReq(Start)")) is ResponseCode.FAILED_SequenceError
    assert rules(made) == ["V2G20-2005"]


def test_start_without_cable_check_is_out_of_place_in_dc():
    made = offering().to_scheduled()
    assert code_of(made.send("PowerDeliveryReq(Start)")) is ResponseCode.FAILED_SequenceError


# -- power delivery ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "code", "reported"),
    [
        (150_000.0, OK, 0),
        (150_500.0, OK, 1),  # a fielded EV asks 0.36 % more than is offered
        (152_000.0, ResponseCode.FAILED_EVPowerProfileInvalid, 1),
    ],
)
def test_a_profile_over_the_schedule_is_invalid_but_rounding_is_forgiven(power, code, reported):
    made = offering().to_prepared()
    assert start(made, ev_power_profile=made.profile([(3600, power)])) is code
    assert len(made.secc.events) == reported


def test_a_profile_beyond_the_end_of_the_schedule_is_invalid():
    made = offering().to_prepared()
    day = schedules.DAY
    assert start(made.fork(), ev_power_profile=made.profile([(day, 1000.0), (600, 0.0)])) is OK
    late = made.profile([(day, 1000.0), (600, 1000.0)])
    assert start(made, ev_power_profile=late) is ResponseCode.FAILED_EVPowerProfileInvalid


def test_a_tuple_that_was_not_offered_is_an_invalid_selection():
    made = offering().to_prepared()
    profile = made.profile([(60, 1.0)], tuple_id=9)
    assert start(made, ev_power_profile=profile) is ResponseCode.FAILED_ScheduleSelectionInvalid


def test_a_profile_of_the_other_control_mode_is_invalid():
    for index in (0, 1):
        made = offering(index=index).to_prepared()
        profile = offering(index=1 - index).to_selected().profile([(60, 1.0)])
        assert start(made, ev_power_profile=profile) is ResponseCode.FAILED_EVPowerProfileInvalid


@pytest.mark.parametrize(("strict", "code"), [(False, OK), (True, ResponseCode.FAILED_EVPowerProfileInvalid)])
def test_a_start_without_profile_is_tolerated_unless_strict(strict, code):
    made = offering(strict=strict).to_prepared()
    assert start(made, ev_power_profile=None) is code
    assert len(made.secc.events) == 1


def with_tolerance(now: float, request: ScheduleRequest) -> tuple[common.ScheduleTuple, ...]:
    schedule = schedules.power_schedule(int(EPOCH), [(86_400.0, (10_000.0,))], tolerance=500.0)
    return (schedules.schedule_tuple(1, schedule),)


@pytest.mark.parametrize(
    ("answer", "power", "code"),
    [
        ("PowerToleranceConfirmed", 10_400.0, ResponseCode.OK_PowerToleranceConfirmed),
        ("PowerToleranceConfirmed", 10_700.0, ResponseCode.FAILED_EVPowerProfileInvalid),
        ("PowerToleranceNotConfirmed", 10_000.0, ResponseCode.WARNING_PowerToleranceNotConfirmed),
        ("PowerToleranceNotConfirmed", 10_400.0, ResponseCode.FAILED_EVPowerProfileInvalid),
        (None, 10_000.0, OK),
    ],
)
def test_power_tolerance_is_agreed_and_then_widens_the_schedule(answer, power, code):
    made = offering(charger=BenchCharger(tuples=with_tolerance)).to_prepared()
    acceptance = None if answer is None else common.PowerToleranceAcceptance(answer)
    profile = made.profile([(3600, power)], power_tolerance_acceptance=acceptance)
    assert start(made, ev_power_profile=profile) is code


def test_the_charger_learns_tuple_and_profile():
    made = offering().to_prepared()
    profile = made.profile([(600, 5_000.0)])
    start(made, ev_power_profile=profile)
    assert made.charger.profiles == [(1, profile)]
    dynamic = offering(index=1).to_prepared()
    start(dynamic)
    assert dynamic.charger.profiles[0][0] is None


SEPARATE = EnergyMode(ServiceID.DC_BPT, ControlMode.DYNAMIC, 1, channel=BPTChannel.SEPARATED)


@pytest.mark.parametrize("channel", list(common.ChannelSelection))
def test_separate_channels_are_switched_as_the_ev_says(channel):
    made = offering(ServiceID.DC_BPT, mode=SEPARATE).to_prepared()
    assert start(made, bpt_channel_selection=channel) is OK
    assert made.charger.direction is Direction(channel.value.lower())
    assert not made.secc.events


@pytest.mark.parametrize(
    ("strict", "code"), [(False, OK), (True, ResponseCode.FAILED_PowerDeliveryNotApplied)]
)
def test_separate_channels_need_a_choice(strict, code):
    made = offering(ServiceID.DC_BPT, mode=SEPARATE, strict=strict).to_prepared()
    assert start(made) is code
    assert len(made.secc.events) == 1


def test_a_channel_with_unified_channels_is_noted_and_ignored():
    made = offering(ServiceID.DC_BPT, 1).to_prepared()
    assert start(made, bpt_channel_selection=common.ChannelSelection.Discharge) is OK
    assert made.charger.direction is None
    assert len(made.secc.events) == 1


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC])
def test_the_response_to_start_waits_for_the_contactor(service):
    made = offering(service, charger=BenchCharger(start_delays=20)).to_prepared()
    before = made.now
    assert start(made) is OK
    assert 0.3 < made.now - before < 0.6
    assert made.charger.on


@pytest.mark.parametrize(
    "charger",
    [BenchCharger(start_delays=1000), BenchCharger(start_result=Progress.FAILED)],
    ids=["slow", "broken"],
)
def test_a_contactor_that_does_not_close_fails_within_1_5_s(charger):
    made = offering(ServiceID.AC, charger=charger).to_prepared()
    before = made.now
    assert start(made) is ResponseCode.FAILED_ContactorError
    assert made.now - before < 1.5
    assert not made.charger.on


def test_the_response_to_stop_waits_for_the_contactor():
    made = offering().to_loop()
    made.charger.stop_delays = 10
    before = made.now
    assert code_of(made.send("PowerDeliveryReq(Stop)")) is OK
    assert made.now - before > 0.15
    assert not made.charger.on


def test_a_request_while_the_contactor_switches_is_out_of_place():
    made = offering(charger=BenchCharger(start_delays=1000)).to_prepared()
    assert made.secc.handle(made.build("PowerDeliveryReq(Start)"), made.now + 0.01) is None
    assert made.secc.closing is None
    response = made.secc.handle(made.build("SessionStopReq"), made.now + 0.1)
    assert response is not None
    assert code_of(response) is ResponseCode.FAILED_SequenceError


def test_the_ev_may_think_about_power_delivery():
    made = offering().to_prepared()
    response = made.send("PowerDeliveryReq(Start)", ev_processing=Ongoing, ev_power_profile=None)
    assert code_of(response) is OK
    assert not made.charger.on
    assert start(made) is OK


# -- standby -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC])
def test_standby_needs_consent_and_the_session_goes_on_either_way(service):
    for allowed, code in ((True, OK), (False, ResponseCode.WARNING_StandbyNotAllowed)):
        made = offering(service, charger=BenchCharger(standby_allowed=allowed)).to_loop()
        assert code_of(made.send("PowerDeliveryReq(Standby)")) is code
        made.send_all([made.loop, "PowerDeliveryReq(Start)", made.loop, "PowerDeliveryReq(Stop)"])
        assert not made.secc.events


@pytest.mark.parametrize("progress", ["Standby", "ScheduleRenegotiation"])
def test_a_tuple_that_was_not_offered_is_invalid_whatever_the_progress(progress):
    made = offering().to_loop()
    profile = made.profile([(60, 1.0)], tuple_id=9)
    response = made.send(f"PowerDeliveryReq({progress})", ev_power_profile=profile)
    assert code_of(response) is ResponseCode.FAILED_ScheduleSelectionInvalid


@pytest.mark.parametrize("progress", ["Standby", "ScheduleRenegotiation"])
def test_a_profile_above_the_schedule_is_invalid_whatever_the_progress(progress):
    made = offering().to_loop()
    profile = made.profile([(60, 9e6)])
    response = made.send(f"PowerDeliveryReq({progress})", ev_power_profile=profile)
    assert code_of(response) is ResponseCode.FAILED_EVPowerProfileInvalid


def test_standby_before_the_first_transfer_leads_to_cable_check_in_dc():
    made = offering().to_scheduled()
    made.send_all(["PowerDeliveryReq(Standby)", "PowerDeliveryReq(Standby)", "DC_CableCheckReq"])
    made.send_all(["DC_PreChargeReq", "PowerDeliveryReq(Start)", "DC_ChargeLoopReq"])
    unprepared = offering().to_scheduled()
    unprepared.send_all(["PowerDeliveryReq(Standby)"])
    assert start(unprepared) is ResponseCode.FAILED_SequenceError


# -- the end -------------------------------------------------------------------------------------------------


def test_welding_detection_sees_the_voltage_go():
    made = offering().to_loop()
    made.send_all(["PowerDeliveryReq(Stop)"])
    assert float(made.send("DC_WeldingDetectionReq", ev_processing=Ongoing).evse_present_voltage) == 0
    made.send_all(["DC_WeldingDetectionReq", "SessionStopReq"])
    assert made.secc.closing is Closing.AFTER_PEER
    assert made.charger.ended == [False]
    assert not made.secc.events


@pytest.mark.parametrize(("strict", "code"), [(False, OK), (True, ResponseCode.FAILED)])
def test_the_control_pilot_must_be_back_in_b_at_the_end(strict, code):
    made = offering(strict=strict).to_loop()
    made.charger.pilot = lambda: ControlPilot.C
    made.send_all(["PowerDeliveryReq(Stop)"])
    assert code_of(made.send("SessionStopReq")) is code
    assert len(made.secc.events) == 1


def test_a_session_stop_straight_from_the_loop_powers_off_and_is_reported():
    """A fielded EV does so; a strict station says FAILED_SequenceError."""
    made = offering().to_loop()
    assert code_of(made.send("SessionStopReq")) is OK
    assert not made.charger.on
    assert rules(made) == ["V2G20-459"]


def test_the_reason_an_ev_gives_for_stopping_is_kept():
    made = offering().to_selected()
    made.send("SessionStopReq", ev_termination_code="1", ev_termination_explanation="wrong service")
    assert made.secc.context.termination == ("1", "wrong service")
    assert "1 - wrong service" in made.secc.events[0].text


def test_a_vanished_ev_leaves_no_power_behind():
    made = offering().to_loop()
    made.secc.disconnected(made.now)
    assert not made.charger.on
    assert made.charger.ended == [False]
    assert "Charge loop" in made.secc.events[0].text
    made.secc.disconnected(made.now)
    assert made.charger.ended == [False]


def test_sessions_do_not_touch_each_other():
    first, second = offering().to_loop(), offering().to_loop()
    first.send("DC_CableCheckReq")
    assert first.secc.closing is Closing.AFTER_PEER
    assert second.secc.closing is None
    second.send_all([second.loop])
    assert not second.secc.events


def test_prices_come_with_the_tuples():
    prices = schedules.absolute_prices(int(EPOCH), [(86_400, [schedules.price_rule(0.4)])])
    mode = replace(energy_modes(ServiceID.DC)[0], pricing=Pricing.ABSOLUTE)
    made = offering(mode=mode, charger=BenchCharger(prices=prices)).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    (item,) = made.send("ScheduleExchangeReq").control_mode.schedule_tuple
    assert item.charging_schedule.price_schedule == prices


def test_bpt_offers_have_a_discharging_schedule():
    made = offering(ServiceID.DC_BPT).to_selected()
    made.send_all(["DC_ChargeParameterDiscoveryReq"])
    (item,) = made.send("ScheduleExchangeReq").control_mode.schedule_tuple
    assert item.discharging_schedule is not None


def test_a_discharging_profile_is_checked_against_the_discharging_schedule():
    made = offering(ServiceID.DC_BPT).to_prepared()
    assert start(made.fork(), ev_power_profile=made.profile([(600, -75_000.0)])) is OK
    over = made.profile([(600, -80_000.0)])
    assert start(made, ev_power_profile=over) is ResponseCode.FAILED_EVPowerProfileInvalid
    plain = offering().to_prepared()
    back = plain.profile([(600, -1_000.0)])
    assert start(plain, ev_power_profile=back) is ResponseCode.FAILED_EVPowerProfileInvalid
