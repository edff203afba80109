"""An EVCC from parameter discovery to SessionStop: what it asks, what it follows, and what it reports of the
SECC.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from iso15118.messages import common, dc
from iso15118.messages.common_types import (
    DetailedCost,
    MeterInfo,
    Processing,
    RationalNumber,
    Receipt,
    ResponseCode,
)
from iso15118.session import schedules
from iso15118.session.charger import ControlPilot
from iso15118.session.evcc import (
    EVCC,
    EVCCConfig,
    Outcome,
)
from iso15118.session.events import Role, Severity
from iso15118.session.services import (
    Dialect,
)
from iso15118.session.timers import RELAXED
from iso15118.session.vehicle import DCTarget, Wish

from .evcc_bench import (
    BPT,
    DYNAMIC,
    SCHEDULED,
    UNIX,
    Bench,
    Car,
    Later,
    number,
    offering,
    rules,
    severities,
)

# -- the way to power
# -------------------------------------------------------------------------------------------


def test_the_control_pilot_and_the_contactors_follow_the_dc_sequence() -> None:
    """C for the isolation test, closed after pre-charge, open and B after PowerDelivery(Stop)."""
    bench = Bench()
    assert bench.run().outcome is Outcome.TERMINATED
    assert [state for _, state in bench.car.pilots] == [ControlPilot.C, ControlPilot.B]
    assert [closed for _, closed in bench.car.closed] == [True, False]
    cable_check, stop = bench.times(dc.DC_CableCheckReq)[0], bench.times(common.PowerDeliveryReq)[-1]
    assert bench.car.pilots[0][0] <= cable_check
    assert bench.car.pilots[1][0] >= stop
    assert bench.car.closed[0][0] >= bench.times(dc.DC_PreChargeReq)[-1]


def test_pre_charge_goes_on_until_the_voltages_meet_and_says_finished_once() -> None:
    bench = Bench()
    bench.run()
    requests = bench.player.sent(dc.DC_PreChargeReq)
    assert [request.ev_processing for request in requests] == [Processing.Ongoing] * 3 + [Processing.Finished]
    assert [float(request.ev_present_voltage) for request in requests] == [0, 150, 300, 400]
    assert {float(request.ev_target_voltage) for request in requests} == {400.0}


def test_an_secc_that_never_reports_the_voltage_is_tolerated_and_reported() -> None:
    """A simulated station that says 1 V for ever."""
    bench = Bench(pre_charge_patience=3.0)
    bench.secc.on[dc.DC_PreChargeReq] = lambda request: dc.DC_PreChargeRes(
        header=bench.secc.header(), response_code=ResponseCode.OK, evse_present_voltage=number(1)
    )
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert [item.message for item in result.deviations] == ["DC_PreChargeRes"]
    times = bench.times(dc.DC_PreChargeReq)
    assert times[-1] - times[0] == pytest.approx(3.0, abs=0.15)
    assert bench.player.sent(dc.DC_PreChargeReq)[-1].ev_processing is Processing.Finished


@pytest.mark.parametrize(
    ("config", "seconds"),
    [({}, 10.0), ({"strict": True}, 10.0), ({"strict": True, "pre_charge_patience": 5.0}, 5.0)],
)
def test_no_contactor_closes_on_a_voltage_that_never_comes(config: dict[str, Any], seconds: float) -> None:
    """V2G_EVCC_PreCharge_Timeout; a strict EV leaves when its patience ends."""
    bench = Bench(**config)
    bench.secc.on[dc.DC_PreChargeReq] = lambda request: dc.DC_PreChargeRes(
        header=bench.secc.header(), response_code=ResponseCode.OK, evse_present_voltage=number(1)
    )
    result = bench.run()
    assert result.outcome is Outcome.ABORTED
    assert bench.progress() == []
    times = bench.times(dc.DC_PreChargeReq)
    assert times[-1] - times[0] == pytest.approx(seconds, abs=0.15)
    assert bench.car.closed[-1:] in ([], [(bench.car.closed[-1][0], False)])
    assert bench.car.pilots[-1][1] is ControlPilot.B
    assert isinstance(bench.player.log[-1][1], common.SessionStopReq)


def test_a_voltage_that_only_passes_the_batterys_closes_no_contactor() -> None:
    """A station that overshoots: 0, 200, 390, 560 V for ever. The battery has 400 V."""
    bench = Bench()
    reported = iter([0, 200, 390])
    bench.secc.on[dc.DC_PreChargeReq] = lambda request: dc.DC_PreChargeRes(
        header=bench.secc.header(),
        response_code=ResponseCode.OK,
        evse_present_voltage=number(next(reported, 560)),
    )
    result = bench.run()
    assert result.outcome is Outcome.ABORTED
    assert "560 V at the inlet before the contactors close, battery has 400 V" in result.reason
    assert bench.progress() == []
    assert (True in [closed for _, closed in bench.car.closed]) is False


@pytest.mark.parametrize(
    ("request_type", "seconds", "answer"),
    [
        (dc.DC_CableCheckReq, 40.0, dc.DC_CableCheckRes),
        (common.ScheduleExchangeReq, 60.0, common.ScheduleExchangeRes),
    ],
)
def test_ongoing_loops_are_bounded(request_type: type[Any], seconds: float, answer: type[Any]) -> None:
    """V2G_EVCC_CableCheck_Timeout and V2G_EVCC_Ongoing_Timeout."""
    bench = Bench()
    bench.secc.on[request_type] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request), evse_processing=Processing.Ongoing
    )
    result = bench.run()
    assert result.outcome is Outcome.ABORTED
    assert answer.__name__ in result.reason
    times = bench.times(request_type)
    assert times[-1] - times[0] == pytest.approx(seconds, abs=0.5)
    assert bench.player.sent(common.SessionStopReq)[0].ev_termination_code == "OngoingTimeout"
    assert bench.car.pilots[-1:] in (
        [],
        [(bench.car.pilots[-1][0] if bench.car.pilots else 0, ControlPilot.B)],
    )


def test_a_relaxed_profile_waits_longer_for_the_cable_check() -> None:
    bench = Bench(timers=RELAXED)
    bench.secc.on[dc.DC_CableCheckReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request), evse_processing=Processing.Ongoing
    )
    bench.run()
    times = bench.times(dc.DC_CableCheckReq)
    assert times[-1] - times[0] == pytest.approx(60.0, abs=0.5)


def test_the_driver_may_stop_while_the_station_is_busy() -> None:
    bench = Bench(termination_code="driver", termination_explanation="changed my mind")
    bench.car.wishes = {0: Wish.STOP}
    bench.secc.on[dc.DC_CableCheckReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request), evse_processing=Processing.Ongoing
    )
    # The wish counts once the session is under way; before ScheduleExchange it is not looked at.
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert result.charge_loops == 0
    stop = bench.player.sent(common.SessionStopReq)[0]
    assert (stop.ev_termination_code, stop.ev_termination_explanation) == ("driver", "changed my mind")


def test_mismatched_parameters_are_reported() -> None:
    bench = Bench(BPT)
    bench.secc.mode = SCHEDULED
    bench.secc.on[common.ServiceDiscoveryReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request),
        energy_transfer_service_list=common.ServiceList(
            service=[common.Service(service_id=6, free_service=True)]
        ),
    )
    bench.secc.on[common.ServiceDetailReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request),
        service_id=6,
        service_parameter_list=common.ServiceParameterList(parameter_set=[BPT.parameter_set(Dialect())]),
    )
    result = bench.run()
    assert [item.message for item in result.deviations] == ["DC_ChargeParameterDiscoveryRes"]
    assert "parameters without discharge" in result.deviations[0].text


def test_negative_discharge_limits_are_read_as_magnitudes_and_noted() -> None:
    bench = Bench(BPT)
    bench.secc.on[dc.DC_ChargeParameterDiscoveryReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request),
        energy_transfer_mode=msgspec.structs.replace(
            bench.secc.limits(), evse_maximum_discharge_power=number(-60_000)
        ),
    )
    result = bench.run()
    assert severities(result) == [Severity.NOTE]
    assert bench.evcc.evse_dc is not None
    assert bench.evcc.evse_dc.max_discharge_power == 60_000


@pytest.mark.parametrize(("negative", "sign"), [(False, 1), (True, -1)])
def test_the_sign_of_our_discharge_limits_is_a_setting(negative: bool, sign: int) -> None:
    bench = Bench(BPT, dialect=Dialect(negative_discharge_limits=negative))
    bench.run()
    stated = bench.player.sent(dc.DC_ChargeParameterDiscoveryReq)[0].energy_transfer_mode
    assert float(stated.ev_maximum_discharge_power) == sign * 50_000
    looped = bench.loops()[0].control_mode
    assert isinstance(looped, dc.BPT_Scheduled_DC_CLReqControlMode)
    assert looped.ev_maximum_discharge_current is not None
    assert float(looped.ev_maximum_discharge_current) == sign * 120


# -- the charge loop
# --------------------------------------------------------------------------------------------


def test_the_loop_keeps_its_pace_and_an_ev_that_is_late_says_so() -> None:
    bench = Bench(loops=5)
    result = bench.run()
    gaps = [later - earlier for earlier, later in pairwise(bench.times(dc.DC_ChargeLoopReq))]
    assert max(gaps) <= 0.25
    slow = Bench(loops=5, loop_interval=0.4)
    result = slow.run()
    (late,) = list(result.deviations)
    assert (late.requirement, late.severity, late.offender) == ("V2G20-1501", Severity.PERFORMANCE, Role.EVCC)


def test_an_ev_that_takes_more_than_40_s_between_messages_says_so() -> None:
    """V2G_EVCC_Sequence_Performance_Time"""

    class Dreamer(EVCC):
        def cable_check(self) -> Any:
            yield from self.pause(41.0)
            yield from super().cable_check()

    bench = Bench()
    bench.evcc = Dreamer(EVCCConfig(), bench.car, unix_offset=UNIX)
    (late,) = list(bench.run().deviations)
    assert (late.message, late.severity, late.offender) == (
        "DC_CableCheckReq",
        Severity.PERFORMANCE,
        Role.EVCC,
    )
    assert "40" in late.expected


@pytest.mark.parametrize(
    ("kind", "seconds", "rule"),
    [
        (dc.DC_ChargeLoopReq, 0.3, "V2G20-1502"),
        (common.ServiceSelectionReq, 1.6, None),
        (common.ServiceDetailReq, 4.6, None),
    ],
)
def test_a_slow_secc_is_reported_but_not_left(kind: type[Any], seconds: float, rule: str | None) -> None:
    """V2G_SECC_Msg_Performance_Time: 0.25 s in the loop, 4.5 s for slow messages, else 1.5 s."""
    bench = Bench()
    bench.secc.script(kind, lambda request: Later(bench.secc.usual(request), seconds))
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    (late,) = list(result.deviations)
    assert (late.requirement, late.severity, late.offender) == (rule, Severity.PERFORMANCE, Role.SECC)
    quick = Bench()
    quick_enough: dict[Any, float] = {
        dc.DC_ChargeLoopReq: 0.24,
        common.ServiceSelectionReq: 1.4,
        common.ServiceDetailReq: 4.4,
    }
    limit = quick_enough[kind]
    quick.secc.script(kind, lambda request: Later(quick.secc.usual(request), limit))
    assert list(quick.run().deviations) == []


def test_the_set_point_keeps_within_both_sides_limits_and_the_profile() -> None:
    bench = Bench(SCHEDULED, loops=4)
    bench.car.target = DCTarget(voltage=2000.0, current=1000.0)
    bench.run()
    target = bench.loops()[1].control_mode
    # 80 kW of schedule at 400 V are 200 A, as much as the battery takes; it bears 450 V.
    assert (float(target.ev_target_current), float(target.ev_target_voltage)) == (200.0, 450.0)
    offering_less = Bench(SCHEDULED, loops=4)
    offering(offering_less, schedules.flat_tuple(int(UNIX), (30_000.0,)))
    offering_less.car.target = DCTarget(voltage=420.0, current=1000.0)
    offering_less.run()
    assert float(offering_less.loops()[1].control_mode.ev_target_current) == 75.0


def test_limits_that_the_secc_lowers_in_the_loop_are_followed() -> None:
    bench = Bench(SCHEDULED, loops=5)
    lower = dc.Scheduled_DC_CLResControlMode(evse_maximum_charge_current=number(55.2))
    bench.loop({"control_mode": lower})
    result = bench.run()
    targets = [float(request.control_mode.ev_target_current) for request in bench.loops()]
    assert targets[:2] == [100.0, 55.2]
    assert list(result.deviations) == []
    told = [
        supply.charge_current for supply in bench.car.supplies if supply.voltage == 400.0 and supply.current
    ]
    assert told[:2] == [55.2, 300.0]


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"evse_maximum_charge_power": number(130_000)}, "V2G20-2654"),
        ({"evse_maximum_charge_current": number(301)}, "V2G20-2654"),
        ({"evse_minimum_charge_power": number(-1)}, "V2G20-2655"),
        ({"evse_maximum_charge_power": number(100_000)}, None),
    ],
)
def test_loop_limits_beyond_those_of_parameter_discovery_are_reported(
    limits: dict[str, RationalNumber], rule: str | None
) -> None:
    bench = Bench(SCHEDULED)
    bench.loop({"control_mode": dc.Scheduled_DC_CLResControlMode(**limits)})
    assert rules(bench.run()) == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"evse_present_current": number(260)}, "current"),
        ({"evse_present_voltage": number(480)}, "voltage"),
        ({"evse_present_current": number(205)}, None),
    ],
)
def test_output_beyond_the_limits_of_the_ev_is_reported(change: dict[str, Any], found: str | None) -> None:
    """[V2G20-2188], with 5 % and 2 A (1 V) for regulation and measurement."""
    bench = Bench()
    bench.loop({}, change)
    result = bench.run()
    assert rules(result) == (["V2G20-2188"] if found else [])
    if found:
        assert result.deviations[0].text.startswith(found)


def test_an_answer_of_another_kind_is_reported() -> None:
    bench = Bench()
    bench.loop({"control_mode": dc.Scheduled_DC_CLResControlMode()})
    assert rules(bench.run()) == ["V2G20-1600"]


METER = MeterInfo(meter_id="M", charged_energy_reading_wh=100)


@pytest.mark.parametrize(
    ("interval", "meters", "expected"),
    [
        (1, [METER, None, METER], ["V2G20-1082"]),
        (0, [None, METER, METER], ["V2G20-1833"]),
        (0, [METER, None, METER], []),
        (0, [None, None, None], []),
        (0, [METER, MeterInfo(meter_id="M", charged_energy_reading_wh=99), None], ["V2G20-902"]),
    ],
)
def test_the_meter_is_there_when_it_must_be(
    interval: int, meters: list[MeterInfo | None], expected: list[str]
) -> None:
    bench = Bench(meter_interval=interval, ramp_down_time=0.0)
    bench.secc.meter = METER
    bench.loop(*[{"meter_info": meter} for meter in meters])
    result = bench.run()
    assert rules(result) == expected


def test_meter_info_is_asked_for_at_the_configured_interval() -> None:
    bench = Bench(loops=9, meter_interval=4, ramp_down_time=0.0)
    bench.run()
    assert [request.meter_info_requested for request in bench.loops()][:9] == [
        n % 4 == 0 for n in range(len(bench.loops()))
    ][:9]


def test_a_receipt_of_energy_without_the_meter_is_reported() -> None:
    """[V2G20-1919]"""
    receipt = Receipt(time_anchor=1, energy_costs=DetailedCost(amount=number(1), cost_per_unit=number(0.3)))
    bench = Bench(meter_interval=0)
    bench.loop({}, {"receipt": receipt, "meter_info": None})
    assert rules(bench.run()) == ["V2G20-1919"]


def test_energy_is_counted_both_ways() -> None:
    bench = Bench(BPT, loops=11, loop_interval=0.25, ramp_down_time=0.0)
    bench.car.sells = True
    bench.car.target = DCTarget(voltage=420.0, current=-30.0)
    result = bench.run()
    # 10 gaps of 0.25 s at 400 V and 30 A
    assert result.discharged_energy == pytest.approx(400 * 30 * 2.5 / 3600, rel=0.2)
    assert result.charged_energy == 0
    assert float(bench.loops()[1].control_mode.ev_target_current) == -30.0


def test_a_vehicle_that_turns_to_selling_has_its_schedule_renegotiated() -> None:
    bench = Bench(BPT, loops=9)

    class Turning(Car):
        def selling(self, now: float) -> bool:
            return self.seen >= 5

    bench.evcc.vehicle = bench.car = Turning(loops=9)
    bench.car.target = DCTarget(voltage=420.0, current=-30.0)
    result = bench.run()
    assert bench.progress() == ["Start", "ScheduleRenegotiation", "Start", "Stop"]
    targets = [float(request.control_mode.ev_target_current) for request in bench.loops()]
    assert targets[0] == 0.0
    assert min(targets) == -30.0
    assert list(result.deviations) == []


def test_a_schedule_that_runs_out_is_renegotiated_once() -> None:
    bench = Bench(SCHEDULED, loops=30)
    durations = iter([3.0, 600.0])
    bench.secc.on[common.ScheduleExchangeReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request),
        control_mode=common.Scheduled_SEResControlMode(
            schedule_tuple=[
                schedules.flat_tuple(int(bench.secc.now + UNIX), (40_000.0,), duration=next(durations))
            ]
        ),
    )
    bench.run()
    assert bench.progress() == ["Start", "ScheduleRenegotiation", "Start", "Stop"]


# -- the end
# ----------------------------------------------------------------------------------------------------


def test_the_ev_asks_for_no_current_before_it_stops() -> None:
    bench = Bench(SCHEDULED)
    bench.run()
    assert float(bench.loops()[-1].control_mode.ev_target_current) == 0.0
    dynamic = Bench(DYNAMIC)
    dynamic.run()
    last = dynamic.loops()[-1].control_mode
    assert float(last.ev_maximum_charge_current) == 0.0
    assert float(dynamic.loops()[0].control_mode.ev_maximum_charge_current) == 200.0


def test_a_number_of_loops_can_be_asked_for_and_a_small_current_needs_no_ramp_down() -> None:
    bench = Bench(DYNAMIC, loops=1000, charge_loops=4)
    bench.secc.on[dc.DC_ChargeLoopReq] = lambda request: bench.secc.loop(
        request, evse_present_current=number(1)
    )
    assert bench.run().charge_loops == 4


def test_a_current_that_does_not_fall_is_waited_for_in_vain_and_then_switched() -> None:
    bench = Bench(DYNAMIC, ramp_down_time=2.0)
    bench.secc.on[dc.DC_ChargeLoopReq] = lambda request: bench.secc.loop(
        request, evse_present_current=number(50)
    )
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert bench.progress() == ["Start", "Stop"]


def test_welding_detection_waits_for_the_voltage_to_fall() -> None:
    bench = Bench()
    falling = iter([400, 200, 100, 30, 30])
    bench.secc.on[dc.DC_WeldingDetectionReq] = lambda request: dc.DC_WeldingDetectionRes(
        header=bench.secc.header(), response_code=ResponseCode.OK, evse_present_voltage=number(next(falling))
    )
    result = bench.run()
    assert list(result.deviations) == []
    states = [request.ev_processing for request in bench.player.sent(dc.DC_WeldingDetectionReq)]
    assert states == [Processing.Ongoing] * 4 + [Processing.Finished]


def test_a_welded_contactor_is_reported() -> None:
    bench = Bench(welding_time=1.0)
    bench.secc.on[dc.DC_WeldingDetectionReq] = lambda request: dc.DC_WeldingDetectionRes(
        header=bench.secc.header(), response_code=ResponseCode.OK, evse_present_voltage=number(400)
    )
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert [item.message for item in result.deviations] == ["DC_WeldingDetectionRes"]


def test_welding_detection_can_be_left_out() -> None:
    bench = Bench(welding_detection=False)
    assert bench.run().outcome is Outcome.TERMINATED
    assert bench.player.sent(dc.DC_WeldingDetectionReq) == []


def test_a_code_that_does_not_belong_to_a_message_is_reported() -> None:
    bench = Bench()
    bench.secc.script(
        common.ServiceSelectionReq,
        lambda request: common.ServiceSelectionRes(
            header=bench.secc.header(), response_code=ResponseCode.WARNING_WPT
        ),
    )
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert "WARNING_WPT" in result.deviations[0].text
