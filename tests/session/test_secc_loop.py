"""SECC: charge loops, limits, notifications, metering, side streams."""

from __future__ import annotations

from typing import Any

import pytest

from iso15118.messages import ac, common, dc
from iso15118.messages.common_types import (
    CLReqControlMode,
    DetailedCost,
    DisplayParameters,
    EVSENotification,
    Receipt,
    ResponseCode,
)
from iso15118.session.charger import ACOutput, ScheduleRequest, Wish
from iso15118.session.events import Role, Severity
from iso15118.session.schedules import flat_tuple, power_schedule, schedule_tuple
from iso15118.session.secc_config import Closing, SECCConfig, Trust, energy_modes
from iso15118.session.sequence import Phase
from iso15118.session.services import PARKING_STATUS, ServiceID
from iso15118.session.timers import RELAXED
from iso15118.session.values import DCLimits, MobilityNeeds
from iso15118.v2gtp import PayloadType

from .client import Client, code_of, of
from .pair import EPOCH, EVSE_DC, BenchCharger

OK = ResponseCode.OK
CONDUCTIVE = (
    ServiceID.AC,
    ServiceID.AC_BPT,
    ServiceID.DC,
    ServiceID.DC_BPT,
    ServiceID.MCS,
    ServiceID.MCS_BPT,
)
SIDE = PayloadType.SCHEDULE_RENEGOTIATION


def client(
    service: ServiceID = ServiceID.DC, index: int = 0, charger: BenchCharger | None = None, **config: Any
) -> Client:
    """In its charge loop; scheduled (0), dynamic (1), dynamic with needs of the SECC (2)."""
    family = service.family
    assert family is not None
    settings = SECCConfig(energy=(energy_modes(service)[index],), timers=RELAXED, **config)
    return Client(settings, charger, family=family).to_loop()


def loop(made: Client, **changes: Any) -> Any:
    """One loop; `changes` are fields of the control mode element, or of the request if it has them."""
    request = made.build(made.loop)
    for name, value in changes.items():
        target = request if name in type(request).__struct_fields__ else request.control_mode
        setattr(target, name, of(value) if isinstance(value, float) else value)
    return made.send(request)


def rules(made: Client) -> list[str | None]:
    return [event.requirement for event in made.secc.events]


# -- control modes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", CONDUCTIVE)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_answer_is_in_kind(service, index):
    """Scheduled or dynamic, plain or BPT, as the request [V2G20-1600]."""
    made = client(service, index)
    request = made.build(made.loop)
    response = made.send(request)
    asked, told = type(request.control_mode).__name__, type(response.control_mode).__name__
    assert told == asked.replace("CLReq", "CLRes")
    assert not made.secc.events


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC])
@pytest.mark.parametrize("index", [0, 1])
def test_the_other_control_mode_fails(service, index):
    made = client(service, index)
    element = client(service, 1 - index).build(made.loop).control_mode
    assert code_of(loop(made, control_mode=element)) is ResponseCode.FAILED
    assert rules(made) == ["V2G20-1600"]


@pytest.mark.parametrize("index", [0, 1])
def test_the_bare_head_of_the_control_modes_fails(index):
    """CLReqControlMode itself can be encoded, but is never to be sent."""
    made = client(ServiceID.DC, index)
    assert code_of(loop(made, control_mode=CLReqControlMode())) is ResponseCode.FAILED
    assert rules(made) == ["V2G20-1600"]


@pytest.mark.parametrize(("strict", "code"), [(False, OK), (True, ResponseCode.FAILED)])
def test_a_plain_element_in_a_bpt_service_is_answered_in_kind_unless_strict(strict, code):
    made = client(ServiceID.DC_BPT, strict=strict)
    element = client(ServiceID.DC).build("DC_ChargeLoopReq").control_mode
    response = loop(made, control_mode=element)
    assert code_of(response) is code
    assert type(response.control_mode) is dc.Scheduled_DC_CLResControlMode


# -- DC scheduled --------------------------------------------------------------------------------------------


def test_the_set_point_is_held_within_the_evses_limits_and_flagged():
    made = client(charger=BenchCharger(limits=DCLimits(30_000.0, 60.0, 500.0, 150.0)))
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
    made = client()
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
    made = client()
    loop(made, ev_target_voltage=420.0)
    assert code_of(loop(made, ev_target_voltage=0.0)) is OK
    assert made.secc.context.last_voltage == 420
    assert rules(made) == ["V2G20-2183"]


def test_discharge_is_asked_with_a_negative_current_in_bpt_only():
    made = client(ServiceID.DC_BPT)
    response = loop(made, ev_target_current=-20.0)
    assert float(response.evse_present_current) == -20
    assert not made.secc.events
    plain = client()
    response = loop(plain, ev_target_current=-20.0)
    assert float(response.evse_present_current) == 0
    assert plain.secc.events[0].severity is Severity.ERROR


