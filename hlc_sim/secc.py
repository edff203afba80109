"""Runs SECCs behind a listener: any number of EVs at once, each on its own, none able to harm another."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import trio

from iso15118 import v2gtp
from iso15118.messages.declare import Node
from iso15118.session.charger import Charger
from iso15118.session.events import Deviation, Role
from iso15118.session.secc import SECC
from iso15118.session.secc_config import Closing, LinkSecurity, SECCConfig, SessionStore, Trust

from .clock import unix_offset
from .transport.link import FrameSink, Intervention, Link, LinkClosed, Undecodable, UnknownPayload

log = logging.getLogger(__name__)

Secure = Callable[[trio.abc.Stream], Awaitable[tuple[trio.abc.Stream, LinkSecurity]]]
"""Turns an accepted TCP connection into the link a session runs on: TLS and what its handshake proved, or lab
TCP.
"""

_CLOSE_GRACE = 5.0
"""Seconds given to the EV to close first [V2G20-1643]."""
_SEND_TIMEOUT = 60.0
"""Seconds to answer a request, a switching charger and a peer that does not read included."""
_SETUP_TIMEOUT = 20.0
"""Seconds for a TLS handshake, and for a request where the SECC itself sets no limit."""


@dataclass(slots=True)
class ConnectionReport:
    """What became of one connection."""

    peer: str
    ended: str = ""
    """Why it ended, in words."""
    error: Exception | None = None
    """An internal error of the station."""
    clean: bool = False
    """It ended as the standard has it: after SessionStop or a refusal of ours, without fault of the peer."""
    closed_by: Role | None = None
    """The side that ended it first; None if it never was a link."""
    session_id: bytes = bytes(8)
    frames: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    messages: dict[str, int] = field(default_factory=dict)
    """How often each message passed, by element name."""
    deviations: list[Deviation] = field(default_factory=list)
    tls: str = ""
    """Version, suite and group; empty without TLS."""
    tls_remarks: tuple[str, ...] = ()
    """What was tolerated in the vehicle's certificates."""
    emaid: str = ""
    """Of the contract that was authorized."""


