"""SECC: notifications, and what runs beside the charge loop on side streams."""

from __future__ import annotations

import pytest

from iso15118.messages import ac, common
from iso15118.messages.common_types import (
    EVSENotification,
    ResponseCode,
)
from iso15118.session.charger import SiteWish
from iso15118.session.schedules import power_schedule, schedule_tuple
from iso15118.session.secc_config import Closing, SECCConfig
from iso15118.session.sequence import Phase
from iso15118.session.services import PARKING_STATUS, ServiceID
from iso15118.session.timers import RELAXED
from iso15118.v2gtp import PayloadType

from .client import Client, code_of, in_loop, loop
from .pair import EPOCH, BenchCharger

OK = ResponseCode.OK
SIDE = PayloadType.SCHEDULE_RENEGOTIATION


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
    made = in_loop(index=index, charger=BenchCharger(wish_at=lambda now: SiteWish(notification)), **config)
    # The first loop told it already; a wish keeps its deadline.
    status = loop(made).evse_status
    assert status.evse_notification == notification
    assert status.notification_max_delay == delay


def test_the_delay_counts_down_in_later_responses():
    charger = BenchCharger(
        wish_at=lambda now: SiteWish(EVSENotification.Pause, within=40.0) if now > 1 else None
    )
    made = in_loop(index=1, charger=charger)
    assert loop(made).evse_status is None
    left = []
    for _ in range(6):
        made.now += 10
        left.append(loop(made).evse_status.notification_max_delay)
    assert left == [40, 30, 20, 10, 0, 0]


def test_a_withdrawn_wish_is_told_no_more_and_a_new_one_counts_anew():
    wanted: list[SiteWish | None] = [SiteWish(EVSENotification.Pause, 20.0)]
    made = in_loop(index=1, charger=BenchCharger(wish_at=lambda now: wanted[0]))
    made.now += 5
    assert loop(made).evse_status.notification_max_delay == 15
    wanted[0] = None
    assert loop(made).evse_status is None
    wanted[0] = SiteWish(EVSENotification.Pause, 20.0)
    assert loop(made).evse_status.notification_max_delay == 20


def test_notifications_travel_in_power_delivery_responses_too_but_not_after_stop():
    made = in_loop(index=1, charger=BenchCharger(wish_at=lambda now: SiteWish(EVSENotification.ExitStandby)))
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
    made = in_loop(charger=BenchCharger(wish_at=lambda now: SiteWish(notification)), **config)
    assert loop(made).evse_status is None


def test_an_ev_that_ignores_terminate_loses_power_and_connection():
    made = in_loop(
        charger=BenchCharger(wish_at=lambda now: SiteWish(EVSENotification.Terminate)), terminate_grace=10.0
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
    made = in_loop(service, charger=BenchCharger())
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
    made = in_loop()
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
    made = in_loop()
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
    made = in_loop()
    made.secc.unexpected_payload(made.now, 0x8123)
    assert made.secc.closing is None
    assert "0x8123" in made.secc.events[0].text
    assert code_of(loop(made)) is OK


def test_what_cannot_be_decoded_ends_the_session_without_an_answer():
    made = in_loop()
    made.secc.undecodable(made.now, 0x8004, "bit 17: no such production")
    assert made.secc.closing is Closing.NOW
    assert not made.charger.on
    assert "bit 17" in made.secc.events[0].text


def test_a_wrong_payload_type_is_tolerated_and_answered_on_the_right_one():
    made = in_loop()
    response = made.send("DC_ChargeLoopReq", PayloadType.COMMON)
    assert code_of(response) is OK
    assert made.secc.reply_type(response) is PayloadType.DC
    assert len(made.secc.events) == 1
    strict = in_loop(strict=True)
    assert code_of(strict.send("DC_ChargeLoopReq", PayloadType.COMMON)) is ResponseCode.FAILED_SequenceError


def test_frames_are_counted_both_ways():
    made = Client()
    made.to_session()
    made.send("DC_CableCheckReq")
    assert made.secc.events[0].frame == 5


def test_optional_display_parameters_may_be_left_out():
    made = in_loop(ServiceID.AC)
    request = made.build(made.loop)
    assert isinstance(request, ac.AC_ChargeLoopReq)
    assert request.display_parameters is None
    assert code_of(made.send(request)) is OK