def test_discharge_is_held_within_the_smaller_of_both_limits():
    made = client(ServiceID.DC_BPT)
    made.send("PowerDeliveryReq(Start)", ev_power_profile=made.profile([(3600, -50_000.0)]))
    response = loop(made, ev_target_current=-90.0)
    assert float(response.evse_present_current) == -60  # the EV's own maximum
    assert response.evse_current_limit_achieved


# -- limits --------------------------------------------------------------------------------------------------


def test_the_discharging_schedule_bounds_the_discharge():
    made = Client(
        SECCConfig(energy=(energy_modes(ServiceID.DC_BPT)[0],), timers=RELAXED),
        BenchCharger(tuples=lambda now, request: (flat_tuple(int(EPOCH), (50_000.0,), (-8_000.0,)),)),
    ).to_prepared()
    made.send("PowerDeliveryReq(Start)", ev_power_profile=made.profile([(600, -8_000.0)]))
    response = loop(made, ev_target_current=-50.0)
    assert float(response.evse_present_current) == -20
    assert response.evse_power_limit_achieved


def test_no_power_flows_in_standby():
    made = client()
    made.send("PowerDeliveryReq(Standby)")
    assert float(loop(made, ev_target_current=50.0).evse_present_current) == 0
    made.send("PowerDeliveryReq(Start)")
    assert float(loop(made, ev_target_current=50.0).evse_present_current) == 50


def test_limits_lowered_in_the_loop_are_told_and_never_exceed_those_of_the_discovery():
    made = client(index=1)
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
    made = client()
    assert code_of(loop(made, **changes)) is OK
    assert [event.expected for event in made.secc.events] == reported


def test_an_ac_ev_that_widens_its_limits_in_the_loop_is_reported():
    made = client(ServiceID.AC, 1)
    loop(made, ev_maximum_charge_power=22_000.0)
    (event,) = made.secc.events
    assert event.text.startswith("EVMaximumChargePower 22000 W")
    assert event.requirement is None


def test_new_limits_of_the_ev_reach_the_charger_and_absent_ones_stay():
    made = client()
    loop(made, ev_maximum_charge_current=100.0)
    limits = made.charger.report.dc
    assert limits is not None
    assert (limits.max_charge_current, limits.max_charge_power) == (100, 100_000)


# -- AC ------------------------------------------------------------------------------------------------------


def test_ac_dynamic_set_points_are_per_phase_and_negative_to_discharge():
    made = client(ServiceID.AC_BPT, 1)
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
    made = client(ServiceID.AC, 1)
    made.charger.deliver_ac = lambda now: ACOutput()  # type: ignore[method-assign]
    assert float(loop(made).control_mode.evse_target_active_power) == 0


def test_what_the_ev_measures_reaches_the_charger():
    made = client(ServiceID.AC, 1)
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
    made = client(ServiceID.AC, profile_violation_time=10.0)
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
    made = client(ServiceID.DC_BPT, 1)
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
    made = client(ServiceID.AC, 1)
    assert code_of(loop(made, ev_present_active_power=11_000.0)) is OK


# -- needs of the SECC ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC_BPT])
def test_the_site_states_needs_in_mobility_mode_2_only(service):
    for index, told in ((1, False), (2, True)):
        made = client(
            service,
            index,
            BenchCharger(site_needs=MobilityNeeds(departure=1000.0, min_soc=30, target_soc=70)),
        )
        made.charger.acknowledge_within = lambda now: 30  # type: ignore[method-assign]
        mode = loop(made).control_mode
        found = (mode.departure_time, mode.minimum_soc, mode.target_soc, mode.ack_max_delay)
        assert found == ((1000, 30, 70, 30) if told else (None, None, None, None))


def test_minimum_soc_never_exceeds_target_soc_in_our_answers():
    made = client(index=2, charger=BenchCharger(site_needs=MobilityNeeds(min_soc=90, target_soc=70)))
    mode = loop(made).control_mode
    assert (mode.minimum_soc, mode.target_soc) == (70, 70)
    assert (made.secc.events[0].requirement, made.secc.events[0].offender) == ("V2G20-1290", Role.SECC)


# -- metering ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC_BPT])
def test_the_meter_is_told_in_the_first_loop_and_when_asked(service):
    made = client(service)
    assert made.secc.context.meter_sent is not None
    assert loop(made).meter_info is None
    info = loop(made, meter_info_requested=True).meter_info
    assert info.meter_id == "BENCH"
    assert (info.bpt_discharged_energy_reading_wh is not None) is service.bidirectional
    assert loop(made).meter_info is None


def test_an_outlet_without_meter_has_none_to_tell():
    made = client(charger=BenchCharger(metered=False))
    assert loop(made, meter_info_requested=True).meter_info is None


