"""Scheduled mode at the EV: choose a schedule tuple and compute the EVPowerProfile within it. Pure functions.

Power is in W, positive to charge, negative to discharge; times are Unix s of the SECC's clock. A schedule
gives a ceiling for each interval from its TimeAnchor on [V2G20-2138]; the profile keeps below it at every
moment, with the same anchor and at the same edges, so that the SECC can compare the two entry by entry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..messages import common
from ..messages.common_types import RationalNumber
from .services import EnergyMode
from .values import MobilityNeeds, PerPhase, total

PROFILE_LIMIT = 2048
"""Entries of an EVPowerProfile."""


@dataclass(frozen=True, slots=True)
class Interval:
    """`seconds` at `power` W, per phase as the schedule states it."""

    seconds: int
    power: PerPhase


@dataclass(frozen=True, slots=True)
class PlanRequest:
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


@dataclass(frozen=True, slots=True)
class Plan:
    """The chosen tuple, the profile the EV will follow from `anchor` on, and what it made of the power
    tolerance.
    """

    tuple_id: int
    anchor: int
    intervals: tuple[Interval, ...]
    tolerance: float | None = None
    """W; None: no tolerance in the schedule."""
    tolerance_accepted: bool = False

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
            ev_power_profile_entry=[_entry(interval) for interval in intervals]
        ),
    )


def dynamic_profile(now: float, power: float, seconds: int) -> common.EVPowerProfile:
    """The profile of dynamic mode: the mode element is an empty marker, the one entry says what the EV could
    take.
    """
    return profile(int(now), [Interval(max(1, seconds), (power,))], common.Dynamic_EVPPTControlMode())


def plan(request: PlanRequest) -> Plan:
    """The cheapest tuple of those that give the energy wanted until departure, else the one that gives most.

    An EV below its target charges as early as the schedule allows, up to the maximum energy wanted. One above
    its target (negative target energy) discharges down to it, where the tuple has a discharging schedule.
    ValueError without tuples.
    """
    if not request.tuples:
        raise ValueError("no schedule tuple to choose from")
    target = request.needs.target_energy
    discharge = target is not None and target < 0 and request.mode.bidirectional
    wanted = abs(target) if target is not None else math.inf
    best: tuple[tuple[bool, float, float], Plan] | None = None
    for item in request.tuples:
        schedule = item.discharging_schedule if discharge else item.charging_schedule
        if schedule is None:
            schedule, made = item.charging_schedule, _idle(item)
        else:
            made = _follow(item.schedule_tuple_id, schedule, request, discharge)
        energy = _energy(made, request.now)
        cost = mean_price(schedule)
        # Tuples that satisfy the need first, by price; of those that do not, the one that gives most.
        enough = energy >= wanted - 1.0 or math.isinf(wanted)
        key = (not enough, (-cost if discharge else cost) if enough else 0.0, -energy)
        if best is None or key < best[0]:
            best = key, made
    assert best is not None
    return best[1]


def mean_price(schedule: common.ChargingSchedule) -> float:
    """Mean of the energy fees or price levels over time; 0 without prices."""
    prices = schedule.price_schedule
    if isinstance(prices, common.AbsolutePriceSchedule):
        pairs = [
            (stack.duration, float(stack.price_rule[0].energy_fee))
            for stack in prices.price_rule_stacks.price_rule_stack
            if stack.price_rule
        ]
    elif isinstance(prices, common.PriceLevelSchedule):
        pairs = [
            (entry.duration, float(entry.price_level))
            for entry in prices.price_level_schedule_entries.price_level_schedule_entry
        ]
    else:
        return 0.0
    seconds = sum(duration for duration, _ in pairs)
    return sum(duration * price for duration, price in pairs) / seconds if seconds else 0.0


def entries(schedule: common.ChargingSchedule) -> list[Interval]:
    """Ceilings of a schedule; magnitudes, as stacks disagree on the sign of discharge."""
    return [
        Interval(entry.duration, _magnitudes(entry))
        for entry in schedule.power_schedule.power_schedule_entries.power_schedule_entry
    ]


def _magnitudes(entry: common.PowerScheduleEntry) -> PerPhase:
    first = abs(float(entry.power))
    if entry.power_l2 is None or entry.power_l3 is None:
        return (first,)
    return (first, abs(float(entry.power_l2)), abs(float(entry.power_l3)))


def _follow(tuple_id: int, schedule: common.ChargingSchedule, request: PlanRequest, discharge: bool) -> Plan:
    """As much as both sides can, as early as the schedule allows, until the energy is through or the driver
    leaves.
    """
    needs, power_schedule = request.needs, schedule.power_schedule
    limit = request.discharge_power if discharge else request.charge_power
    if discharge:
        left = abs(needs.target_energy or 0.0)
    else:
        left = needs.max_energy if needs.max_energy is not None else math.inf
    if power_schedule.available_energy is not None:
        left = min(left, float(power_schedule.available_energy))
    left = max(0.0, left)
    tolerance = None if power_schedule.power_tolerance is None else abs(float(power_schedule.power_tolerance))
    leaves = math.inf if needs.departure is None else request.now + needs.departure
    sign = -1.0 if discharge else 1.0
    intervals: list[Interval] = []
    start = power_schedule.time_anchor
    for ceiling in entries(schedule):
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
        for seconds, value in ((used, _signed(power, sign)), (ceiling.seconds - used, _zero(power))):
            if seconds > 0:
                intervals.append(Interval(seconds, value))
        start = end
    return Plan(
        tuple_id,
        power_schedule.time_anchor,
        tuple(_merged(intervals))[:PROFILE_LIMIT],
        tolerance,
        tolerance is not None and request.confirm_tolerance,
    )


def _idle(item: common.ScheduleTuple) -> Plan:
    """A plan without power, for a tuple that cannot serve the need."""
    schedule = item.charging_schedule
    return Plan(
        item.schedule_tuple_id,
        schedule.power_schedule.time_anchor,
        tuple(_merged(replace(ceiling, power=_zero(ceiling.power)) for ceiling in entries(schedule))),
    )


def _energy(made: Plan, now: float) -> float:
    """Wh from now on, as a magnitude."""
    energy, start = 0.0, made.anchor
    for interval in made.intervals:
        end = start + interval.seconds
        energy += abs(total(interval.power)) * max(0.0, end - max(start, now)) / 3600
        start = end
    return energy


def _scaled(power: PerPhase, limit: float) -> PerPhase:
    """Evenly reduced over the phases so that the sum keeps within `limit` W."""
    watts = total(power)
    if watts <= limit:
        return power
    return _per_phase([value * max(0.0, limit) / watts for value in power])


def _signed(power: PerPhase, sign: float) -> PerPhase:
    return _per_phase([sign * value for value in power])


def _zero(power: PerPhase) -> PerPhase:
    return _per_phase([0.0 for _ in power])


def _per_phase(values: Sequence[float]) -> PerPhase:
    return (values[0],) if len(values) == 1 else (values[0], values[1], values[2])


def _merged(intervals: Iterable[Interval]) -> Iterator[Interval]:
    held: Interval | None = None
    for interval in intervals:
        if held is not None and held.power == interval.power:
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