@dataclass(slots=True)
class Station:
    """What all connections of one charging station share.

    `charger` makes the outlet that a connection is about, `assigned` is told it with the peer. `finished` is
    told of every connection's end, `sink` gives a frame sink for a peer. More than `max_connections` at once
    are refused, which bounds the memory that peers can take.
    """

    config: SECCConfig
    charger: Callable[[], Charger]
    store: SessionStore = field(default_factory=SessionStore)
    secure: Secure | None = None
    trust: Trust | None = None
    sink: Callable[[str], FrameSink | None] | None = None
    intervention: Callable[[], Intervention | None] | None = None
    assigned: Callable[[str, Charger], None] | None = None
    finished: Callable[[ConnectionReport], None] | None = None
    max_connections: int = 1000
    max_payload: int = v2gtp.DEFAULT_MAX_PAYLOAD
    connections: int = field(default=0, init=False)
    served: int = field(default=0, init=False)
    """Connections that have ended."""

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one accepted connection to its end. Never raises but for cancellation."""
        peer = peer_name(stream)
        if self.connections >= self.max_connections:
            log.warning("%s: refused, %d connections are open", peer, self.connections)
            await trio.aclose_forcefully(stream)
            return
        self.connections += 1
        report = ConnectionReport(peer)
        try:
            await self._serve(stream, report)
        except Exception as error:
            report.ended, report.error = "internal error", error
            log.exception("%s: internal error, connection closed", peer)
            await trio.aclose_forcefully(stream)
        finally:
            self.connections -= 1
            self.served += 1
            if self.finished is not None:
                self.finished(report)
        level = logging.INFO if report.clean else logging.WARNING
        told = f", {report.frames} messages" if report.frames else ""
        log.log(level, "%s: %s%s", peer, report.ended, told)

    async def _serve(self, stream: trio.abc.Stream, report: ConnectionReport) -> None:
        facts = LinkSecurity(tls=False, lab_plain_tcp=True)
        if self.secure is not None:
            try:
                with trio.fail_after(_SETUP_TIMEOUT):
                    stream, facts = await self.secure(stream)
            except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
                report.ended = f"no secured connection: {str(error) or 'the TLS handshake took too long'}"
                await trio.aclose_forcefully(stream)
                return
            report.tls, report.tls_remarks = _tls_of(stream)
        link = Link(
            stream,
            Role.SECC,
            sink=self.sink(report.peer) if self.sink is not None else None,
            intervention=self.intervention() if self.intervention is not None else None,
            max_payload=self.max_payload,
        )
        charger = self.charger()
        if self.assigned is not None:
            self.assigned(report.peer, charger)
        secc = SECC(
            self.config,
            charger,
            facts,
            entropy=secrets.token_bytes,
            store=self.store,
            now=trio.current_time(),
            unix_offset=unix_offset(),
            trust=self.trust,
        )
        try:
            await Conversation(secc, link, report).run()
        finally:
            # Shielded neither in time nor in effect: the outlet must be off whatever ended the connection.
            secc.disconnected(trio.current_time())
            report.session_id = secc.session_id
            report.closed_by = Role.EVCC if link.peer_left else Role.SECC
            report.emaid = _emaid_of(secc)
            report.frames, report.bytes_received, report.bytes_sent = (
                link.frames,
                link.bytes_received,
                link.bytes_sent,
            )
            report.messages = dict(link.messages)
            report.deviations = list(secc.events)
            await link.aclose()


class Conversation:
    """One SECC over one link, from the first byte to the close."""

    def __init__(self, secc: SECC, link: Link, report: ConnectionReport) -> None:
        self._secc = secc
        self._link = link
        self._report = report
        self._silent_since = 0.0
        self._sending = False
        """A request is being answered: the peer is not the one that is waited for, unless it does not read.
        """

    async def run(self) -> None:
        try:
            await self._serve()
        except LinkClosed as error:
            self._report.ended = str(error)
        except v2gtp.V2GTPError as error:
            self._report.ended = f"broken V2GTP frame, connection closed: {error}"

    async def _serve(self) -> None:
        secc = self._secc
        # One scope for all waits, its deadline moved on: entering a scope per message costs more than
        # handling some messages.
        with trio.CancelScope() as limit:
            await self._talk(limit)
        if limit.cancelled_caught:
            silence = trio.current_time() - self._silent_since
            if self._sending:
                self._report.ended = "timeout: the peer takes no response, connection closed"
                return
            secc.expire(trio.current_time())
            self._report.ended = f"timeout: no request for {silence:.1f} s, connection closed"
        if secc.closing is not None:
            await self._close()

    async def _talk(self, limit: trio.CancelScope) -> None:
        """Request after request, until the SECC closes, the peer is undecodable, or `limit` passes."""
        secc, link = self._secc, self._link
        now = self._silent_since = trio.current_time()
        while secc.closing is None:
            deadline = secc.deadline()
            limit.deadline = now + _SETUP_TIMEOUT if deadline is None else deadline
            try:
                received = await link.receive()
            except UnknownPayload as error:
                secc.unexpected_payload(trio.current_time(), error.payload_type)
                log.warning("%s: %s, skipped", self._report.peer, error)
                continue
            except Undecodable as error:
                secc.undecodable(trio.current_time(), error.payload_type, str(error.error))
                self._report.ended = f"undecodable message, connection closed: {error}"
                return
            now = trio.current_time()
            limit.deadline = now + _SEND_TIMEOUT
            self._sending = True
            response = secc.handle(received.message, now, received.payload_type)
            if response is None:
                response = await self._await_response()
            if response is not None:
                await link.send(response, secc.reply_type(response))
            self._sending = False
            now = self._silent_since = trio.current_time()

    async def _await_response(self) -> Node | None:
        """The charger is still switching: poll the SECC until it has a response or gives up."""
        secc = self._secc
        while secc.closing is None:
            deadline = secc.deadline()
            if deadline is None:
                return None
            await trio.sleep_until(deadline)
            response = secc.poll(trio.current_time())
            if response is not None:
                return response
        return None

    async def _close(self) -> None:
        report = self._report
        if self._secc.closing is Closing.AFTER_PEER:
            report.clean = True
            report.ended = "session over"
            with trio.move_on_after(_CLOSE_GRACE):
                while True:
                    try:
                        await self._link.receive()
                    except (UnknownPayload, Undecodable):
                        continue
                    except (LinkClosed, v2gtp.V2GTPError):
                        return
        elif not report.ended:
            report.ended = "session ended by a FAILED response, connection closed"


async def serve(
    station: Station,
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Accept connections for ever."""
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, station.handle, list(listeners))
        task_status.started()


def _tls_of(stream: trio.abc.Stream) -> tuple[str, tuple[str, ...]]:
    from .transport.tls import TLSStream
    from .trust import describe, remarks

    return (describe(stream.facts), remarks(stream.facts)) if isinstance(stream, TLSStream) else ("", ())


def _emaid_of(secc: SECC) -> str:
    contract = secc.context.contract
    if contract is None:
        return ""
    from .trust import emaid_of

    return emaid_of(contract)


def peer_name(stream: trio.abc.Stream) -> str:
    """Address and port of the peer, for logs."""
    if isinstance(stream, trio.SocketStream):
        try:
            address = stream.socket.getpeername()
        except OSError:
            return "(gone)"
        return f"[{address[0]}]:{address[1]}"
    return "(in memory)"
