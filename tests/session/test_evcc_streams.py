"""Side streams of an EVCC: conversations beside the main stream, one outstanding request each."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from iso15118.messages import common, dc
from iso15118.messages.common_types import EVSENotification, MeterInfo, ResponseCode
from iso15118.messages.declare import Node
from iso15118.session import schedules
from iso15118.session.evcc import EVCC, EVCCConfig, Outcome, Reply, ServiceWish, SessionResult, VASWish, Wait
from iso15118.session.evcc_steps import Incoming
from iso15118.session.services import PARKING_STATUS, ControlMode, EnergyMode, ServiceID
from iso15118.session.vehicle import DCTarget, Wish
from iso15118.v2gtp import PayloadType

from .evcc_bench import UNIX, Answer, Car, Later, Player, ScriptedSECC, Silence

SCHEDULED = EnergyMode(ServiceID.DC, ControlMode.SCHEDULED, parameter_set_id=7)
SIDE = PayloadType.SCHEDULE_RENEGOTIATION
METER = MeterInfo(meter_id="M", charged_energy_reading_wh=1234)


class Bench:
    """A scheduled DC session that renegotiates on the side after five loops; `side` answers that stream."""

    def __init__(self, loops: int = 30, **config: Any) -> None:
        self.secc = ScriptedSECC(SCHEDULED)
        self.car = Car(loops=loops)
        self.car.target = DCTarget(voltage=420.0, current=200.0)
        self.car.wishes = {5: Wish.RENEGOTIATE_SCHEDULE}
        self.first = schedules.flat_tuple(int(UNIX), (20_000.0,), tuple_id=1)
        self.second = schedules.flat_tuple(int(UNIX), (60_000.0,), tuple_id=2)
        self.side: dict[type[Node], Any] = {}
        self.player = Player(self.answer)
        config = {"renegotiation_stream": "side", **config}
        self.evcc = EVCC(
            EVCCConfig(services=(ServiceWish(ServiceID.DC),), **config), self.car, unix_offset=UNIX
        )

    def answer(self, request: Node, payload_type: int, now: float) -> Answer:
        if payload_type == SIDE and type(request) in self.side:
            self.secc.now = now
            answer: Answer = self.side[type(request)](request)
            return answer
        if isinstance(request, common.ScheduleExchangeReq):
            self.secc.now = now
            return self.schedule(self.second if payload_type == SIDE else self.first)
        return self.secc(request, payload_type, now)

    def schedule(self, *tuples: common.ScheduleTuple, **changes: Any) -> common.ScheduleExchangeRes:
        request = common.ScheduleExchangeReq(
            header=self.secc.header(),
            maximum_supporting_points=12,
            control_mode=common.Scheduled_SEReqControlMode(),
        )
        response = self.secc.usual(request)
        assert isinstance(response, common.ScheduleExchangeRes)
        mode = common.Scheduled_SEResControlMode(schedule_tuple=list(tuples))
        return msgspec.structs.replace(response, control_mode=mode, **changes)

    def run(self) -> SessionResult:
        return self.player.play(self.evcc.run())

    def on(self, payload_type: int) -> list[tuple[float, Node]]:
        return [(time, request) for time, request, sent_on in self.player.log if sent_on == payload_type]

    def targets(self) -> list[tuple[float, float]]:
        """Time and EVTargetCurrent of the charge loops, but the ramp down."""
        return [
            (time, float(request.control_mode.ev_target_current))
            for time, request in self.on(PayloadType.DC)
            if isinstance(request, dc.DC_ChargeLoopReq)
            and isinstance(request.control_mode, dc.Scheduled_DC_CLReqControlMode)
        ]


def test_the_loop_goes_on_under_the_old_schedule_until_the_new_one_is_accepted() -> None:
    bench = Bench()
    bench.side[common.ScheduleExchangeReq] = lambda request: Later(bench.schedule(bench.second), 1.0)
    bench.side[common.PowerDeliveryReq] = lambda request: Later(bench.secc.usual(request), 0.5)
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    (asked, _), (agreed, power_delivery) = bench.on(SIDE)
    assert isinstance(power_delivery, common.PowerDeliveryReq)
    assert power_delivery.charge_progress is common.ChargeProgress.ScheduleRenegotiation
    assert power_delivery.ev_power_profile is not None
    chosen = power_delivery.ev_power_profile.control_mode
    assert isinstance(chosen, common.Scheduled_EVPPTControlMode)
    assert chosen.selected_schedule_tuple_id == 2
    # 20 kW at 400 V are 50 A, 60 kW are 150 A.
    before = {current for time, current in bench.targets() if asked < time < agreed + 0.5}
    after = [current for time, current in bench.targets() if time > agreed + 0.75][:-1]
    assert before == {50.0}
    assert set(after) == {150.0}
    gaps = [b - a for (a, _), (b, _) in zip(bench.targets(), bench.targets()[1:], strict=False)]
    assert max(gaps) < 0.25


def test_each_stream_has_one_outstanding_request() -> None:
    """Nothing is sent on a stream before the response to its last request came."""
    bench = Bench(sign_metering=lambda request, contract: request)
    bench.secc.meter = METER
    bench.side[common.ScheduleExchangeReq] = lambda request: Later(bench.schedule(bench.second), 1.0)
    outstanding: set[int] = set()
    original = bench.answer

    def watch(request: Node, payload_type: int, now: float) -> Answer:
        stream = payload_type if payload_type >= 0x8101 else 0
        assert stream not in outstanding
        outstanding.add(stream)
        if 8 < len(bench.targets()) < 12:
            bench.secc.notify(EVSENotification.MeteringConfirmation)
        return original(request, payload_type, now)

    bench.player.answer = watch
    taken = bench.evcc._take

    def take(step: Any, reply: Reply) -> None:
        if reply.message is not None:
            outstanding.discard(0)
        for incoming in reply.side:
            outstanding.discard(incoming.payload_type)
        taken(step, reply)

    bench.evcc._take = take  # type: ignore[method-assign]
    assert bench.run().outcome is Outcome.TERMINATED
    assert len(bench.on(SIDE)) == 2
    assert len(bench.on(PayloadType.METERING_CONFIRMATION)) >= 1


@pytest.mark.parametrize("silent", [common.ScheduleExchangeReq, common.PowerDeliveryReq])
def test_silence_on_the_side_is_reported_and_the_old_schedule_stays(silent: type[Node]) -> None:
    bench = Bench()
    bench.side[silent] = lambda request: Silence
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert [item.text for item in result.deviations] == ["no response on the side stream"]
    assert {current for _, current in bench.targets()[:-1]} == {50.0}
    assert bench.evcc.proposed is None


def test_a_late_response_on_the_side_is_reported() -> None:
    bench = Bench()
    bench.side[common.ScheduleExchangeReq] = lambda request: Later(bench.schedule(bench.second), 2.5)
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert [item.text for item in result.deviations] == [
        "no response on the side stream",
        "came without a request",
    ]


def test_a_refused_renegotiation_keeps_the_old_schedule() -> None:
    bench = Bench()
    bench.side[common.PowerDeliveryReq] = lambda request: common.PowerDeliveryRes(
        header=bench.secc.header(), response_code=ResponseCode.WARNING_ScheduleRenegotiationFailed
    )
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    assert {current for _, current in bench.targets()[:-1]} == {50.0}


def test_a_failed_response_on_the_side_ends_the_session() -> None:
    bench = Bench()
    bench.side[common.PowerDeliveryReq] = lambda request: common.PowerDeliveryRes(
        header=bench.secc.header(), response_code=ResponseCode.FAILED_ScheduleRenegotiation
    )
    result = bench.run()
    assert result.outcome is Outcome.FAILED_RESPONSE
    assert result.response_code is ResponseCode.FAILED_ScheduleRenegotiation
    assert bench.player.log[-1][2] in (SIDE, PayloadType.DC)
    assert bench.car.connected is False


def test_go_to_pause_on_the_side_pauses_the_session() -> None:
    bench = Bench()
    bench.side[common.ScheduleExchangeReq] = lambda request: bench.schedule(bench.second, go_to_pause=True)
    result = bench.run()
    assert result.outcome is Outcome.PAUSED
    assert len(bench.on(SIDE)) == 1


def test_a_message_nobody_asked_for_is_reported() -> None:
    bench = Bench(loops=3)
    intruder = common.MeteringConfirmationRes(header=bench.secc.header(), response_code=ResponseCode.OK)
    exchange = bench.evcc.run()
    step = next(exchange)
    injected = False
    while True:
        reply = bench.player._carry_out(step)
        if isinstance(step, Wait) and not injected:
            injected = True
            reply = reply._replace(side=(Incoming(PayloadType.METERING_CONFIRMATION, intruder),))
        try:
            step = exchange.send(reply)
        except StopIteration as stop:
            result: SessionResult = stop.value
            break
    assert result.outcome is Outcome.TERMINATED
    assert [(item.message, item.text) for item in result.deviations] == [
        ("MeteringConfirmationRes", "came without a request")
    ]


# -- metering confirmation
# --------------------------------------------------------------------------------------


def test_a_meter_reading_is_signed_and_confirmed_beside_the_loop() -> None:
    signed: list[common.MeteringConfirmationReq] = []

    def sign(
        request: common.MeteringConfirmationReq, contract: common.ContractCertificateChain | None
    ) -> common.MeteringConfirmationReq:
        signed.append(request)
        return request

    bench = Bench(loops=4, sign_metering=sign)
    bench.secc.meter = METER
    bench.secc.notify(EVSENotification.MeteringConfirmation)
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    data = signed[0].signed_metering_data
    assert len(signed) == 1
    assert data.session_id == result.session_id
    assert data.meter_info == METER
    assert data.control_mode == common.Scheduled_SMDTControlMode(selected_schedule_tuple_id=1)
    assert [request for _, request in bench.on(PayloadType.METERING_CONFIRMATION)] == signed


def test_a_repeated_request_does_not_start_a_second_confirmation() -> None:
    bench = Bench(loops=8, sign_metering=lambda request, contract: request)
    bench.car.wishes = {}
    bench.secc.meter = METER
    answer = bench.answer

    def slow(request: Node, payload_type: int, now: float) -> Answer:
        if isinstance(request, dc.DC_ChargeLoopReq) and len(bench.targets()) < 5:
            bench.secc.notify(EVSENotification.MeteringConfirmation)
        if isinstance(request, common.MeteringConfirmationReq):
            bench.secc.now = now
            return Later(bench.secc.usual(request), 1.4)
        return answer(request, payload_type, now)

    bench.player.answer = slow
    assert bench.run().outcome is Outcome.TERMINATED
    assert len(bench.on(PayloadType.METERING_CONFIRMATION)) == 1


def test_without_a_signer_there_is_no_confirmation() -> None:
    bench = Bench(loops=4)
    bench.secc.notify(EVSENotification.MeteringConfirmation)
    assert bench.run().outcome is Outcome.TERMINATED
    assert bench.on(PayloadType.METERING_CONFIRMATION) == []


def test_a_confirmation_cannot_be_asked_for_without_the_reading() -> None:
    """[V2G20-1083]"""
    bench = Bench(loops=4, sign_metering=lambda request, contract: request, meter_interval=0)
    bench.secc.meter = None
    bench.secc.notify(EVSENotification.MeteringConfirmation)
    result = bench.run()
    assert [item.requirement for item in result.deviations] == ["V2G20-1083"]
    assert bench.on(PayloadType.METERING_CONFIRMATION) == []


def test_a_refused_signature_ends_the_session() -> None:
    bench = Bench(loops=30, sign_metering=lambda request, contract: request)
    bench.secc.meter = METER
    bench.secc.on[common.MeteringConfirmationReq] = lambda request: common.MeteringConfirmationRes(
        header=bench.secc.header(), response_code=ResponseCode.FAILED_MeteringSignatureNotValid
    )
    bench.secc.notify(EVSENotification.MeteringConfirmation)
    result = bench.run()
    assert result.outcome is Outcome.FAILED_RESPONSE
    assert result.response_code is ResponseCode.FAILED_MeteringSignatureNotValid


# -- parking status
# ---------------------------------------------------------------------------------------------


def parked(*answers: common.EVSECheckOutStatus) -> tuple[Bench, SessionResult]:
    bench = Bench(loops=4, vas=(VASWish(66, {"IntendedService": 1}), VASWish(66, {"IntendedService": 2})))
    secc, usual = bench.secc, bench.secc.usual
    left = list(answers)

    def detail(request: common.ServiceDetailReq) -> Node:
        if request.service_id != ServiceID.PARKING_STATUS:
            return usual(request)
        return common.ServiceDetailRes(
            header=secc.header(),
            response_code=ResponseCode.OK,
            service_id=66,
            service_parameter_list=PARKING_STATUS.parameter_list(),
        )

    def check_out(request: common.VehicleCheckOutReq) -> Answer:
        if not left:
            return Silence
        return common.VehicleCheckOutRes(
            header=secc.header(), response_code=ResponseCode.OK, evse_check_out_status=left.pop(0)
        )

    secc.on[common.ServiceDiscoveryReq] = lambda request: msgspec.structs.replace(
        usual(request),
        vas_list=common.ServiceList(service=[common.Service(service_id=66, free_service=True)]),
    )
    secc.on[common.ServiceDetailReq] = detail
    secc.on[common.VehicleCheckInReq] = lambda request: common.VehicleCheckInRes(
        header=secc.header(), response_code=ResponseCode.OK, parking_space=12
    )
    secc.on[common.VehicleCheckOutReq] = check_out
    return bench, bench.run()


def test_a_parked_vehicle_checks_in_beside_the_session_and_out_before_it_ends() -> None:
    status = common.EVSECheckOutStatus
    bench, result = parked(status.Scheduled, status.Scheduled, status.Completed)
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    said = [
        str(getattr(request, "ev_check_in_status", getattr(request, "ev_check_out_status", None)))
        for _, request in bench.on(PayloadType.PARKING_STATUS)
    ]
    assert said == ["CheckIn", "Completed", "CheckOut", "Processing", "Processing"]
    selected = next(t for t, r, _ in bench.player.log if isinstance(r, common.ServiceSelectionReq))
    stopped = next(t for t, r, _ in bench.player.log if isinstance(r, common.SessionStopReq))
    times = [time for time, _ in bench.on(PayloadType.PARKING_STATUS)]
    assert selected <= times[0]
    assert times[-1] <= stopped


def test_a_check_out_without_an_answer_does_not_hold_the_vehicle() -> None:
    bench, result = parked()
    assert result.outcome is Outcome.TERMINATED
    assert [item.message for item in result.deviations] == ["VehicleCheckOutRes"]
    asked = next(
        t for t, r in bench.on(PayloadType.PARKING_STATUS) if isinstance(r, common.VehicleCheckOutReq)
    )
    assert bench.player.log[-1][0] - asked == pytest.approx(2.0, abs=0.1)
