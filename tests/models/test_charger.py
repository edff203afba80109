"""The simulated charger: limits, ramps, meter registers, channels, islands, plans and wishes."""

from __future__ import annotations

import pytest

from hlc_sim.charger import Contactor, IsolationMonitor, Outlet, PowerStage, SimulatedCharger, Site
from hlc_sim.charger.site import Slot
from iso15118.messages import common
from iso15118.messages.common_types import EVSENotification
from iso15118.session.charger import Direction, Progress, ScheduleRequest, SiteWish, VehicleReport
from iso15118.session.services import (
    BPTChannel,
    ControlMode,
    EnergyMode,
    GeneratorMode,
    MobilityNeedsMode,
    Pricing,
    ServiceID,
)
from iso15118.session.values import ACLimits, DCLimits, MobilityNeeds

EV_DC = DCLimits(
    max_charge_power=80_000,
    max_charge_current=200,
    max_voltage=420,
    max_discharge_power=40_000,
    max_discharge_current=100,
)


def charger(
    service: ServiceID = ServiceID.DC_BPT,
    control: ControlMode = ControlMode.DYNAMIC,
    *,
    site: Site | None = None,
    outlet: Outlet | None = None,
    **mode: object,
) -> SimulatedCharger:
    made = SimulatedCharger(outlet, site, unix_offset=1_700_000_000)
    made.select(0.0, EnergyMode(service, control, 1, **mode))  # type: ignore[arg-type]
    return made


def connect(made: SimulatedCharger, direction: Direction | None = None) -> None:
    assert made.start_power(0.0, direction) is Progress.ONGOING
    assert made.start_power(0.1, direction) is Progress.DONE


def report(made: SimulatedCharger, now: float = 0.0, *, needs: MobilityNeeds | None = None) -> None:
    made.vehicle(
        now, VehicleReport(dc=EV_DC, needs=needs or MobilityNeeds(target_energy=10_000), present_voltage=400)
    )


def test_pre_charge_ramps_and_stays_within_the_stage() -> None:
    made = charger()
    assert made.precharge(0.0, 380) == 0
    assert made.precharge(0.5, 380) == pytest.approx(250)
    assert made.precharge(1.0, 380) == pytest.approx(380)
    assert made.precharge(100.0, 20_000) == pytest.approx(920)
    assert made.output_voltage(101.0) == pytest.approx(420)


def test_isolation_test_takes_its_time_and_can_fail() -> None:
    good, bad = IsolationMonitor(duration=2), IsolationMonitor(duration=0, resistance=1000)
    assert [good.test(0), good.test(1), good.test(1)] == [Progress.ONGOING, Progress.ONGOING, Progress.DONE]
    assert bad.test(0) is Progress.FAILED


def test_contactor_faults() -> None:
    assert Contactor(stuck_open=True).close(1.0) is Progress.FAILED
    welded = Contactor(closing_time=0, welded=True)
    assert welded.close(0) is Progress.DONE
    assert not welded.open()


def test_current_is_ramped_up_and_clamped_at_once() -> None:
    stage = PowerStage(current_ramp=100)
    limits = DCLimits(max_charge_power=60_000, max_charge_current=200, max_voltage=920)
    first = stage.regulate(limits, 300, 420, 400, 1.0)
    assert (first.current, first.voltage) == (100, 400)
    assert first.current_limited
    assert first.power_limited
    assert stage.regulate(limits, 300, 420, 400, 10.0).current == pytest.approx(150)
    lowered = DCLimits(max_charge_power=60_000, max_charge_current=50, max_voltage=920)
    assert stage.regulate(lowered, 300, 420, 400, 0.0).current == 50


def test_an_implausible_inlet_voltage_is_not_taken_over() -> None:
    out = PowerStage().regulate(PowerStage().limits, 10, 500, 20_000, 1.0)
    assert out.voltage == 500


def test_the_meter_keeps_charge_and_discharge_apart() -> None:
    made = charger(control=ControlMode.SCHEDULED)
    connect(made)
    report(made)
    made.deliver_dc(10.0, 100, 420)
    made.deliver_dc(3610.0, 100, 420)
    assert made.energy[0] == pytest.approx(400 * 100, rel=0.01)
    assert made.energy[1] == 0
    made.deliver_dc(3620.0, -50, 420)
    made.deliver_dc(3630.0, -50, 420)
    reading = made.meter(3630.0 + 3600)
    assert reading is not None
    assert reading.discharged_wh == pytest.approx(400 * 50, rel=0.02)
    assert reading.timestamp == 1_700_007_230
    made.session_ended(7300.0, paused=True)
    assert made.energy[0] > 0
    made.session_ended(7300.0, paused=False)
    assert made.energy == (0, 0)


