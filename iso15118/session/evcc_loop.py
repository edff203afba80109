"""The charge loop: what the EV asks, what it makes of the answers, and what it leaves the loop for."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec.structs import replace

from ..messages import ac, common, dc
from ..messages.common_types import ChargeLoopRes, EVSENotification, ResponseCode
from ..v2gtp import PayloadType
from .evcc_power import Progress
from .evcc_requests import ac_loop, dc_loop, loop_limits, number
from .evcc_side import SideStreams
from .evcc_steps import Exchange
from .events import Role, Severity
from .services import Family
from .values import ACLimits, DCLimits, PerPhase, per_phase, total
from .vehicle import DCTarget, Supply, Wish

_WISHES = {
    EVSENotification.Pause: Wish.PAUSE,
    EVSENotification.Terminate: Wish.STOP,
    EVSENotification.ScheduleRenegotiation: Wish.RENEGOTIATE_SCHEDULE,
    EVSENotification.ServiceRenegotiation: Wish.RENEGOTIATE_SERVICE,
    EVSENotification.ExitStandby: Wish.CHARGE,
}
_LEAVING = {
    Wish.STOP: common.ChargingSession.Terminate,
    Wish.PAUSE: common.ChargingSession.Pause,
    Wish.RENEGOTIATE_SERVICE: common.ChargingSession.ServiceRenegotiation,
}
_IN_KIND = {
    ac.Scheduled_AC_CLReqControlMode: ac.Scheduled_AC_CLResControlMode,
    ac.BPT_Scheduled_AC_CLReqControlMode: ac.BPT_Scheduled_AC_CLResControlMode,
    ac.Dynamic_AC_CLReqControlMode: ac.Dynamic_AC_CLResControlMode,
    ac.BPT_Dynamic_AC_CLReqControlMode: ac.BPT_Dynamic_AC_CLResControlMode,
    dc.Scheduled_DC_CLReqControlMode: dc.Scheduled_DC_CLResControlMode,
    dc.BPT_Scheduled_DC_CLReqControlMode: dc.BPT_Scheduled_DC_CLResControlMode,
    dc.Dynamic_DC_CLReqControlMode: dc.Dynamic_DC_CLResControlMode,
    dc.BPT_Dynamic_DC_CLReqControlMode: dc.BPT_Dynamic_DC_CLResControlMode,
}
_OVERSHOOT = 1.05
"""What a charger may exceed a limit by before it is reported: regulation and measurement are not exact."""
_RAMPED_DOWN = 200.0
"""W; AC power at which the contactor may open."""
_STANDBY_POLL = 0.5
"""Seconds between looks at the vehicle's wish in standby."""


