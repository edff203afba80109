"""Our side of a connection, as a test scripts it: correct until told otherwise."""

from __future__ import annotations

import copy
import difflib
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from iso15118.messages.declare import Node
from iso15118.session.evcc import EVCC
from iso15118.session.events import Role
from iso15118.session.secc import SECC
from iso15118.session.secc_config import LinkSecurity, SessionStore
from iso15118.session.sequence import name_of, stem
from iso15118.session.streams import payload_type_of
from iso15118.v2gtp import V2GTPError

from ..clock import unix_offset
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..evcc import drive
from ..scenario import edit
from ..scenario.runner import vehicle_of
from ..scenario.watch import Watched
from ..secc import ConnectionReport, Conversation
from ..transport.link import Link, LinkClosed, Received, Undecodable, UnknownPayload
from .portal import Portal
from .verdict import Inconclusive, Unexpected

_PATIENCE = {Role.SECC: 5.0, Role.EVCC: 60.0}
"""s that a device has for its next message: an SECC answers at once, an EVCC may be silent for a minute."""
_NO_MESSAGE = (LinkClosed, UnknownPayload, Undecodable, V2GTPError)

Behaviour = Callable[["HeldLink"], Awaitable[str]]
"""A correct side on a link; it returns why it ended."""


def as_evcc(config: VehicleConfig) -> Behaviour:
    """A whole session of this vehicle."""

    async def behave(link: HeldLink) -> str:
        settings, now = vehicle_of(config), trio.current_time()
        evcc = EVCC(settings.session(), settings.vehicle(), now=now, unix_offset=unix_offset())
        session = await drive(evcc.run(), link)
        return session.reason or session.outcome.value

    return behave


def as_secc(config: StationConfig, store: SessionStore) -> Behaviour:
    """This station, for one connection."""

    async def behave(link: HeldLink) -> str:
        report = ConnectionReport("")
        secc = SECC(
            config.session(),
            config.charger(unix_offset()),
            LinkSecurity(tls=False, lab_plain_tcp=True),
            entropy=secrets.token_bytes,
            store=store,
            now=trio.current_time(),
            unix_offset=unix_offset(),
        )
        try:
            await Conversation(secc, link, report).run()
        finally:
            secc.disconnected(trio.current_time())
        return report.ended

    return behave


class HeldLink(Link):
    """A link on which our side stands still before it says something, for the test to speak instead. What the
    test says in its place and hears then is to our side as if it had said and heard it.
    """

    def __init__(self, stream: trio.abc.Stream, role: Role, behave: Behaviour, nursery: trio.Nursery) -> None:
        super().__init__(stream, role)
        self.over: str | None = None
        """Why our side has ended."""
        self._behave = behave
        self._nursery = nursery
        self._due: Node | None = None
        """What our side says next, or said last."""
        self._due_type = 0
        self._said = False
        self._heard: deque[Received] = deque()
        self._begun = False
        self._until: Callable[[Node], bool]
        self._stands = self._goes = trio.Event()
        self._error: Exception | None = None

    # -- for our side ----------------------------------------------------------------------------------------

    async def send(self, message: Node, payload_type: int) -> None:
        self._due, self._due_type, self._said = message, payload_type, False
        if self._until(message):
            self._goes = trio.Event()
            self._stands.set()
            await self._goes.wait()
        if not self._said:
            self._said = True
            await super().send(message, payload_type)

    async def receive(self) -> Received:
        return self._heard.popleft() if self._heard else await super().receive()

    # -- for the test ----------------------------------------------------------------------------------------

    async def go_on(self, until: Callable[[Node], bool]) -> bool:
        """Let our side go on until its next message, not yet sent, is one that is meant. False: it has ended.

        Raises what our side raised.
        """
        if self.over is not None:
            return False
        if self._due is not None and not self._said and until(self._due):
            return True
        self._until, self._stands = until, trio.Event()
        if self._begun:
            self._goes.set()
        else:
            self._begun = True
            self._nursery.start_soon(self._run)
        await self._stands.wait()
        if self._error is not None:
            raise self._error
        return self.over is None

    async def say(self, message: str | Node, values: Mapping[str, Any]) -> None:
        """Send a message: the one that is due, if that is its name, or one that is built. FieldError."""
        name = message if isinstance(message, str) else name_of(message)
        if self._heard or (not self._begun and self.role is Role.EVCC):
            await self.go_on(lambda _: True)
        due = self._due
        is_due = due is not None and name_of(due) == name
        if isinstance(message, str):
            if is_due and due is not None:
                message = due
            else:
                message = edit.build(name, copy.copy(getattr(due, "header", None)))
        self._said = self._said or is_due
        await super().send(
            edit.change(message, values), self._due_type if is_due else payload_type_of(message)
        )

    async def hear(self, timeout: float) -> Node:
        """The next message of the device. TimeoutError; LinkClosed and others as `Link.receive`."""
        with trio.move_on_after(timeout):
            received = await super().receive()
            self._said = self._said or self.role is Role.SECC  # a request asks our SECC, whatever was said
            if self._said:
                self._heard.append(received)
            return received.message
        raise TimeoutError(f"nothing came within {timeout:g} s")

    async def _run(self) -> None:
        try:
            self.over = await self._behave(self) or "over"
        except Exception as error:
            self.over, self._error = str(error), error
        finally:
            self._stands.set()


