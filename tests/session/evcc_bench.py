"""Runs an EVCC, or any part of one, in virtual time against an answering function; and a plain vehicle and
scripted SECC for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from iso15118.messages import common, dc
from iso15118.messages.app_protocol import (
    AppProtocolResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from iso15118.messages.common_types import (
    EVSENotification,
    EVSEStatus,
    MessageHeader,
    MeterInfo,
    Processing,
    RationalNumber,
    ResponseCode,
)
from iso15118.messages.declare import Node
from iso15118.session.charger import ControlPilot
from iso15118.session.evcc import (
    EVCC,
    ConnectionLost,
    EVCCConfig,
    Exchange,
    Incoming,
    MessageTimeout,
    PausedSession,
    PeerFault,
    Post,
    Receive,
    Reply,
    Send,
    ServiceWish,
    SessionResult,
    Wait,
)
from iso15118.session.events import Severity
from iso15118.session.schedules import flat_tuple
from iso15118.session.services import ControlMode, Dialect, EnergyMode, MobilityNeedsMode, ServiceID
from iso15118.session.values import ACLimits, DCLimits, MobilityNeeds
from iso15118.session.vehicle import DCTarget, Measurement, Supply, Vehicle, Wish

T = TypeVar("T")
number = RationalNumber.of
UNIX = 1_700_000_000.0
"""Unix time at now = 0."""


@dataclass(frozen=True)
class Later:
    """An answer that takes its time."""

    message: Node
    seconds: float


class Silence:
    """No answer at all."""


class Closed:
    """The connection breaks."""


Answer = Node | Later | type[Silence] | type[Closed]
Answerer = Callable[[Node, int, float], Answer]


@dataclass
class Player:
    """The driver of a generator: a clock that only moves when something waits."""

    answer: Answerer
    now: float = 0.0
    log: list[tuple[float, Node, int]] = field(default_factory=list)
    """What was sent: time, request, payload type."""
    replies: list[Node] = field(default_factory=list)
    _due: list[tuple[float, Incoming]] = field(default_factory=list)

    def play(self, exchange: Exchange[T], *, limit: int = 100_000) -> T:
        try:
            step = next(exchange)
            for _ in range(limit):
                try:
                    reply = self._carry_out(step)
                except PeerFault as fault:
                    step = exchange.throw(fault)
                else:
                    step = exchange.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        raise AssertionError(f"still running after {limit} steps, at {self.now} s")

    def names(self) -> list[str]:
        return [type(request).__name__ for _, request, _ in self.log]

    def sent(self, kind: type[Any]) -> list[Any]:
        return [request for _, request, _ in self.log if isinstance(request, kind)]

    def _carry_out(self, step: object) -> Reply:
        if isinstance(step, Send):
            self._write(step.request, step.payload_type)
            return self._receive(step.payload_type, step.timeout)
        if isinstance(step, Post):
            self._write(step.request, step.payload_type)
            return Reply(self.now)
        if isinstance(step, Receive):
            return self._receive(step.payload_type, step.timeout)
        assert isinstance(step, Wait)
        until = self.now + step.seconds
        if self._due and self._due[0][0] <= until:
            until = max(self.now, self._due[0][0])
        self.now = until
        return Reply(self.now, None, self._arrived())

    def _write(self, request: Node, payload_type: int) -> None:
        self.log.append((self.now, request, payload_type))
        answer = self.answer(request, payload_type, self.now)
        if answer is Closed:
            raise ConnectionLost("closed by the SECC")
        if answer is Silence:
            return
        delay = 0.0
        if isinstance(answer, Later):
            delay = answer.seconds
            answer = answer.message
        assert isinstance(answer, Node)
        self.replies.append(answer)
        self._due.append((self.now + delay, Incoming(payload_type, answer)))
        self._due.sort(key=lambda item: item[0])

    def _receive(self, payload_type: int, timeout: float) -> Reply:
        stream = _stream(payload_type)
        index = next((i for i, item in enumerate(self._due) if _stream(item[1].payload_type) == stream), None)
        if index is None or self._due[index][0] > self.now + timeout:
            self.now += timeout
            raise MessageTimeout("no response")
        time, incoming = self._due.pop(index)
        self.now = max(self.now, time)
        return Reply(self.now, incoming.message, self._arrived(stream))

    def _arrived(self, but: int | None = None) -> tuple[Incoming, ...]:
        """What is there by now, save that of the stream `but`, which waits for its own Receive."""
        here = [item for item in self._due if item[0] <= self.now and _stream(item[1].payload_type) != but]
        self._due = [item for item in self._due if item not in here]
        return tuple(incoming for _, incoming in here)


def _stream(payload_type: int) -> int:
    return payload_type if payload_type >= 0x8101 else 0


class Car(Vehicle):
    """A vehicle that takes what it is given: 400 V, 20 kWh to go, and a script of wishes."""

    def __init__(self, *, loops: int = 3, bidirectional: bool = True) -> None:
        self.loops = loops
        """Charge loops (calls of `supply` while connected) until it wants to stop."""
        self.bidirectional = bidirectional
        self.wishes: dict[int, Wish] = {}
        """By number of loops so far; a renegotiation is wished for once."""
        self.voltage = 400.0
        self.inlet = 0.0
        self.current = 0.0
        self.target = DCTarget(voltage=420.0, current=100.0)
        self.max_current = 200.0
        self.energy = 20_000.0
        self.v2x: tuple[float, float] | None = (10_000.0, -10_000.0)
        self.departure: float | None = 3600.0
        self.power: tuple[float] = (0.0,)
        self.supplies: list[Supply] = []
        self.pilots: list[tuple[float, ControlPilot]] = []
        self.closed: list[tuple[float, bool]] = []
        self.adopted: list[tuple[MobilityNeeds, int | None]] = []
        self.connected = False
        self.sells = False
        self.seen = 0

    def ac_limits(self, now: float) -> ACLimits:
        return ACLimits((11_000.0,), (1_400.0,), (9_000.0,), (0.0,))

    def dc_limits(self, now: float) -> DCLimits:
        return DCLimits(
            max_charge_power=100_000.0,
            max_charge_current=self.max_current,
            max_voltage=450.0,
            min_voltage=300.0,
            max_discharge_power=50_000.0,
            min_discharge_power=0.0,
            max_discharge_current=120.0,
            min_discharge_current=0.0,
        )

    def needs(self, now: float) -> MobilityNeeds:
        top, bottom = self.v2x or (None, None)
        return MobilityNeeds(
            departure=self.departure,
            min_soc=30,
            target_soc=80,
            target_energy=self.energy,
            max_energy=self.energy + 10_000,
            min_energy=self.energy - 10_000,
            max_v2x_energy=top,
            min_v2x_energy=bottom,
        )

    def measure(self, now: float) -> Measurement:
        inlet = self.voltage if self.connected else self.inlet
        return Measurement(
            battery_voltage=self.voltage,
            inlet_voltage=inlet,
            current=self.current,
            active_power=self.power,
        )

    def dc_target(self, now: float) -> DCTarget:
        return self.target

    def wish(self, now: float) -> Wish:
        if self.seen in self.wishes:
            wish = self.wishes[self.seen]
            if wish in (Wish.RENEGOTIATE_SCHEDULE, Wish.RENEGOTIATE_SERVICE):
                del self.wishes[self.seen]
            return wish
        return Wish.STOP if self.seen >= self.loops else Wish.CHARGE

    def selling(self, now: float) -> bool:
        return self.sells

    def control_pilot(self, now: float, state: ControlPilot) -> None:
        self.pilots.append((now, state))

    def contactors(self, now: float, closed: bool) -> None:
        self.closed.append((now, closed))
        self.connected = closed

    def supply(self, now: float, supply: Supply) -> None:
        self.supplies.append(supply)
        if supply.voltage is not None:
            self.inlet = supply.voltage
            self.current = supply.current or 0.0
        if supply.active_power is not None:
            self.power = (float(sum(supply.active_power)),)
        if supply.charge_power == 0 and supply.discharge_power == 0:
            self.power = (0.0,)
        elif self.connected:
            self.seen += 1

    def adopt_needs(self, now: float, needs: MobilityNeeds, ack_max_delay: int | None) -> None:
        self.adopted.append((needs, ack_max_delay))


class ScriptedSECC:
    """Answers every request of a DC session correctly; override by request class in `on`, or queue answers
    for one class in `next`.
    """

    def __init__(self, mode: EnergyMode | None = None) -> None:
        self.session_id = b"\x01" * 8
        self.mode = mode or EnergyMode(ServiceID.DC, ControlMode.DYNAMIC, parameter_set_id=7)
        self.on: dict[type[Node], Callable[[Any], Answer]] = {}
        self.queued: dict[type[Node], Iterator[Callable[[Any], Answer]]] = {}
        self.now = 0.0
        self.clock_error = 0
        """s by which its clock is ahead."""
        self.voltage = 0.0
        self.current = 50.0
        self.status: EVSEStatus | None = None
        self.meter: MeterInfo | None = MeterInfo(meter_id="M", charged_energy_reading_wh=0)
        self.renegotiation = True

    def script(self, kind: type[Node], *answers: Callable[[Any], Answer]) -> None:
        """Answer the next requests of a class this way, one each; afterwards as usual."""
        self.queued[kind] = iter(answers)

    def header(self) -> MessageHeader:
        return MessageHeader(session_id=self.session_id, timestamp=int(self.now + UNIX) + self.clock_error)

    def __call__(self, request: Node, payload_type: int, now: float) -> Answer:
        self.now = now
        queued = self.queued.get(type(request))
        if queued is not None:
            answer = next(queued, None)
            if answer is not None:
                return answer(request)
        if type(request) in self.on:
            return self.on[type(request)](request)
        return self.usual(request)

    def usual(self, request: Any) -> Node:
        ok, head = ResponseCode.OK, self.header()
        mode = self.mode
        match request:
            case SupportedAppProtocolReq():
                return SupportedAppProtocolRes(
                    response_code=AppProtocolResponseCode.OK_SuccessfulNegotiation,
                    schema_id=request.app_protocol[0].schema_id,
                )
            case common.SessionSetupReq():
                return common.SessionSetupRes(
                    header=head, response_code=ResponseCode.OK_NewSessionEstablished, evse_id="DE*1"
                )
            case common.AuthorizationSetupReq():
                return common.AuthorizationSetupRes(
                    header=head,
                    response_code=ok,
                    authorization_services=[common.Authorization.EIM],
                    certificate_installation_service=False,
                    authorization_mode=common.EIM_ASResAuthorizationMode(),
                )
            case common.AuthorizationReq():
                return common.AuthorizationRes(
                    header=head, response_code=ok, evse_processing=Processing.Finished
                )
            case common.ServiceDiscoveryReq():
                return common.ServiceDiscoveryRes(
                    header=head,
                    response_code=ok,
                    service_renegotiation_supported=self.renegotiation,
                    energy_transfer_service_list=common.ServiceList(
                        service=[common.Service(service_id=int(mode.service), free_service=True)]
                    ),
                )
            case common.ServiceDetailReq():
                return common.ServiceDetailRes(
                    header=head,
                    response_code=ok,
                    service_id=request.service_id,
                    service_parameter_list=common.ServiceParameterList(
                        parameter_set=[mode.parameter_set(Dialect())]
                    ),
                )
            case common.ServiceSelectionReq():
                return common.ServiceSelectionRes(header=head, response_code=ok)
            case dc.DC_ChargeParameterDiscoveryReq():
                return dc.DC_ChargeParameterDiscoveryRes(
                    header=head, response_code=ok, energy_transfer_mode=self.limits()
                )
            case common.ScheduleExchangeReq():
                control: Any = common.Dynamic_SEResControlMode()
                if mode.scheduled:
                    control = common.Scheduled_SEResControlMode(
                        schedule_tuple=[flat_tuple(head.timestamp, (80_000.0,), (40_000.0,))]
                    )
                return common.ScheduleExchangeRes(
                    header=head,
                    response_code=ok,
                    evse_processing=Processing.Finished,
                    control_mode=control,
                )
            case dc.DC_CableCheckReq():
                return dc.DC_CableCheckRes(header=head, response_code=ok, evse_processing=Processing.Finished)
            case dc.DC_PreChargeReq():
                self.voltage = min(float(request.ev_target_voltage), self.voltage + 150)
                return dc.DC_PreChargeRes(
                    header=head, response_code=ok, evse_present_voltage=RationalNumber.of(self.voltage)
                )
            case common.PowerDeliveryReq():
                if request.charge_progress is common.ChargeProgress.Stop:
                    self.voltage = 0.0
                return common.PowerDeliveryRes(header=head, response_code=ok)
            case dc.DC_ChargeLoopReq():
                return self.loop(request)
            case dc.DC_WeldingDetectionReq():
                return dc.DC_WeldingDetectionRes(
                    header=head, response_code=ok, evse_present_voltage=RationalNumber.of(self.voltage)
                )
            case common.SessionStopReq():
                return common.SessionStopRes(header=head, response_code=ok)
            case common.MeteringConfirmationReq():
                return common.MeteringConfirmationRes(header=head, response_code=ok)
        raise AssertionError(f"no answer for {type(request).__name__}")

    def limits(self) -> Any:
        values: dict[str, Any] = {
            "evse_maximum_charge_power": number(120_000),
            "evse_minimum_charge_power": number(0),
            "evse_maximum_charge_current": number(300),
            "evse_minimum_charge_current": number(0),
            "evse_maximum_voltage": number(1000),
            "evse_minimum_voltage": number(150),
        }
        if not self.mode.bidirectional:
            return dc.DC_CPDResEnergyTransferMode(**values)
        return dc.BPT_DC_CPDResEnergyTransferMode(
            **values,
            evse_maximum_discharge_power=number(60_000),
            evse_minimum_discharge_power=number(0),
            evse_maximum_discharge_current=number(100),
            evse_minimum_discharge_current=number(0),
        )

    def loop(self, request: dc.DC_ChargeLoopReq, **changes: Any) -> dc.DC_ChargeLoopRes:
        number = RationalNumber.of
        wanted = request.control_mode
        limits: dict[str, Any] = {
            "evse_maximum_charge_power": number(120_000),
            "evse_minimum_charge_power": number(0),
            "evse_maximum_charge_current": number(300),
            "evse_maximum_voltage": number(1000),
        }
        kind: Any = {
            dc.Scheduled_DC_CLReqControlMode: dc.Scheduled_DC_CLResControlMode,
            dc.BPT_Scheduled_DC_CLReqControlMode: dc.BPT_Scheduled_DC_CLResControlMode,
            dc.Dynamic_DC_CLReqControlMode: dc.Dynamic_DC_CLResControlMode,
            dc.BPT_Dynamic_DC_CLReqControlMode: dc.BPT_Dynamic_DC_CLResControlMode,
        }[type(wanted)]
        if "BPT" in kind.__name__:
            limits |= {
                "evse_maximum_discharge_power": number(60_000),
                "evse_minimum_discharge_power": number(0),
                "evse_maximum_discharge_current": number(100),
                "evse_minimum_voltage": number(150),
            }
        current = self.current
        if isinstance(wanted, dc.Scheduled_DC_CLReqControlMode):
            current = float(wanted.ev_target_current)
        elif wanted.ev_maximum_charge_current.value == 0:
            current = 0.0
        status, self.status = self.status, None
        values: dict[str, Any] = {
            "header": self.header(),
            "response_code": ResponseCode.OK,
            "evse_status": status,
            "meter_info": self.meter if request.meter_info_requested or status else None,
            "evse_present_current": number(current),
            "evse_present_voltage": number(400.0),
            "evse_power_limit_achieved": False,
            "evse_current_limit_achieved": False,
            "evse_voltage_limit_achieved": False,
            "control_mode": kind(**limits),
        }
        return dc.DC_ChargeLoopRes(**(values | changes))

    def notify(self, notification: EVSENotification, delay: int = 0) -> None:
        """Say it with the next charge loop."""
        self.status = EVSEStatus(notification_max_delay=delay, evse_notification=notification)


DYNAMIC = EnergyMode(ServiceID.DC, ControlMode.DYNAMIC, parameter_set_id=7)
SCHEDULED = EnergyMode(ServiceID.DC, ControlMode.SCHEDULED, parameter_set_id=7)
FLEET = EnergyMode(ServiceID.DC, ControlMode.DYNAMIC, 7, MobilityNeedsMode.SECC)
BPT = EnergyMode(ServiceID.DC_BPT, ControlMode.SCHEDULED, parameter_set_id=7)


class Bench:
    """One session against a scripted SECC."""

    def __init__(self, mode: EnergyMode = DYNAMIC, loops: int = 3, **config: Any) -> None:
        self.secc = ScriptedSECC(mode)
        self.car = Car(loops=loops)
        self.player = Player(self.secc)
        self.evcc = EVCC(
            EVCCConfig(services=(ServiceWish(mode.service),), **config), self.car, unix_offset=UNIX
        )

    def run(self) -> SessionResult:
        return self.player.play(self.evcc.run())

    def times(self, kind: type[Any]) -> list[float]:
        return [time for time, request, _ in self.player.log if isinstance(request, kind)]

    def loops(self) -> list[Any]:
        return self.player.sent(dc.DC_ChargeLoopReq)

    def progress(self) -> list[str]:
        return [request.charge_progress.value for request in self.player.sent(common.PowerDeliveryReq)]

    def loop(self, *changes: dict[str, Any]) -> None:
        """Change the answers to the first charge loops."""
        self.secc.script(
            dc.DC_ChargeLoopReq,
            *[lambda request, change=change: self.secc.loop(request, **change) for change in changes],
        )


def rules(result: SessionResult) -> list[str | None]:
    return [item.requirement for item in result.deviations]


def severities(result: SessionResult) -> list[Severity]:
    return [item.severity for item in result.deviations]


def play(
    secc: ScriptedSECC, config: EVCCConfig | None = None, resume: PausedSession | None = None, **more: Any
) -> tuple[SessionResult, Player, EVCC]:
    player = Player(secc)
    evcc = EVCC(config or EVCCConfig(), Car(), resume=resume, unix_offset=UNIX, **more)
    return player.play(evcc.run()), player, evcc


def offering(bench: Bench, *tuples: common.ScheduleTuple, **changes: Any) -> None:
    bench.secc.on[common.ScheduleExchangeReq] = lambda request: msgspec.structs.replace(
        bench.secc.usual(request),
        control_mode=common.Scheduled_SEResControlMode(schedule_tuple=list(tuples)),
        **changes,
    )
