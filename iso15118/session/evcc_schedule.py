"""Scheduled mode at the EV: choose a schedule tuple and compute the EVPowerProfile within it. Pure functions.

Power is in W, positive to charge, negative to discharge; times are Unix s of the SECC's clock. A schedule
gives a ceiling for each interval from its TimeAnchor on; the profile keeps below it at every
moment and has the same anchor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..messages import common
from ..messages.common_types import RationalNumber
from .schedules import Entry, energy_cost, power_of
from .services import EnergyMode
from .values import MobilityNeeds, PerPhase, total

PROFILE_LIMIT = 2048
"""Entries of an EVPowerProfile."""
LONGEST = 2**32 - 1
"""Seconds that one entry can say."""


class Interval(Struct, frozen=True):
    """`seconds` at `power` W, per phase as the schedule states it."""

    seconds: int
    power: PerPhase


class PlanRequest(Struct, frozen=True):
    """What a plan is made from. `charge_power` and `discharge_power` are the greatest that both sides can do,
    in W.
    """

    tuples: Sequence[common.ScheduleTuple]
    mode: EnergyMode
    needs: MobilityNeeds
    charge_power: float
    discharge_power: float
    now: float
    """Unix s."""
    confirm_tolerance: bool
    selling: bool = False
    """Plan to discharge."""


class Plan(Struct, frozen=True):
    """The chosen tuple, the profile the EV will follow from `anchor` on, and what it made of the power
    tolerance.
    """

    tuple_id: int
    anchor: int
    intervals: tuple[Interval, ...]
    tolerance: float | None = None
    """W; None: no tolerance in the schedule."""
    tolerance_accepted: bool = False
    selling: bool = False
    """Made to discharge."""

    def power_at(self, time: float) -> float:
        """Planned power in W at a Unix time; 0 before and after the plan."""
        edge = float(self.anchor)
        if time < edge:
            return 0.0
        for interval in self.intervals:
            edge += interval.seconds
            if time < edge:
                return total(interval.power)
        return 0.0

    def ends(self) -> int:
        """Unix s."""
        return self.anchor + sum(interval.seconds for interval in self.intervals)

    def entries(self) -> list[Entry]:
        """The profile as intervals of Unix time."""
        found, start = [], float(self.anchor)
        for interval in self.intervals:
            found.append(Entry(start, start + interval.seconds, interval.power))
            start += interval.seconds
        return found

    def message(self) -> common.EVPowerProfile:
        """The profile as sent."""
        acceptance = None
        if self.tolerance is not None:
            acceptance = (
                common.PowerToleranceAcceptance.PowerToleranceConfirmed
                if self.tolerance_accepted
                else common.PowerToleranceAcceptance.PowerToleranceNotConfirmed
            )
        return profile(
            self.anchor,
            self.intervals,
            common.Scheduled_EVPPTControlMode(
                selected_schedule_tuple_id=self.tuple_id, power_tolerance_acceptance=acceptance
            ),
        )


def profile(
    anchor: int,
    intervals: Iterable[Interval],
    control_mode: common.Scheduled_EVPPTControlMode | common.Dynamic_EVPPTControlMode,
) -> common.EVPowerProfile:
    return common.EVPowerProfile(
        time_anchor=anchor,
        control_mode=control_mode,
        ev_power_profile_entries=common.EVPowerProfileEntryList(
            # A schedule may last no time at all; the profile must have an entry.
            ev_power_profile_entry=[_entry(item) for item in intervals] or [_entry(Interval(1, (0.0,)))]
        ),
    )


def dynamic_profile(now: float, power: float, seconds: int) -> common.EVPowerProfile:
    """The profile of dynamic mode: the mode element is an empty marker, the one entry says what the EV could
    take.
    """
    return profile(int(now), [Interval(max(1, seconds), (power,))], common.Dynamic_EVPPTControlMode())


def plan(request: PlanRequest) -> Plan:
    """The cheapest tuple of those that give the energy wanted until departure, else the one that gives most.

    Charging goes as early as the schedule allows, up to the maximum energy wanted. An EV that sells (or is
    above its target) discharges where the tuple has a discharging schedule. ValueError without tuples.
    """
    if not request.tuples:
        raise ValueError("no schedule tuple to choose from")
    target = request.needs.target_energy
    wanted = math.inf if target is None else abs(target)
    best: tuple[tuple[bool, float, float], Plan] | None = None
    for item in request.tuples:
        schedule = item.discharging_schedule if request.selling else item.charging_schedule
        made = _idle(item) if schedule is None else _follow(item.schedule_tuple_id, schedule, request)
        energy = _energy(made, request.now)
        # Tuples that satisfy the need first, by price; of those that do not, the one that gives most.
        enough = energy >= wanted - 1.0 or math.isinf(wanted)
        cost = price(schedule or item.charging_schedule, made) if enough else 0.0
        key = (not enough, cost, -energy)
        if best is None or key < best[0]:
            best = key, made
    assert best is not None
    return best[1]


def price(schedule: common.ChargingSchedule, made: Plan) -> float:
    """Cost of a plan, or its mean price level; 0 without prices. Comparable only within one kind."""
    prices = schedule.price_schedule
    if isinstance(prices, common.AbsolutePriceSchedule):
        return energy_cost(prices, made.entries())
    if not isinstance(prices, common.PriceLevelSchedule):
        return 0.0
    levels = prices.price_level_schedule_entries.price_level_schedule_entry
    seconds = sum(entry.duration for entry in levels)
    return sum(entry.duration * entry.price_level for entry in levels) / seconds if seconds else 0.0


def ceilings(schedule: common.ChargingSchedule) -> list[Interval]:
    """Of a schedule, as magnitudes: stacks disagree on the sign of discharge."""
    return [
        Interval(min(entry.duration, LONGEST), _each(power_of(entry), abs))
        for entry in schedule.power_schedule.power_schedule_entries.power_schedule_entry
    ]


def _follow(tuple_id: int, schedule: common.ChargingSchedule, request: PlanRequest) -> Plan:
    """As much as both sides can, as early as the schedule allows, until the energy is through or the driver
    leaves.
    """
    needs, power_schedule = request.needs, schedule.power_schedule
    if request.selling:
        limit, left = request.discharge_power, _for_sale(needs)
    else:
        limit, left = request.charge_power, math.inf if needs.max_energy is None else needs.max_energy
    if power_schedule.available_energy is not None:
        left = min(left, float(power_schedule.available_energy))
    left = max(0.0, left)
    tolerance = None if power_schedule.power_tolerance is None else abs(float(power_schedule.power_tolerance))
    leaves = math.inf if needs.departure is None else request.now + needs.departure
    sign = -1.0 if request.selling else 1.0
    intervals: list[Interval] = []
    start = power_schedule.time_anchor
    for ceiling in ceilings(schedule):
        power = _scaled(ceiling.power, limit)
        watts = total(power)
        end = start + ceiling.seconds
        # The part of the interval before now has no energy to give.
        usable = max(0.0, min(end, leaves) - max(start, request.now))
        if watts > 0 and left < watts * usable / 3600:
            used = max(0, math.ceil(max(start, request.now) - start + left / watts * 3600))
            left = 0.0
        else:
            used = ceiling.seconds if min(end, leaves) >= end else max(0, math.floor(leaves - start))
            left -= watts * usable / 3600
        for seconds, value in (
            (used, _each(power, lambda watts: sign * watts)),
            (ceiling.seconds - used, _zero(power)),
        ):
            if seconds > 0:
                intervals.append(Interval(seconds, value))
        start = end
    return Plan(
        tuple_id,
        power_schedule.time_anchor,
        tuple(_merged(intervals))[:PROFILE_LIMIT],
        tolerance,
        tolerance is not None and request.confirm_tolerance,
        request.selling,
    )


def _idle(item: common.ScheduleTuple) -> Plan:
    """A plan without power, for a tuple that cannot serve the need."""
    schedule = item.charging_schedule
    return Plan(
        item.schedule_tuple_id,
        schedule.power_schedule.time_anchor,
        tuple(_merged(replace(ceiling, power=_zero(ceiling.power)) for ceiling in ceilings(schedule))),
    )


def _energy(made: Plan, now: float) -> float:
    """Wh from now on, as a magnitude."""
    return sum(
        abs(entry.total) * max(0.0, entry.end - max(entry.start, now)) / 3600 for entry in made.entries()
    )


def _scaled(power: PerPhase, limit: float) -> PerPhase:
    """Evenly reduced over the phases so that the sum keeps within `limit` W."""
    watts = total(power)
    if watts <= max(0.0, limit):
        return power
    return _each(power, lambda value: value * max(0.0, limit) / watts)


def _zero(power: PerPhase) -> PerPhase:
    return _each(power, lambda _: 0.0)


def _each(power: PerPhase, change: Callable[[float], float]) -> PerPhase:
    if len(power) == 1:
        return (change(power[0]),)
    return change(power[0]), change(power[1]), change(power[2])


def _for_sale(needs: MobilityNeeds) -> float:
    """Wh down to the bottom of the cycling range, else down to the target."""
    if needs.min_v2x_energy is not None:
        return max(0.0, -needs.min_v2x_energy)
    return max(0.0, -(needs.target_energy or 0.0))


def _merged(intervals: Iterable[Interval]) -> Iterator[Interval]:
    held: Interval | None = None
    for interval in intervals:
        if held is not None and held.power == interval.power and held.seconds + interval.seconds <= LONGEST:
            held = Interval(held.seconds + interval.seconds, held.power)
            continue
        if held is not None:
            yield held
        held = interval
    if held is not None:
        yield held


def _floor(number: float) -> RationalNumber:
    """The nearest RationalNumber that is not further from zero: a profile must not exceed its schedule by
    rounding.
    """
    value = RationalNumber.of(number)
    if abs(float(value)) > abs(number) and value.value:
        value = RationalNumber(exponent=value.exponent, value=value.value - (1 if value.value > 0 else -1))
    return value


def _entry(interval: Interval) -> common.PowerScheduleEntry:
    first, *others = (_floor(value) for value in interval.power)
    return common.PowerScheduleEntry(
        duration=interval.seconds,
        power=first,
        power_l2=others[0] if others else None,
        power_l3=others[1] if others else None,
    )
