"""The EV's choice among schedule tuples, and its power profile within the one it chose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso15118.exi import SchemaSet, decode, encode
from iso15118.messages import common
from iso15118.messages.common_types import MessageHeader, Processing
from iso15118.session import schedules
from iso15118.session.evcc import Interval, Plan, PlanRequest
from iso15118.session.evcc_schedule import dynamic_profile, plan
from iso15118.session.services import ControlMode, EnergyMode, ServiceID
from iso15118.session.values import MobilityNeeds, PerPhase, total

NOW = 1_700_000_000
BPT = EnergyMode(ServiceID.DC_BPT, ControlMode.SCHEDULED)
HOUR = 3600.0


def request(
    *tuples: common.ScheduleTuple,
    energy: float | None = 20_000.0,
    most: float | None = 30_000.0,
    departure: float | None = None,
    now: float = NOW,
    charge: float = 50_000.0,
    discharge: float = 20_000.0,
    selling: bool = False,
    bottom: float | None = None,
    confirm: bool = True,
) -> PlanRequest:
    return PlanRequest(
        tuples=tuples,
        mode=BPT,
        needs=MobilityNeeds(
            departure=departure, target_energy=energy, max_energy=most, min_v2x_energy=bottom
        ),
        charge_power=charge,
        discharge_power=discharge,
        now=now,
        confirm_tolerance=confirm,
        selling=selling,
    )


def item(
    *entries: tuple[float, PerPhase],
    tuple_id: int = 1, fee: float | None = None, discharging: float | None = None,
    tolerance: float | None = None, anchor: int = NOW, energy: float | None = None,
) -> common.ScheduleTuple:  # fmt: skip
    seconds = round(sum(duration for duration, _ in entries))
    prices = (
        None if fee is None else schedules.absolute_prices(anchor, [(seconds, [schedules.price_rule(fee)])])
    )
    return schedules.schedule_tuple(
        tuple_id,
        schedules.power_schedule(anchor, entries, tolerance=tolerance, available_energy=energy),
        prices=prices,
        discharging=None
        if discharging is None
        else schedules.power_schedule(anchor, [(seconds, (discharging,))]),
    )


def powers(made: Plan) -> list[tuple[int, float]]:
    return [(interval.seconds, total(interval.power)) for interval in made.intervals]


def test_the_profile_follows_the_schedule_within_the_limits_of_the_ev_until_the_battery_is_full() -> None:
    made = plan(request(item((HOUR, (22_000.0,)), (HOUR, (4_000.0,)), (HOUR, (11_000.0,))), charge=10_000.0))
    # 10 kWh, 4 kWh, then 10 kWh; 30 kWh are never reached.
    assert powers(made) == [(3600, 10_000.0), (3600, 4_000.0), (3600, 10_000.0)]
    made = plan(request(item((4 * HOUR, (10_000.0,))), most=20_000.0))
    assert powers(made) == [(7200, 10_000.0), (7200, 0.0)]


def test_nothing_is_planned_after_departure() -> None:
    made = plan(request(item((4 * HOUR, (10_000.0,))), departure=5400.0))
    assert powers(made) == [(5400, 10_000.0), (9000, 0.0)]


def test_energy_is_counted_from_now_even_if_the_schedule_began_before() -> None:
    made = plan(request(item((4 * HOUR, (10_000.0,)), anchor=NOW - 3600), most=10_000.0))
    assert made.anchor == NOW - 3600
    assert powers(made) == [(7200, 10_000.0), (7200, 0.0)]
    assert made.power_at(NOW + 3599) == 10_000.0
    assert made.power_at(NOW + 3601) == 0.0


def test_the_energy_that_the_secc_has_bounds_the_plan() -> None:
    made = plan(request(item((4 * HOUR, (10_000.0,)), energy=5_000.0)))
    assert powers(made) == [(1800, 10_000.0), (12_600, 0.0)]


def test_power_per_phase_is_reduced_evenly() -> None:
    made = plan(request(item((HOUR, (4_000.0, 2_000.0, 2_000.0))), charge=4_000.0))
    assert made.intervals[0].power == (2_000.0, 1_000.0, 1_000.0)
    entry = made.message().ev_power_profile_entries.ev_power_profile_entry[0]
    assert [float(entry.power), float(entry.power_l2 or 0), float(entry.power_l3 or 0)] == [2000, 1000, 1000]


def test_the_cheapest_of_the_tuples_that_are_enough_is_chosen() -> None:
    dear = item((4 * HOUR, (22_000.0,)), tuple_id=1, fee=0.6)
    cheap = item((4 * HOUR, (8_000.0,)), tuple_id=2, fee=0.3)
    too_little = item((4 * HOUR, (1_000.0,)), tuple_id=3, fee=0.1)
    assert plan(request(dear, cheap, too_little)).tuple_id == 2
    assert plan(request(too_little, dear, cheap)).tuple_id == 2


def test_when_none_is_enough_the_one_that_gives_most_is_chosen() -> None:
    little, more = item((HOUR, (1_000.0,)), tuple_id=4), item((HOUR, (2_000.0,)), tuple_id=9, fee=0.9)
    assert plan(request(little, more)).tuple_id == 9


def test_a_selling_ev_discharges_down_to_the_bottom_of_its_range() -> None:
    both = item((4 * HOUR, (22_000.0,)), discharging=10_000.0)
    made = plan(request(both, selling=True, bottom=-5_000.0))
    assert powers(made) == [(1800, -10_000.0), (12_600, 0.0)]
    assert made.selling
    # Some stacks send the discharging schedule with negative powers: the plan is the same.
    negative = item((4 * HOUR, (22_000.0,)), discharging=-10_000.0)
    assert plan(request(negative, selling=True, bottom=-5_000.0)) == made


def test_a_selling_ev_without_discharging_schedule_rests() -> None:
    made = plan(request(item((HOUR, (22_000.0,))), selling=True, bottom=-5_000.0))
    assert powers(made) == [(3600, 0.0)]


@pytest.mark.parametrize(
    ("confirm", "said"), [(True, "PowerToleranceConfirmed"), (False, "PowerToleranceNotConfirmed")]
)
def test_the_power_tolerance_is_answered(confirm: bool, said: str) -> None:
    made = plan(request(item((HOUR, (9_000.0,)), tolerance=300.0), confirm=confirm))
    control = made.message().control_mode
    assert isinstance(control, common.Scheduled_EVPPTControlMode)
    assert control.power_tolerance_acceptance == said
    assert powers(made) == [(3600, 9_000.0)]
    without = plan(request(item((HOUR, (9_000.0,))))).message().control_mode
    assert isinstance(without, common.Scheduled_EVPPTControlMode)
    assert without.power_tolerance_acceptance is None


def test_no_tuples_are_no_plan() -> None:
    with pytest.raises(ValueError, match="no schedule tuple"):
        plan(request())


def test_a_profile_of_dynamic_mode_is_one_entry_under_an_empty_marker() -> None:
    made = dynamic_profile(NOW + 0.7, 11_000.0, 0)
    assert made.time_anchor == NOW
    assert isinstance(made.control_mode, common.Dynamic_EVPPTControlMode)
    (entry,) = made.ev_power_profile_entries.ev_power_profile_entry
    assert (entry.duration, float(entry.power)) == (1, 11_000.0)


def test_the_default_of_power_outside_the_plan_is_none() -> None:
    made = Plan(1, NOW, (Interval(10, (5.0,)), Interval(10, (7.0,))))
    assert [made.power_at(NOW + t) for t in (-1, 0, 9.9, 10, 19.9, 20)] == [0.0, 5.0, 5.0, 7.0, 7.0, 0.0]
    assert made.ends() == NOW + 20


ENTRIES = st.lists(
    st.tuples(st.integers(1, 20_000).map(float), st.floats(0, 400_000).map(lambda watts: (watts,))),
    min_size=1,
    max_size=40,
)


@given(
    entries=ENTRIES,
    age=st.integers(0, 30_000),
    energy=st.floats(0, 200_000),
    departure=st.none() | st.floats(0, 100_000),
    limit=st.floats(0, 350_000),
    selling=st.booleans(),
)
def test_a_profile_never_leaves_its_schedule(
    entries: list[tuple[float, PerPhase]],
    age: int,
    energy: float,
    departure: float | None,
    limit: float,
    selling: bool,
) -> None:
    """Judged by the SECC's own check, without tolerance or slack, after a round trip through EXI."""
    anchor = NOW - age
    offered = schedules.schedule_tuple(
        5, schedules.power_schedule(anchor, entries), discharging=schedules.power_schedule(anchor, entries)
    )
    made = plan(
        request(
            offered,
            energy=energy,
            most=energy * 1.5,
            departure=departure,
            charge=limit,
            discharge=limit,
            selling=selling,
            bottom=-energy,
        )
    )
    sent = common.PowerDeliveryReq(
        header=MessageHeader(session_id=bytes(8), timestamp=0),
        ev_processing=Processing.Finished,
        charge_progress=common.ChargeProgress.Start,
        ev_power_profile=made.message(),
    )
    received = decode(encode(sent), SchemaSet.ISO20_COMMON)
    assert isinstance(received, common.PowerDeliveryReq)
    assert received.ev_power_profile is not None
    assert schedules.check_profile(received.ev_power_profile, offered, slack=0.0) == []
    assert made.ends() == pytest.approx(anchor + sum(duration for duration, _ in entries))
    planned = sum(
        abs(entry.total) * max(0.0, entry.end - max(entry.start, NOW)) / 3600 for entry in made.entries()
    )
    # Whole seconds: at most one second of full power more than was wanted.
    assert planned <= (energy if selling else energy * 1.5) + limit / 3600 + 1e-6
    if departure is not None:
        assert made.power_at(NOW + departure + 1) == 0.0