def test_dynamic_mode_charges_within_both_sides_limits_until_the_target() -> None:
    made = charger()
    connect(made)
    report(made)
    made.deliver_dc(1.0, None, None)
    out = made.deliver_dc(10.0, None, None)
    assert out.current == pytest.approx(200)
    report(made, 11.0, needs=MobilityNeeds(target_energy=-1))
    assert made.deliver_dc(20.0, None, None).current == 0


def test_a_limit_that_the_vehicle_lowers_holds_at_once() -> None:
    """[V2G20-2188], in the shortest of steps."""
    made = charger()
    connect(made)
    report(made)
    made.deliver_dc(1.0, None, None)
    before = made.deliver_dc(10.0, None, None).current
    limits = DCLimits(max_charge_power=150_000, max_charge_current=before / 4, max_voltage=500)
    made.vehicle(10.001, VehicleReport(dc=limits, present_voltage=400))
    out = made.deliver_dc(10.001, None, None)
    assert out.current == pytest.approx(before / 4)
    assert not out.current_limited  # by the station, that is


def test_dynamic_mode_discharges_when_the_site_wants_it_and_the_vehicle_can() -> None:
    made = charger(site=Site(set_points=((0, -30_000.0), (100, 20_000.0))))
    connect(made)
    report(made, needs=MobilityNeeds(target_energy=10_000, min_v2x_energy=-5_000, max_v2x_energy=5_000))
    made.deliver_dc(1.0, None, None)
    assert made.deliver_dc(10.0, None, None).current == pytest.approx(-75)
    assert made.deliver_dc(150.0, None, None).current == pytest.approx(50)
    report(made, 151.0, needs=MobilityNeeds(min_v2x_energy=0.0))
    made.site.set_points = ((0, -30_000.0),)
    assert made.deliver_dc(160.0, None, None).current == 0


def test_separate_channels_carry_one_direction() -> None:
    made = charger(control=ControlMode.SCHEDULED, channel=BPTChannel.SEPARATED)
    connect(made, Direction.DISCHARGE)
    report(made)
    assert made.deliver_dc(10.0, 100, 420).current == 0
    assert made.deliver_dc(20.0, -50, 420).current == -50
    made.stop_power(21.0)
    made.start_power(22.0, Direction.CHARGE)
    assert made.start_power(23.0, Direction.CHARGE) is Progress.DONE
    assert made.deliver_dc(30.0, -50, 420).current == 0


def test_an_island_needs_a_grid_forming_vehicle() -> None:
    island = Site(grid_present=False, local_load=8_000)
    following = charger(ServiceID.AC_BPT, site=island)
    wish = following.wish(0.0)
    assert wish is not None
    assert wish.notification is EVSENotification.Terminate
    forming = charger(ServiceID.AC_BPT, site=island, generator=GeneratorMode.GRID_FORMING)
    assert forming.wish(0.0) is None
    limits = ACLimits(max_charge=(11_000.0,), max_discharge=(10_000.0,))
    forming.vehicle(0.0, VehicleReport(ac=limits, needs=MobilityNeeds(target_energy=1.0)))
    out = forming.deliver_ac(1.0)
    assert out.target_active_power == (-8_000,)
    assert out.target_frequency == 50


def test_ac_set_points_per_phase() -> None:
    made = charger(ServiceID.AC, outlet=Outlet(per_phase=True), connector=3)
    made.vehicle(
        0.0, VehicleReport(ac=ACLimits(max_charge=(9_000.0,)), needs=MobilityNeeds(target_energy=1.0))
    )
    assert made.deliver_ac(1.0).target_active_power == (3_000, 3_000, 3_000)


def test_ac_meter_counts_what_the_vehicle_draws_within_the_breaker() -> None:
    made = charger(ServiceID.AC, ControlMode.SCHEDULED)
    connect(made)
    made.vehicle(0.1, VehicleReport(present_active_power=(200_000.0,)))
    made.deliver_ac(3600.1)
    assert made.energy[0] == pytest.approx(22_000)


def test_outlets_share_the_grid_connection() -> None:
    site = Site(connection_power=100_000)
    first, second = charger(site=site), charger(site=site)
    connect(first)
    assert first.dc_limits(1.0).max_charge_power == 100_000
    connect(second)
    assert first.dc_limits(1.0).max_charge_power == 50_000
    second.session_ended(2.0, paused=False)
    assert first.dc_limits(3.0).max_charge_power == 100_000


