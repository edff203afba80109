"""What is particular to AC: phases, set-points, and the control pilot around PowerDelivery; and needs that
fall as energy flows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from hlc_sim.charger.simulated import SimulatedCharger
from hlc_sim.vehicle.battery import Battery
from hlc_sim.vehicle.simulated import Driver, SimulatedVehicle
from iso15118.messages import ac, common, dc
from iso15118.messages.declare import Node
from iso15118.session import schedules
from iso15118.session.charger import ACOutput, ControlPilot
from iso15118.session.evcc import EVCC, EVCCConfig, Outcome, ServiceWish
from iso15118.session.secc_config import SECCConfig
from iso15118.session.services import ControlMode, EnergyMode, ServiceID
from iso15118.session.values import ACLimits, PerPhase, total
from iso15118.session.vehicle import Wish

from .pair import EPOCH, BenchCharger, BenchVehicle, Pair


@dataclass
class Car(BenchVehicle):
    """Keeps a diary of its control pilot."""

    pilots: list[tuple[float, ControlPilot]] = field(default_factory=list)

    def control_pilot(self, now: float, state: ControlPilot) -> None:
        self.pilots.append((now, state))
        super().control_pilot(now, state)


def session(
    mode: EnergyMode, charger: BenchCharger | None = None, car: Car | None = None, **config: Any
) -> Pair:
    return Pair(
        SECCConfig(energy=(mode,)),
        EVCCConfig(services=(ServiceWish(mode.service),), **config),
        charger=charger or BenchCharger(),
        vehicle=car or Car(bidirectional=mode.bidirectional, loop_time=1.0),
    )


def sent(pair: Pair, kind: type[Any]) -> list[Any]:
    return [item.message for item in pair.spoken if isinstance(item.message, kind)]


AC = EnergyMode(ServiceID.AC, ControlMode.SCHEDULED, parameter_set_id=1, connector=3)
DYNAMIC = EnergyMode(ServiceID.AC, ControlMode.DYNAMIC, parameter_set_id=1, connector=3)
BPT = EnergyMode(ServiceID.AC_BPT, ControlMode.DYNAMIC, parameter_set_id=1, connector=3)


@pytest.mark.parametrize(
    "mode", [AC, DYNAMIC, BPT], ids=lambda mode: f"{mode.service.name}-{mode.control.name}"
)
def test_the_control_pilot_goes_to_c_after_the_first_start_and_back_to_b(mode: EnergyMode) -> None:
    """B before the first PowerDeliveryReq(Start) [V2G20-1617], C within 250 ms of it [V2G20-847]; again B
    after Stop.
    """
    car = Car(bidirectional=mode.bidirectional)
    asked: list[float] = []

    def wish(elapsed: float) -> Wish:
        if elapsed > 1 and not asked:
            asked.append(elapsed)
            return Wish.RENEGOTIATE_SCHEDULE
        return Wish.STOP if elapsed > 2 else Wish.CHARGE

    car.wish_at = wish
    pair = session(mode, car=car)
    assert pair.run().outcome is Outcome.TERMINATED
    powers = [
        (item.time, item.message.charge_progress)
        for item in pair.spoken
        if isinstance(item.message, common.PowerDeliveryReq)
    ]
    first = next(time for time, progress in powers if progress == "Start")
    stop = next(time for time, progress in powers if progress == "Stop")
    (to_c, c), (to_b, b) = car.pilots
    assert (c, b) == (ControlPilot.C, ControlPilot.B)
    assert first - 0.01 <= to_c <= first + 0.25
    assert stop <= to_b
    assert [progress.value for _, progress in powers] == ["Start", "ScheduleRenegotiation", "Start", "Stop"]


def test_limits_per_phase_go_out_per_phase() -> None:
    car = Car(loop_time=1.0, bidirectional=True)
    car.ac = ACLimits((3700.0, 3600.0, 3500.0), (1400.0,), (2000.0, 1900.0, 1800.0), (0.0,))
    pair = session(BPT, car=car)
    assert pair.run().outcome is Outcome.TERMINATED
    stated = sent(pair, ac.AC_ChargeParameterDiscoveryReq)[0].energy_transfer_mode
    powers = (
        stated.ev_maximum_charge_power,
        stated.ev_maximum_charge_power_l2,
        stated.ev_maximum_charge_power_l3,
        stated.ev_maximum_discharge_power_l3,
    )
    assert [float(power) for power in powers] == [3700, 3600, 3500, 1800]
    assert stated.ev_minimum_charge_power_l2 is None
    looped = sent(pair, ac.AC_ChargeLoopReq)[0].control_mode
    assert float(looped.ev_maximum_charge_power_l2) == 3600
    assert float(looped.ev_maximum_discharge_power_l2) == 1900


class Site(BenchCharger):
    """Gives set-points."""

    output = ACOutput()

    def deliver_ac(self, now: float) -> ACOutput:
        super().deliver_ac(now)
        return self.output


@pytest.mark.parametrize("target", [(2000.0, 1500.0, 1000.0), (6000.0,), (-3000.0,)])
def test_set_points_reach_the_vehicle_as_they_were_sent(target: PerPhase) -> None:
    site = Site()
    site.output = ACOutput(target_active_power=target, target_reactive_power=(150.0,), target_frequency=50.2)
    car = Car(bidirectional=True, loop_time=1.0)
    pair = session(BPT, charger=site, car=car)
    assert pair.run().outcome is Outcome.TERMINATED
    told = [supply for supply in car.supplies if supply.active_power is not None]
    assert {supply.active_power for supply in told} == {target}
    assert {supply.reactive_power for supply in told} == {(150.0,)}
    assert {supply.frequency for supply in told} == {50.2}
    looped = sent(pair, ac.AC_ChargeLoopReq)
    # The bench vehicle draws what it is told, within 11 kW; the last loops are the ramp down.
    assert float(looped[1].control_mode.ev_present_active_power) == total(target)


def test_a_scheduled_vehicle_is_told_the_ceiling_of_its_profile() -> None:
    charger = BenchCharger()
    charger.tuples = lambda now, request: (
        schedules.schedule_tuple(
            1, schedules.power_schedule(int(EPOCH + now), [(4.0, (7000.0,)), (3600.0, (3000.0,))])
        ),
    )
    car = Car(loop_time=6.0)
    pair = session(AC, charger=charger, car=car)
    assert pair.run().outcome is Outcome.TERMINATED
    (remark,) = pair.deviations()
    assert "Connector 3 means three phases" in remark
    ceilings = [
        supply.charge_power for supply in car.supplies if supply.charge_power not in (0.0, float("inf"))
    ]
    assert set(ceilings) == {7000.0, 3000.0}
    assert sorted(ceilings, reverse=True) == ceilings


def test_the_vehicle_has_come_to_rest_before_the_stop() -> None:
    """Its on-board charger takes 3 s from 11 kW to nothing; the loop goes on meanwhile."""
    vehicle = SimulatedVehicle(Battery(soc=50.0), driver=Driver(wishes=[(5.0, Wish.STOP)]))

    class Watch(EVCC):
        def outgoing(self, request: Node) -> Node:
            if isinstance(request, common.PowerDeliveryReq) and request.charge_progress == "Stop":
                left.append(vehicle.active_power)
            return request

    left: list[float] = []
    pair = Pair(
        SECCConfig(energy=(AC,)),
        EVCCConfig(services=(ServiceWish(ServiceID.AC),)),
        charger=SimulatedCharger(unix_offset=EPOCH),  # type: ignore[arg-type]
        vehicle=vehicle,  # type: ignore[arg-type]
        evcc_class=Watch,
    )
    assert pair.run().outcome is Outcome.TERMINATED
    drawn = [float(r.control_mode.ev_present_active_power) for r in sent(pair, ac.AC_ChargeLoopReq)]
    assert max(drawn) > 10_000
    assert left[0] <= 200


class Falling(Car):
    """Its on-board charger derates while it charges, and would take more again later."""

    def ac_limits(self, now: float) -> ACLimits:
        limits = super().ac_limits(now)
        elapsed = 0.0 if self.started is None else now - self.started
        return replace(limits, max_charge=(11_000.0 - 5_000.0 * elapsed if elapsed < 0.9 else 20_000.0,))


def test_limits_may_fall_in_the_loop_but_do_not_rise_above_those_stated() -> None:
    pair = session(DYNAMIC, car=Falling(loop_time=2.0))
    assert pair.run().outcome is Outcome.TERMINATED
    limits = [float(r.control_mode.ev_maximum_charge_power) for r in sent(pair, ac.AC_ChargeLoopReq)]
    assert min(limits) < 9_000
    assert max(limits) == 11_000


# -- needs
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [ServiceID.AC, ServiceID.DC, ServiceID.DC_BPT])
def test_energy_requests_fall_as_energy_flows(service: ServiceID) -> None:
    mode = EnergyMode(service, ControlMode.DYNAMIC, parameter_set_id=1)
    vehicle = SimulatedVehicle(
        Battery(soc=79.0), driver=Driver(target_soc=80.0), bidirectional=service.bidirectional, speed=20
    )
    pair = Pair(
        SECCConfig(energy=(mode,)),
        EVCCConfig(services=(ServiceWish(service),)),
        charger=SimulatedCharger(speed=20, unix_offset=EPOCH),  # type: ignore[arg-type]
        vehicle=vehicle,  # type: ignore[arg-type]
    )
    result = pair.run()
    assert result.outcome is Outcome.TERMINATED, result.reason
    modes = [r.control_mode for r in sent(pair, ac.AC_ChargeLoopReq) + sent(pair, dc.DC_ChargeLoopReq)]
    wanted = [float(mode.ev_target_energy_request) for mode in modes]
    assert all(later <= earlier for earlier, later in pairwise(wanted))
    assert wanted[0] == pytest.approx(600, rel=0.05)
    assert wanted[-1] <= 1.0
    departures = [mode.departure_time for mode in modes]
    assert all(later <= earlier for earlier, later in pairwise(departures))
    if service.bidirectional:
        tops = [float(mode.ev_maximum_v2x_energy_request) for mode in modes]
        assert all(later <= earlier for earlier, later in pairwise(tops))
    # 600 Wh into the battery; on the way there are the on-board charger (93 %) and its inner resistance.
    # In simulated time, which runs 20 times as fast as the session's clock.
    assert 20 * result.charged_energy == pytest.approx(
        600 / (0.93 if service is ServiceID.AC else 1), rel=0.25
    )


@pytest.mark.parametrize("service", [ServiceID.AC_BPT, ServiceID.DC_BPT])
def test_an_ev_sells_and_then_charges_in_one_scheduled_session(service: ServiceID) -> None:
    mode = EnergyMode(service, ControlMode.SCHEDULED, parameter_set_id=1)
    vehicle = SimulatedVehicle(
        Battery(soc=71.0),
        driver=Driver(target_soc=71.5, discharge_first_to=70.5),
        bidirectional=True,
        speed=20,
    )
    pair = Pair(
        SECCConfig(energy=(mode,)),
        EVCCConfig(services=(ServiceWish(service),)),
        charger=SimulatedCharger(speed=20, unix_offset=EPOCH),  # type: ignore[arg-type]
        vehicle=vehicle,  # type: ignore[arg-type]
    )
    result = pair.run()
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert result.discharged_energy > 5
    assert result.charged_energy > 5
    profiles = [r.ev_power_profile for r in sent(pair, common.PowerDeliveryReq) if r.ev_power_profile]
    first = [float(profile.ev_power_profile_entries.ev_power_profile_entry[0].power) for profile in profiles]
    assert first[0] < 0 < first[-1]
