"""SECC: charge loops, limits, needs, metering."""

from __future__ import annotations

from typing import Any

import pytest

from iso15118.messages import common, dc
from iso15118.messages.common_types import (
    CLReqControlMode,
    DetailedCost,
    DisplayParameters,
    EVSENotification,
    Receipt,
    ResponseCode,
)
from iso15118.session.charger import ACOutput, ScheduleRequest, SiteWish
from iso15118.session.events import Role, Severity
from iso15118.session.schedules import flat_tuple, power_schedule, schedule_tuple
from iso15118.session.secc_config import Closing, SECCConfig, Trust, energy_modes
from iso15118.session.sequence import Phase
from iso15118.session.services import Dialect, ServiceID
from iso15118.session.timers import RELAXED
from iso15118.session.values import DCLimits, MobilityNeeds
from iso15118.v2gtp import PayloadType

from .client import CONDUCTIVE, Client, code_of, in_loop, loop, of, rules
from .pair import EPOCH, EVSE_DC, BenchCharger

OK = ResponseCode.OK


# -- control modes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", CONDUCTIVE)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_answer_is_in_kind(service, index):
    """Scheduled or dynamic, plain or BPT, as the request [V2G20-1600]."""
    made = in_loop(service, index)
    request = made.build(made.loop)
    response = made.send(request)
    asked, told = type(request.control_mode).__name__, type(response.control_mode).__name__
    assert told == asked.replace("CLReq", "CLRes")
    assert not made.secc.events


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC])
@pytest.mark.parametrize("index", [0, 1])
def test_the_other_control_mode_fails(service, index):
    made = in_loop(service, index)
    element = in_loop(service, 1 - index).build(made.loop).control_mode
    assert code_of(loop(made, control_mode=element)) is ResponseCode.FAILED
    assert rules(made) == ["V2G20-1600"]


@pytest.mark.parametrize("index", [0, 1])
def test_the_bare_head_of_the_control_modes_fails(index):
    """CLReqControlMode itself can be encoded, but is never to be sent."""
    made = in_loop(ServiceID.DC, index)
    assert code_of(loop(made, control_mode=CLReqControlMode())) is ResponseCode.FAILED
    assert rules(made) == ["V2G20-1600"]


@pytest.mark.parametrize(("strict", "code"), [(False, OK), (True, ResponseCode.FAILED)])
def test_a_plain_element_in_a_bpt_service_is_answered_in_kind_unless_strict(strict, code):
    made = in_loop(ServiceID.DC_BPT, strict=strict)
    element = in_loop(ServiceID.DC).build("DC_ChargeLoopReq").control_mode
    response = loop(made, control_mode=element)
    assert code_of(response) is code
    assert type(response.control_mode) is dc.Scheduled_DC_CLResControlMode


# -- DC scheduled --------------------------------------------------------------------------------------------


def test_the_set_point_is_held_within_the_evses_limits_and_flagged():
    made = in_loop(charger=BenchCharger(limits=DCLimits(30_000.0, 60.0, 500.0, 150.0)))
    response = loop(made, ev_target_current=100.0, ev_target_voltage=405.0)
    assert float(response.evse_present_current) == 60
    assert response.evse_current_limit_achieved
    assert not response.evse_power_limit_achieved
    response = loop(made, ev_target_current=80.0)
    made.charger.limits = DCLimits(10_000.0, 60.0, 500.0, 150.0)
    response = loop(made, ev_target_current=50.0)
    assert float(response.evse_present_current) == 25  # 10 kW at 400 V
    assert response.evse_power_limit_achieved


def test_the_set_point_is_held_within_the_evs_own_limits():
    """Targets are targets, limits are limits [V2G20-2188]."""
    made = in_loop()
    response = loop(made, ev_target_current=100.0, ev_maximum_charge_current=80.0)
    assert float(response.evse_present_current) == 80
    assert response.evse_current_limit_achieved


def test_the_schedule_bounds_the_power():
    def tuples(now: float, request: ScheduleRequest) -> tuple[common.ScheduleTuple, ...]:
        return (schedule_tuple(1, power_schedule(int(EPOCH), [(60.0, (20_000.0,)), (86_000.0, (4_000.0,))])),)

    made = Client(SECCConfig(timers=RELAXED), BenchCharger(tuples=tuples)).to_prepared()
    made.send("PowerDeliveryReq(Start)", ev_power_profile=made.profile([(50, 20_000.0), (3600, 4_000.0)]))
    assert float(loop(made, ev_target_current=50.0).evse_present_current) == 50
    made.now += 58.0
    response = loop(made, ev_target_current=50.0)
    assert float(response.evse_present_current) == 50
    made.now += 5.0
    response = loop(made, ev_target_current=50.0)
    assert float(response.evse_present_current) == 10
    assert response.evse_power_limit_achieved


