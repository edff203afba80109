"""The site behind the outlets: grid connection, power plan, prices, and what it wants of the vehicles.

Times are simulated seconds from the start of a session, powers in W, positive into the vehicle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from iso15118.messages import common
from iso15118.messages.common_types import RationalNumber
from iso15118.session import schedules
from iso15118.session.charger import ScheduleOffer, ScheduleRequest, SiteWish
from iso15118.session.services import EnergyMode, MobilityNeedsMode, Pricing
from iso15118.session.values import MobilityNeeds, PerPhase

_DAY = 24 * 3600.0
_MOST = 10_000_000.0
"""W: stands for "no limit" where a number must be sent."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of the plan: ceilings of power, and prices per kWh."""

    duration: float
    charge: float = math.inf
    discharge: float = 0.0
    """Magnitude; 0: no discharge wanted."""
    fee: float = 0.35
    """Of energy taken."""
    reward: float = 0.20
    """Of energy given."""
    level: int = 1
    """Price level, smaller is cheaper."""

    def __post_init__(self) -> None:
        if not (self.duration > 0 and math.isfinite(self.duration)):
            raise ValueError(f"plan duration is {self.duration} s, must be greater than 0")
        for name in ("charge", "discharge"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"plan {name} is {getattr(self, name)} W, must be 0 or a magnitude")
        if not 0 <= self.level <= 255:
            raise ValueError(f"plan level is {self.level}, must be between 0 and 255")


