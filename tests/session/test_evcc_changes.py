"""An EVCC that is given schedules, and whose session changes: notifications, standby, renegotiation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from iso15118.messages import common, dc
from iso15118.messages.common_types import (
    EVSENotification,
    ResponseCode,
)
from iso15118.session import schedules
from iso15118.session.evcc import (
    EVCCConfig,
    Interval,
    Outcome,
    Plan,
    PlanRequest,
)
from iso15118.session.events import Severity
from iso15118.session.services import (
    BPTChannel,
    ControlMode,
    EnergyMode,
    Pricing,
    ServiceID,
)
from iso15118.session.values import MobilityNeeds
from iso15118.session.vehicle import DCTarget, Wish

from .evcc_bench import (
    DYNAMIC,
    FLEET,
    SCHEDULED,
    UNIX,
    Bench,
    Car,
    ScriptedSECC,
    number,
    offering,
    rules,
    severities,
)

# -- schedules
# --------------------------------------------------------------------------------------------------


def test_a_schedule_that_does_not_cover_the_present_is_taken_from_now_on_and_reported() -> None:
    """A public stack anchors its schedules at 0."""
    bench = Bench(SCHEDULED)
    offering(bench, schedules.flat_tuple(0, (40_000.0,), duration=3600))
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert [item.message for item in result.deviations] == ["ScheduleExchangeRes"]
    profile = bench.player.sent(common.PowerDeliveryReq)[0].ev_power_profile
    assert profile.time_anchor == pytest.approx(UNIX, abs=5)
    assert float(bench.loops()[1].control_mode.ev_target_current) == 100  # 40 kW at 400 V


def test_the_clock_of_the_secc_counts_for_its_schedules() -> None:
    """The SECC's clock is a day off; its schedules are too, and hold all the same."""
    bench = Bench(SCHEDULED)
    day = 86_400
    bench.secc.clock_error = day
    result = bench.run()
    assert list(result.deviations) == []
    assert float(bench.loops()[1].control_mode.ev_target_current) == 100
    assert bench.loops()[0].header.timestamp == pytest.approx(UNIX, abs=5)


def test_no_tuples_in_scheduled_mode_end_the_session() -> None:
    bench = Bench(SCHEDULED)
    bench.secc.on[common.ScheduleExchangeReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request), control_mode=common.Dynamic_SEResControlMode()
    )
    result = bench.run()
    assert result.outcome is Outcome.ABORTED
    assert rules(result) == ["V2G20-1600"]
    assert bench.player.sent(common.SessionStopReq)[0].ev_termination_code == "NoSchedule"


def test_more_entries_than_the_ev_supports_are_reported() -> None:
    bench = Bench(SCHEDULED, maximum_supporting_points=12)
    entries: list[tuple[float, tuple[float]]] = [(600.0, (20_000.0 + n,)) for n in range(13)]
    offering(bench, schedules.schedule_tuple(1, schedules.power_schedule(int(UNIX), entries)))
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert "13 entries" in result.deviations[0].text
    assert bench.player.sent(common.ScheduleExchangeReq)[0].maximum_supporting_points == 12


@pytest.mark.parametrize("points", [11, 1025])
def test_maximum_supporting_points_must_be_12_to_1024(points: int) -> None:
    with pytest.raises(ValueError, match="maximum_supporting_points"):
        EVCCConfig(maximum_supporting_points=points)


def test_missing_prices_are_noted_where_the_parameter_set_announced_them() -> None:
    bench = Bench(EnergyMode(ServiceID.DC, ControlMode.SCHEDULED, 7, pricing=Pricing.ABSOLUTE))
    result = bench.run()
    assert rules(result) == ["V2G20-2176"]
    assert severities(result) == [Severity.NOTE]


def test_the_same_tuple_id_twice_is_reported() -> None:
    bench = Bench(SCHEDULED)
    item = schedules.flat_tuple(int(UNIX), (20_000.0,), tuple_id=4)
    offering(bench, item, item)
    assert "tuple ids [4, 4]" in bench.run().deviations[0].text


@pytest.mark.parametrize("mode", [DYNAMIC, SCHEDULED])
def test_go_to_pause_stops_before_any_contactor_closes(mode: EnergyMode) -> None:
    bench = Bench(mode)
    bench.secc.on[common.ScheduleExchangeReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request), go_to_pause=True
    )
    result = bench.run()
    assert result.outcome is Outcome.PAUSED
    assert result.paused is not None
    assert result.paused.session_id == b"\x01" * 8
    assert bench.progress() == ["Stop"]
    assert True not in [closed for _, closed in bench.car.closed]