class Transfer(SideStreams):
    """Energy transfer, from the first charge loop to what ends it."""

    ramping_down = False
    """Ask for no power any more, so that the contactors can open without load."""
    last_current = 0.0
    """Of the last charge loop: A in DC; in AC 0, or infinite while the vehicle draws power."""
    standby_denied = False
    """The vehicle's wish for standby was refused or ended; it counts again once it has changed."""
    _loop_ended: float | None = None
    """When the last charge-loop response came, and power flowed since."""
    _replanned: object = None
    """The plan whose end was already answered with a renegotiation."""
    _unasked_meter: bool | None = None
    """Whether the first response had MeterInfo; None before, or if it was asked for."""

    def transfer(self) -> Exchange[common.ChargingSession]:
        """Loop until something ends it; how the session goes on."""
        self._loop_ended = None
        while True:
            yield from self.charge_loop()
            wish = self.next_wish()
            if wish in _LEAVING:
                return _LEAVING[wish]
            leave = None
            if wish is Wish.STANDBY:
                leave = yield from self.stand_by()
                self._loop_ended = None  # no power flowed since
            elif wish is Wish.RENEGOTIATE_SCHEDULE:
                leave = yield from self.renegotiate_schedule()
            elif self.wanted_channel() is not self.channel:
                yield from self.start()
            if leave is not None:
                return leave
            yield from self.pause(self.config.loop_interval)

    # -- what is wanted ----------------------------------------------------------------------------------

    def next_wish(self) -> Wish:
        """What to do next: a notification of the SECC that is due, else what the vehicle wants."""
        notice = self.notice
        if notice is not None and self.now >= notice.act_at:
            self.notice = None
            return _WISHES[notice.notification]
        wanted = self.config.charge_loops
        if wanted is not None and self.result.charge_loops >= wanted:
            return Wish.STOP
        wish = self.vehicle.wish(self.now)
        if wish is not Wish.STANDBY:
            self.standby_denied = False
        elif self.standby_denied:
            wish = Wish.CHARGE
        if wish is Wish.RENEGOTIATE_SERVICE and not self.service_renegotiation:
            wish = Wish.CHARGE
        if wish is Wish.CHARGE and self._plan_outdated():
            self._replanned = self.plan
            return Wish.RENEGOTIATE_SCHEDULE
        return wish

    def _plan_outdated(self) -> bool:
        """The schedule has run out, or the vehicle wants the other direction; said once for each plan."""
        plan = self.plan
        if plan is None or plan is self._replanned:
            return False
        turned = self.mode.bidirectional and plan.selling is not self.vehicle.selling(self.now)
        return turned or self.secc_time() >= plan.ends()

    def renegotiate_schedule(self) -> Exchange[common.ChargingSession | None]:
        """Agree on another schedule; a way to leave if the SECC wants a pause instead."""
        if self.config.renegotiation_stream == "side":
            if not self.side_running(PayloadType.SCHEDULE_RENEGOTIATION):
                self.start_side(PayloadType.SCHEDULE_RENEGOTIATION, self.renegotiate_beside())
            return None
        code = yield from self.power_delivery(Progress.ScheduleRenegotiation)
        if code is ResponseCode.WARNING_ScheduleRenegotiationFailed:
            self.acted_on(EVSENotification.ScheduleRenegotiation)
            return None
        if self.config.renegotiate_limits:
            yield from self.charge_parameters()
        if (yield from self.exchange_schedule()):
            return common.ChargingSession.Pause
        yield from self.start()
        self.acted_on(EVSENotification.ScheduleRenegotiation)
        return None

    def stand_by(self) -> Exchange[common.ChargingSession | None]:
        """Stay without energy transfer as long as the vehicle wants and the SECC lets it; a way to leave, or
        back.
        """
        wish = yield from self.hold_standby()
        if wish in _LEAVING:
            return _LEAVING[wish]
        if wish is Wish.RENEGOTIATE_SCHEDULE:
            return (yield from self.renegotiate_schedule())
        if wish is not None:
            yield from self.start()
            self.acted_on(EVSENotification.ExitStandby)
        return None

    def hold_standby(self) -> Exchange[Wish | None]:
        """PowerDelivery(Standby), repeated in time [V2G20-2113]; the wish that ended it, None if it was
        refused.
        """
        code = yield from self.power_delivery(Progress.Standby)
        if code is ResponseCode.WARNING_StandbyNotAllowed:
            self.standby_denied = True
            return None
        self.vehicle.supply(self.now, Supply(charge_power=0.0, discharge_power=0.0))
        asked = self.now
        while True:
            wish = self.next_wish()
            if wish is not Wish.STANDBY:
                # The SECC may have ended it: the vehicle's wish must change before standby
                # is asked for again.
                self.standby_denied = True
                return wish
            yield from self.pause(min(_STANDBY_POLL, self.config.standby_interval))
            if self.now - asked >= self.config.standby_interval - 1e-6:
                yield from self.power_delivery(Progress.Standby)
                asked = self.now

    def ramp_down(self) -> Exchange[None]:
        """Ask for no power until none flows, so that PowerDelivery(Stop) switches without load."""
        if abs(self.last_current) <= self.config.ramp_down_current:
            return
        started = self.now
        self.ramping_down = True
        try:
            while self.now - started < self.config.ramp_down_time:
                current = yield from self.charge_loop()
                if abs(current) <= self.config.ramp_down_current:
                    return
                yield from self.pause(self.config.loop_interval)
        finally:
            self.ramping_down = False

    # -- one loop ----------------------------------------------------------------------------------------

    def charge_loop(self) -> Exchange[float]:
        """One charge loop. The present current in A (DC), or 0 once an AC vehicle draws next to nothing."""
        result = self.result
        interval = self.config.meter_interval
        ask_meter = interval > 0 and result.charge_loops % interval == 0
        if self.mode.family is Family.AC:
            current = yield from self._ac_loop(ask_meter)
        else:
            current = yield from self._dc_loop(ask_meter)
        self.last_current = current
        result.charge_loops += 1
        self._loop_ended = self.now
        return current

    def _dc_loop(self, ask_meter: bool) -> Exchange[float]:
        vehicle, now = self.vehicle, self.now
        actual = vehicle.dc_limits(now)
        limits = actual if self.stated_dc is None else _within_dc(actual, self.stated_dc)
        if self.ramping_down and not self.mode.scheduled:
            # Under scheduled control the target alone says it.
            limits = replace(limits, max_charge_current=0.0, max_discharge_current=0.0)
        present = vehicle.measure(now)
        target = self.dc_target(limits, present.inlet_voltage) if self.mode.scheduled else None
        request = dc.DC_ChargeLoopReq(
            header=self.header(),
            display_parameters=vehicle.display(now),
            meter_info_requested=ask_meter,
            ev_present_voltage=number(present.inlet_voltage),
            control_mode=dc_loop(self.mode, limits, vehicle.needs(now), target, self.config.dialect),
        )
        response = yield from self.ask(request, dc.DC_ChargeLoopRes)
        voltage, current = float(response.evse_present_voltage), float(response.evse_present_current)
        self._check_dc_limits(response, actual, voltage, current)
        self._after_loop(request.control_mode, response, ask_meter, voltage * current)
        if isinstance(response.control_mode, dc.Dynamic_DC_CLResControlMode):
            mode = response.control_mode
            self.take_needs(mode, mode.ack_max_delay, dc.DC_ChargeLoopRes, "V2G20-1290")
        vehicle.supply(self.now, self._dc_supply(voltage, current))
        return current

    def _ac_loop(self, ask_meter: bool) -> Exchange[float]:
        vehicle, now = self.vehicle, self.now
        limits = vehicle.ac_limits(now)
        if self.stated_ac is not None:
            limits = _within_ac(limits, self.stated_ac)
        present = vehicle.measure(now)
        request = ac.AC_ChargeLoopReq(
            header=self.header(),
            display_parameters=vehicle.display(now),
            meter_info_requested=ask_meter,
            control_mode=ac_loop(self.mode, limits, vehicle.needs(now), present, self.config.dialect),
        )
        response = yield from self.ask(request, ac.AC_ChargeLoopRes)
        self._after_loop(request.control_mode, response, ask_meter, total(present.active_power))
        mode = response.control_mode
        if isinstance(mode, ac.Dynamic_AC_CLResControlMode):
            self.take_needs(mode, mode.ack_max_delay, ac.AC_ChargeLoopRes, "V2G20-1366")
        vehicle.supply(self.now, self._ac_supply(response))
        power = abs(total(vehicle.measure(self.now).active_power))
        return 0.0 if power <= _RAMPED_DOWN else math.inf

    # -- set-points --------------------------------------------------------------------------------------

    def planned(self) -> tuple[float, float]:
        """Ceilings of the power profile, W: charge, discharge (a magnitude). A step down counts before it
        comes: the vehicle must have taken it by then, and header times tell the SECC's clock to a second
        only.
        """
        if self.ramping_down:
            return 0.0, 0.0
        if self.plan is None:
            return math.inf, math.inf
        now = self.secc_time()
        power, soon = self.plan.power_at(now), self.plan.power_at(now + 1.0 + self.config.loop_interval)
        return max(0.0, min(power, soon)), max(0.0, min(-power, -soon))

    def dc_target(self, limits: DCLimits, voltage: float) -> DCTarget:
        """The vehicle's set-point within its own limits, the charger's, and the power profile."""
        wanted = self.vehicle.dc_target(self.now)
        evse = self.evse_dc_now or limits
        charge, discharge = self.planned()
        volts = max(voltage, 1.0)
        most = min(limits.max_charge_current, evse.max_charge_current, charge / volts)
        least = -min(
            limits.max_discharge_current or 0.0, evse.max_discharge_current or 0.0, discharge / volts
        )
        if not self.mode.bidirectional:
            least = 0.0
        return DCTarget(
            voltage=min(wanted.voltage, limits.max_voltage, evse.max_voltage),
            current=min(most, max(least, wanted.current)),
        )

    def _dc_supply(self, voltage: float, current: float) -> Supply:
        charge, discharge = self.planned()
        evse = self.evse_dc_now
        if evse is None:
            return Supply(voltage=voltage, current=current, charge_power=charge, discharge_power=discharge)
        return Supply(
            voltage=voltage,
            current=current,
            charge_power=min(charge, evse.max_charge_power),
            discharge_power=min(discharge, evse.max_discharge_power or 0.0),
            charge_current=evse.max_charge_current,
            discharge_current=evse.max_discharge_current or 0.0,
            maximum_voltage=evse.max_voltage,
        )

    def _ac_supply(self, response: ac.AC_ChargeLoopRes) -> Supply:
        charge, discharge = self.planned()
        evse = self.evse_ac
        if evse is not None:
            charge = min(charge, total(evse.max_charge))
            discharge = min(discharge, total(evse.max_discharge or (0.0,)))
        frequency = response.evse_target_frequency
        return Supply(
            charge_power=charge,
            discharge_power=discharge,
            active_power=per_phase(response.control_mode, "evse_target_active_power"),
            reactive_power=per_phase(response.control_mode, "evse_target_reactive_power"),
            frequency=None if frequency is None else float(frequency),
        )

    # -- the answer --------------------------------------------------------------------------------------

    def _after_loop(
        self,
        asked: object,
        response: ac.AC_ChargeLoopRes | dc.DC_ChargeLoopRes,
        ask_meter: bool,
        power: float,
    ) -> None:
        """What both families have in common: kind of answer, energy, meter, notifications."""
        message = type(response)
        expected = _IN_KIND[type(asked)]  # type: ignore[index]
        if type(response.control_mode) is not expected:
            self.deviation(
                f"{type(response.control_mode).__name__} in answer",
                expected.__name__,
                requirement="V2G20-1600",
                message=message,
            )
        if self._loop_ended is not None:
            energy = power * (self.now - self._loop_ended) / 3600
            self.result.charged_energy += max(0.0, energy)
            self.result.discharged_energy += max(0.0, -energy)
        if response.response_code is ResponseCode.WARNING_EVPowerProfileViolation:
            self.deviation(
                "WARNING_EVPowerProfileViolation",
                "power within the profile",
                offender=Role.EVCC,
                message=message,
            )
        self._check_meter(response, ask_meter)
        self.take_status(response.evse_status, message)
        self.answer_metering(response.evse_status, response.meter_info, response.receipt, message)

    def _check_meter(self, response: ChargeLoopRes, ask_meter: bool) -> None:
        meter, message = response.meter_info, type(response)
        if self.result.charge_loops == 0 and not ask_meter:
            self._unasked_meter = meter is not None
        if meter is None:
            if ask_meter:
                self.deviation(
                    "no MeterInfo", "the MeterInfo asked for", requirement="V2G20-1082", message=message
                )
            if response.receipt is not None and response.receipt.energy_costs is not None:
                self.deviation(
                    "a receipt of energy costs without MeterInfo",
                    "the MeterInfo with it",
                    requirement="V2G20-1919",
                    message=message,
                )
            return
        if self._unasked_meter is False:
            self._unasked_meter = None
            self.deviation(
                "the first MeterInfo came later",
                "MeterInfo in the first charge-loop response of an EVSE with a meter",
                requirement="V2G20-1833",
                message=message,
            )
        last = self.result.meter_info
        if last is not None and meter.charged_energy_reading_wh < last.charged_energy_reading_wh:
            self.deviation(
                f"ChargedEnergyReadingWh fell from {last.charged_energy_reading_wh}"
                f" to {meter.charged_energy_reading_wh}",
                "the energy of this service session",
                requirement="V2G20-902",
                message=message,
            )
        self.result.meter_info = meter

    def _check_dc_limits(
        self, response: dc.DC_ChargeLoopRes, limits: DCLimits, voltage: float, current: float
    ) -> None:
        """Take the limits of the response; the SECC keeps within both sides' limits and its own of parameter
        discovery.
        """
        if response.control_mode != self.limits_read:
            self.limits_read = response.control_mode
            self._take_dc_limits(response.control_mode)
        self._bounded("voltage", voltage, limits.max_voltage, 1.0)
        self._bounded("current", current, limits.max_charge_current, 2.0)
        if self.mode.bidirectional:
            self._bounded("discharge current", -current, limits.max_discharge_current or 0.0, 2.0)

    def _take_dc_limits(self, control_mode: object) -> None:
        known = self.evse_dc_now
        if known is None or self.evse_dc is None:
            return
        stated = dict(loop_limits(control_mode))
        for name, value in stated.items():
            bound = getattr(self.evse_dc, name)
            if bound is None:
                continue
            beyond = name.startswith("max") and value > bound * 1.000001
            below = name.startswith("min") and value < bound * 0.999999
            if beyond or below:
                self.deviation(
                    f"{name} {value:g}",
                    f"at {'most' if beyond else 'least'} {bound:g}, as stated in parameter discovery",
                    requirement="V2G20-2654" if beyond else "V2G20-2655",
                    message=dc.DC_ChargeLoopRes,
                )
        self.evse_dc_now = replace(known, **stated)

    def _bounded(self, name: str, value: float, limit: float, slack: float) -> None:
        if value > limit * _OVERSHOOT + slack:
            self.deviation(
                f"{name} {value:g}",
                f"at most {limit:g}, the EV's limit",
                requirement="V2G20-2188",
                severity=Severity.ERROR,
                message=dc.DC_ChargeLoopRes,
            )


