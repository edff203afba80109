"""From the selected service to closed contactors: charge parameters, schedule, cable check, pre-charge."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..messages import ac, common, dc
from ..messages.common_types import Processing, RationalNumber
from ..v2gtp import PayloadType
from .charger import ControlPilot
from .evcc_requests import (
    ac_parameters,
    dc_parameters,
    evse_ac_limits,
    evse_dc_limits,
    schedule_request,
)
from .evcc_schedule import Plan, PlanRequest, plan
from .evcc_setup import Setup
from .evcc_steps import Abort, Exchange
from .events import Severity
from .schedules import anchored, covers
from .services import Family, MobilityNeedsMode, Pricing
from .values import ACLimits, DCLimits, MobilityNeeds, total
from .vehicle import Measurement, Supply

DEFAULT_DEPARTURE = 24 * 3600
"""Seconds; stated where a departure time is mandatory and the vehicle knows none."""


class Preparation(Setup):
    """Agrees on limits and schedule, and makes the way for power ready."""

    stated_ac: ACLimits | None = None
    stated_dc: DCLimits | None = None
    """Our limits as ChargeParameterDiscovery stated them: the loop keeps within them."""
    evse_ac: ACLimits | None = None
    evse_dc: DCLimits | None = None
    """The SECC's limits, as ChargeParameterDiscovery stated them; those of the loop are in `evse_dc_now`."""
    evse_dc_now: DCLimits | None = None
    limits_read: object = None
    """The control mode of the last loop response: its limits are read when they change."""
    plan: Plan | None = None
    """Scheduled mode: the tuple and the profile in force."""
    proposed: Plan | None = None
    """The next one, until PowerDeliveryRes accepts it."""
    ready = False
    """The control pilot is in C."""
    prepared = False
    """The way for power is ready: in DC after pre-charge."""

    # -- ChargeParameterDiscovery ------------------------------------------------------------------------

    def charge_parameters(self, stream: PayloadType | None = None) -> Exchange[None]:
        """State our limits and take the SECC's."""
        if self.mode.family is Family.AC:
            yield from self._ac_parameters(stream)
        else:
            yield from self._dc_parameters(stream)

    def _ac_parameters(self, stream: PayloadType | None) -> Exchange[None]:
        mode, limits = self.mode, self.vehicle.ac_limits(self.now)
        request = ac.AC_ChargeParameterDiscoveryReq(
            header=self.header(), energy_transfer_mode=ac_parameters(mode, limits, self.config.dialect)
        )
        response = yield from self.ask(request, ac.AC_ChargeParameterDiscoveryRes, stream=stream)
        parameters = response.energy_transfer_mode
        bpt = isinstance(parameters, ac.BPT_AC_CPDResEnergyTransferMode)
        self._check_bpt(bpt, ac.AC_ChargeParameterDiscoveryRes)
        if isinstance(parameters, ac.BPT_AC_CPDResEnergyTransferMode):
            self._note_sign(parameters.evse_maximum_discharge_power, ac.AC_ChargeParameterDiscoveryRes)
        self.stated_ac, self.evse_ac = limits, evse_ac_limits(parameters)

    def _dc_parameters(self, stream: PayloadType | None) -> Exchange[None]:
        mode, limits = self.mode, self.vehicle.dc_limits(self.now)
        target_soc = self.vehicle.needs(self.now).target_soc
        request = dc.DC_ChargeParameterDiscoveryReq(
            header=self.header(),
            energy_transfer_mode=dc_parameters(mode, limits, target_soc, self.config.dialect),
        )
        response = yield from self.ask(request, dc.DC_ChargeParameterDiscoveryRes, stream=stream)
        parameters = response.energy_transfer_mode
        bpt = isinstance(parameters, dc.BPT_DC_CPDResEnergyTransferMode)
        self._check_bpt(bpt, dc.DC_ChargeParameterDiscoveryRes)
        if isinstance(parameters, dc.BPT_DC_CPDResEnergyTransferMode):
            self._note_sign(parameters.evse_maximum_discharge_power, dc.DC_ChargeParameterDiscoveryRes)
        self.stated_dc, self.evse_dc = limits, evse_dc_limits(parameters)
        self.evse_dc_now, self.limits_read = self.evse_dc, None

    def _check_bpt(
        self, bpt: bool, message: type[ac.AC_ChargeParameterDiscoveryRes | dc.DC_ChargeParameterDiscoveryRes]
    ) -> None:
        if bpt != self.mode.bidirectional:
            self.deviation(
                "BPT parameters" if bpt else "parameters without discharge",
                f"those of service {int(self.mode.service)}",
                message=message,
            )

    def _note_sign(
        self,
        power: RationalNumber,
        message: type[ac.AC_ChargeParameterDiscoveryRes | dc.DC_ChargeParameterDiscoveryRes],
    ) -> None:
        if power.value < 0:
            self.deviation(
                "discharge limits are negative", "magnitudes", severity=Severity.NOTE, message=message
            )

    # -- ScheduleExchange --------------------------------------------------------------------------------

    def exchange_schedule(self, stream: PayloadType | None = None) -> Exchange[bool]:
        """Ask for schedules (or, in dynamic mode, state the needs) until they are there; True if the SECC
        says GoToPause.
        """
        response = yield from self.until_finished(
            self.schedule_request, common.ScheduleExchangeRes, lambda res: res.evse_processing, stream=stream
        )
        offered = response.control_mode
        self.check_price_signature(response)
        if isinstance(offered, common.Scheduled_SEResControlMode) != self.mode.scheduled:
            self.deviation(
                f"{type(offered).__name__} in {'scheduled' if self.mode.scheduled else 'dynamic'} mode",
                "the control mode of the request",
                requirement="V2G20-1600",
                message=common.ScheduleExchangeRes,
            )
        if response.go_to_pause:
            return True
        if isinstance(offered, common.Scheduled_SEResControlMode):
            self.check_tuples(offered.schedule_tuple)
            if self.mode.scheduled:
                self.proposed = self.make_plan(offered.schedule_tuple)
        elif self.mode.scheduled:
            raise Abort("NoSchedule", "no schedule tuple in scheduled mode")
        else:
            self.take_needs(offered, None, common.ScheduleExchangeRes, "V2G20-1640")
        return False

    def schedule_request(self) -> common.ScheduleExchangeReq:
        offer = None
        if self.config.energy_offer is not None and self.mode.scheduled and self.mode.bidirectional:
            offer = self.config.energy_offer(self.secc_time())
        return common.ScheduleExchangeReq(
            header=self.header(),
            maximum_supporting_points=self.config.maximum_supporting_points,
            control_mode=schedule_request(self.mode, self.vehicle.needs(self.now), offer, DEFAULT_DEPARTURE),
        )

    def make_plan(self, tuples: Sequence[common.ScheduleTuple]) -> Plan:
        """Choose a tuple and compute the power profile within it."""
        charge, discharge = self._greatest_power()
        now = self.secc_time()
        request = PlanRequest(
            tuples=[self._current(item, now) for item in tuples],
            mode=self.mode,
            needs=self.vehicle.needs(self.now),
            charge_power=charge,
            discharge_power=discharge,
            now=now,
            confirm_tolerance=self.config.confirm_power_tolerance,
            selling=self.mode.bidirectional and self.vehicle.selling(self.now),
        )
        return (self.config.plan or plan)(request)

    def _greatest_power(self) -> tuple[float, float]:
        """What both sides can do, W: charge, discharge."""
        if self.mode.family is Family.AC:
            ours, theirs = self.stated_ac, self.evse_ac
            if ours is None or theirs is None:
                return math.inf, math.inf
            return (
                min(total(ours.max_charge), total(theirs.max_charge)),
                min(total(ours.max_discharge or (0.0,)), total(theirs.max_discharge or (0.0,))),
            )
        mine, evse = self.stated_dc, self.evse_dc_now
        if mine is None or evse is None:
            return math.inf, math.inf
        return (
            min(mine.max_charge_power, evse.max_charge_power),
            min(mine.max_discharge_power or 0.0, evse.max_discharge_power or 0.0),
        )

    def _current(self, item: common.ScheduleTuple, now: float) -> common.ScheduleTuple:
        """The tuple as it is, or from now on if its schedule does not cover the present."""
        power = item.charging_schedule.power_schedule
        if covers(power, now):
            return item
        seconds = sum(entry.duration for entry in power.power_schedule_entries.power_schedule_entry)
        self.deviation(
            f"schedule tuple {item.schedule_tuple_id} runs from {power.time_anchor} for {seconds} s",
            "a schedule that covers the present; taken from now on",
            message=common.ScheduleExchangeRes,
        )
        return anchored(item, int(now))

    def check_tuples(self, tuples: Sequence[common.ScheduleTuple]) -> None:
        ids = [item.schedule_tuple_id for item in tuples]
        if len(set(ids)) != len(ids):
            self.deviation(f"schedule tuple ids {ids}", "each id once", message=common.ScheduleExchangeRes)
        for item in tuples:
            for schedule in (item.charging_schedule, item.discharging_schedule):
                if schedule is not None:
                    self._check_schedule(item.schedule_tuple_id, schedule)

    def _check_schedule(self, tuple_id: int, schedule: common.ChargingSchedule) -> None:
        points = len(schedule.power_schedule.power_schedule_entries.power_schedule_entry)
        limit = self.config.maximum_supporting_points
        if points > limit:
            self.deviation(
                f"{points} entries in a schedule of tuple {tuple_id}",
                f"at most MaximumSupportingPoints, {limit}",
                message=common.ScheduleExchangeRes,
            )
        self.check_prices(schedule.price_schedule)

    def check_prices(self, prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule | None) -> None:
        """Prices of the kind that the parameter set announced; on paper every charging schedule has them."""
        expected = {
            Pricing.NONE: None,
            Pricing.ABSOLUTE: common.AbsolutePriceSchedule,
            Pricing.LEVELS: common.PriceLevelSchedule,
        }[self.mode.pricing]
        if expected is not None and not isinstance(prices, expected):
            self.deviation(
                f"{type(prices).__name__ if prices else 'no prices'} with Pricing {int(self.mode.pricing)}",
                expected.__name__,
                requirement=None if prices else "V2G20-2176",
                severity=Severity.NOTE,
                message=common.ScheduleExchangeRes,
            )

    def check_price_signature(self, response: common.ScheduleExchangeRes) -> None:
        """Where the prices are signed, with the key of the eMSP that issued the contract."""
        if response.header.signature is None or self.config.verify_prices is None:
            return
        try:
            remarks = self.config.verify_prices(response, self.contract)
        except ValueError as error:
            self.deviation(
                f"the signature over the prices is wrong: {error}",
                "a signature with the key of the contract's issuer",
                message=common.ScheduleExchangeRes,
            )
            return
        for remark in remarks:
            self.deviation(
                remark, "what the standard has", severity=Severity.NOTE, message=common.ScheduleExchangeRes
            )

    def take_needs(
        self,
        offered: common.Dynamic_SEResControlMode
        | ac.Dynamic_AC_CLResControlMode
        | dc.Dynamic_DC_CLResControlMode,
        ack_max_delay: int | None,
        message: type[common.ScheduleExchangeRes | ac.AC_ChargeLoopRes | dc.DC_ChargeLoopRes],
        soc_rule: str,
    ) -> None:
        """Mobility needs that the SECC provides: allowed in MobilityNeedsMode 2 only."""
        departure, minimum, target = offered.departure_time, offered.minimum_soc, offered.target_soc
        if departure is None and minimum is None and target is None:
            return
        if minimum is not None and target is not None and minimum > target:
            self.deviation(
                f"MinimumSOC {minimum} above TargetSOC {target}",
                "MinimumSOC at most TargetSOC",
                requirement=soc_rule,
                message=message,
            )
            return
        if self.mode.mobility is not MobilityNeedsMode.SECC:
            self.deviation(
                "the SECC provides mobility needs",
                "needs of the EV only, in MobilityNeedsMode 1",
                message=message,
                severity=Severity.NOTE,
            )
            return
        needs = MobilityNeeds(departure=departure, min_soc=minimum, target_soc=target)
        self.vehicle.adopt_needs(self.now, needs, ack_max_delay)

    def show_pilot(self, state: ControlPilot) -> None:
        self.ready = state is not ControlPilot.B
        self.vehicle.control_pilot(self.now, state)

    # -- DC ----------------------------------------------------------------------------------------------

    def cable_check(self) -> Exchange[None]:
        """Have the isolation tested, with the control pilot in state C."""
        self.show_pilot(ControlPilot.C)
        yield from self.until_finished(
            lambda: dc.DC_CableCheckReq(header=self.header()),
            dc.DC_CableCheckRes,
            lambda res: res.evse_processing,
            timer="V2G_EVCC_CableCheck_Timeout",
        )

    def pre_charge(self) -> Exchange[None]:
        """Have the voltage brought up to the battery's, say Finished, and close the contactors."""
        started = self.now
        config = self.config
        borne = False
        while True:
            yield from self.ask_pre_charge(Processing.Ongoing)
            present = self.vehicle.measure(self.now)
            if self.voltages_meet(present):
                # On its way to a wrong voltage a ramp goes through the right one: is it still there?
                yield from self.pause(config.poll_interval)
                break
            waited = self.now - started
            if waited >= config.timers.seconds("V2G_EVCC_PreCharge_Timeout"):
                raise self.wrong_voltage(present, f"after {waited:.1f} s")
            if config.pre_charge_patience is not None and waited >= config.pre_charge_patience:
                self.deviation(
                    f"{present.inlet_voltage:.0f} V after {waited:.1f} s of pre-charge",
                    f"{present.battery_voltage:.0f} V",
                    message=dc.DC_PreChargeRes,
                )
                borne = True
                break
            yield from self.pause(config.poll_interval)
            self.check_early_wish()
        yield from self.ask_pre_charge(Processing.Finished)
        present = self.vehicle.measure(self.now)
        if not (borne or self.voltages_meet(present)):
            raise self.wrong_voltage(present, "before the contactors close")
        self.vehicle.contactors(self.now, True)
        self.prepared = True

    def voltages_meet(self, present: Measurement) -> bool:
        return abs(present.inlet_voltage - present.battery_voltage) <= self.config.pre_charge_tolerance

    def wrong_voltage(self, present: Measurement, when: str) -> Abort:
        return Abort(
            "PreCharge",
            f"{present.inlet_voltage:.0f} V at the inlet {when}, battery has {present.battery_voltage:.0f} V",
        )

    def ask_pre_charge(self, processing: Processing) -> Exchange[float]:
        """One request; the voltage the SECC reports, V."""
        present = self.vehicle.measure(self.now)
        request = dc.DC_PreChargeReq(
            header=self.header(),
            ev_processing=processing,
            ev_present_voltage=RationalNumber.of(present.inlet_voltage),
            ev_target_voltage=RationalNumber.of(present.battery_voltage),
        )
        response = yield from self.ask(request, dc.DC_PreChargeRes)
        voltage = float(response.evse_present_voltage)
        self.vehicle.supply(self.now, Supply(voltage=voltage, current=0.0))
        return voltage
