"""Requests and responses as the EVCC sees them: headers, timeouts, response codes, SessionID, deviations, and
side streams.

Nothing here knows what a message is for. `Dialogue.ask` is the one way a request goes out and a response is
judged; `interleave` runs the main conversation and any side-stream conversations over one connection, one
outstanding request each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..messages import ac, common, dc
from ..messages.common_types import MessageHeader, Processing, ResponseCode, V2GRequest, V2GResponse
from ..messages.declare import Node
from ..v2gtp import PayloadType
from .evcc_config import EVCCConfig
from .evcc_steps import (
    Abort,
    Exchange,
    MessageTimeout,
    Outcome,
    PausedSession,
    PeerFault,
    Post,
    Receive,
    Reply,
    Send,
    SessionEnded,
    SessionResult,
    Step,
    Wait,
)
from .events import Deviation, Role, Severity
from .services import EnergyMode
from .streams import payload_type_of
from .vehicle import Vehicle, Wish

R = TypeVar("R", bound=V2GResponse)
T = TypeVar("T")

_CREDENTIAL_WARNINGS = frozenset(
    {
        ResponseCode.WARNING_CertificateExpired,
        ResponseCode.WARNING_CertificateNotYetValid,
        ResponseCode.WARNING_CertificateRevoked,
        ResponseCode.WARNING_CertificateValidationError,
    }
)
WARNINGS: dict[type[V2GResponse], frozenset[ResponseCode]] = {
    common.AuthorizationRes: _CREDENTIAL_WARNINGS
    | {
        ResponseCode.WARNING_eMSPUnknown,
        ResponseCode.WARNING_GeneralPnCAuthorizationError,
        ResponseCode.WARNING_ChallengeInvalid,
        ResponseCode.WARNING_AuthorizationSelectionInvalid,
        ResponseCode.WARNING_EIMAuthorizationFailure,
    },
    common.CertificateInstallationRes: _CREDENTIAL_WARNINGS
    | {ResponseCode.WARNING_NoCertificateAvailable, ResponseCode.WARNING_NoContractMatchingPCIDFound},
    common.PowerDeliveryRes: frozenset(
        {
            ResponseCode.WARNING_StandbyNotAllowed,
            ResponseCode.WARNING_PowerToleranceNotConfirmed,
            ResponseCode.WARNING_ScheduleRenegotiationFailed,
        }
    ),
    ac.AC_ChargeLoopRes: frozenset({ResponseCode.WARNING_EVPowerProfileViolation}),
    dc.DC_ChargeLoopRes: frozenset({ResponseCode.WARNING_EVPowerProfileViolation}),
}
"""WARNING codes that a response may carry; others carry none."""


@dataclass(slots=True)
class _Side:
    """A conversation on a side stream: what it waits for, and until when."""

    exchange: Exchange[None]
    stream: PayloadType
    to_post: Send | None = None
    deadline: float | None = None
    wakes: float | None = None


class Dialogue:
    """State that all parts of an EVCC share, and the exchange of one request.

    `unix_offset` is Unix time minus the driver's clock; `secc_identity` tells this SECC from others (a hash
    of its certificate).
    """

    def __init__(
        self,
        config: EVCCConfig,
        vehicle: Vehicle,
        *,
        resume: PausedSession | None = None,
        secc_identity: bytes | None = None,
        now: float = 0.0,
        unix_offset: float = 0.0,
    ) -> None:
        self.config = config
        self.vehicle = vehicle
        self.resume = resume
        self.secc_identity = secc_identity
        self.now = now
        self.unix_offset = unix_offset
        self.session_id = bytes(8)
        self.frame = 0
        self.delivering = False
        """Between PowerDeliveryReq(Start) and (Stop)."""
        self.contract: common.ContractCertificateChain | None = None
        """Of the contract that the SECC authorized."""
        self.result = SessionResult(started=now)
        self.deviations = self.result.deviations
        self.vas_values: dict[tuple[int, int], dict[str, bool | int | float | str | None]] = {}
        """Parameters of the selected value added services."""
        self._secc_offset: float | None = None
        self._answered: tuple[str, float] | None = None
        """The last response of the main stream, its name without Res, and when it came."""
        self._sides: dict[PayloadType, _Side] = {}

    @property
    def mode(self) -> EnergyMode:
        """The selected energy service and parameter set."""
        if self.result.mode is None:
            raise Abort("NoService", "no energy service is selected")
        return self.result.mode

    # -- off the path: hooks for scripted sessions -------------------------------------------------------

    def outgoing(self, request: Node) -> Node:
        """Last look at a request before it is sent; override to change or replace it."""
        return request

    def incoming(self, response: Node) -> Node:
        """First look at a response, before it is checked."""
        return response

    # -- time --------------------------------------------------------------------------------------------

    def unix_time(self) -> float:
        """Of our clock."""
        return self.now + self.unix_offset

    def secc_time(self) -> float:
        """Unix time as the SECC's last header told it, which schedules are in; clocks differ."""
        return self.unix_time() if self._secc_offset is None else self.now + self._secc_offset

    def pause(self, seconds: float) -> Exchange[None]:
        """Wait that long, whatever comes in meanwhile."""
        until = self.now + seconds
        while until - self.now > 1e-6:
            reply = yield Wait(until - self.now)
            self.now = reply.now

    def header(self) -> MessageHeader:
        return MessageHeader(session_id=self.session_id, timestamp=max(0, int(self.unix_time())))

    # -- deviations --------------------------------------------------------------------------------------

    def deviation(
        self,
        text: str,
        expected: str,
        *,
        requirement: str | None = None,
        severity: Severity = Severity.ERROR,
        message: type[Node] | None = None,
        offender: Role = Role.SECC,
    ) -> None:
        """Report a deviation; a strict EVCC ends the session at an ERROR of the SECC."""
        found = Deviation(
            severity,
            text,
            expected,
            offender,
            message.__name__ if message else None,
            self.frame,
            requirement,
            self.now,
        )
        self.deviations.add(found)
        if self.config.strict and severity is Severity.ERROR and offender is Role.SECC:
            raise Abort("Deviation", f"{text}; expected {expected}"[:160])

    # -- one request -------------------------------------------------------------------------------------

    def ask(
        self,
        request: V2GRequest,
        response_type: type[R],
        *,
        stream: PayloadType | None = None,
        sent: Callable[[], None] | None = None,
    ) -> Exchange[R]:
        """Send a request, wait for its response and check it. `sent` is called once the request is on its
        way.

        Leaves through SessionEnded for what ends the session: another message, a foreign SessionID, a FAILED
        code.
        """
        payload_type = stream or payload_type_of(request)
        started = self.now
        response = yield from self.exchange(request, payload_type, sent)
        return self._checked(response, response_type, started)

    def exchange(
        self, request: Node, payload_type: PayloadType, sent: Callable[[], None] | None = None
    ) -> Exchange[Node]:
        """Send any message and wait for what comes back on its stream; only times are checked."""
        main = not payload_type.is_side_stream
        if main:
            self._check_pace(request)
        timeout = self.config.timers.limit("V2G_EVCC_Msg_Timeout", _base_name(request))
        started = self.now
        outgoing = self.outgoing(request)
        try:
            if sent is None:
                reply = yield Send(outgoing, payload_type, timeout)
            else:
                yield Post(outgoing, payload_type)
                sent()
                reply = yield Receive(payload_type, timeout)
        except MessageTimeout:
            self.now = max(self.now, started + timeout)
            raise
        self.now = reply.now
        assert reply.message is not None
        response = self.incoming(reply.message)
        if main:
            self._answered = _base_name(response), self.now
        self._check_time(request, response, self.now - started)
        return response

    def _check_pace(self, request: Node) -> None:
        """Our own duty: the next request in time after the last response, and in the charge loop soon."""
        if self._answered is None:
            return
        name, answered = self._answered
        timer = "V2G_EVCC_Sequence_Performance_Time"
        loop = name if name == _base_name(request) else ""
        limit = self.config.timers.limit(timer, loop)
        if self.now - answered > limit + 1e-6:
            self.deviation(
                f"sent {self.now - answered:.3f} s after {name}Res",
                f"within {limit} s ({timer})",
                requirement=self.config.timers.timer(timer, loop).requirement,
                severity=Severity.PERFORMANCE,
                message=type(request),
                offender=Role.EVCC,
            )

    def _check_time(self, request: Node, response: Node, seconds: float) -> None:
        name = "V2G_SECC_Msg_Performance_Time"
        limit = self.config.timers.limit(name, _base_name(request))
        if seconds > limit:
            self.deviation(
                f"answered after {seconds:.3f} s",
                f"at most {limit} s ({name})",
                requirement=self.config.timers.timer(name, _base_name(request)).requirement,
                severity=Severity.PERFORMANCE,
                message=type(response),
            )

    def _checked(self, response: Node, response_type: type[R], started: float) -> R:
        if not isinstance(response, response_type):
            raise self.wrong_answer(response, response_type.__name__)
        code = response.response_code
        setup = response_type is common.SessionSetupRes
        if response.header.session_id != self.session_id and not setup and not code.is_failed:
            raise self.fatal(
                f"SessionID {response.header.session_id.hex()}", self.session_id.hex(), response_type
            )
        if code.is_failed:
            self.result.response_code = code
            raise SessionEnded(Outcome.FAILED_RESPONSE, f"{response_type.__name__}: {code.value}")
        if code.is_warning and code not in WARNINGS.get(response_type, ()):
            self.deviation(
                f"{code.value}", f"no such code in {response_type.__name__}", message=response_type
            )
        # Header times of edition 1 are seconds; larger numbers are another unit and say nothing
        # about the clock.
        if response.header.timestamp < 10**11:
            self._learn_clock(response.header.timestamp - (started + self.now) / 2)
        return response

    def _learn_clock(self, offset: float) -> None:
        """Header times are whole seconds, rounded down: the greatest offset seen is nearest to the truth."""
        known = self._secc_offset
        self._secc_offset = offset if known is None or abs(offset - known) > 2 else max(known, offset)

    def fatal(self, text: str, expected: str, message: type[Node]) -> SessionEnded:
        """Report what no EVCC can go on after; raise what comes back."""
        found = Deviation(
            Severity.ERROR, text, expected, Role.SECC, message.__name__, self.frame, None, self.now
        )
        self.deviations.add(found)
        return SessionEnded(Outcome.PROTOCOL_ERROR, f"{message.__name__}: {text}; expected {expected}")

    def wrong_answer(self, response: Node, expected: str) -> SessionEnded:
        return self.fatal(f"{type(response).__name__} in answer", expected, type(response))

    # -- a request repeated while the SECC is busy -------------------------------------------------------

    def until_finished(
        self,
        request: Callable[[], V2GRequest],
        response_type: type[R],
        processing: Callable[[R], Processing],
        *,
        timer: str = "V2G_EVCC_Ongoing_Timeout",
        stream: PayloadType | None = None,
    ) -> Exchange[R]:
        """Ask again while the response says Ongoing, within the Ongoing timeout."""
        started = self.now
        customer = False
        while True:
            response = yield from self.ask(request(), response_type, stream=stream)
            state = processing(response)
            if state is Processing.Finished:
                return response
            customer = customer or state is Processing.Ongoing_WaitingForCustomerInteraction
            limit = self.config.timers.seconds(timer)
            if customer and not self.config.strict:
                limit = max(limit, self.config.customer_timeout)
            yield from self.pause(self.config.poll_interval)
            if self.now - started >= limit:
                name = response_type.__name__
                raise Abort("OngoingTimeout", f"{name} still {state.value} after {self.now - started:.1f} s")
            self.check_early_wish()

    def check_early_wish(self) -> None:
        """Leave before power flows if the vehicle wants to stop; override to wait."""
        if not self.delivering and self.vehicle.wish(self.now) is Wish.STOP:
            raise Leave(common.ChargingSession.Terminate)

    # -- several streams over one connection -------------------------------------------------------------

    def start_side(self, stream: PayloadType, exchange: Exchange[None]) -> bool:
        """Begin a conversation on a side stream, beside the main one. False if one is running there."""
        if stream in self._sides:
            return False
        side = _Side(exchange, stream)
        self._sides[stream] = side
        self._resume_side(side, None)
        return True

    def side_running(self, stream: PayloadType | None = None) -> bool:
        return bool(self._sides) if stream is None else stream in self._sides

    def settle(self) -> Exchange[None]:
        """Wait until the side streams are quiet."""
        while self._sides:
            reply = yield Wait(60.0)  # interleave cuts it at the next event of a side stream
            self.now = reply.now

    def interleave(self, main: Exchange[T]) -> Exchange[T]:
        """Run `main` with the side conversations beside it, and count frames."""
        reply: Reply | None = None
        error: Exception | None = None
        while True:
            try:
                if error is not None:
                    step, error = main.throw(error), None
                else:
                    step = next(main) if reply is None else main.send(reply)
            except StopIteration as done:
                result: T = done.value
                return result
            try:
                yield from self._post_sides()
                if self._sides and isinstance(step, Wait):
                    step = Wait(min(step.seconds, self._next_side_event()))
                reply = yield step
                self._take(step, reply)
            except PeerFault as fault:
                error = self._told_beside(fault)
            except Exception as fault:
                error = fault

    def _told_beside(self, fault: PeerFault) -> Exception:
        """What ends the session: a FAILED response on a side stream explains silence on the main one."""
        try:
            self._take(Wait(0.0), Reply(self.now, side=fault.side))
        except Exception as reason:
            return reason
        return fault

    def _post_sides(self) -> Exchange[None]:
        for side in list(self._sides.values()):
            if side.to_post is not None:
                send, side.to_post = side.to_post, None
                self.frame += 1
                self.result.messages += 1
                reply = yield Post(send.request, send.payload_type)
                self.now = reply.now
                side.deadline = self.now + send.timeout

    def _next_side_event(self) -> float:
        """Seconds until a side conversation times out or wakes."""
        times = (time for side in self._sides.values() for time in (side.deadline, side.wakes))
        return max(0.0, min((time for time in times if time is not None), default=self.now) - self.now)

    def _take(self, step: Step, reply: Reply) -> None:
        """Count what went out and came in; hand side messages to their conversations, and wake or time out
        the others.
        """
        self.now = reply.now
        frames = isinstance(step, Send | Post) + (reply.message is not None) + len(reply.side)
        self.frame += frames
        self.result.messages += frames
        for incoming in reply.side:
            side = self._sides.get(_stream(incoming.payload_type))
            if side is None or side.deadline is None:
                self.deviation(
                    "came without a request",
                    "one response for each request",
                    message=type(incoming.message),
                )
                continue
            side.deadline = None
            self._resume_side(side, Reply(self.now, incoming.message))
        for side in list(self._sides.values()):
            if side.deadline is not None and self.now >= side.deadline:
                side.deadline = None
                self._resume_side(side, MessageTimeout(f"no response on {side.stream.name}"))
            elif side.wakes is not None and self.now >= side.wakes:
                side.wakes = None
                self._resume_side(side, Reply(self.now))

    def _resume_side(self, side: _Side, value: Reply | Exception | None) -> None:
        """Run a side conversation to its next step."""
        try:
            if value is None:
                step = next(side.exchange)
            elif isinstance(value, Exception):
                step = side.exchange.throw(value)
            else:
                step = side.exchange.send(value)
        except StopIteration:
            del self._sides[side.stream]
        except BaseException:
            del self._sides[side.stream]
            raise
        else:
            if isinstance(step, Send):
                side.to_post = step
            elif isinstance(step, Wait):
                side.wakes = self.now + step.seconds
            else:
                raise TypeError(f"a side stream can only send and wait, not {type(step).__name__}")


class Leave(Exception):
    """Raised inside the generator to end the session in the ordinary way before energy flows."""

    def __init__(self, charging_session: common.ChargingSession) -> None:
        super().__init__(charging_session.value)
        self.charging_session = charging_session


def _stream(payload_type: int) -> PayloadType:
    try:
        found = PayloadType(payload_type)
    except ValueError:
        return PayloadType.COMMON
    return found if found.is_side_stream else PayloadType.COMMON


def _base_name(message: Node) -> str:
    return type(message).__name__[:-3]