_BOUNDS: tuple[tuple[str, Callable[[float, float], float]], ...] = tuple(
    (name, min if name.startswith("max") else max)
    for name in DCLimits.__struct_fields__
    if name.startswith(("max", "min"))
)


def _within_dc(limits: DCLimits, stated: DCLimits) -> DCLimits:
    """Maxima at most, minima at least as stated in parameter discovery."""
    if limits == stated:
        return limits
    changed: dict[str, float] = {}
    for name, pick in _BOUNDS:
        value, bound = getattr(limits, name), getattr(stated, name)
        if value is not None and bound is not None and pick(value, bound) != value:
            changed[name] = bound
    return replace(limits, **changed) if changed else limits


def _within_ac(limits: ACLimits, stated: ACLimits) -> ACLimits:
    def each(
        value: PerPhase | None, bound: PerPhase | None, pick: Callable[[float, float], float]
    ) -> PerPhase | None:
        if value is None or bound is None or len(value) != len(bound):
            return value
        found = [pick(a, b) for a, b in zip(value, bound, strict=True)]
        return (found[0],) if len(found) == 1 else (found[0], found[1], found[2])

    if limits == stated:
        return limits
    return ACLimits(
        max_charge=each(limits.max_charge, stated.max_charge, min) or limits.max_charge,
        min_charge=each(limits.min_charge, stated.min_charge, max) or limits.min_charge,
        max_discharge=each(limits.max_discharge, stated.max_discharge, min),
        min_discharge=each(limits.min_discharge, stated.min_discharge, max),
    )
