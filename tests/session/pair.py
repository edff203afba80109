"""An EVCC and an SECC in one process, in virtual time; a bench charger and a bench vehicle to script them
with.

Nothing here sleeps or opens a socket: `run` plays the driver of both sides, and time jumps from event to
event.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from iso15118.exi import SchemaSet, decode, encode
from iso15118.messages import common
from iso15118.messages.declare import Node
from iso15118.session.charger import (
    ACOutput,
    Charger,
    ControlPilot,
    DCOutput,
    Direction,
    Progress,
    ScheduleOffer,
    ScheduleRequest,
    SiteWish,
    VehicleReport,
    Verdict,
)
from iso15118.session.evcc import (
    EVCC,
    ConnectionLost,
    EVCCConfig,
    Incoming,
    MessageTimeout,
    PeerFault,
    Post,
    Receive,
    Reply,
    Send,
    SessionResult,
    Wait,
)
from iso15118.session.schedules import flat_tuple
from iso15118.session.secc import SECC
from iso15118.session.secc_config import Closing, LinkSecurity, SECCConfig, SessionStore, Trust
from iso15118.session.services import EnergyMode, Pricing
from iso15118.session.streams import payload_type_of
from iso15118.session.values import ACGrid, ACLimits, DCLimits, MeterReading, MobilityNeeds, PerPhase, total
from iso15118.session.vehicle import DCTarget, Measurement, Supply, Vehicle, Wish
from iso15118.v2gtp import schema_set_name

EPOCH = 1_800_000_000.0
"""Unix time of virtual time 0."""
LATENCY = 0.002
"""s per direction."""
EVSE_DC = DCLimits(
    max_charge_power=150_000.0,
    max_charge_current=300.0,
    max_voltage=920.0,
    min_voltage=150.0,
    max_discharge_power=60_000.0,
    max_discharge_current=120.0,
    min_discharge_power=0.0,
    min_discharge_current=0.0,
)
EVSE_AC = ACLimits((22_000.0,), (0.0,), (11_000.0,), (0.0,))
EV_DC = DCLimits(
    max_charge_power=120_000.0,
    max_charge_current=250.0,
    max_voltage=450.0,
    min_voltage=200.0,
    max_discharge_power=30_000.0,
    max_discharge_current=60.0,
    min_discharge_power=0.0,
    min_discharge_current=0.0,
)
EV_AC = ACLimits((11_000.0,), (0.0,), (7_000.0,), (0.0,))


class Entropy:
    """Repeatable, and good enough for a test; cheap to copy."""

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._drawn = 0

    def __call__(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_128(f"{self._seed}/{self._drawn}".encode()).digest(size)


def bench_secc(
    config: SECCConfig | None,
    charger: Charger,
    link: LinkSecurity | None,
    store: SessionStore,
    trust: Trust | None,
    seed: int,
    now: float,
) -> SECC:
    return SECC(
        config or SECCConfig(),
        charger,
        link or LinkSecurity(),
        entropy=Entropy(seed),
        store=store,
        now=now,
        unix_offset=EPOCH,
        trust=trust,
    )


@dataclass
class BenchCharger(Charger):
    """Answers at once, unless a counter says how often it answers Ongoing first."""

    evse_id: str = "DE*BEN*E1"
    verdicts: list[Verdict] = field(default_factory=list)
    """Played in order before ACCEPTED."""
    schedule_delays: int = 0
    cable_checks: int = 0
    cable_check_result: Progress = Progress.DONE
    start_delays: int = 0
    start_result: Progress = Progress.DONE
    stop_delays: int = 0
    standby_allowed: bool = True
    pause_ok: bool = True
    renegotiation_ok: bool = True
    wish_at: Callable[[float], SiteWish | None] = lambda now: None
    limits: DCLimits = EVSE_DC
    ac: ACLimits = EVSE_AC
    tuples: Callable[[float, ScheduleRequest], tuple[common.ScheduleTuple, ...]] | None = None
    prices: common.AbsolutePriceSchedule | common.PriceLevelSchedule | None = None
    go_to_pause: bool = False
    site_needs: MobilityNeeds | None = None
    discharge: bool = False
    """Dynamic BPT: take power from the EV."""
    pilot: Callable[[], ControlPilot | None] = lambda: None
    metered: bool = True
    check_outs: int = 0

    mode: EnergyMode | None = None
    report: VehicleReport = field(default_factory=VehicleReport)
    voltage: float = 0.0
    on: bool = False
    direction: Direction | None = None
    charged: float = 0.0
    discharged: float = 0.0
    profiles: list[tuple[int | None, common.EVPowerProfile]] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    confirmations: int = 0
    schedule_requests: list[ScheduleRequest] = field(default_factory=list)
    _last: float | None = None

    def authorize(self, now: float) -> Verdict:
        return self.verdicts.pop(0) if self.verdicts else Verdict.ACCEPTED

    def select(self, now: float, mode: EnergyMode) -> None:
        self.mode = mode

    def vehicle(self, now: float, report: VehicleReport) -> None:
        self.report = report

    def ac_limits(self, now: float) -> ACLimits:
        return self.ac

    def ac_grid(self, now: float) -> ACGrid:
        return ACGrid()

    def dc_limits(self, now: float) -> DCLimits:
        return self.limits

    def schedule(self, now: float, request: ScheduleRequest) -> ScheduleOffer | None:
        self.schedule_requests.append(request)
        if self.schedule_delays > 0:
            self.schedule_delays -= 1
            return None
        assert self.mode is not None
        if not self.mode.scheduled:
            return ScheduleOffer(needs=self.site_needs, prices=self.prices, go_to_pause=self.go_to_pause)
        if self.tuples is not None:
            return ScheduleOffer(self.tuples(now, request), go_to_pause=self.go_to_pause)
        power = total(self.ac.max_charge) if self.mode.phases else self.limits.max_charge_power
        discharge = (power / 2,) if self.mode.bidirectional else None
        item = flat_tuple(int(EPOCH + now), (power,), discharge)
        if self.mode.pricing is not Pricing.NONE:
            item.charging_schedule.price_schedule = self.prices
        return ScheduleOffer((item,), go_to_pause=self.go_to_pause)

    def profile(self, now: float, tuple_id: int | None, profile: common.EVPowerProfile) -> None:
        self.profiles.append((tuple_id, profile))

    def control_pilot(self, now: float) -> ControlPilot | None:
        return self.pilot()

    def cable_check(self, now: float) -> Progress:
        if self.cable_checks > 0:
            self.cable_checks -= 1
            return Progress.ONGOING
        return self.cable_check_result

    def precharge(self, now: float, target_voltage: float) -> float:
        self.voltage = target_voltage
        return self.voltage

    def output_voltage(self, now: float) -> float:
        return self.voltage

    def start_power(self, now: float, direction: Direction | None) -> Progress:
        if self.start_delays > 0:
            self.start_delays -= 1
            return Progress.ONGOING
        self.on = self.start_result is Progress.DONE
        self.direction, self._last = direction, now
        return self.start_result

    def stop_power(self, now: float) -> Progress:
        if self.stop_delays > 0:
            self.stop_delays -= 1
            return Progress.ONGOING
        self.on, self.voltage, self._last = False, 0.0, None
        return Progress.DONE

    def standby(self, now: float) -> bool:
        return self.standby_allowed

    def deliver_dc(self, now: float, current: float | None, voltage: float | None) -> DCOutput:
        present = self.report.present_voltage or 400.0
        if current is None:
            limits = self.report.dc
            assert limits is not None
            if self.discharge:
                amps = -min(self.limits.max_discharge_current or 0.0, limits.max_discharge_current or 0.0)
            else:
                amps = min(self.limits.max_charge_current, limits.max_charge_current)
                amps = min(amps, self.limits.max_charge_power / present, limits.max_charge_power / present)
        else:
            amps = current
        amps = amps if self.on else 0.0
        self._integrate(now, amps * present)
        return DCOutput(voltage=present, current=amps)

    def deliver_ac(self, now: float) -> ACOutput:
        present = self.report.present_active_power or (0.0,)
        self._integrate(now, total(present))
        assert self.mode is not None
        if self.mode.scheduled:
            return ACOutput(present_active_power=(total(present),))
        target = -total(self.ac.max_discharge or (0.0,)) if self.discharge else total(self.ac.max_charge)
        return ACOutput(target_active_power=(target,))

    def _integrate(self, now: float, power: float) -> None:
        hours = 0.0 if self._last is None else (now - self._last) / 3600
        self._last = now
        if power >= 0:
            self.charged += power * hours
        else:
            self.discharged -= power * hours

    def meter(self, now: float) -> MeterReading | None:
        if not self.metered:
            return None
        back = self.discharged if self.mode is not None and self.mode.bidirectional else None
        return MeterReading("BENCH", self.charged, back)

    def wish(self, now: float) -> SiteWish | None:
        return self.wish_at(now)

    def mobility_needs(self, now: float) -> MobilityNeeds | None:
        return self.site_needs

    def metering_confirmed(self, now: float, request: common.MeteringConfirmationReq) -> None:
        self.confirmations += 1

    def renegotiation_allowed(self, now: float) -> bool:
        return self.renegotiation_ok

    def pause_allowed(self, now: float) -> bool:
        return self.pause_ok

    def check_out(self, now: float, request: common.VehicleCheckOutReq) -> bool:
        self.check_outs -= 1
        return self.check_outs < 0

    def session_ended(self, now: float, paused: bool) -> None:
        self.ended.append(paused)


@dataclass
class BenchVehicle(Vehicle):
    """A battery at constant voltage that wants `energy` Wh and stops after `loop_time` s of transfer."""

    energy: float = 40_000.0
    loop_time: float = 5.0
    wish_at: Callable[[float], Wish] | None = None
    """By seconds since the first Start; None: CHARGE until `loop_time`, then STOP."""
    battery_voltage: float = 400.0
    dc: DCLimits = EV_DC
    ac: ACLimits = EV_AC
    bidirectional: bool = False
    pilot: ControlPilot = ControlPilot.B
    closed: bool = False
    current: float = 0.0
    power: PerPhase = (0.0,)
    started: float | None = None
    adopted: list[MobilityNeeds] = field(default_factory=list)
    supplies: list[Supply] = field(default_factory=list)
    inlet: float = 0.0

    def ac_limits(self, now: float) -> ACLimits:
        return self.ac if self.bidirectional else ACLimits(self.ac.max_charge, self.ac.min_charge)

    def dc_limits(self, now: float) -> DCLimits:
        return self.dc

    def needs(self, now: float) -> MobilityNeeds:
        return MobilityNeeds(
            departure=7200.0,
            min_soc=30,
            target_soc=80,
            target_energy=self.energy,
            max_energy=self.energy * 1.25,
            min_energy=self.energy / 4,
            max_v2x_energy=self.energy if self.bidirectional else None,
            min_v2x_energy=-self.energy if self.bidirectional else None,
        )

    def measure(self, now: float) -> Measurement:
        inlet = self.battery_voltage if self.closed else self.inlet
        return Measurement(
            battery_voltage=self.battery_voltage,
            inlet_voltage=inlet,
            current=self.current,
            active_power=self.power,
        )

    def dc_target(self, now: float) -> DCTarget:
        return DCTarget(voltage=self.battery_voltage + 5, current=100.0)

    def wish(self, now: float) -> Wish:
        elapsed = 0.0 if self.started is None else now - self.started
        if self.wish_at is not None:
            return self.wish_at(elapsed)
        return Wish.STOP if elapsed >= self.loop_time else Wish.CHARGE

    def control_pilot(self, now: float, state: ControlPilot) -> None:
        self.pilot = state

    def contactors(self, now: float, closed: bool) -> None:
        self.closed = closed

    def supply(self, now: float, supply: Supply) -> None:
        self.supplies.append(supply)
        if supply.voltage is not None:
            self.inlet = supply.voltage
        if supply.current is not None:
            self.current = supply.current
            if self.started is None and supply.current:
                self.started = now
        if supply.active_power is not None or supply.charge_power < float("inf"):
            target = total(supply.active_power) if supply.active_power is not None else supply.charge_power
            limit = min(total(self.ac.max_charge), supply.charge_power)
            self.power = (max(-total(self.ac.max_discharge or (0.0,)), min(limit, target)),)
            if self.started is None and self.pilot is ControlPilot.C:
                self.started = now

    def adopt_needs(self, now: float, needs: MobilityNeeds, ack_max_delay: int | None) -> None:
        self.adopted.append(needs)


@dataclass(frozen=True)
class Spoken:
    """One message as it went over the wire of virtual time."""

    time: float
    payload_type: int
    message: Node


class Pair:
    """An EVCC against an SECC. `wire`: every message is encoded and decoded on its way."""

    def __init__(
        self,
        config: SECCConfig | None = None,
        evcc: EVCCConfig | None = None,
        *,
        charger: BenchCharger | None = None,
        vehicle: BenchVehicle | None = None,
        link: LinkSecurity | None = None,
        store: SessionStore | None = None,
        trust: Trust | None = None,
        evcc_class: type[EVCC] = EVCC,
        resume: object = None,
        now: float = 0.0,
        wire: bool = False,
        seed: int = 1,
    ) -> None:
        self.charger = charger or BenchCharger()
        self.vehicle = vehicle or BenchVehicle()
        self.store = store if store is not None else SessionStore()
        self.now = now
        self.wire = wire
        self.secc = bench_secc(config, self.charger, link, self.store, trust, seed, now)
        self.evcc = evcc_class(
            evcc or EVCCConfig(),
            self.vehicle,
            resume=resume,  # type: ignore[arg-type]
            now=now,
            unix_offset=EPOCH,
        )
        self.spoken: list[Spoken] = []
        self._inbox: list[tuple[float, int, Incoming]] = []
        self._count = itertools.count()
        self._closed_at: float | None = None
        self._after_sap = False

    def run(self, limit: int = 200_000) -> SessionResult:
        """The whole session; AssertionError if it takes more than `limit` steps."""
        generator = self.evcc.run()
        reply: Reply | None = None
        fault: PeerFault | None = None
        for _ in range(limit):
            try:
                if fault is not None:
                    step = generator.throw(fault)
                else:
                    step = next(generator) if reply is None else generator.send(reply)
            except StopIteration as stop:
                self.secc.disconnected(self.now)
                result: SessionResult = stop.value
                return result
            try:
                reply, fault = self._perform(step), None
            except PeerFault as raised:
                fault = raised
        raise AssertionError(f"no end after {limit} steps, at {self.now} s")

    # -- driver ----------------------------------------------------------------------------------------------

    def _perform(self, step: object) -> Reply:
        if isinstance(step, Send):
            self._deliver(step.request, step.payload_type)
            return self._receive(step.payload_type, step.timeout)
        if isinstance(step, Post):
            self._deliver(step.request, step.payload_type)
            return Reply(self.now)
        if isinstance(step, Receive):
            return self._receive(step.payload_type, step.timeout)
        assert isinstance(step, Wait)
        until = self.now + step.seconds
        self._advance(until, stop_at_message=True)
        due = [item for item in self._inbox if item[0] <= until]
        if due:
            self.now = max(self.now, due[0][0])
            return Reply(self.now, side=self._take(self.now))
        self.now = until
        return Reply(self.now)

    def _receive(self, payload_type: int, timeout: float) -> Reply:
        """The next message on the stream; main-stream types are one stream."""
        until = self.now + timeout
        side: list[Incoming] = []
        while True:
            self._advance(until, stop_at_message=True)
            due = [item for item in self._inbox if item[0] <= until]
            if not due:
                if self._closed_at is not None and self._closed_at <= until:
                    self.now = max(self.now, self._closed_at)
                    raise ConnectionLost("closed by the SECC")
                self.now = until
                raise MessageTimeout(f"no response in {timeout} s")
            item = due[0]
            self._inbox.remove(item)
            self.now = max(self.now, item[0])
            if _stream(item[2].payload_type) == _stream(payload_type):
                return Reply(self.now, item[2].message, (*side, *self._take(self.now)))
            side.append(item[2])

    def _take(self, now: float) -> tuple[Incoming, ...]:
        ready = [item for item in self._inbox if item[0] <= now]
        self._inbox = [item for item in self._inbox if item[0] > now]
        return tuple(item[2] for item in ready)

    def _deliver(self, request: Node, payload_type: int) -> None:
        arrival = self.now + LATENCY
        self._advance(arrival)
        if self.secc.closing is not None:
            return
        self.spoken.append(Spoken(arrival, payload_type, request))
        self._answer(self.secc.handle(self._over_wire(request, payload_type), arrival, payload_type), arrival)

    def _answer(self, response: Node | None, now: float) -> None:
        if response is not None:
            payload_type = self.secc.reply_type(response)
            self.spoken.append(Spoken(now, payload_type, response))
            message = self._over_wire(response, payload_type)
            self._after_sap = True
            self._inbox.append((now + LATENCY, next(self._count), Incoming(payload_type, message)))
            self._inbox.sort(key=lambda item: item[:2])
        if self.secc.closing is not None and self._closed_at is None:
            self._closed_at = now + (5.0 if self.secc.closing is Closing.AFTER_PEER else 0.0)

    def _advance(self, until: float, *, stop_at_message: bool = False) -> None:
        """Let the SECC's deadlines pass up to `until`."""
        while self.secc.closing is None:
            if stop_at_message and self._inbox and self._inbox[0][0] <= until:
                return
            due = self.secc.deadline()
            if due is None or due > until:
                return
            response = self.secc.poll(due)
            if response is None:
                self.secc.expire(due)
            self._answer(response, due)
            if response is None and self.secc.closing is None and self.secc.deadline() == due:
                raise AssertionError(f"the SECC does not act on its deadline {due}")

    def _over_wire(self, message: Node, payload_type: int) -> Node:
        if not self.wire:
            return message
        data = encode(message)
        name = schema_set_name(payload_type, data, after_sap=self._after_sap)
        assert name is not None
        return decode(data, SchemaSet(name))

    # -- looking back ----------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return [type(item.message).__name__ for item in self.spoken]

    def responses(self, kind: type[Node]) -> list[Node]:
        return [item.message for item in self.spoken if isinstance(item.message, kind)]

    def deviations(self) -> list[str]:
        """What both sides found, in words."""
        return [f"SECC saw {item}" for item in self.secc.events] + [
            f"EVCC saw {item}" for item in self.evcc.deviations
        ]


def _stream(payload_type: int) -> int:
    return payload_type if 0x8101 <= payload_type <= 0x8104 else 0


__all__ = ["EPOCH", "BenchCharger", "BenchVehicle", "Entropy", "Pair", "Spoken", "payload_type_of"]
