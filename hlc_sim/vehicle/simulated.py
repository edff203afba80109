"""The simulated vehicle: what its battery, inlet, on-board charger and driver make of a charging session."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from iso15118.messages.common_types import DisplayParameters, RationalNumber
from iso15118.session.charger import ControlPilot
from iso15118.session.values import ACLimits, DCLimits, MobilityNeeds, PerPhase, total
from iso15118.session.vehicle import DCTarget, Measurement, Supply, Vehicle, Wish

from ..clock import Ticker
from .battery import Battery

_MEASURED = 2000.0
"""V that the sensor at the inlet shows at most, whatever the station says there is."""
_FINISHED = 1.0
"""Wh: nearer to the target than this, it is reached."""


@dataclass(slots=True)
class OnBoardCharger:
    """AC side of the vehicle; powers in W are sums over its phases."""

    phases: int = 3
    max_charge: float = 11_000.0
    min_charge: float = 1_400.0
    max_discharge: float = 10_000.0
    min_discharge: float = 0.0
    efficiency: float = 0.93
    ramp: float = 4_000.0
    """W/s."""

    def __post_init__(self) -> None:
        if self.phases not in (1, 3):
            raise ValueError(f"on-board charger has 1 or 3 phases, not {self.phases}")
        if not 0 < self.efficiency <= 1:
            raise ValueError(
                f"on-board charger efficiency is {self.efficiency}, must be above 0 and at most 1"
            )


@dataclass(slots=True)
class Driver:
    """What the driver wants. States of charge in %, times in simulated s from the start of the session."""

    target_soc: float = 80.0
    min_soc: float = 30.0
    max_soc: float = 100.0
    v2x_range: tuple[float, float] = (40.0, 70.0)
    """Cycling range: the vehicle may be discharged to the first and charged to the second."""
    departure: float = 4 * 3600.0
    stop_when_charged: bool = True
    """Ask for the end of the session once the target is reached."""
    discharge_first_to: float | None = None
    """Scheduled bidirectional session: sell energy down to this state of charge, then charge."""
    wishes: list[tuple[float, Wish]] = field(default_factory=list)
    """(time, wish): each from its time on, a renegotiation and a pause once. They take precedence over
    `stop_when_charged`.
    """
    wishes_from_power: bool = False
    """The times of `wishes` count from the first time that power is on."""


class SimulatedVehicle(Vehicle):
    """Battery, inlet, on-board charger and driver in one; `speed` makes simulated time run faster than the
    session's.
    """

    def __init__(
        self,
        battery: Battery | None = None,
        on_board_charger: OnBoardCharger | None = None,
        driver: Driver | None = None,
        *,
        bidirectional: bool = False,
        speed: float = 1.0,
    ) -> None:
        self.battery = battery or Battery()
        self.on_board_charger = on_board_charger or OnBoardCharger()
        self.driver = driver or Driver()
        self.bidirectional = bidirectional
        self.pilot = ControlPilot.B
        self.connected = False
        """The battery's contactors are closed (DC)."""
        self.active_power = 0.0
        """W drawn from (negative: fed to) the AC side."""
        self._supply = Supply()
        self._ticker = Ticker(speed)
        self._ac = False
        """The session transfers AC: the EVCC asks for the limits of one side only."""
        self._done: set[int] = set()
        """Wishes that were wished once and for all, by their place in the list."""
        self._power_since: float | None = None
        self._adopted: MobilityNeeds | None = None

    # -- what it says --

    def ac_limits(self, now: float) -> ACLimits:
        self._ac = True
        charger = self.on_board_charger
        by_battery = self.battery.charge_current_limit() * self.battery.max_voltage / charger.efficiency
        limits = ACLimits(
            max_charge=(min(charger.max_charge, by_battery),),
            min_charge=(min(charger.min_charge, by_battery),),
        )
        if not self.bidirectional:
            return limits
        given = self.battery.discharge_current_limit() * self.battery.min_voltage * charger.efficiency
        return ACLimits(
            max_charge=limits.max_charge,
            min_charge=limits.min_charge,
            max_discharge=(min(charger.max_discharge, given),),
            min_discharge=(min(charger.min_discharge, given),),
        )

    def dc_limits(self, now: float) -> DCLimits:
        self._ac = False
        battery = self.battery
        current = battery.charge_current_limit()
        out = battery.discharge_current_limit()
        return DCLimits(
            max_charge_power=min(battery.max_charge_power, current * battery.max_voltage),
            max_charge_current=current,
            max_voltage=battery.max_voltage,
            min_voltage=battery.min_voltage,
            max_discharge_power=min(battery.max_discharge_power, out * battery.max_voltage)
            if self.bidirectional
            else None,
            min_discharge_power=0.0 if self.bidirectional else None,
            max_discharge_current=out if self.bidirectional else None,
            min_discharge_current=0.0 if self.bidirectional else None,
        )

    def needs(self, now: float) -> MobilityNeeds:
        self._advance(now)
        driver, battery = self.driver, self.battery
        target, least, departure = driver.target_soc, driver.min_soc, driver.departure
        if self._adopted is not None:
            target = target if self._adopted.target_soc is None else self._adopted.target_soc
            least = least if self._adopted.min_soc is None else self._adopted.min_soc
            departure = departure if self._adopted.departure is None else self._adopted.departure
        return MobilityNeeds(
            departure=max(0.0, departure - self._ticker.elapsed),
            min_soc=round(least),
            target_soc=round(target),
            target_energy=battery.energy_to(target),
            max_energy=battery.energy_to(driver.max_soc),
            min_energy=battery.energy_to(least),
            max_v2x_energy=battery.energy_to(driver.v2x_range[1]) if self.bidirectional else None,
            min_v2x_energy=battery.energy_to(driver.v2x_range[0]) if self.bidirectional else None,
        )

    def measure(self, now: float) -> Measurement:
        self._advance(now)
        battery = self.battery
        voltage = battery.voltage
        inlet = voltage if self.connected else (self._supply.voltage or 0.0)
        return Measurement(
            battery_voltage=voltage,
            inlet_voltage=inlet,
            current=battery.current if self.connected else 0.0,
            active_power=self._per_phase(self.active_power),
            reactive_power=self._per_phase(total(self._supply.reactive_power or (0.0,))),
        )

    def dc_target(self, now: float) -> DCTarget:
        self._advance(now)
        battery = self.battery
        if not self.connected:
            return DCTarget(voltage=battery.open_circuit_voltage, current=0.0)
        if self._selling():
            return DCTarget(voltage=battery.open_circuit_voltage, current=-battery.discharge_current_limit())
        wanted = battery.energy_to(self._target_soc) > _FINISHED
        return DCTarget(
            voltage=battery.max_voltage, current=battery.charge_current_limit() if wanted else 0.0
        )

    def display(self, now: float) -> DisplayParameters | None:
        soc = self.battery.soc
        energy = self.battery.energy_to(self._target_soc)
        power = self.battery.voltage * self.battery.current
        return DisplayParameters(
            present_soc=round(soc),
            minimum_soc=round(self.driver.min_soc),
            target_soc=round(self._target_soc),
            remaining_time_to_target_soc=math.ceil(energy / power * 3600)
            if energy > 0 and power > 1
            else None,
            charging_complete=energy <= _FINISHED,
            battery_energy_capacity=RationalNumber.of(self.battery.capacity),
            inlet_hot=False,
        )

    def wish(self, now: float) -> Wish:
        self._advance(now)
        scripted = None
        for index, wish in self._due():
            if wish in (Wish.RENEGOTIATE_SCHEDULE, Wish.RENEGOTIATE_SERVICE):
                self._done.add(index)
                return wish
            scripted = wish
        if scripted is not None:
            return scripted
        if self.driver.stop_when_charged and not self._selling() and self._charged():
            return Wish.STOP
        return Wish.CHARGE

    def _due(self) -> list[tuple[int, Wish]]:
        """The wishes whose time has come, with their places."""
        elapsed = self._ticker.elapsed
        if self.driver.wishes_from_power:
            elapsed = -1.0 if self._power_since is None else elapsed - self._power_since
        return [
            (index, wish)
            for index, (start, wish) in enumerate(self.driver.wishes)
            if elapsed >= start and index not in self._done
        ]

    def pause_over(self) -> None:
        """The session that was paused is about to go on: what was wished for until then is done."""
        self._done.update(index for index, wish in self._due() if wish is Wish.PAUSE)

    def selling(self, now: float) -> bool:
        self._advance(now)
        return self._selling()

    # -- what it is told --

    def control_pilot(self, now: float, state: ControlPilot) -> None:
        self.pilot = state
        if self._ac and state in (ControlPilot.C, ControlPilot.D):
            self._power_on(now)

    def _power_on(self, now: float) -> None:
        self._advance(now)
        if self._power_since is None:
            self._power_since = self._ticker.elapsed

    def contactors(self, now: float, closed: bool) -> None:
        self._advance(now)
        self.connected = closed
        if closed:
            self._power_on(now)
        else:
            self.battery.current = 0.0

    def supply(self, now: float, supply: Supply) -> None:
        self._advance(now)
        if supply.voltage is not None:
            supply = replace(supply, voltage=max(-_MEASURED, min(_MEASURED, supply.voltage)))
        self._supply = supply
        if supply.voltage is not None and supply.current is not None:
            self.battery.flow(supply.current if self.connected else 0.0, 0.0)

    def adopt_needs(self, now: float, needs: MobilityNeeds, ack_max_delay: int | None) -> None:
        departure = None if needs.departure is None else self._ticker.elapsed + needs.departure
        self._adopted = MobilityNeeds(departure=departure, min_soc=needs.min_soc, target_soc=needs.target_soc)

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the session's first question."""
        return self._ticker.elapsed

    # -- physics --

    @property
    def _target_soc(self) -> float:
        adopted = self._adopted.target_soc if self._adopted is not None else None
        return self.driver.target_soc if adopted is None else adopted

    def _charged(self) -> bool:
        """The target is reached, or the battery takes nothing more."""
        return (
            self.battery.energy_to(self._target_soc) <= _FINISHED or self.battery.charge_current_limit() == 0
        )

    def _selling(self) -> bool:
        """Still on the way down to `discharge_first_to`."""
        goal = self.driver.discharge_first_to
        if goal is None or not self.bidirectional:
            return False
        if self.battery.energy_to(goal) >= -_FINISHED or self.battery.discharge_current_limit() == 0:
            self.driver.discharge_first_to = None
            return False
        return True

    def _advance(self, now: float) -> None:
        seconds = self._ticker.step(now)
        if seconds == 0:
            return
        if self.connected:
            self.battery.flow(self._supply.current or 0.0, seconds)
        elif self._ac and (self.pilot in (ControlPilot.C, ControlPilot.D) or self.active_power):
            self._draw_ac(seconds)

    def _draw_ac(self, seconds: float) -> None:
        """Follow the charger's set-point, or without one the driver's wish, within both sides' limits, at the
        ramp.
        """
        charger, battery, supply = self.on_board_charger, self.battery, self._supply
        goal = 0.0
        if self.pilot in (ControlPilot.C, ControlPilot.D):
            if supply.active_power is not None:
                goal = total(supply.active_power)
            elif self._selling():
                goal = -charger.max_discharge
            elif not self._charged():
                goal = charger.max_charge
            most = min(charger.max_charge, supply.charge_power)
            least = -min(charger.max_discharge, supply.discharge_power) if self.bidirectional else 0.0
            goal = max(least, min(most, goal))
            if 0 < goal < charger.min_charge:
                goal = 0.0
        step = charger.ramp * seconds
        self.active_power += max(-step, min(step, goal - self.active_power))
        through = self.active_power * (
            charger.efficiency if self.active_power >= 0 else 1 / charger.efficiency
        )
        current = battery.current_for_power(through)
        allowed = max(-battery.discharge_current_limit(), min(battery.charge_current_limit(), current))
        if allowed != current:
            through = (battery.open_circuit_voltage + allowed * battery.resistance) * allowed
            self.active_power = through / charger.efficiency if through >= 0 else through * charger.efficiency
        battery.flow(allowed, seconds)

    def _per_phase(self, power: float) -> PerPhase:
        """A symmetric load: the sum stands for all phases."""
        return (power,)