def test_charge_and_discharge_have_registers_of_their_own():
    made = client(ServiceID.DC_BPT)
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
    made = client()
    receipt = Receipt(time_anchor=1, energy_costs=DetailedCost(amount=of(3.5), cost_per_unit=of(0.5)))
    made.charger.receipt = lambda now: receipt  # type: ignore[method-assign]
    response = loop(made)
    assert response.receipt == receipt
    assert response.meter_info is not None


def metering(verify: bool | None = True, **config: Any) -> Client:
    made = client(
        charger=BenchCharger(wish_at=lambda now: Wish(EVSENotification.MeteringConfirmation)), **config
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
        client().build("MeteringConfirmationReq").signed_metering_data.meter_info
    )
    request.signed_metering_data.meter_info.charged_energy_reading_wh = 77
    assert code_of(strict.send(request)) is ResponseCode.FAILED_MeteringSignatureNotValid


def test_a_metering_signature_that_nobody_verifies_is_noted():
    made = metering(verify=None)
    loop(made)
    assert code_of(made.send("MeteringConfirmationReq")) is OK
    assert made.secc.events[0].offender is Role.SECC


# -- notifications -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notification", "index", "config", "delay"),
    [
        (EVSENotification.Terminate, 0, {}, 0),
        (EVSENotification.Terminate, 1, {}, 0),
        (EVSENotification.Pause, 0, {}, 0),
        (EVSENotification.Pause, 1, {}, 60),
        (EVSENotification.Pause, 0, {"pause_delay_always": True}, 60),
        (EVSENotification.ScheduleRenegotiation, 0, {}, 60),
        (EVSENotification.ServiceRenegotiation, 1, {"notification_time": 30.0}, 30),
        (EVSENotification.ExitStandby, 1, {}, 60),
    ],
)
def test_a_notification_has_its_delay(notification, index, config, delay):
    made = client(index=index, charger=BenchCharger(wish_at=lambda now: Wish(notification)), **config)
    # The first loop told it already; a wish keeps its deadline.
    status = loop(made).evse_status
    assert status.evse_notification == notification
    assert status.notification_max_delay == delay


def test_the_delay_counts_down_in_later_responses():
    charger = BenchCharger(wish_at=lambda now: Wish(EVSENotification.Pause, within=40.0) if now > 1 else None)
    made = client(index=1, charger=charger)
    assert loop(made).evse_status is None
    left = []
    for _ in range(6):
        made.now += 10
        left.append(loop(made).evse_status.notification_max_delay)
    assert left == [40, 30, 20, 10, 0, 0]


def test_a_withdrawn_wish_is_told_no_more_and_a_new_one_counts_anew():
    wanted: list[Wish | None] = [Wish(EVSENotification.Pause, 20.0)]
    made = client(index=1, charger=BenchCharger(wish_at=lambda now: wanted[0]))
    made.now += 5
    assert loop(made).evse_status.notification_max_delay == 15
    wanted[0] = None
    assert loop(made).evse_status is None
    wanted[0] = Wish(EVSENotification.Pause, 20.0)
    assert loop(made).evse_status.notification_max_delay == 20


def test_notifications_travel_in_power_delivery_responses_too_but_not_after_stop():
    made = client(index=1, charger=BenchCharger(wish_at=lambda now: Wish(EVSENotification.ExitStandby)))
    assert made.send("PowerDeliveryReq(Standby)").evse_status is not None
    assert made.send("PowerDeliveryReq(Stop)").evse_status is None


@pytest.mark.parametrize(
    ("notification", "config"),
    [
        (EVSENotification.ServiceRenegotiation, {"service_renegotiation": False}),
        (EVSENotification.Pause, {"pause": False}),
        (EVSENotification.Pause, {"strict": True}),  # the profile still has power [V2G20-1198]
    ],
)
def test_what_the_station_may_not_ask_for_is_not_asked(notification, config):
    made = client(charger=BenchCharger(wish_at=lambda now: Wish(notification)), **config)
    assert loop(made).evse_status is None


def test_an_ev_that_ignores_terminate_loses_power_and_connection():
    made = client(
        charger=BenchCharger(wish_at=lambda now: Wish(EVSENotification.Terminate)), terminate_grace=10.0
    )
    made.now += 9
    assert code_of(loop(made)) is OK
    made.now += 5
    assert code_of(loop(made)) is ResponseCode.FAILED
    assert not made.charger.on
    assert made.secc.closing is Closing.AFTER_PEER