def test_needs_of_the_secc_are_adopted_in_mobility_needs_mode_2_only() -> None:
    needs = common.Dynamic_SEResControlMode(departure_time=900, minimum_soc=20, target_soc=60)
    for mode, adopted in ((FLEET, 1), (DYNAMIC, 0)):
        bench = Bench(mode)
        secc = bench.secc

        def schedule(request: common.ScheduleExchangeReq, secc: ScriptedSECC = secc) -> Any:
            return msgspec.structs.replace(secc.usual(request), control_mode=needs)

        secc.on[common.ScheduleExchangeReq] = schedule
        result = bench.run()
        assert len(bench.car.adopted) == adopted
        assert severities(result) == ([] if adopted else [Severity.NOTE])
        if adopted:
            assert bench.car.adopted == [(MobilityNeeds(departure=900, min_soc=20, target_soc=60), None)]


def test_a_minimum_above_the_target_is_reported_and_not_adopted() -> None:
    """[V2G20-1640] in ScheduleExchange, [V2G20-1290] in the DC loop."""
    bench = Bench(FLEET)
    bench.secc.on[common.ScheduleExchangeReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request),
        control_mode=common.Dynamic_SEResControlMode(minimum_soc=70, target_soc=60),
    )
    wrong = dc.Dynamic_DC_CLResControlMode(
        minimum_soc=70,
        target_soc=60,
        evse_maximum_charge_power=number(120_000),
        evse_minimum_charge_power=number(0),
        evse_maximum_charge_current=number(300),
        evse_maximum_voltage=number(1000),
    )
    bench.loop({"control_mode": wrong})
    result = bench.run()
    assert sorted(filter(None, rules(result))) == ["V2G20-1290", "V2G20-1640"]
    assert bench.car.adopted == []


# -- notifications
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notification", "outcome"),
    [(EVSENotification.Pause, Outcome.PAUSED), (EVSENotification.Terminate, Outcome.TERMINATED)],
)
@pytest.mark.parametrize(
    ("delay", "reaction", "seconds"), [(60, 0.0, 0.0), (60, 2.0, 2.0), (1, 2.0, 1.0), (0, 2.0, 0.0)]
)
def test_the_ev_reacts_within_the_time_it_has(
    notification: EVSENotification, outcome: Outcome, delay: int, reaction: float, seconds: float
) -> None:
    bench = Bench(loops=1000, reaction_time=reaction)
    bench.secc.notify(notification, delay)
    result = bench.run()
    assert result.outcome is outcome
    told = bench.times(dc.DC_ChargeLoopReq)[0]
    stop = bench.times(common.PowerDeliveryReq)[-1]
    assert seconds - 1e-9 <= stop - told <= seconds + 0.5


def test_service_renegotiation_that_was_not_announced_is_not_followed() -> None:
    bench = Bench()
    bench.secc.renegotiation = False
    bench.secc.notify(EVSENotification.ServiceRenegotiation)
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert bench.progress() == ["Start", "Stop"]
    assert "ServiceRenegotiation" in result.deviations[0].text


def test_the_ev_does_not_ask_for_a_service_renegotiation_that_is_not_supported() -> None:
    bench = Bench()
    bench.secc.renegotiation = False
    bench.car.wishes = {5: Wish.RENEGOTIATE_SERVICE}
    assert bench.run().outcome is Outcome.TERMINATED
    assert [r.charging_session for r in bench.player.sent(common.SessionStopReq)] == ["Terminate"]


def test_standby_is_repeated_in_time_and_ends_with_a_start() -> None:
    """[V2G20-2113]"""
    bench = Bench(loops=12, standby_interval=40.0)
    begun: list[float] = []

    class Napper(Car):
        def wish(self, now: float) -> Wish:
            if self.seen >= 6 and (not begun or now - begun[0] < 100):
                begun.append(now)
                return Wish.STANDBY
            return super().wish(now)

    bench.evcc.vehicle = bench.car = Napper(loops=12)
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert bench.progress() == ["Start", "Standby", "Standby", "Standby", "Start", "Stop"]
    times = bench.times(common.PowerDeliveryReq)
    assert [round(later - earlier) for earlier, later in pairwise(times[1:5])] == [40, 40, 20]
    assert list(result.deviations) == []
    with pytest.raises(ValueError, match="standby_interval"):
        EVCCConfig(standby_interval=41.0)