class Speaker:
    """Our side of a connection, an EV towards an SECC, a station towards an EVCC. It does nothing of its own
    outside `run_until`.
    """

    def __init__(self, portal: Portal, stream: Watched, link: HeldLink) -> None:
        self._portal = portal
        self._stream = stream
        self._link = link
        self.timeout = _PATIENCE[link.role.other]
        """s that `expect` waits."""

    def run_until(self, name: str) -> None:
        """Be a correct side until the next message would be of the exchange `name` ("DC_ChargeLoop";
        "ChargeLoop" for any): its request from an EV, its response from a station. That is not sent.

        Inconclusive if the session ends before.
        """
        __tracebackhide__ = True
        _check(name, _exchanges())

        def meant(message: Node) -> bool:
            exchange = stem(name_of(message))
            return name in (exchange, exchange.partition("_")[2])

        if not self._portal.run(self._link.go_on, meant):
            raise Inconclusive(f"the session ended before {name}: {self._link.over}")

    def send(self, message: str | Node, values: Mapping[str, Any] | None = None) -> None:
        """Send a message, with `values` by path of field: the one that is due if that is its name, else one
        with the least it must have; or a message object.
        """
        __tracebackhide__ = True
        try:
            self._portal.run(self._link.say, message, values or {})
        except edit.FieldError as error:  # the test's mistake: the way through the portal explains nothing
            raise edit.FieldError(str(error)) from None

    def send_bytes(self, data: bytes) -> None:
        """Put raw bytes on the connection."""
        self._portal.run(self._link.write_bytes, data)

    def expect(self, name: str, *codes: str) -> Any:
        """The next message must be this one, with one of these response codes if any are given."""
        __tracebackhide__ = True
        _check(name, edit.message_classes())
        try:
            message = self._portal.run(self._link.hear, self.timeout)
        except (TimeoutError, *_NO_MESSAGE) as error:
            raise Unexpected(f"expected {name}, but {error}") from None
        code = str(getattr(message, "response_code", ""))
        if name_of(message) != name or (codes and code not in codes):
            wanted, got = f"{name} {' or '.join(codes)}".strip(), f"{name_of(message)} {code}".strip()
            raise Unexpected(f"expected {wanted}, got {got}")
        return message

    def expect_close(self, within: float = 6.0) -> None:
        """The device must close the connection within so many s, without another message."""
        __tracebackhide__ = True
        try:
            message = self._portal.run(self._link.hear, within)
        except LinkClosed:
            return
        except TimeoutError:
            raise Unexpected(f"the connection is still open after {within:g} s") from None
        except _NO_MESSAGE as error:
            raise Unexpected(f"expected the close, but {error}") from None
        raise Unexpected(f"expected the close, got {name_of(message)}")

    def deviations(self) -> list[str]:
        """Errors of the device that the judge has found so far."""
        return [str(finding) for finding in self._stream.record.errors_of(self._link.role.other)]


def _exchanges() -> set[str]:
    stems = {stem(name) for name in edit.message_classes()}
    return stems | {name.partition("_")[2] for name in stems if "_" in name}


def _check(name: str, known: Mapping[str, object] | set[str]) -> None:
    __tracebackhide__ = True
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        raise edit.FieldError(
            f"no message is called {name!r}" + (f", did you mean {close[0]!r}?" if close else "")
        )