# -- side streams --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC])
def test_a_schedule_is_renegotiated_on_the_side_while_the_loop_runs(service):
    made = client(service, charger=BenchCharger())
    made.charger.schedule_delays = 1
    cpd = f"{made.family.value}_ChargeParameterDiscoveryReq"
    for request in (cpd, "ScheduleExchangeReq", "ScheduleExchangeReq"):
        answer = made.send(request, SIDE)
        assert code_of(answer) is OK
        assert made.secc.reply_type(answer) is SIDE
        assert code_of(loop(made)) is OK
        assert made.state.phase is Phase.LOOP
    assert len(made.charger.profiles) == 1
    answer = made.send("PowerDeliveryReq(ScheduleRenegotiation)", SIDE)
    assert code_of(answer) is OK
    assert len(made.charger.profiles) == 2
    assert made.charger.on
    assert code_of(loop(made)) is OK
    assert not made.secc.events


def test_the_old_schedule_holds_until_the_new_one_is_accepted():
    made = client()
    old = made.secc.context.offers
    made.charger.tuples = lambda now, request: (
        schedule_tuple(7, power_schedule(int(EPOCH), [(900, (5_000.0,))])),
    )
    made.send("ScheduleExchangeReq", SIDE)
    assert made.secc.context.offers is old
    profile = made.profile([(600, 4_000.0)], tuple_id=7)
    made.send("PowerDeliveryReq(ScheduleRenegotiation)", SIDE, ev_power_profile=profile)
    assert set(made.secc.context.offers) == {7}


@pytest.mark.parametrize("request_name", ["SessionStopReq", "DC_CableCheckReq", "DC_ChargeLoopReq"])
def test_only_its_own_messages_run_on_a_side_stream(request_name):
    made = client()
    assert code_of(made.send(request_name, SIDE)) is ResponseCode.FAILED_SequenceError
    assert made.secc.closing is Closing.AFTER_PEER


def test_a_side_stream_before_its_time_is_out_of_place():
    made = Client().to_selected()
    assert code_of(made.send("ScheduleExchangeReq", SIDE)) is ResponseCode.FAILED_SequenceError


def parked() -> Client:
    made = Client(SECCConfig(vas=(PARKING_STATUS,), timers=RELAXED), BenchCharger(check_outs=1))
    made.to_services().send_all(["ServiceDiscoveryReq", "ServiceDetailReq"])
    vas = common.SelectedServiceList(
        selected_service=[
            common.SelectedService(service_id=66, parameter_set_id=1),
            common.SelectedService(service_id=66, parameter_set_id=2),
        ]
    )
    made.send("ServiceSelectionReq", selected_vas_list=vas)
    return made


def test_an_ev_checks_in_and_out_of_its_parking_space():
    made = parked()
    made.charger.check_in = lambda now, request: (3, -2, 50)  # type: ignore[method-assign]
    answer = made.send("VehicleCheckInReq", ev_check_in_status=common.EVCheckInStatus.CheckIn)
    assert (answer.parking_space, answer.device_location, answer.target_distance) == (3, -2, 50)
    assert made.secc.reply_type(answer) is PayloadType.PARKING_STATUS
    made.send("VehicleCheckInReq")
    made.send_all(["DC_ChargeParameterDiscoveryReq", "ScheduleExchangeReq"])
    statuses = [made.send("VehicleCheckOutReq").evse_check_out_status for _ in range(2)]
    assert statuses == ["Scheduled", "Completed"]
    assert not made.secc.events


def test_parking_status_needs_its_service():
    made = Client().to_selected()
    assert code_of(made.send("VehicleCheckInReq")) is ResponseCode.FAILED_SequenceError


def test_unknown_payload_types_are_dropped_and_reported():
    made = client()
    made.secc.unexpected_payload(made.now, 0x8123)
    assert made.secc.closing is None
    assert "0x8123" in made.secc.events[0].text
    assert code_of(loop(made)) is OK


def test_what_cannot_be_decoded_ends_the_session_without_an_answer():
    made = client()
    made.secc.undecodable(made.now, 0x8004, "bit 17: no such production")
    assert made.secc.closing is Closing.NOW
    assert not made.charger.on
    assert "bit 17" in made.secc.events[0].text


def test_a_wrong_payload_type_is_tolerated_and_answered_on_the_right_one():
    made = client()
    response = made.send("DC_ChargeLoopReq", PayloadType.COMMON)
    assert code_of(response) is OK
    assert made.secc.reply_type(response) is PayloadType.DC
    assert len(made.secc.events) == 1
    strict = client(strict=True)
    assert code_of(strict.send("DC_ChargeLoopReq", PayloadType.COMMON)) is ResponseCode.FAILED_SequenceError


def test_frames_are_counted_both_ways():
    made = Client()
    made.to_session()
    made.send("DC_CableCheckReq")
    assert made.secc.events[0].frame == 5


def test_optional_display_parameters_may_be_left_out():
    made = client(ServiceID.AC)
    request = made.build(made.loop)
    assert isinstance(request, ac.AC_ChargeLoopReq)
    assert request.display_parameters is None
    assert code_of(made.send(request)) is OK
