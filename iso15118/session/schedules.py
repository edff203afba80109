"""Schedules, power profiles and prices: building, reading and checking them.

Times are Unix seconds, powers W (positive charges), energies Wh. A schedule's entries follow one another
from its TimeAnchor; each is a ceiling for its interval [V2G20-2138].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from ..messages import common
from ..messages.common_types import RationalNumber
from .values import PerPhase, total

DAY = 86_400
PRICE_ALGORITHMS = ("1-Power", "2-PeakPower", "3-StackedEnergy")
PRICE_ALGORITHM = "urn:iso:std:iso:15118:-20:PriceAlgorithm:"
PROFILE_SLACK = 0.005
"""Relative excess of a power profile that is put down to rounding (a fielded EV asks 11 040 W of 11 000 W
offered).
"""


class Entry(Struct, frozen=True):
    """One interval of a schedule or profile, in Unix s and W."""

    start: float
    end: float
    power: PerPhase

    @property
    def total(self) -> float:
        return total(self.power)


def rational(value: float) -> RationalNumber:
    return RationalNumber.of(value)


def power_entry(duration: float, power: Sequence[float]) -> common.PowerScheduleEntry:
    """An entry as sent, of one or three phases; three go out per phase."""
    if len(power) == 1:
        return common.PowerScheduleEntry(duration=round(duration), power=rational(power[0]))
    return common.PowerScheduleEntry(
        duration=round(duration),
        power=rational(power[0]),
        power_l2=rational(power[1]),
        power_l3=rational(power[2]),
    )


def power_of(entry: common.PowerScheduleEntry) -> PerPhase:
    if entry.power_l2 is None or entry.power_l3 is None:
        return (float(entry.power),)
    return float(entry.power), float(entry.power_l2), float(entry.power_l3)


def power_schedule(
    anchor: int,
    entries: Iterable[tuple[float, PerPhase]],
    *,
    available_energy: float | None = None,
    tolerance: float | None = None,
) -> common.PowerSchedule:
    """A schedule from (duration, power) pairs."""
    return common.PowerSchedule(
        time_anchor=anchor,
        available_energy=None if available_energy is None else rational(available_energy),
        power_tolerance=None if tolerance is None else rational(tolerance),
        power_schedule_entries=common.PowerScheduleEntryList(
            power_schedule_entry=[power_entry(duration, power) for duration, power in entries]
        ),
    )


def schedule_tuple(
    tuple_id: int,
    charging: common.PowerSchedule,
    *,
    prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule | None = None,
    discharging: common.PowerSchedule | None = None,
    discharging_prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule | None = None,
) -> common.ScheduleTuple:
    return common.ScheduleTuple(
        schedule_tuple_id=tuple_id,
        charging_schedule=common.ChargingSchedule(power_schedule=charging, price_schedule=prices),
        discharging_schedule=None
        if discharging is None
        else common.ChargingSchedule(power_schedule=discharging, price_schedule=discharging_prices),
    )


def flat_tuple(
    anchor: int, power: PerPhase, discharge: PerPhase | None = None, duration: float = DAY, tuple_id: int = 1
) -> common.ScheduleTuple:
    """One ceiling all the time: the simplest complete offer."""
    return schedule_tuple(
        tuple_id,
        power_schedule(anchor, [(duration, power)]),
        discharging=None if discharge is None else power_schedule(anchor, [(duration, discharge)]),
    )


def price_every_schedule(item: common.ScheduleTuple) -> common.ScheduleTuple:
    """The tuple with one price level, which tells no time from another, where it has no prices."""
    discharging = item.discharging_schedule
    return common.ScheduleTuple(
        schedule_tuple_id=item.schedule_tuple_id,
        charging_schedule=_priced(item.charging_schedule, 1),
        discharging_schedule=None if discharging is None else _priced(discharging, 2),
    )


def _priced(schedule: common.ChargingSchedule, schedule_id: int) -> common.ChargingSchedule:
    if schedule.price_schedule is not None:
        return schedule
    power = schedule.power_schedule
    duration = sum(entry.duration for entry in power.power_schedule_entries.power_schedule_entry)
    level = price_levels(power.time_anchor, [(duration, 1)], schedule_id=schedule_id)
    return common.ChargingSchedule(power_schedule=power, price_schedule=level)


def with_discharge_sign(item: common.ScheduleTuple, *, negative: bool) -> common.ScheduleTuple:
    """The tuple with the power of its discharging schedule below zero, or as magnitudes."""
    discharging = item.discharging_schedule
    if discharging is None:
        return item
    sign = -1 if negative else 1
    power = discharging.power_schedule
    entries = [
        power_entry(entry.duration, [sign * abs(phase) for phase in power_of(entry)])
        for entry in power.power_schedule_entries.power_schedule_entry
    ]
    turned = replace(
        power, power_schedule_entries=common.PowerScheduleEntryList(power_schedule_entry=entries)
    )
    return replace(item, discharging_schedule=replace(discharging, power_schedule=turned))


def entries_of(schedule: common.PowerSchedule | common.EVPowerProfile) -> list[Entry]:
    """The intervals of a schedule or of a profile."""
    items = (
        schedule.power_schedule_entries.power_schedule_entry
        if isinstance(schedule, common.PowerSchedule)
        else schedule.ev_power_profile_entries.ev_power_profile_entry
    )
    found, start = [], float(schedule.time_anchor)
    for item in items:
        found.append(Entry(start, start + item.duration, power_of(item)))
        start += item.duration
    return found


def power_at(entries: Sequence[Entry], time: float) -> PerPhase | None:
    """The power of the interval that holds `time`; None outside of all. Before the first anchor the first
    holds: clocks of the two sides differ by some seconds.
    """
    if entries and time < entries[0].start:
        return entries[0].power
    return next((entry.power for entry in entries if entry.start <= time < entry.end), None)


def covers(schedule: common.PowerSchedule, now: float) -> bool:
    """Whether an interval holds `now`, Unix s; 1 s before the first is well enough."""
    entries = entries_of(schedule)
    return bool(entries) and entries[0].start - 1 <= now < entries[-1].end


def anchored(item: common.ScheduleTuple, anchor: int) -> common.ScheduleTuple:
    """The tuple with its power schedules from `anchor`, Unix s: some stacks anchor at 0."""
    charging, discharging = item.charging_schedule, item.discharging_schedule
    moved = replace(charging.power_schedule, time_anchor=anchor)
    if discharging is not None:
        back = replace(discharging.power_schedule, time_anchor=anchor)
        discharging = replace(discharging, power_schedule=back)
    return replace(
        item, charging_schedule=replace(charging, power_schedule=moved), discharging_schedule=discharging
    )


def fit(schedule: common.PowerSchedule, max_points: int) -> common.PowerSchedule:
    """The schedule in at most `max_points` entries [V2G20-1056]: neighbours join under the lower ceiling,
    those first that lose the least energy.
    """
    items = list(schedule.power_schedule_entries.power_schedule_entry)
    if len(items) <= max_points:
        return schedule
    joined = [(item.duration, power_of(item)) for item in items]
    while len(joined) > max_points:
        losses = [
            abs(total(first) - total(second)) * (short if abs(total(first)) > abs(total(second)) else long)
            for (short, first), (long, second) in pairwise(joined)
        ]
        at = losses.index(min(losses))
        (duration, first), (other, second) = joined[at : at + 2]
        joined[at : at + 2] = [(duration + other, min(first, second, key=lambda power: abs(total(power))))]
    return power_schedule(
        schedule.time_anchor,
        joined,
        available_energy=None if schedule.available_energy is None else float(schedule.available_energy),
        tolerance=None if schedule.power_tolerance is None else float(schedule.power_tolerance),
    )


def fit_tuple(item: common.ScheduleTuple, max_points: int) -> common.ScheduleTuple:
    """The tuple with no schedule longer than `max_points` entries; price schedules end early."""
    return common.ScheduleTuple(
        schedule_tuple_id=item.schedule_tuple_id,
        charging_schedule=_fit_charging(item.charging_schedule, max_points),
        discharging_schedule=None
        if item.discharging_schedule is None
        else _fit_charging(item.discharging_schedule, max_points),
    )


def _fit_charging(schedule: common.ChargingSchedule, max_points: int) -> common.ChargingSchedule:
    return common.ChargingSchedule(
        power_schedule=fit(schedule.power_schedule, max_points),
        price_schedule=fit_prices(schedule.price_schedule, max_points),
    )


def fit_prices(
    prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule | None, max_points: int
) -> common.AbsolutePriceSchedule | common.PriceLevelSchedule | None:
    """Prices cannot be joined without changing them; what goes beyond `max_points` is left for a
    renegotiation. A signed schedule (with Id) is not touched.
    """
    if prices is None or prices.id is not None:
        return prices
    if isinstance(prices, common.PriceLevelSchedule):
        levels = prices.price_level_schedule_entries.price_level_schedule_entry
        if len(levels) > max_points:
            entries = common.PriceLevelScheduleEntryList(price_level_schedule_entry=levels[:max_points])
            return _with(prices, price_level_schedule_entries=entries)
        return prices
    stacks = prices.price_rule_stacks.price_rule_stack
    if len(stacks) > max_points:
        return _with(
            prices, price_rule_stacks=common.PriceRuleStackList(price_rule_stack=stacks[:max_points])
        )
    return prices


def _with(
    prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule, **changes: object
) -> common.AbsolutePriceSchedule | common.PriceLevelSchedule:
    values = {name: getattr(prices, name) for name in prices.__struct_fields__}
    return type(prices)(**(values | changes))


# -- checking ------------------------------------------------------------------------------------------------


class Excess(Struct, frozen=True):
    """Where a profile leaves its schedule: W over the ceiling from `time` on; `rounding` if within the
    slack.
    """

    time: float
    power: float
    ceiling: float
    rounding: bool

    def __str__(self) -> str:
        return f"{self.power:g} W where the schedule allows {self.ceiling:g} W"


def check_profile(
    profile: common.EVPowerProfile,
    offer: common.ScheduleTuple,
    *,
    with_tolerance: bool = False,
    slack: float = PROFILE_SLACK,
) -> list[Excess]:
    """Where the profile exceeds the tuple's charging or discharging schedule, or runs beyond its end with
    power.

    `with_tolerance`: the EV confirmed the schedule's PowerTolerance, which then widens the ceiling.
    """
    found = []
    charging = _ceilings(offer.charging_schedule.power_schedule, with_tolerance)
    discharging = (
        _ceilings(offer.discharging_schedule.power_schedule, with_tolerance)
        if offer.discharging_schedule is not None
        else []
    )
    for entry in entries_of(profile):
        ceilings = charging if entry.total >= 0 else discharging
        power = abs(entry.total)
        if not power:
            continue
        for start, end, ceiling in _overlaps(entry, ceilings):
            if power > ceiling:
                found.append(Excess(start, power, ceiling, power <= ceiling * (1 + slack)))
            if end >= entry.end:
                break
    return found


def _ceilings(schedule: common.PowerSchedule, with_tolerance: bool) -> list[tuple[float, float, float]]:
    extra = (
        float(schedule.power_tolerance) if with_tolerance and schedule.power_tolerance is not None else 0.0
    )
    return [(entry.start, entry.end, abs(entry.total) + extra) for entry in entries_of(schedule)]


def _overlaps(
    entry: Entry, ceilings: list[tuple[float, float, float]]
) -> Iterator[tuple[float, float, float]]:
    """Ceilings over the entry's interval, with 0 W where there is none. The first reaches back before its
    anchor (the clocks of both sides differ), the last is followed by nothing.
    """
    at = entry.start
    for index, (start, end, ceiling) in enumerate(ceilings):
        if end > at and (start < entry.end or not index):
            yield at, end, ceiling
            at = end
            if at >= entry.end:
                return
    # An EV's profile of whole seconds may outlast a schedule by its rounding.
    if entry.end - at > 1.0:
        yield at, entry.end, 0.0


# -- prices --------------------------------------------------------------------------------------------------


def price_levels(
    anchor: int, entries: Iterable[tuple[int, int]], *, schedule_id: int = 1, description: str | None = None
) -> common.PriceLevelSchedule:
    """From (duration s, level) pairs; a smaller level is cheaper (Pricing 2)."""
    listed = list(entries)
    return common.PriceLevelSchedule(
        time_anchor=anchor,
        price_schedule_id=schedule_id,
        price_schedule_description=description,
        number_of_price_levels=len({level for _, level in listed}),
        price_level_schedule_entries=common.PriceLevelScheduleEntryList(
            price_level_schedule_entry=[
                common.PriceLevelScheduleEntry(duration=duration, price_level=level)
                for duration, level in listed
            ]
        ),
    )


def absolute_prices(
    anchor: int,
    stacks: Iterable[tuple[int, Sequence[common.PriceRule]]],
    *,
    currency: str = "EUR",
    language: str = "en",
    algorithm: str = "1-Power",
    schedule_id: int = 1,
    description: str | None = None,
    minimum_cost: float | None = None,
    maximum_cost: float | None = None,
    taxes: Sequence[common.TaxRule] = (),
    overstay: common.OverstayRuleList | None = None,
    services: Sequence[common.AdditionalService] = (),
) -> common.AbsolutePriceSchedule:
    """From (duration s, rules) pairs (Pricing 1). ValueError names what the standard does not allow."""
    if algorithm not in PRICE_ALGORITHMS:
        raise ValueError(f"price algorithm {algorithm!r} is not one of {', '.join(PRICE_ALGORITHMS)}")
    prices = common.AbsolutePriceSchedule(
        time_anchor=anchor,
        price_schedule_id=schedule_id,
        price_schedule_description=description,
        currency=currency,
        language=language,
        price_algorithm=PRICE_ALGORITHM + algorithm,
        minimum_cost=None if minimum_cost is None else rational(minimum_cost),
        maximum_cost=None if maximum_cost is None else rational(maximum_cost),
        tax_rules=common.TaxRuleList(tax_rule=list(taxes)) if taxes else None,
        price_rule_stacks=common.PriceRuleStackList(
            price_rule_stack=[
                common.PriceRuleStack(duration=duration, price_rule=list(rules)) for duration, rules in stacks
            ]
        ),
        overstay_rules=overstay,
        additional_selected_services=common.AdditionalServiceList(additional_service=list(services))
        if services
        else None,
    )
    problems = price_problems(prices)
    if problems:
        raise ValueError("; ".join(problems))
    return prices


def price_rule(
    energy_fee: float,
    *,
    from_power: float = 0.0,
    parking_fee: float | None = None,
    parking_period: int | None = None,
) -> common.PriceRule:
    """Currency per kWh from `from_power` W up; parking fee per `parking_period` s."""
    return common.PriceRule(
        energy_fee=rational(energy_fee),
        parking_fee=None if parking_fee is None else rational(parking_fee),
        parking_fee_period=parking_period,
        power_range_start=rational(from_power),
    )


def price_problems(prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule) -> list[str]:
    """What makes a price schedule useless to its reader."""
    if isinstance(prices, common.PriceLevelSchedule):
        levels = {
            entry.price_level for entry in prices.price_level_schedule_entries.price_level_schedule_entry
        }
        if len(levels) > prices.number_of_price_levels:
            return [
                f"{len(levels)} price levels used, NumberOfPriceLevels is {prices.number_of_price_levels}"
            ]
        return []
    found = []
    if len(prices.currency) != 3:
        found.append(f"Currency {prices.currency!r} is not an ISO 4217 code")
    name = prices.price_algorithm.removeprefix(PRICE_ALGORITHM)
    if name not in PRICE_ALGORITHMS:
        found.append(f"PriceAlgorithm {prices.price_algorithm!r} is not known")
    if (
        prices.minimum_cost is not None
        and prices.maximum_cost is not None
        and float(prices.minimum_cost) > float(prices.maximum_cost)
    ):
        found.append("MinimumCost is above MaximumCost")
    for index, stack in enumerate(prices.price_rule_stacks.price_rule_stack, start=1):
        starts = [float(rule.power_range_start) for rule in stack.price_rule]
        if len(set(starts)) != len(starts):
            found.append(f"price rule stack {index} has two rules from the same power")
        if any((rule.parking_fee is None) != (rule.parking_fee_period is None) for rule in stack.price_rule):
            found.append(f"price rule stack {index} has a ParkingFee without its period, or the reverse")
    return found


def rule_for(stack: common.PriceRuleStack, power: float) -> common.PriceRule | None:
    """The rule that holds at `power` W: from its PowerRangeStart up to the next rule's. Rules for discharging
    have a negative start and hold from it downwards; that is our reading, no public source tells.
    """
    if power >= 0:
        usable = [rule for rule in stack.price_rule if 0 <= float(rule.power_range_start) <= power]
        return max(usable, key=lambda rule: float(rule.power_range_start), default=None)
    usable = [rule for rule in stack.price_rule if power <= float(rule.power_range_start) < 0]
    return min(usable, key=lambda rule: float(rule.power_range_start), default=None)


def energy_cost(prices: common.AbsolutePriceSchedule, profile: Sequence[Entry]) -> float:
    """Cost of the energy of a profile in the schedule's currency, taxes on energy and cost limits included;
    parking and overstay are not. Algorithm 1-Power: the rule of the present power holds for all of it.
    """
    rates = [
        float(tax.tax_rate)
        for tax in (prices.tax_rules.tax_rule if prices.tax_rules is not None else ())
        if tax.applies_to_energy_fee and not tax.tax_included_in_price
    ]
    cost, start = 0.0, float(prices.time_anchor)
    for stack in prices.price_rule_stacks.price_rule_stack:
        end = start + stack.duration
        for entry in profile:
            seconds = min(end, entry.end) - max(start, entry.start)
            rule = rule_for(stack, entry.total)
            if seconds > 0 and rule is not None:
                cost += float(rule.energy_fee) * entry.total * seconds / 3_600_000
        start = end
    cost *= 1 + sum(rates) / 100
    if prices.minimum_cost is not None:
        cost = max(cost, float(prices.minimum_cost))
    if prices.maximum_cost is not None:
        cost = min(cost, float(prices.maximum_cost))
    return cost