@dataclass(slots=True)
class Site:
    """Shared by all outlets of a station; those that are delivering split `connection_power` evenly."""

    connection_power: float = math.inf
    plan: tuple[Slot, ...] = (Slot(_DAY, discharge=50_000.0),)
    """Followed from the start of each session; the last slot goes on."""
    set_points: tuple[tuple[float, float], ...] = ()
    """Dynamic mode: (time, power) from which on this power is wanted; before the first, as much as fits."""
    wishes: tuple[tuple[float, SiteWish], ...] = ()
    """(time, wish); each stands until the vehicle has acted on it."""
    needs: MobilityNeeds | None = None
    """MobilityNeedsMode 2: what the site provides in place of the driver."""
    ack_max_delay: int = 30
    """MobilityNeedsMode 2: s for the driver to agree."""
    power_tolerance: float | None = None
    planning_time: float = 0.0
    """Until a schedule is ready."""
    go_to_pause: bool = False
    currency: str = "EUR"
    tax_rate: float | None = 19.0
    """%; None: no tax rule."""
    parking_fee: float | None = None
    """Per hour."""
    overstay_fee: float | None = None
    """Per hour, from ten minutes after the end of charging."""
    additional_services: tuple[tuple[str, float], ...] = ()
    grid_present: bool = True
    """False: the site is an island; only a grid-forming vehicle can feed it."""
    local_load: float = 0.0
    """What the site itself consumes; an island's share that a grid-forming vehicle must cover."""
    delivering: set[int] = field(default_factory=set, init=False)
    """Outlets that are connected, by identity."""

    def __post_init__(self) -> None:
        if not self.plan:
            raise ValueError("plan has no entry")
        if len(self.currency) != 3:
            raise ValueError(f"currency is {self.currency!r}, must be the three letters of ISO 4217")

    def share(self, outlet: int) -> float:
        """Power of the grid connection that one outlet may use."""
        return self.connection_power / max(1, len(self.delivering | {outlet}))

    def slot(self, elapsed: float) -> Slot:
        for slot in self.plan:
            if elapsed < slot.duration:
                return slot
            elapsed -= slot.duration
        return self.plan[-1]

    def set_point(self, elapsed: float) -> float | None:
        """Power wanted in dynamic mode; None: as much as fits."""
        wanted = None
        for start, power in self.set_points:
            if elapsed >= start:
                wanted = power
        return wanted

    def offer(
        self, mode: EnergyMode, request: ScheduleRequest, unix: int, charge: float, discharge: float
    ) -> ScheduleOffer:
        """The answer to a schedule request at Unix time `unix`, for an outlet of these powers."""
        most, departure = request.max_points, request.needs.departure
        prices = schedules.fit_prices(self._prices(mode, unix, departure, 1), most)
        if not mode.scheduled:
            needs = self.needs if mode.mobility is MobilityNeedsMode.SECC else None
            return ScheduleOffer(needs=needs, prices=prices, go_to_pause=self.go_to_pause)
        both_ways = mode.bidirectional and any(slot.discharge > 0 for slot in self.plan)
        offered = schedules.schedule_tuple(
            1,
            self._powers(unix, departure, [min(slot.charge, charge) for slot in self.plan]),
            prices=prices,
            discharging=self._powers(unix, departure, [min(slot.discharge, discharge) for slot in self.plan])
            if both_ways
            else None,
            discharging_prices=self._prices(mode, unix, departure, 2) if both_ways else None,
        )
        return ScheduleOffer(tuples=(schedules.fit_tuple(offered, most),), go_to_pause=self.go_to_pause)

    def _durations(self, departure: float | None) -> list[int]:
        """Lengths of the plan's slots in whole s, the last one stretched to cover the departure."""
        durations = [max(1, round(slot.duration)) for slot in self.plan]
        durations[-1] += max(0, math.ceil(departure or 0.0) - sum(durations))
        return durations

    def _powers(self, unix: int, departure: float | None, powers: list[float]) -> common.PowerSchedule:
        entries: list[tuple[float, PerPhase]] = [
            (duration, (power,)) for duration, power in zip(self._durations(departure), powers, strict=True)
        ]
        return schedules.power_schedule(unix, entries, tolerance=self.power_tolerance)

    def _prices(
        self, mode: EnergyMode, unix: int, departure: float | None, schedule_id: int
    ) -> common.AbsolutePriceSchedule | common.PriceLevelSchedule | None:
        durations = self._durations(departure)
        if mode.pricing is Pricing.LEVELS:
            levels = [(seconds, slot.level) for seconds, slot in zip(durations, self.plan, strict=True)]
            return schedules.price_levels(unix, levels, schedule_id=schedule_id)
        if mode.pricing is not Pricing.ABSOLUTE:
            return None
        return schedules.absolute_prices(
            unix,
            [
                (seconds, self._rules(slot, mode.bidirectional))
                for seconds, slot in zip(durations, self.plan, strict=True)
            ],
            currency=self.currency,
            schedule_id=schedule_id,
            taxes=() if self.tax_rate is None else (_vat(self.tax_rate),),
            overstay=None if self.overstay_fee is None else _overstay(self.overstay_fee),
            services=[
                common.AdditionalService(service_name=name, service_fee=RationalNumber.of(fee))
                for name, fee in self.additional_services
            ],
        )

    def _rules(self, slot: Slot, both_ways: bool) -> list[common.PriceRule]:
        period = None if self.parking_fee is None else 3600
        taken = schedules.price_rule(slot.fee, parking_fee=self.parking_fee, parking_period=period)
        if not both_ways or slot.discharge <= 0:
            return [taken]
        return [schedules.price_rule(slot.reward, from_power=-min(slot.discharge, _MOST)), taken]


def _vat(rate: float) -> common.TaxRule:
    return common.TaxRule(
        tax_rule_id=1,
        tax_rule_name="VAT",
        tax_rate=RationalNumber.of(rate),
        tax_included_in_price=True,
        applies_to_energy_fee=True,
        applies_to_parking_fee=True,
        applies_to_overstay_fee=True,
        applies_minimum_maximum_cost=True,
    )


def _overstay(fee: float) -> common.OverstayRuleList:
    rule = common.OverstayRule(start_time=0, overstay_fee=RationalNumber.of(fee), overstay_fee_period=3600)
    return common.OverstayRuleList(
        overstay_time_threshold=600, overstay_power_threshold=RationalNumber.of(500), overstay_rule=[rule]
    )
