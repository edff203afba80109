"""The site behind the outlets: grid connection, power plan, prices, and what it wants of the vehicles.

Times are simulated seconds from the start of a session, powers in W, positive into the vehicle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from iso15118.messages import common
from iso15118.messages.common_types import RationalNumber
from iso15118.session.charger import ScheduleOffer, ScheduleRequest, Wish
from iso15118.session.services import EnergyMode, Pricing
from iso15118.session.values import MobilityNeeds

_DAY = 24 * 3600.0
PRICE_ALGORITHM = "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power"


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


@dataclass(slots=True)
class Site:
    """Shared by all outlets of a station; `connection_power` is split evenly among those that are delivering."""

    connection_power: float = math.inf
    plan: tuple[Slot, ...] = (Slot(_DAY, discharge=50_000.0),)
    """Followed from the start of each session; the last slot goes on."""
    set_points: tuple[tuple[float, float], ...] = ()
    """Dynamic mode: (time, power) from which on this power is wanted; before the first, as much as fits."""
    wishes: tuple[tuple[float, Wish], ...] = ()
    """(time, wish); each stands until the vehicle has acted on it."""
    needs: MobilityNeeds | None = None
    """MobilityNeedsMode 2: what the site provides in place of the driver."""
    ack_max_delay: int = 30
    """MobilityNeedsMode 2: s for the driver to agree."""
    power_tolerance: float | None = None
    planning_time: float = 0.0
    """Until a schedule is ready."""
    go_to_pause: bool = False
    prices_always: bool = False
    """Price schedules even where the parameter set says Pricing 0: some EVCCs refuse tuples without one."""
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
        prices = self._prices(mode, request.max_points, unix)
        if not mode.scheduled:
            from_site = self.needs if mode.mobility.name == "SECC" else None
            return ScheduleOffer(needs=from_site, prices=prices, go_to_pause=self.go_to_pause)
        discharging = None
        if mode.bidirectional and any(slot.discharge > 0 for slot in self.plan):
            discharging = common.ChargingSchedule(
                power_schedule=self._powers(
                    request, unix, [min(slot.discharge, discharge) for slot in self.plan]
                ),
                price_schedule=self._prices(mode, request.max_points, unix, identifier=2),
            )
        charging = common.ChargingSchedule(
            power_schedule=self._powers(request, unix, [min(slot.charge, charge) for slot in self.plan]),
            price_schedule=prices,
        )
        only = common.ScheduleTuple(
            schedule_tuple_id=1, charging_schedule=charging, discharging_schedule=discharging
        )
        return ScheduleOffer(tuples=(only,), go_to_pause=self.go_to_pause)

    def _durations(self, departure: float | None, max_points: int) -> list[int]:
        """Lengths of the plan's slots in whole s, the last one stretched to cover the departure."""
        durations = [max(1, round(slot.duration)) for slot in self.plan[:max_points]]
        short = math.ceil(departure or 0.0) - sum(durations)
        if short > 0:
            durations[-1] += short
        return durations

    def _powers(self, request: ScheduleRequest, unix: int, powers: list[float]) -> common.PowerSchedule:
        durations = self._durations(request.needs.departure, request.max_points)
        entries = [
            common.PowerScheduleEntry(duration=duration, power=RationalNumber.of(power))
            for duration, power in zip(durations, powers, strict=False)
        ]
        tolerance = None if self.power_tolerance is None else RationalNumber.of(self.power_tolerance)
        return common.PowerSchedule(
            time_anchor=unix,
            power_tolerance=tolerance,
            power_schedule_entries=common.PowerScheduleEntryList(power_schedule_entry=entries),
        )

    def _prices(
        self, mode: EnergyMode, max_points: int, unix: int, identifier: int = 1
    ) -> common.AbsolutePriceSchedule | common.PriceLevelSchedule | None:
        if mode.pricing is Pricing.LEVELS:
            return self._levels(max_points, unix, identifier)
        if mode.pricing is Pricing.ABSOLUTE or (self.prices_always and mode.scheduled):
            return self._absolute(max_points, unix, identifier, both_ways=mode.bidirectional)
        return None

    def _levels(self, max_points: int, unix: int, identifier: int) -> common.PriceLevelSchedule:
        entries = [
            common.PriceLevelScheduleEntry(duration=max(1, round(slot.duration)), price_level=slot.level)
            for slot in self.plan[:max_points]
        ]
        return common.PriceLevelSchedule(
            time_anchor=unix,
            price_schedule_id=identifier,
            number_of_price_levels=len({slot.level for slot in self.plan}),
            price_level_schedule_entries=common.PriceLevelScheduleEntryList(
                price_level_schedule_entry=entries
            ),
        )

    def _absolute(
        self, max_points: int, unix: int, identifier: int, *, both_ways: bool
    ) -> common.AbsolutePriceSchedule:
        parking = self.parking_fee
        stacks = []
        for slot in self.plan[:max_points]:
            rules = [
                common.PriceRule(
                    energy_fee=RationalNumber.of(slot.fee),
                    parking_fee=None if parking is None else RationalNumber.of(parking),
                    parking_fee_period=None if parking is None else 3600,
                    power_range_start=RationalNumber.of(0),
                )
            ]
            if both_ways:
                rules.append(
                    common.PriceRule(
                        energy_fee=RationalNumber.of(slot.reward),
                        power_range_start=RationalNumber.of(-slot.discharge),
                    )
                )
            stacks.append(common.PriceRuleStack(duration=max(1, round(slot.duration)), price_rule=rules))
        return common.AbsolutePriceSchedule(
            time_anchor=unix,
            price_schedule_id=identifier,
            currency=self.currency,
            language="en",
            price_algorithm=PRICE_ALGORITHM,
            tax_rules=self._taxes(),
            price_rule_stacks=common.PriceRuleStackList(price_rule_stack=stacks),
            overstay_rules=self._overstay(),
            additional_selected_services=self._services(),
        )

    def _taxes(self) -> common.TaxRuleList | None:
        if self.tax_rate is None:
            return None
        rule = common.TaxRule(
            tax_rule_id=1,
            tax_rule_name="VAT",
            tax_rate=RationalNumber.of(self.tax_rate),
            tax_included_in_price=True,
            applies_to_energy_fee=True,
            applies_to_parking_fee=True,
            applies_to_overstay_fee=True,
            applies_minimum_maximum_cost=True,
        )
        return common.TaxRuleList(tax_rule=[rule])

    def _overstay(self) -> common.OverstayRuleList | None:
        if self.overstay_fee is None:
            return None
        rule = common.OverstayRule(
            start_time=0, overstay_fee=RationalNumber.of(self.overstay_fee), overstay_fee_period=3600
        )
        return common.OverstayRuleList(
            overstay_time_threshold=600, overstay_power_threshold=RationalNumber.of(500), overstay_rule=[rule]
        )

    def _services(self) -> common.AdditionalServiceList | None:
        if not self.additional_services:
            return None
        return common.AdditionalServiceList(
            additional_service=[
                common.AdditionalService(service_name=name, service_fee=RationalNumber.of(fee))
                for name, fee in self.additional_services
            ]
        )
