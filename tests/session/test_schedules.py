"""Schedules, profiles and prices; figures worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso15118.messages import common
from iso15118.messages.common_types import RationalNumber
from iso15118.session import schedules
from iso15118.session.schedules import Entry

of = RationalNumber.of
T0 = 1_800_000_000


def profile(entries: list[tuple[int, float]], anchor: int = T0) -> common.EVPowerProfile:
    return common.EVPowerProfile(
        time_anchor=anchor,
        control_mode=common.Scheduled_EVPPTControlMode(selected_schedule_tuple_id=1),
        ev_power_profile_entries=common.EVPowerProfileEntryList(
            ev_power_profile_entry=[
                common.PowerScheduleEntry(duration=duration, power=of(power)) for duration, power in entries
            ]
        ),
    )


STEPS = schedules.schedule_tuple(
    1, schedules.power_schedule(T0, [(600, (10_000.0,)), (600, (0.0,)), (600, (5_000.0,))], tolerance=1_000.0)
)


def test_entries_follow_one_another_from_the_anchor():
    assert schedules.entries_of(STEPS.charging_schedule.power_schedule) == [
        Entry(T0, T0 + 600, (10_000.0,)),
        Entry(T0 + 600, T0 + 1200, (0.0,)),
        Entry(T0 + 1200, T0 + 1800, (5_000.0,)),
    ]


def test_the_power_of_a_time_is_that_of_its_interval():
    entries = schedules.entries_of(STEPS.charging_schedule.power_schedule)
    times = (T0 - 5, T0, T0 + 599.9, T0 + 600, T0 + 1799, T0 + 1800)
    assert [schedules.power_at(entries, time) for time in times] == [
        (10_000,),
        (10_000,),
        (10_000,),
        (0,),
        (5_000,),
        None,
    ]
    assert schedules.power_at([], T0) is None


def test_three_phases_are_sent_and_read_per_phase():
    entry = schedules.power_entry(60, (1000.0, 2000.0, 3000.0))
    assert (float(entry.power), float(entry.power_l2 or of(0)), float(entry.power_l3 or of(0))) == (
        1000,
        2000,
        3000,
    )
    assert schedules.power_of(entry) == (1000, 2000, 3000)
    assert schedules.power_of(schedules.power_entry(60, (4000.0,))) == (4000,)
    assert Entry(0, 1, (1000.0, 2000.0, 3000.0)).total == 6000


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([(1800, 0.0)], []),
        ([(600, 10_000.0), (600, 0.0), (600, 5_000.0)], []),
        ([(700, 10_000.0)], [(T0 + 600, 10_000.0, 0.0, False)]),
        ([(600, 10_040.0)], [(T0, 10_040.0, 10_000.0, True)]),
        ([(600, 10_060.0)], [(T0, 10_060.0, 10_000.0, False)]),
        ([(1200, 0.0), (601, 5_000.0)], []),  # a second of rounding at the end
        ([(1200, 0.0), (660, 5_000.0)], [(T0 + 1800, 5_000.0, 0.0, False)]),
        ([(600, -1.0)], [(T0, 1.0, 0.0, False)]),  # no discharging schedule
    ],
)
def test_a_profile_is_compared_interval_by_interval(entries, found):
    excesses = schedules.check_profile(profile(entries), STEPS)
    assert [(item.time, item.power, item.ceiling, item.rounding) for item in excesses] == found


def test_the_tolerance_widens_the_schedule_once_confirmed():
    over = profile([(600, 10_900.0)])
    assert len(schedules.check_profile(over, STEPS)) == 1
    assert schedules.check_profile(over, STEPS, with_tolerance=True) == []


def test_a_profile_that_begins_before_the_schedule_is_held_to_its_first_entry():
    """The clocks of both sides differ by some seconds."""
    assert schedules.check_profile(profile([(600, 10_000.0)], T0 - 3), STEPS) == []
    assert len(schedules.check_profile(profile([(600, 12_000.0)], T0 - 3), STEPS)) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_discharging_schedules_of_either_sign_are_magnitudes(sign):
    offer = schedules.flat_tuple(T0, (10_000.0,), (sign * 4_000.0,))
    assert schedules.check_profile(profile([(600, -4_000.0)]), offer) == []
    assert len(schedules.check_profile(profile([(600, -4_100.0)]), offer)) == 1


def test_fitting_joins_under_the_lower_ceiling_where_it_costs_least():
    schedule = schedules.power_schedule(T0, [(60, (100.0,)), (60, (90.0,)), (60, (20.0,)), (600, (10.0,))])
    fitted = schedules.entries_of(schedules.fit(schedule, 3))
    # 100 and 90 lose 60 s x 10 W, 20 and 10 lose 60 s x 10 W, 90 and 20 lose 60 s x 70 W: the first is taken.
    assert [(entry.end - entry.start, entry.total) for entry in fitted] == [(120, 90), (60, 20), (600, 10)]


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(-30_000, 30_000)), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_a_fitted_schedule_never_allows_more(entries, points):
    schedule = schedules.power_schedule(T0, [(duration, (float(power),)) for duration, power in entries])
    before, after = schedules.entries_of(schedule), schedules.entries_of(schedules.fit(schedule, points))
    assert len(after) == min(points, len(entries))
    assert after[-1].end == before[-1].end
    for entry in before:
        middle = (entry.start + entry.end) / 2
        power = schedules.power_at(after, middle)
        assert power is not None
        assert abs(power[0]) <= abs(entry.total) + 1e-9


def test_a_signed_price_schedule_is_not_cut():
    prices = schedules.price_levels(T0, [(60, index % 3) for index in range(30)])
    cut = schedules.fit_prices(prices, 12)
    assert isinstance(cut, common.PriceLevelSchedule)
    assert len(cut.price_level_schedule_entries.price_level_schedule_entry) == 12
    prices.id = "ID1"
    assert schedules.fit_prices(prices, 12) is prices


def test_absolute_prices_are_cut_to_the_points_of_the_ev():
    prices = schedules.absolute_prices(T0, [(60, [schedules.price_rule(0.1)])] * 20)
    cut = schedules.fit_prices(prices, 12)
    assert isinstance(cut, common.AbsolutePriceSchedule)
    assert len(cut.price_rule_stacks.price_rule_stack) == 12
    assert cut.currency == "EUR"


# -- prices --------------------------------------------------------------------------------------------------

DAY_AND_NIGHT = [
    (3600, [schedules.price_rule(0.5), schedules.price_rule(0.8, from_power=11_000.0)]),
    (3600, [schedules.price_rule(0.25), schedules.price_rule(-0.1, from_power=-100_000.0)]),
]


def test_a_rule_holds_from_its_power_up_to_the_next():
    first, second = schedules.absolute_prices(T0, DAY_AND_NIGHT).price_rule_stacks.price_rule_stack
    assert [
        float(rule.energy_fee)
        for power in (0, 10_999, 11_000, 50_000)
        if (rule := schedules.rule_for(first, power))
    ] == [
        0.5,
        0.5,
        0.8,
        0.8,
    ]
    assert schedules.rule_for(first, -1.0) is None
    assert schedules.rule_for(second, -50_000.0) is None
    sold = schedules.rule_for(second, -200_000.0)
    assert sold is not None
    assert float(sold.energy_fee) == -0.1


def test_energy_costs_what_its_hours_cost():
    prices = schedules.absolute_prices(T0, DAY_AND_NIGHT)
    # 30 min of 10 kW at 0.50, 30 min of 20 kW at 0.80, one hour of 4 kW at 0.25.
    used = [
        Entry(T0, T0 + 1800, (10_000.0,)),
        Entry(T0 + 1800, T0 + 3600, (20_000.0,)),
        Entry(T0 + 3600, T0 + 7200, (4_000.0,)),
    ]
    assert schedules.energy_cost(prices, used) == pytest.approx(2.5 + 8.0 + 1.0)


def test_taxes_and_bounds_of_the_cost_apply():
    tax = common.TaxRule(
        tax_rule_id=1,
        tax_rate=of(20),
        applies_to_energy_fee=True,
        applies_to_parking_fee=False,
        applies_to_overstay_fee=False,
        applies_minimum_maximum_cost=False,
    )
    hour = [Entry(T0, T0 + 3600, (10_000.0,))]
    rules = [(3600, [schedules.price_rule(0.5)])]
    assert schedules.energy_cost(schedules.absolute_prices(T0, rules, taxes=[tax]), hour) == pytest.approx(
        6.0
    )
    assert schedules.energy_cost(schedules.absolute_prices(T0, rules, maximum_cost=4.0), hour) == 4.0
    assert schedules.energy_cost(schedules.absolute_prices(T0, rules, minimum_cost=9.0), hour) == 9.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"currency": "EURO"}, "ISO 4217"),
        ({"algorithm": "4-Magic"}, "price algorithm"),
        ({"minimum_cost": 5.0, "maximum_cost": 4.0}, "MinimumCost"),
    ],
)
def test_prices_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        schedules.absolute_prices(T0, DAY_AND_NIGHT, **changes)


def test_rules_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="stack 1 has two rules from the same power"):
        schedules.absolute_prices(T0, [(60, [schedules.price_rule(1.0), schedules.price_rule(2.0)])])
    with pytest.raises(ValueError, match="ParkingFee without its period"):
        schedules.absolute_prices(T0, [(60, [schedules.price_rule(1.0, parking_fee=1.0)])])


def test_price_levels_count_their_levels():
    prices = schedules.price_levels(T0, [(60, 2), (60, 0), (60, 2)])
    assert prices.number_of_price_levels == 2
    assert schedules.price_problems(prices) == []
    prices.number_of_price_levels = 1
    assert schedules.price_problems(prices) == ["2 price levels used, NumberOfPriceLevels is 1"]


def test_everything_a_price_schedule_can_say_is_said():
    prices = schedules.absolute_prices(
        T0,
        DAY_AND_NIGHT,
        overstay=common.OverstayRuleList(
            overstay_time_threshold=600,
            overstay_rule=[common.OverstayRule(start_time=0, overstay_fee=of(1), overstay_fee_period=60)],
        ),
        services=[common.AdditionalService(service_name="Wash", service_fee=of(9.5))],
    )
    assert prices.overstay_rules is not None
    assert prices.additional_selected_services is not None
    assert prices.price_algorithm == "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"