def test_a_target_voltage_of_zero_means_unchanged():
    made = in_loop()
    loop(made, ev_target_voltage=420.0)
    assert code_of(loop(made, ev_target_voltage=0.0)) is OK
    assert made.secc.context.last_voltage == 420
    assert rules(made) == ["V2G20-2183"]


def test_discharge_is_asked_with_a_negative_current_in_bpt_only():
    made = in_loop(ServiceID.DC_BPT)
    response = loop(made, ev_target_current=-20.0)
    assert float(response.evse_present_current) == -20
    assert not made.secc.events
    plain = in_loop()
    response = loop(plain, ev_target_current=-20.0)
    assert float(response.evse_present_current) == 0
    assert plain.secc.events[0].severity is Severity.ERROR


def test_discharge_is_held_within_the_smaller_of_both_limits():
    made = in_loop(ServiceID.DC_BPT)
    made.send("PowerDeliveryReq(Start)", ev_power_profile=made.profile([(3600, -50_000.0)]))
    response = loop(made, ev_target_current=-90.0)
    assert float(response.evse_present_current) == -60  # the EV's own maximum
    assert response.evse_current_limit_achieved


# -- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [-8_000.0, 8_000.0])
@pytest.mark.parametrize("negative", [False, True])
def test_the_discharging_schedule_bounds_the_discharge_whatever_its_sign(given, negative):
    dialect = Dialect(negative_discharge_schedules=negative)
    made = Client(
        SECCConfig(energy=(energy_modes(ServiceID.DC_BPT)[0],), timers=RELAXED, dialect=dialect),
        BenchCharger(tuples=lambda now, request: (flat_tuple(int(EPOCH), (50_000.0,), (given,)),)),
    ).to_selected()
    made.send("DC_ChargeParameterDiscoveryReq")
    (offered,) = made.send("ScheduleExchangeReq").control_mode.schedule_tuple
    (entry,) = offered.discharging_schedule.power_schedule.power_schedule_entries.power_schedule_entry
    assert float(entry.power) == (-8_000 if negative else 8_000)
    made.send_all(["DC_CableCheckReq", "DC_PreChargeReq"])
    made.send("PowerDeliveryReq(Start)", ev_power_profile=made.profile([(600, -8_000.0)]))
    response = loop(made, ev_target_current=-50.0)
    assert float(response.evse_present_current) == -20
    assert response.evse_power_limit_achieved


def test_no_power_flows_in_standby():
    made = in_loop()
    made.send("PowerDeliveryReq(Standby)")
    assert float(loop(made, ev_target_current=50.0).evse_present_current) == 0
    made.send("PowerDeliveryReq(Start)")
    assert float(loop(made, ev_target_current=50.0).evse_present_current) == 50


def test_limits_lowered_in_the_loop_are_told_and_never_exceed_those_of_the_discovery():
    made = in_loop(index=1)
    made.charger.limits = DCLimits(40_000.0, 55.2, 920.0, 150.0)
    mode = loop(made).control_mode
    assert (float(mode.evse_maximum_charge_power), float(mode.evse_maximum_charge_current)) == (40_000, 55.2)
    made.charger.limits = DCLimits(400_000.0, 900.0, 1000.0, 100.0)
    mode = loop(made).control_mode
    assert float(mode.evse_maximum_charge_power) == EVSE_DC.max_charge_power
    assert float(mode.evse_maximum_charge_current) == EVSE_DC.max_charge_current
    assert float(mode.evse_maximum_voltage) == EVSE_DC.max_voltage


@pytest.mark.parametrize(
    ("changes", "reported"),
    [
        ({"ev_maximum_charge_current": 260.0}, ["250 as in parameter discovery"]),
        ({"ev_maximum_charge_power": 120_000.0}, ["100000 as in parameter discovery"]),
        ({"ev_minimum_voltage": 100.0}, ["200 as in parameter discovery"]),
        ({"ev_maximum_charge_current": 100.0}, []),
    ],
)
def test_an_ev_that_widens_its_limits_in_the_loop_is_reported(changes, reported):
    made = in_loop()
    assert code_of(loop(made, **changes)) is OK
    assert [event.expected for event in made.secc.events] == reported


