"""What public stacks need: prices in all schedules, profiles of 1970, no discharge register; loop counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iso15118.messages import common, dc
from iso15118.messages.common_types import Processing
from iso15118.session.evcc import EVCCConfig, Outcome, ServiceWish
from iso15118.session.schedules import absolute_prices, entries_of, price_rule
from iso15118.session.secc_config import SECCConfig
from iso15118.session.services import ControlMode, Dialect, EnergyMode, Pricing, ServiceID

from .client import Client
from .pair import EPOCH, BenchCharger, BenchVehicle, Pair

SCHEDULED = EVCCConfig(services=(ServiceWish(ServiceID.DC_BPT, control=(ControlMode.SCHEDULED,)),))


def session(pricing: Pricing, charger: BenchCharger, *, price_every_schedule: bool) -> Pair:
    mode = EnergyMode(ServiceID.DC_BPT, ControlMode.SCHEDULED, parameter_set_id=1, pricing=pricing)
    config = SECCConfig(energy=(mode,), dialect=Dialect(price_every_schedule=price_every_schedule))
    pair = Pair(config, SCHEDULED, charger=charger, vehicle=BenchVehicle(bidirectional=True), wire=True)
    assert pair.run().outcome is Outcome.TERMINATED
    return pair


def schedules(pair: Pair) -> Iterator[tuple[Processing, str, common.ChargingSchedule]]:
    """What the ScheduleExchangeRes messages offered, in their order."""
    for spoken in pair.spoken:
        if isinstance(spoken.message, common.ScheduleExchangeRes):
            mode = spoken.message.control_mode
            assert isinstance(mode, common.Scheduled_SEResControlMode)
            for item in mode.schedule_tuple:
                yield spoken.message.evse_processing, "charging", item.charging_schedule
                if item.discharging_schedule is not None:
                    yield spoken.message.evse_processing, "discharging", item.discharging_schedule


def test_without_prices_each_schedule_has_one_price_level_for_all_its_time() -> None:
    """Also the meaningless tuple of an Ongoing response: Josev's EVCC refuses any without prices."""
    pair = session(Pricing.NONE, BenchCharger(schedule_delays=1), price_every_schedule=True)
    found = list(schedules(pair))
    assert [item[:2] for item in found] == [
        (Processing.Ongoing, "charging"),
        (Processing.Finished, "charging"),
        (Processing.Finished, "discharging"),
    ]
    ids = []
    for _, _, schedule in found:
        prices = schedule.price_schedule
        assert isinstance(prices, common.PriceLevelSchedule)
        assert prices.number_of_price_levels == 1
        (entry,) = prices.price_level_schedule_entries.price_level_schedule_entry
        powers = entries_of(schedule.power_schedule)
        assert prices.time_anchor == schedule.power_schedule.time_anchor
        assert entry.duration == powers[-1].end - powers[0].start
        ids.append(prices.price_schedule_id)
    assert len(set(ids[1:])) == 2, "schedules of one response have the same PriceScheduleID"


def test_the_dialect_can_leave_unpriced_schedules_without_prices() -> None:
    pair = session(Pricing.NONE, BenchCharger(schedule_delays=1), price_every_schedule=False)
    assert [schedule.price_schedule for _, _, schedule in schedules(pair)] == [None, None, None]


def test_prices_of_the_station_stay_as_they_are() -> None:
    prices = absolute_prices(int(EPOCH), [(86_400, [price_rule(0.35)])])
    pair = session(Pricing.ABSOLUTE, BenchCharger(prices=prices), price_every_schedule=True)
    charging, discharging = [schedule.price_schedule for _, _, schedule in schedules(pair)]
    assert isinstance(charging, common.AbsolutePriceSchedule)
    assert charging.currency == "EUR"
    assert isinstance(discharging, common.PriceLevelSchedule), "the bench prices only what is charged"


@pytest.mark.parametrize("loops", [1, 7])
def test_a_session_of_so_many_charge_loops(loops: int) -> None:
    config = EVCCConfig(charge_loops=loops, ramp_down_time=0.0)
    result = Pair(None, config, vehicle=BenchVehicle(loop_time=1e6)).run()
    assert result.outcome is Outcome.TERMINATED
    assert result.charge_loops == loops


def test_a_power_profile_that_is_over_is_reported_and_taken_from_now_on() -> None:
    """Josev anchors its profiles at 0: then the power it plans is that of the profile, not none."""
    client = Client(SECCConfig(energy=(EnergyMode(ServiceID.DC, ControlMode.SCHEDULED, parameter_set_id=1),)))
    client.to_prepared()
    profile = client.profile([(600, 40_000.0), (3600, 10_000.0)])
    profile.time_anchor = 0
    client.send("PowerDeliveryReq(Start)", ev_power_profile=profile)
    (deviation,) = client.secc.events
    assert deviation.text == "EVPowerProfile runs from 0 for 4200 s"
    entries = client.secc.context.profile
    assert [entry.start - client.now - EPOCH for entry in entries] == pytest.approx([0, 600])
    assert [entry.power for entry in entries] == [(40_000.0,), (10_000.0,)]


@pytest.mark.parametrize("register", [True, False])
def test_the_discharge_register_of_a_bidirectional_session_can_be_left_out(register: bool) -> None:
    mode = EnergyMode(ServiceID.DC_BPT, ControlMode.SCHEDULED, parameter_set_id=1)
    config = SECCConfig(energy=(mode,), dialect=Dialect(discharge_register=register))
    pair = Pair(config, SCHEDULED, vehicle=BenchVehicle(bidirectional=True), wire=True)
    assert pair.run().outcome is Outcome.TERMINATED
    meters = [
        spoken.message.meter_info
        for spoken in pair.spoken
        if isinstance(spoken.message, dc.DC_ChargeLoopRes) and spoken.message.meter_info is not None
    ]
    assert meters
    assert all((meter.bpt_discharged_energy_reading_wh is not None) is register for meter in meters)