def test_standby_can_lead_out_of_the_session() -> None:
    for then, outcome in ((Wish.STOP, Outcome.TERMINATED), (Wish.PAUSE, Outcome.PAUSED)):
        bench = Bench()

        class Leaver(Car):
            naps = 0

            def wish(self, now: float, then: Wish = then) -> Wish:
                if self.seen < 2:
                    return Wish.CHARGE
                self.naps += 1
                return Wish.STANDBY if self.naps < 5 else then

        bench.evcc.vehicle = bench.car = Leaver()
        result = bench.run()
        assert result.outcome is outcome
        assert bench.progress() == ["Start", "Standby", "Stop"]


def test_standby_can_lead_to_another_schedule() -> None:
    bench = Bench(SCHEDULED)

    class Planner(Car):
        naps = 0

        def wish(self, now: float) -> Wish:
            if self.seen == 2 and self.naps < 5:
                self.naps += 1
                return Wish.STANDBY if self.naps < 5 else Wish.RENEGOTIATE_SCHEDULE
            return super().wish(now)

    bench.evcc.vehicle = bench.car = Planner(loops=5)
    assert bench.run().outcome is Outcome.TERMINATED
    assert bench.progress() == ["Start", "Standby", "ScheduleRenegotiation", "Start", "Stop"]


def test_a_renegotiation_can_end_in_a_pause() -> None:
    bench = Bench(SCHEDULED, renegotiate_limits=True)
    bench.car.wishes = {2: Wish.RENEGOTIATE_SCHEDULE}
    asked: list[common.ScheduleExchangeReq] = []

    def schedule(request: common.ScheduleExchangeReq) -> Any:
        asked.append(request)
        return msgspec.structs.replace(bench.secc.usual(request), go_to_pause=len(asked) == 2)

    bench.secc.on[common.ScheduleExchangeReq] = schedule
    result = bench.run()
    assert result.outcome is Outcome.PAUSED
    assert bench.progress() == ["Start", "ScheduleRenegotiation", "Stop"]
    assert len(bench.player.sent(dc.DC_ChargeParameterDiscoveryReq)) == 2


def test_a_refused_power_tolerance_leaves_the_profile_as_it_is() -> None:
    bench = Bench(SCHEDULED)
    entries: list[tuple[float, tuple[float]]] = [(3600.0, (30_000.0,))]
    offering(
        bench, schedules.schedule_tuple(3, schedules.power_schedule(int(UNIX), entries, tolerance=2000.0))
    )
    bench.car.target = DCTarget(voltage=420.0, current=1000.0)
    bench.secc.script(
        common.PowerDeliveryReq,
        lambda request: common.PowerDeliveryRes(
            header=bench.secc.header(), response_code=ResponseCode.WARNING_PowerToleranceNotConfirmed
        ),
    )
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    assert list(result.deviations) == []
    said = bench.player.sent(common.PowerDeliveryReq)[0].ev_power_profile.control_mode
    assert said.power_tolerance_acceptance is common.PowerToleranceAcceptance.PowerToleranceConfirmed
    assert float(bench.loops()[1].control_mode.ev_target_current) == 75.0


def test_a_tolerance_confirmed_without_having_been_accepted_is_noted() -> None:
    bench = Bench(SCHEDULED)
    bench.secc.script(
        common.PowerDeliveryReq,
        lambda request: common.PowerDeliveryRes(
            header=bench.secc.header(), response_code=ResponseCode.OK_PowerToleranceConfirmed
        ),
    )
    assert severities(bench.run()) == [Severity.NOTE]


def test_separate_channels_are_switched_when_the_plan_turns() -> None:
    """[V2G20-2123]: a plan that first discharges and then charges names each direction in time."""
    mode = EnergyMode(ServiceID.DC_BPT, ControlMode.SCHEDULED, 7, channel=BPTChannel.SEPARATED)

    def both_ways(request: PlanRequest) -> Plan:
        halves = (Interval(3, (-8_000.0,)), Interval(3600, (8_000.0,)))
        return Plan(request.tuples[0].schedule_tuple_id, int(request.now), halves)

    bench = Bench(mode, loops=30, plan=both_ways)
    result = bench.run()
    assert result.outcome is Outcome.TERMINATED
    named = [request.bpt_channel_selection for request in bench.player.sent(common.PowerDeliveryReq)]
    assert named == [common.ChannelSelection.Discharge, common.ChannelSelection.Charge, None]
    assert bench.progress() == ["Start", "Start", "Stop"]