def test_an_ac_ev_that_widens_its_limits_in_the_loop_is_reported():
    made = in_loop(ServiceID.AC, 1)
    loop(made, ev_maximum_charge_power=22_000.0)
    (event,) = made.secc.events
    assert event.text.startswith("EVMaximumChargePower 22000 W")
    assert event.requirement is None


def test_new_limits_of_the_ev_reach_the_charger_and_absent_ones_stay():
    made = in_loop()
    loop(made, ev_maximum_charge_current=100.0)
    limits = made.charger.report.dc
    assert limits is not None
    assert (limits.max_charge_current, limits.max_charge_power) == (100, 100_000)


# -- AC ------------------------------------------------------------------------------------------------------


def test_ac_dynamic_set_points_are_per_phase_and_negative_to_discharge():
    made = in_loop(ServiceID.AC_BPT, 1)
    made.charger.deliver_ac = lambda now: ACOutput(  # type: ignore[method-assign]
        target_active_power=(-1000.0, -1100.0, -1200.0),
        target_reactive_power=(50.0,),
        target_frequency=50.1,
        present_active_power=(-900.0, -1000.0, -1100.0),
    )
    response = loop(made)
    mode = response.control_mode
    assert [
        float(value)
        for value in (
            mode.evse_target_active_power,
            mode.evse_target_active_power_l2,
            mode.evse_target_active_power_l3,
            mode.evse_target_reactive_power,
            mode.evse_present_active_power_l3,
            response.evse_target_frequency,
        )
    ] == [-1000, -1100, -1200, 50, -1100, 50.1]


def test_ac_dynamic_always_has_a_set_point():
    made = in_loop(ServiceID.AC, 1)
    made.charger.deliver_ac = lambda now: ACOutput()  # type: ignore[method-assign]
    assert float(loop(made).control_mode.evse_target_active_power) == 0


def test_what_the_ev_measures_reaches_the_charger():
    made = in_loop(ServiceID.AC, 1)
    display = DisplayParameters(present_soc=55)
    loop(
        made,
        display_parameters=display,
        ev_present_active_power_l2=2000.0,
        ev_present_active_power_l3=3000.0,
        ev_present_active_power=1000.0,
    )
    report = made.charger.report
    assert report.present_active_power == (1000, 2000, 3000)
    assert report.display == display
    assert report.needs.target_energy == 20_000


# -- power profile -------------------------------------------------------------------------------------------


def test_an_ev_outside_its_profile_is_warned_and_failed_when_it_stays_there():
    made = in_loop(ServiceID.AC, profile_violation_time=10.0)
    assert code_of(loop(made, ev_present_active_power=10_100.0)) is OK
    assert (
        code_of(loop(made, ev_present_active_power=11_000.0)) is ResponseCode.WARNING_EVPowerProfileViolation
    )
    made.now += 5
    assert code_of(loop(made, ev_present_active_power=9_000.0)) is OK
    made.now += 20
    assert (
        code_of(loop(made, ev_present_active_power=11_000.0)) is ResponseCode.WARNING_EVPowerProfileViolation
    )
    made.now += 10
    assert (
        code_of(loop(made, ev_present_active_power=11_000.0)) is ResponseCode.FAILED_EVPowerProfileViolation
    )
    assert made.secc.closing is Closing.AFTER_PEER


def test_one_v2x_energy_without_the_other_is_reported():
    made = in_loop(ServiceID.DC_BPT, 1)
    loop(made, ev_minimum_v2x_energy_request=500.0)
    assert rules(made) == ["V2G20-2681"]


def test_a_metering_confirmation_of_the_other_control_mode_is_reported():
    made = metering()
    loop(made)
    request = made.build("MeteringConfirmationReq")
    request.signed_metering_data.control_mode = common.Dynamic_SMDTControlMode()
    assert code_of(made.send(request)) is OK
    assert made.secc.events[0].severity is Severity.ERROR


def test_a_dynamic_ev_has_no_profile_to_leave():
    made = in_loop(ServiceID.AC, 1)
    assert code_of(loop(made, ev_present_active_power=11_000.0)) is OK


# -- needs of the SECC ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC_BPT])
def test_the_site_states_needs_in_mobility_mode_2_only(service):
    for index, told in ((1, False), (2, True)):
        made = in_loop(
            service,
            index,
            BenchCharger(site_needs=MobilityNeeds(departure=1000.0, min_soc=30, target_soc=70)),
        )
        made.charger.acknowledge_within = lambda now: 30  # type: ignore[method-assign]
        mode = loop(made).control_mode
        found = (mode.departure_time, mode.minimum_soc, mode.target_soc, mode.ack_max_delay)
        assert found == ((1000, 30, 70, 30) if told else (None, None, None, None))


