"""The SECC of one connection: requests in, responses out; pure and synchronous.

Each request is judged in this order: session id, place in the sequence, payload type, content; the first
that is wrong gives the response code. What the messages mean is in the `secc_*` modules, their order in
`sequence`, times in `timers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from ..messages import ac, common, dc
from ..messages.app_protocol import (
    AppProtocolResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from ..messages.common_types import ResponseCode, V2GRequest, V2GResponse
from ..messages.declare import Node
from ..v2gtp import PayloadType, describe
from . import secc_energy, secc_loop, secc_setup, sequence
from .charger import Charger
from .events import Deviations, Severity
from .fillers import failed
from .secc_config import Closing, Entropy, LinkSecurity, PausedSession, SECCConfig, SessionStore, Trust, bind
from .secc_context import NEW_SESSION, Context, Refusal
from .sequence import Phase, State, Violation, name_of, stem
from .streams import fits, payload_type_of
from .timers import Kind

Handler = Callable[[Context, Any, float], V2GResponse | None]

HANDLERS: dict[type[V2GRequest], Handler] = {
    common.SessionSetupReq: secc_setup.session_setup,
    common.AuthorizationSetupReq: secc_setup.authorization_setup,
    common.AuthorizationReq: secc_setup.authorization,
    common.CertificateInstallationReq: secc_setup.certificate_installation,
    common.ServiceDiscoveryReq: secc_setup.service_discovery,
    common.ServiceDetailReq: secc_setup.service_detail,
    common.ServiceSelectionReq: secc_setup.service_selection,
    common.VehicleCheckInReq: secc_setup.vehicle_check_in,
    common.VehicleCheckOutReq: secc_setup.vehicle_check_out,
    common.MeteringConfirmationReq: secc_loop.metering_confirmation,
    common.SessionStopReq: secc_energy.session_stop,
    ac.AC_ChargeParameterDiscoveryReq: secc_energy.ac_parameters,
    ac.AC_ChargeLoopReq: secc_loop.ac_loop,
    dc.DC_ChargeParameterDiscoveryReq: secc_energy.dc_parameters,
    dc.DC_CableCheckReq: secc_energy.cable_check,
    dc.DC_PreChargeReq: secc_energy.precharge,
    dc.DC_ChargeLoopReq: secc_loop.dc_loop,
    dc.DC_WeldingDetectionReq: secc_energy.welding_detection,
}
_ON_BOTH_STREAMS: dict[type[V2GRequest], Callable[[Context, Any, float, bool], V2GResponse | None]] = {
    common.ScheduleExchangeReq: secc_energy.schedule_exchange,
    common.PowerDeliveryReq: secc_energy.power_delivery,
}
_LAST_SECOND = 10**11
"""Unix time of the year 5138: greater values are milli- or microseconds."""
POLL_INTERVAL = 0.02
"""s between two looks at a switching charger."""


def _as_short(number: int) -> int:
    """A number that an EV sent, to be sent back; EXI lets it send what the schema does not."""
    return number if 0 <= number <= 0xFFFF else 0


class _Held(NamedTuple):
    """A request whose response waits for the charger to switch."""

    request: V2GRequest
    stream: PayloadType | None
    reply_type: PayloadType
    since: float
    next_look: float


class SECC:
    """Serves one EV over one connection.

    `now` is in s on any clock that does not go back; `unix_offset` is Unix time minus that clock. The caller

    - gives each decoded request to `handle` and sends what it returns, on the payload type `reply_type`
      says;
    - if `handle` returns None and `closing` is None, waits until `deadline` and calls `poll`: the charger
      is still switching;
    - calls `expire` when `deadline` has passed and no request came;
    - looks at `closing` after each call: not None means close the connection that way, after sending;
    - calls `disconnected` once when the connection is gone, whoever closed it.
    """

    def __init__(
        self,
        config: SECCConfig,
        charger: Charger,
        link: LinkSecurity,
        *,
        entropy: Entropy,
        store: SessionStore,
        now: float,
        unix_offset: float = 0.0,
        trust: Trust | None = None,
    ) -> None:
        self.context = Context(config, charger, link, entropy, store, trust or Trust(), unix_offset)
        self.closing: Closing | None = None
        self._started = now
        self._waiting_since = now
        self._last_response = ""
        """Stem of the last response of the main stream: it says which sequence timer runs."""
        self._set_up = False
        self._held: _Held | None = None
        self._reply_type = PayloadType.SAP
        self._request_time = now
        self._over = False

    @property
    def events(self) -> Deviations:
        return self.context.events

    @property
    def state(self) -> State:
        return self.context.state

    @property
    def session_id(self) -> bytes:
        return self.context.session_id

    # -- messages --------------------------------------------------------------------------------------------

    def handle(self, request: Node, now: float, payload_type: int | None = None) -> Node | None:
        """The response to a request that came with this V2GTP payload type (default: its own).

        None: not yet (see `poll`), or never: then `closing` is set.
        """
        ctx = self.context
        ctx.frame += 1
        ctx.message = name_of(request)
        if self.closing is not None:
            return None
        if self._overdue(now):
            self.expire(now)
            return None
        if payload_type is None:
            payload_type = payload_type_of(request)
        stream = sequence.stream_of(payload_type)
        self._request_time = now
        if isinstance(request, SupportedAppProtocolReq):
            return self._negotiate(request, now)
        if not isinstance(request, V2GRequest):
            self._end(now, f"{ctx.message} is not a request", "a request")
            return None
        if stream is None:
            self._check_pace(request, now)
        if request.header.timestamp > _LAST_SECOND:
            ctx.note(f"TimeStamp {request.header.timestamp}", "Unix time in whole seconds")
        well_framed = fits(request, payload_type)
        self._reply_type = PayloadType(payload_type) if well_framed else payload_type_of(request)
        try:
            self._check_session(request)
            self._check_order(request, stream)
            if not well_framed:
                ctx.tolerate(
                    f"payload type {describe(payload_type)}",
                    describe(self._reply_type),
                    code=ResponseCode.FAILED_SequenceError,
                )
        except Refusal as refusal:
            return self._refuse(request, refusal, now, stream)
        return self._answer(request, now, stream)

    def poll(self, now: float) -> Node | None:
        """The response that `handle` left open, once it is there."""
        if self._held is None:
            return None
        held = self._held
        self.context.message = name_of(held.request)
        self._reply_type, self._request_time = held.reply_type, held.since
        return self._answer(held.request, now, held.stream)

    def reply_type(self, response: Node) -> PayloadType:
        """V2GTP payload type of the response that was just returned."""
        return self._reply_type

    def _answer(self, request: V2GRequest, now: float, stream: PayloadType | None) -> V2GResponse | None:
        ctx = self.context
        try:
            response = self._call(request, now, stream)
            if response is None:
                self._held = _Held(request, stream, self._reply_type, self._request_time, now + POLL_INTERVAL)
                return None
            if self._held is not None and self._held.request is request:
                self._held = None
            following = sequence.after(ctx.state, request, response, stream)
            if isinstance(following, Violation):
                raise Refusal(
                    ResponseCode.FAILED_SequenceError, following.text, "another service", "V2G20-459"
                )
        except Refusal as refusal:
            return self._refuse(request, refusal, now, stream)
        ctx.state = following
        self._sent(request, response, now, stream)
        if following.closed:
            self._keep_if_paused(now)
            self._finish(now, Closing.AFTER_PEER)
        return response

    def _call(self, request: V2GRequest, now: float, stream: PayloadType | None) -> V2GResponse | None:
        both = _ON_BOTH_STREAMS.get(type(request))
        if both is not None:
            return both(self.context, request, now, stream is not None)
        handler = HANDLERS.get(type(request))
        if handler is None:
            raise Refusal(
                ResponseCode.FAILED_SequenceError,
                "a message of a service that is not served",
                "another",
                own=True,
            )
        return handler(self.context, request, now)

    def _negotiate(self, request: SupportedAppProtocolReq, now: float) -> SupportedAppProtocolRes:
        ctx = self.context
        self._reply_type = PayloadType.SAP
        verdict = sequence.permit(ctx.state, request)
        if isinstance(verdict, Violation):
            ctx.deviation(Severity.ERROR, verdict.text, " or ".join(verdict.expected), "V2G20-459", now=now)
            response = SupportedAppProtocolRes(response_code=AppProtocolResponseCode.Failed_NoNegotiation)
            self._finish(now, Closing.AFTER_PEER)
            ctx.frame += 1
            return response
        response = secc_setup.supported_app_protocol(ctx, request, now)
        following = sequence.after(ctx.state, request, response)
        assert isinstance(following, State)
        ctx.state = following
        self._sent(request, response, now, None)
        if following.closed:
            self._finish(now, Closing.AFTER_PEER)
        return response

    # -- checks ----------------------------------------------------------------------------------------------

    def _check_session(self, request: V2GRequest) -> None:
        """Any request but SessionSetupReq must have our SessionID [V2G20-460]."""
        ctx = self.context
        established = ctx.session_id != NEW_SESSION
        if (
            established
            and request.header.session_id != ctx.session_id
            and not isinstance(request, common.SessionSetupReq)
        ):
            raise Refusal(
                ResponseCode.FAILED_UnknownSession,
                f"SessionID {request.header.session_id.hex()}",
                ctx.session_id.hex(),
                "V2G20-460",
            )

    def _check_order(self, request: V2GRequest, stream: PayloadType | None) -> None:
        ctx = self.context
        if self._held is not None and stream == self._held.stream:
            raise Refusal(
                ResponseCode.FAILED_SequenceError,
                f"{ctx.message} before the response to {name_of(self._held.request)}",
                "one request at a time",
                "V2G20-459",
            )
        verdict = sequence.permit(ctx.state, request, stream)
        if isinstance(verdict, Violation):
            rule = verdict.requirements[-1]
            raise Refusal(
                ResponseCode.FAILED_SequenceError,
                verdict.text,
                " or ".join(verdict.expected) or "nothing",
                rule,
            )
        if verdict.note:
            row = ctx.state.row if stream is None else ctx.state.side(stream)
            ctx.tolerate(
                verdict.note, " or ".join(row.next), "V2G20-459", code=ResponseCode.FAILED_SequenceError
            )

    def _check_pace(self, request: V2GRequest, now: float) -> None:
        """How fast the EV comes with its next request: a performance time, nobody aborts on it."""
        if not self._last_response:
            return
        profile = self.context.config.timers
        name = "V2G_EVCC_Sequence_Performance_Time"
        in_loop = self._last_response in sequence.LOOP_MESSAGES
        message = self._last_response if in_loop and stem(name_of(request)) == self._last_response else ""
        limit = profile.limit(name, message)
        gap = now - self._waiting_since
        if gap > limit:
            self.context.deviation(
                Severity.PERFORMANCE,
                f"{gap:.3f} s after {self._last_response}Res",
                f"within {limit:g} s",
                profile.timer(name, message).requirement,
                now=now,
            )
            if in_loop and gap > 0.5:
                # Even where the timeout itself is relaxed.
                strict = profile.timer("V2G_SECC_Sequence_Timeout", self._last_response)
                self.context.deviation(
                    Severity.ERROR,
                    f"{gap:.3f} s after {self._last_response}Res",
                    f"within {strict.seconds:g} s",
                    strict.requirement,
                    now=now,
                )

    # -- ends ------------------------------------------------------------------------------------------------

    def _refuse(
        self, request: V2GRequest, refusal: Refusal, now: float, stream: PayloadType | None
    ) -> V2GResponse:
        """The FAILED response; it ends the session for both sides."""
        ctx = self.context
        self._held = None
        ctx.deviation(
            Severity.ERROR, refusal.text, refusal.expected, refusal.requirement, now=now, own=refusal.own
        )
        response = failed(
            request,
            ctx.header(now),
            refusal.code,
            evse_id=ctx.charger.evse_id,
            service_id=_as_short(getattr(request, "service_id", 0)),
            evse_check_out_status=common.EVSECheckOutStatus.Completed,
        )
        ctx.state = replace(ctx.state, row=sequence.ENDED)
        self._sent(request, response, now, stream)
        self._finish(now, Closing.AFTER_PEER)
        return response

    def _sent(self, request: Node, response: Node, now: float, stream: PayloadType | None) -> None:
        ctx = self.context
        ctx.frame += 1
        name = stem(name_of(response))
        if stream is None:
            self._last_response, self._waiting_since = name, now
        self._check_performance(name, "V2G_SECC_Msg_Performance_Time", now - self._request_time, now)
        if isinstance(request, common.SessionSetupReq) and not self._set_up:
            self._set_up = True
            self._check_performance(
                name, "V2G_SECC_CommunicationSetup_Performance_Time", now - self._started, now
            )

    def _check_performance(self, message: str, timer: str, took: float, now: float) -> None:
        profile = self.context.config.timers
        limit = profile.limit(timer, message)
        if took > limit:
            self.context.deviation(
                Severity.PERFORMANCE,
                f"{message}Res took {took:.3f} s",
                f"{timer} {limit:g} s",
                profile.timer(timer, message).requirement,
                now=now,
                own=True,
            )

    def _end(self, now: float, text: str, expected: str, requirement: str | None = None) -> None:
        """End without a response."""
        self.context.deviation(Severity.ERROR, text, expected, requirement, now=now)
        self._finish(now, Closing.NOW)

    def _finish(self, now: float, closing: Closing) -> None:
        """Power off and tell the charger, once."""
        self.closing = closing
        self._held = None
        ctx = self.context
        if self._over:
            return
        self._over = True
        ctx.charger.stop_power(now)
        if not ctx.state.closed:
            ctx.state = replace(ctx.state, row=sequence.ENDED, running=False, prepared=False)
        ctx.charger.session_ended(now, ctx.session_id in ctx.store)

    def _keep_if_paused(self, now: float) -> None:
        ctx = self.context
        if ctx.charging_session != common.ChargingSession.Pause or ctx.mode is None:
            return
        certificate = ctx.link.vehicle_certificate
        ctx.store.keep(
            PausedSession(
                session_id=ctx.session_id,
                binding=None if certificate is None else bind(ctx.session_id, certificate),
                evcc_id=ctx.evcc_id,
                mode=ctx.mode,
                vas=ctx.vas,
                contract=ctx.contract,
            )
        )

    # -- time ------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """When to call `expire` (or `poll`, while a response is open); None: nothing is awaited."""
        if self.closing is not None:
            return None
        if self._held is not None:
            return self._held.next_look
        return self._sequence_deadline()

    def _sequence_deadline(self) -> float:
        ctx = self.context
        if ctx.state.phase is Phase.CONNECTED:
            return self._started + ctx.config.communication_setup_time
        return self._waiting_since + ctx.config.timers.limit("V2G_SECC_Sequence_Timeout", self._last_response)

    def _overdue(self, now: float) -> bool:
        return self._held is None and now > self._sequence_deadline()

    def expire(self, now: float) -> None:
        """The deadline passed without a request: the session ends [V2G20-443]."""
        if self.closing is not None or self._held is not None or now < self._sequence_deadline():
            return
        ctx = self.context
        ctx.message = None
        if ctx.state.phase is Phase.CONNECTED:
            self._end(now, f"no request in {now - self._started:.0f} s", "supportedAppProtocolReq")
            return
        profile = ctx.config.timers
        timer = profile.timer("V2G_SECC_Sequence_Timeout", self._last_response)
        assert timer.kind is Kind.ERROR
        self._end(
            now,
            f"no request {now - self._waiting_since:.3f} s after {self._last_response}Res",
            f"within {profile.limit('V2G_SECC_Sequence_Timeout', self._last_response):g} s",
            timer.requirement,
        )

    # -- what is no request ----------------------------------------------------------------------------------

    def undecodable(self, now: float, payload_type: int, reason: str) -> None:
        """A payload could not be decoded: there is no response to give, the session ends."""
        self.context.frame += 1
        self.context.message = None
        if self.closing is None:
            self._end(now, f"{describe(payload_type)}: {reason}", "a valid EXI document")

    def unexpected_payload(self, now: float, payload_type: int) -> None:
        """A frame of an unknown or reserved payload type: dropped by its length, not answered."""
        ctx = self.context
        ctx.frame += 1
        ctx.message = None
        ctx.deviation(
            Severity.ERROR, f"payload type {describe(payload_type)}", "a payload type of the session", now=now
        )

    def disconnected(self, now: float) -> None:
        """The connection is gone: power off, session over unless it is paused."""
        ctx = self.context
        if not ctx.state.closed:
            ctx.message = None
            if ctx.state.phase is not Phase.CONNECTED:
                ctx.deviation(
                    Severity.ERROR, f"connection closed in phase {ctx.state.phase}", "SessionStopReq", now=now
                )
        self._finish(now, self.closing or Closing.NOW)
