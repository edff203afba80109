"""The simulated outlet: hardware and site behind `iso15118.session.charger.Charger`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from msgspec.structs import replace

from iso15118.messages import common
from iso15118.messages.common_types import EVSENotification
from iso15118.session.charger import (
    ACOutput,
    Charger,
    DCOutput,
    Direction,
    Progress,
    ScheduleOffer,
    ScheduleRequest,
    SiteWish,
    VehicleReport,
    Verdict,
)
from iso15118.session.services import BPTChannel, EnergyMode, Family, GeneratorMode
from iso15118.session.values import ACGrid, ACLimits, DCLimits, MeterReading, MobilityNeeds, PerPhase, total

from ..clock import Ticker
from .meter import Meter
from .power_stage import Contactor, IsolationMonitor, PowerStage
from .site import Site


@dataclass(slots=True)
class Outlet:
    """What one outlet is and can do; powers in W, AC as sums over the phases."""

    evse_id: str = "DE*HLC*E000001"
    ac_phases: int = 3
    ac_max_charge: float = 22_000.0
    ac_min_charge: float = 0.0
    ac_max_discharge: float = 11_000.0
    ac_min_discharge: float = 0.0
    per_phase: bool = False
    """State three-phase AC values per phase instead of as a sum."""
    grid: ACGrid = field(default_factory=ACGrid)
    stage: PowerStage = field(default_factory=PowerStage)
    isolation: IsolationMonitor = field(default_factory=IsolationMonitor)
    contactor: Contactor = field(default_factory=Contactor)
    meter: Meter | None = field(default_factory=Meter)
    authorization: Verdict = Verdict.ACCEPTED
    authorization_time: float = 0.0
    """Simulated s until the verdict is there."""
    standby_allowed: bool = True
    pause_allowed: bool = True


class SimulatedCharger(Charger):
    """One outlet at a site. `speed` makes simulated time run faster than the session's clock; `unix_offset`
    is Unix time minus that clock.
    """

    def __init__(
        self,
        outlet: Outlet | None = None,
        site: Site | None = None,
        *,
        speed: float = 1.0,
        unix_offset: float = 0.0,
    ) -> None:
        self.outlet = outlet or Outlet()
        self.site = site or Site()
        self.evse_id = self.outlet.evse_id
        """How the vehicle said it will draw power."""
        self._unix_offset = unix_offset
        self._ticker = Ticker(speed)
        self._hardware = Ticker(speed)
        """Of ramps, contactor and isolation test, which move only when they are regulated."""
        self._mode: EnergyMode | None = None
        self._report = VehicleReport()
        self._direction: Direction | None = None
        self._output = DCOutput(0.0, 0.0)
        self._asked_at: float | None = None
        self._plan_asked_at: float | None = None
        self._started_at: float | None = None
        self._done_wishes: set[int] = set()
        self._in_standby = False

    # -- customer and service --

    def authorize(self, now: float) -> Verdict:
        self._advance(now)
        if self._asked_at is None:
            self._asked_at = self._ticker.elapsed
        waited = self._ticker.elapsed - self._asked_at
        return Verdict.PENDING if waited < self.outlet.authorization_time else self.outlet.authorization

    def select(self, now: float, mode: EnergyMode) -> None:
        self._advance(now)
        self._mode = mode
        self._report = VehicleReport()
        self._finish_wish(EVSENotification.ServiceRenegotiation)

    def vehicle(self, now: float, report: VehicleReport) -> None:
        self._advance(now)
        self._report = report

    def ac_limits(self, now: float) -> ACLimits:
        outlet = self.outlet
        share = self._available()
        return ACLimits(
            max_charge=self._per_phase(min(outlet.ac_max_charge, share)),
            min_charge=self._per_phase(min(outlet.ac_min_charge, share)),
            max_discharge=self._per_phase(outlet.ac_max_discharge),
            min_discharge=self._per_phase(outlet.ac_min_discharge),
        )

    def dc_limits(self, now: float) -> DCLimits:
        limits = self.outlet.stage.limits
        share = self._available()
        if share >= limits.max_charge_power:
            return limits
        return replace(limits, max_charge_power=share, min_charge_power=min(limits.min_charge_power, share))

    def ac_grid(self, now: float) -> ACGrid:
        return self.outlet.grid

    def schedule(self, now: float, request: ScheduleRequest) -> ScheduleOffer | None:
        self._advance(now)
        assert self._mode is not None, "schedule before select"
        if self._plan_asked_at is None:
            self._plan_asked_at = self._ticker.elapsed
        if self._ticker.elapsed - self._plan_asked_at < self.site.planning_time:
            return None
        self._plan_asked_at = None
        self._finish_wish(EVSENotification.ScheduleRenegotiation)
        if self._mode.family is Family.AC:
            charge, discharge = self.outlet.ac_max_charge, self.outlet.ac_max_discharge
        else:
            limits = self.outlet.stage.limits
            charge, discharge = limits.max_charge_power, limits.max_discharge_power or 0.0
        return self.site.offer(self._mode, request, int(now + self._unix_offset), charge, discharge)

    def profile(self, now: float, tuple_id: int | None, profile: common.EVPowerProfile) -> None:
        """The power stage follows the requests of the loop, which the SECC holds to the profile."""

    def metering_confirmed(self, now: float, request: common.MeteringConfirmationReq) -> None:
        self._finish_wish(EVSENotification.MeteringConfirmation)

    # -- hardware --

    def cable_check(self, now: float) -> Progress:
        result = self.outlet.isolation.test(self._hardware.step(now))
        if result is not Progress.ONGOING:
            self.outlet.isolation.reset()
        return result

    def precharge(self, now: float, target_voltage: float) -> float:
        return self.outlet.stage.regulate_voltage(target_voltage, self._hardware.step(now))

    def output_voltage(self, now: float) -> float:
        seconds = self._hardware.step(now)
        if self.outlet.contactor.closed:
            return self.outlet.stage.voltage
        return self.outlet.stage.regulate_voltage(0.0, seconds)

    def start_power(self, now: float, direction: Direction | None) -> Progress:
        self._advance(now)
        progress = self.outlet.contactor.close(self._hardware.step(now))
        if progress is Progress.DONE:
            self._direction = direction
            self._in_standby = False
            self._finish_wish(EVSENotification.ExitStandby)
            if self._started_at is None:
                self._started_at = self._ticker.elapsed
            self.site.delivering.add(id(self))
        return progress

    def stop_power(self, now: float) -> Progress:
        self._advance(now)
        self.site.delivering.discard(id(self))
        self._output = DCOutput(0.0, 0.0)
        self.outlet.stage.current = 0.0
        opened = self.outlet.contactor.open()
        # A welded DC contactor shows as voltage in welding detection; an AC one the station sees itself.
        ac = self._mode is not None and self._mode.family is Family.AC
        return Progress.FAILED if ac and not opened else Progress.DONE

    def standby(self, now: float) -> bool:
        self._advance(now)
        if self.outlet.standby_allowed:
            self._in_standby = True
            self.outlet.stage.current = 0.0
        return self.outlet.standby_allowed

    def deliver_dc(self, now: float, current: float | None, voltage: float | None) -> DCOutput:
        self._advance(now)
        seconds = self._hardware.step(now)
        stage = self.outlet.stage
        limits = self.dc_limits(now)
        vehicle = self._report.dc
        load = self._report.present_voltage
        at = max(stage.voltage or load or 1.0, 1.0)
        most = limits.max_charge_power
        least = limits.max_discharge_power or 0.0
        if vehicle is not None:
            most = min(most, vehicle.max_charge_power, vehicle.max_charge_current * at)
            least = min(
                least, vehicle.max_discharge_power or 0.0, (vehicle.max_discharge_current or 0.0) * at
            )
            # What the vehicle no longer takes must not flow while the current ramps down [V2G20-2188].
            limits = replace(
                limits,
                max_charge_current=min(limits.max_charge_current, most / at),
                max_discharge_current=min(limits.max_discharge_current or 0.0, least / at),
            )
        if current is None or self._forming:
            current = self._wanted_power(most, least) / at
            voltage = None
        current = self._in_channel(current)
        self._output = stage.regulate(limits, current, voltage, load, seconds)
        return self._output

    def deliver_ac(self, now: float) -> ACOutput:
        self._advance(now)
        vehicle = self._report.ac
        most, least = self._ac_ceiling()
        present = self._report.present_active_power
        mode = self._mode
        target = None
        if (mode is not None and not mode.scheduled) or self._forming:
            if vehicle is not None:
                most = min(most, total(vehicle.max_charge))
                least = min(least, total(vehicle.max_discharge or (0.0,)))
            target = self._in_channel(self._wanted_power(most, least))
        elif most < self.outlet.ac_max_charge:
            target = most
        return ACOutput(
            target_active_power=None if target is None else self._per_phase(target),
            target_frequency=self.outlet.grid.frequency if self._forming else None,
            present_active_power=None if present is None else self._per_phase(self._measured_ac()),
        )

    def meter(self, now: float) -> MeterReading | None:
        self._advance(now)
        if self.outlet.meter is None:
            return None
        bidirectional = self._mode is not None and self._mode.bidirectional
        return self.outlet.meter.reading(bidirectional=bidirectional, timestamp=int(now + self._unix_offset))

    # -- the site's wishes --

    def wish(self, now: float) -> SiteWish | None:
        self._advance(now)
        if not self.site.grid_present and not self._forming:
            return SiteWish(EVSENotification.Terminate)
        elapsed = self._since_start
        for index, (start, wish) in enumerate(self.site.wishes):
            if elapsed >= start and index not in self._done_wishes:
                return wish
        return None

    def mobility_needs(self, now: float) -> MobilityNeeds | None:
        return self.site.needs

    def acknowledge_within(self, now: float) -> int | None:
        return self.site.ack_max_delay

    def pause_allowed(self, now: float) -> bool:
        return self.outlet.pause_allowed

    def session_ended(self, now: float, paused: bool) -> None:
        self.stop_power(now)
        self._started_at = None
        self._asked_at = self._plan_asked_at = None
        self.outlet.isolation.reset()
        if not paused:
            self._done_wishes.clear()
            if self.outlet.meter is not None:
                self.outlet.meter.reset()

    # -- physics --

    def sample(self, now: float) -> dict[str, float]:
        """Values now, for a trace: `grid` and `contactor` 0 or 1; `power` W, with DC `voltage` V and
        `current` A, positive into the vehicle; `charged` and `discharged` Wh of the meter; while power is on,
        `site_limit`, W that the site lets this outlet take.
        """
        self._advance(now)
        ac = self._mode is not None and self._mode.family is Family.AC
        closed = self.outlet.contactor.closed
        values = {"grid": float(self.site.grid_present), "contactor": float(closed)}
        if id(self) in self.site.delivering:
            values["site_limit"] = self._ac_ceiling()[0] if ac else self.dc_limits(now).max_charge_power
        if ac:
            values["power"] = self._measured_ac()
        else:
            current = self._output.current if closed else 0.0
            values["voltage"] = self.outlet.stage.voltage
            values["current"] = current
            values["power"] = self.outlet.stage.voltage * current
        if self.outlet.meter is not None:
            values["charged"], values["discharged"] = self.energy
        return values

    @property
    def energy(self) -> tuple[float, float]:
        """Wh charged and discharged in this service session."""
        meter = self.outlet.meter
        return (0.0, 0.0) if meter is None else (meter.charged, meter.discharged)

    @property
    def _since_start(self) -> float:
        return 0.0 if self._started_at is None else self._ticker.elapsed - self._started_at

    @property
    def _forming(self) -> bool:
        """The vehicle forms the grid of an island."""
        mode = self._mode
        return (
            mode is not None
            and mode.bidirectional
            and mode.generator is GeneratorMode.GRID_FORMING
            and not self.site.grid_present
        )

    def _available(self) -> float:
        """Charging power the site lets this outlet have now."""
        if not self.site.grid_present:
            return 0.0
        return min(self.site.share(id(self)), self.site.slot(self._since_start).charge)

    def _wanted_power(self, most: float, least: float) -> float:
        """Dynamic mode: the site's set-point as far as limits and needs of the vehicle allow; negative
        discharges.
        """
        if self._in_standby:
            return 0.0
        if self._forming:
            return -min(self.site.local_load, least)
        needs = self._report.needs
        wanted = self.site.set_point(self._since_start)
        if wanted is None:
            return most if (needs.target_energy if needs.target_energy is not None else 1.0) > 0 else 0.0
        if wanted >= 0:
            room = needs.max_energy if needs.max_energy is not None else math.inf
            return min(wanted, most) if room > 0 else 0.0
        mode = self._mode
        above = needs.min_v2x_energy if needs.min_v2x_energy is not None else needs.min_energy
        if mode is None or not mode.bidirectional or (above is not None and above >= 0):
            return 0.0
        return -min(-wanted, least)

    def _in_channel(self, value: float) -> float:
        """With separate channels, power flows only the way that the vehicle chose."""
        if self._mode is None or self._mode.channel is not BPTChannel.SEPARATED or self._direction is None:
            return value
        return min(0.0, value) if self._direction is Direction.DISCHARGE else max(0.0, value)

    def _ac_ceiling(self) -> tuple[float, float]:
        return min(self.outlet.ac_max_charge, self._available()), self.outlet.ac_max_discharge

    def _measured_ac(self) -> float:
        """What flows, W: the vehicle's word, within what the outlet's breaker lets through."""
        if not self.outlet.contactor.closed or self._report.present_active_power is None:
            return 0.0
        power = total(self._report.present_active_power)
        return max(-self.outlet.ac_max_discharge, min(self.outlet.ac_max_charge, power))

    def _advance(self, now: float) -> None:
        """Let simulated time pass: meter what flowed since the last call."""
        seconds = self._ticker.step(now)
        if seconds and self.outlet.meter is not None and self.outlet.contactor.closed:
            ac = self._mode is not None and self._mode.family is Family.AC
            power = self._measured_ac() if ac else self._output.voltage * self._output.current
            self.outlet.meter.record(power, seconds)

    def _finish_wish(self, notification: EVSENotification) -> None:
        """The vehicle acted: wishes of this kind that were due are done."""
        for index, (start, wish) in enumerate(self.site.wishes):
            if (
                wish.notification is notification
                and self._started_at is not None
                and self._since_start >= start
            ):
                self._done_wishes.add(index)

    def _per_phase(self, power: float) -> PerPhase:
        if self.outlet.per_phase and self._mode is not None and self._mode.phases == 3:
            return (power / 3, power / 3, power / 3)
        return (power,)