def test_minimum_soc_never_exceeds_target_soc_in_our_answers():
    made = in_loop(index=2, charger=BenchCharger(site_needs=MobilityNeeds(min_soc=90, target_soc=70)))
    mode = loop(made).control_mode
    assert (mode.minimum_soc, mode.target_soc) == (70, 70)
    assert (made.secc.events[0].requirement, made.secc.events[0].offender) == ("V2G20-1290", Role.SECC)


# -- metering ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC_BPT])
def test_the_meter_is_told_in_the_first_loop_and_when_asked(service):
    made = in_loop(service)
    assert made.secc.context.meter_sent is not None
    assert loop(made).meter_info is None
    info = loop(made, meter_info_requested=True).meter_info
    assert info.meter_id == "BENCH"
    assert (info.bpt_discharged_energy_reading_wh is not None) is service.bidirectional
    assert loop(made).meter_info is None


def test_an_outlet_without_meter_has_none_to_tell():
    made = in_loop(charger=BenchCharger(metered=False))
    assert loop(made, meter_info_requested=True).meter_info is None


def test_charge_and_discharge_have_registers_of_their_own():
    made = in_loop(ServiceID.DC_BPT)
    for current in (100.0, -50.0):
        made.send("PowerDeliveryReq(Start)", ev_power_profile=made.profile([(3600, 400 * current)]))
        loop(made, ev_target_current=current)
        for _ in range(30):
            made.now += 1.99
            loop(made, ev_target_current=current)
    info = loop(made, meter_info_requested=True).meter_info
    assert info.charged_energy_reading_wh == pytest.approx(40_000 / 60, rel=0.02)
    assert info.bpt_discharged_energy_reading_wh == pytest.approx(20_000 / 60, rel=0.02)


def test_a_receipt_comes_with_the_meter():
    made = in_loop()
    receipt = Receipt(time_anchor=1, energy_costs=DetailedCost(amount=of(3.5), cost_per_unit=of(0.5)))
    made.charger.receipt = lambda now: receipt  # type: ignore[method-assign]
    response = loop(made)
    assert response.receipt == receipt
    assert response.meter_info is not None


def metering(verify: bool | None = True, **config: Any) -> Client:
    made = in_loop(
        charger=BenchCharger(wish_at=lambda now: SiteWish(EVSENotification.MeteringConfirmation)), **config
    )
    made.secc.context.trust = Trust(
        verify_metering=None if verify is None else lambda request, contract: verify
    )
    return made


def test_metering_confirmation_is_asked_with_the_meter_and_answered_on_its_side_stream():
    made = metering()
    response = loop(made)
    assert response.evse_status.evse_notification == EVSENotification.MeteringConfirmation
    assert response.meter_info is not None
    answer = made.send("MeteringConfirmationReq")
    assert code_of(answer) is OK
    assert made.secc.reply_type(answer) is PayloadType.METERING_CONFIRMATION
    assert made.charger.confirmations == 1
    assert code_of(loop(made)) is OK
    assert made.state.phase is Phase.LOOP


def test_a_wrong_metering_signature_fails_by_name():
    made = metering(verify=False)
    loop(made)
    answer = made.send("MeteringConfirmationReq")
    assert code_of(answer) is ResponseCode.FAILED_MeteringSignatureNotValid
    assert made.secc.closing is Closing.AFTER_PEER
    assert made.charger.confirmations == 0


def test_a_metering_confirmation_of_another_session_or_reading_is_not_valid():
    made = metering()
    loop(made)
    request = made.build("MeteringConfirmationReq")
    request.signed_metering_data.session_id = bytes(8)
    assert code_of(made.fork().send(request)) is ResponseCode.FAILED_MeteringSignatureNotValid
    request = made.build("MeteringConfirmationReq")
    request.signed_metering_data.meter_info.charged_energy_reading_wh += 5
    assert code_of(made.fork().send(request)) is OK
    strict = metering(strict=True)
    loop(strict)
    request = strict.build("MeteringConfirmationReq")
    request.signed_metering_data.meter_info = (
        in_loop().build("MeteringConfirmationReq").signed_metering_data.meter_info
    )
    request.signed_metering_data.meter_info.charged_energy_reading_wh = 77
    assert code_of(strict.send(request)) is ResponseCode.FAILED_MeteringSignatureNotValid


def test_a_metering_signature_that_nobody_verifies_is_noted():
    made = metering(verify=None)
    loop(made)
    assert code_of(made.send("MeteringConfirmationReq")) is OK
    assert made.secc.events[0].offender is Role.SECC