def test_the_plan_becomes_a_schedule_that_covers_the_departure() -> None:
    site = Site(plan=(Slot(600, charge=50_000, fee=0.4), Slot(600, charge=20_000, discharge=10_000, fee=0.2)))
    made = charger(control=ControlMode.SCHEDULED, site=site, pricing=Pricing.ABSOLUTE)
    offer = made.schedule(10.0, ScheduleRequest(MobilityNeeds(departure=7200), max_points=12))
    assert offer is not None
    (only,) = offer.tuples
    entries = only.charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry
    assert [(entry.duration, float(entry.power)) for entry in entries] == [(600, 50_000), (6600, 20_000)]
    assert only.charging_schedule.power_schedule.time_anchor == 1_700_000_010
    assert only.discharging_schedule is not None
    assert only.charging_schedule.price_schedule is not None


@pytest.mark.parametrize("pricing", [Pricing.ABSOLUTE, Pricing.LEVELS])
def test_prices_last_as_long_as_the_power_they_are_for(pricing: Pricing) -> None:
    site = Site(plan=(Slot(600, fee=0.4, level=2), Slot(600, fee=0.2, discharge=1_000)))
    made = charger(control=ControlMode.SCHEDULED, site=site, pricing=pricing)
    offer = made.schedule(0.0, ScheduleRequest(MobilityNeeds(departure=7200), max_points=12))
    assert offer is not None
    discharging = offer.tuples[0].discharging_schedule
    assert discharging is not None
    for schedule in (offer.tuples[0].charging_schedule, discharging):
        prices = schedule.price_schedule
        if isinstance(prices, common.AbsolutePriceSchedule):
            seconds = [stack.duration for stack in prices.price_rule_stacks.price_rule_stack]
        else:
            assert prices is not None
            seconds = [
                entry.duration for entry in prices.price_level_schedule_entries.price_level_schedule_entry
            ]
        assert seconds == [600, 6600]


def test_max_points_are_honoured_and_planning_takes_time() -> None:
    site = Site(plan=tuple(Slot(60, charge=1000 * n) for n in range(1, 40)), planning_time=5)
    made = charger(control=ControlMode.SCHEDULED, site=site, pricing=Pricing.LEVELS)
    request = ScheduleRequest(MobilityNeeds(), max_points=12)
    assert made.schedule(0.0, request) is None
    offer = made.schedule(6.0, request)
    assert offer is not None
    schedule = offer.tuples[0].charging_schedule
    assert len(schedule.power_schedule.power_schedule_entries.power_schedule_entry) == 12


def test_needs_of_the_site_only_in_mobility_mode_2() -> None:
    site = Site(needs=MobilityNeeds(target_soc=60))
    request = ScheduleRequest(MobilityNeeds(), max_points=12)
    own = charger(site=site).schedule(0.0, request)
    provided = charger(site=site, mobility=MobilityNeedsMode.SECC).schedule(0.0, request)
    assert own is not None
    assert own.needs is None
    assert provided is not None
    assert provided.needs == MobilityNeeds(target_soc=60)


def test_a_wish_stands_until_the_vehicle_acts() -> None:
    wish = SiteWish(EVSENotification.ScheduleRenegotiation)
    made = charger(control=ControlMode.SCHEDULED, site=Site(wishes=((60, wish),)))
    assert made.wish(100.0) is None, "power has not started"
    made.start_power(100.0, None)
    made.start_power(101.0, None)
    assert made.wish(150.0) is None
    assert [made.wish(162.0), made.wish(163.0)] == [wish, wish]
    made.schedule(164.0, ScheduleRequest(MobilityNeeds(), max_points=12))
    assert made.wish(165.0) is None


def test_a_welded_contactor_shows_as_voltage_in_dc_and_as_a_fault_in_ac() -> None:
    dc = charger(outlet=Outlet(contactor=Contactor(closing_time=0, welded=True)))
    dc.start_power(0.0, None)
    report(dc)
    dc.deliver_dc(10.0, None, None)
    assert dc.stop_power(11.0) is Progress.DONE
    assert dc.output_voltage(20.0) == 400
    ac = charger(ServiceID.AC, outlet=Outlet(contactor=Contactor(closing_time=0, welded=True)))
    ac.start_power(0.0, None)
    assert ac.stop_power(11.0) is Progress.FAILED
