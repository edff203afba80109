"""The matching at work: a state machine, a host, its modem and a control pilot, under trio.

async with ev_slac("eth1") as slac:
    match = await slac.matched()
    ...                            # the link is watched
    await slac.leave()             # new random key
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from iso15118.slac import (
    HLC_DUTY,
    Action,
    AskLink,
    CpChanged,
    CpSignal,
    CpState,
    Deviation,
    DLink,
    DriveCp,
    EvControlPilot,
    Event,
    EvseControlPilot,
    EvseSlac,
    EvseSlacConfig,
    EvSlac,
    EvSlacConfig,
    KeyResult,
    LinkReady,
    LinkStatus,
    LoadCp,
    Mac,
    Received,
    Send,
    SetKey,
    SlacMatch,
)
from iso15118.slac.keys import Entropy

from .host import FrameTap, Host, single_exceptions
from .link import EthernetLink, LinkDown
from .modems import Modem, detect
from .wire import MalformedMme, build, parse

Observer = Callable[[float, Action], None]


class SlacFailed(RuntimeError):
    """No match, and why."""


class NoModem(SlacFailed):
    """Nothing on this interface answers as a Green PHY modem does."""


class Slac:
    """A matching that runs. Use it through ``ev_slac`` and ``evse_slac``.

    ``observer`` is called with (time, action) for everything the state machine does: messages sent, state
    changes, deviations of the peer.
    """

    def __init__(
        self,
        machine: EvSlac | EvseSlac,
        host: Host,
        modem: Modem,
        control_pilot: EvControlPilot | EvseControlPilot | None,
        observer: Observer | None = None,
    ) -> None:
        self.machine = machine
        self.host = host
        self.modem = modem
        self.control_pilot = control_pilot
        self.observer = observer
        self.deviations: list[Deviation] = []
        self._events: deque[Event | Callable[[], list[Action]]] = deque()
        self._busy = False
        self._wake = trio.Event()
        self._changed = trio.Event()
        self._ready: LinkReady | None = None
        self._setting_key = trio.CancelScope()
        self._nursery: trio.Nursery

    # --- for the user --------------------------------------------------------------------------------

    @property
    def linked(self) -> bool:
        return self._ready is not None and self._ready.established

    async def matched(self) -> SlacMatch:
        """Wait for the link. SlacFailed when the machine gives up first."""
        ready = await self._next(lambda ready: True)
        if not ready.established or ready.match is None:
            raise SlacFailed(ready.reason)
        return ready.match

    async def lost(self) -> str:
        """Wait for the end of the link; why it ended."""
        return (await self._next(lambda ready: not ready.established)).reason

    async def _next(self, wanted: Callable[[LinkReady], bool]) -> LinkReady:
        while self._ready is None or not wanted(self._ready):
            await self._changed.wait()
        return self._ready

    def give(self, event: Event) -> None:
        """An event of the layer above: DLink.PAUSE, DLink.ERROR, NominalDuty and so on."""
        self._feed(event)

    async def established(self) -> SlacMatch:
        """Wait for a link, however many matchings fail before."""
        ready = await self._next(lambda ready: ready.established)
        assert ready.match is not None
        return ready.match

    async def leave(self) -> None:
        """D-LINK_TERMINATE; returns when the new random key is in the modem. Without a control pilot the
        vehicle then counts as unplugged, until ``plug``."""
        self._feed(DLink.TERMINATE)
        if self.control_pilot is None:
            self._feed(CpChanged(CpSignal(CpState.A)))
        await self.settled()

    async def settled(self) -> None:
        """Wait until the network is left, if that is going on."""
        while self.machine.state.name in ("LEAVING", "RESETTING"):
            await trio.sleep(0.01)

    def plug(self) -> None:
        """After ``leave``, without a control pilot: a vehicle is there again, matching begins anew."""
        self._ready = None
        if self.control_pilot is None:
            self._feed(CpChanged(CpSignal(CpState.B, HLC_DUTY)))

    async def wake(self) -> SlacMatch:
        """Back from D-LINK_PAUSE; SlacFailed if the link does not come back."""
        self._ready = None
        self._feed(DLink.RESUME)
        return await self.matched()

    # --- at work -------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as self._nursery:
            self.host.listeners.append(self._frame)
            try:
                if isinstance(self.machine, EvseSlac):
                    machine = self.machine
                    self._feed(lambda: machine.start(trio.current_time()))
                if self.control_pilot is None:
                    self._feed(CpChanged(CpSignal(CpState.B, HLC_DUTY)))
                else:
                    self.control_pilot.listen(lambda signal: self._feed(CpChanged(signal)))
                    self._feed(CpChanged(self.control_pilot.read()))
                await self._timers()
            finally:
                self.host.listeners.remove(self._frame)
                if self.control_pilot is not None:
                    self.control_pilot.listen(None)

    async def _timers(self) -> None:
        while True:
            self._wake = trio.Event()
            deadline = self.machine.deadline
            with trio.move_on_at(math.inf if deadline is None else deadline):
                await self._wake.wait()
            now = trio.current_time()
            if deadline is not None and deadline <= now:
                self._feed(lambda now=now: self.machine.tick(now))  # type: ignore[misc]

    def _frame(self, frame: bytes) -> None:
        try:
            parsed = parse(frame)
        except MalformedMme as error:
            self._deviation(Deviation(f"ignored: {error}", source=frame[6:12]))
            return
        if parsed is not None:
            self._feed(Received(*parsed))

    def _feed(self, event: Event | Callable[[], list[Action]]) -> None:
        """Events that actions cause (a control pilot that answers at once) wait until those actions are
        done."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                event = self._events.popleft()
                actions = event() if callable(event) else self.machine.handle(event, trio.current_time())
                for action in actions:
                    self._carry_out(action)
        finally:
            self._busy = False
        self._wake.set()

    def _carry_out(self, action: Action) -> None:
        if self.observer:
            self.observer(trio.current_time(), action)
        match action:
            case Send(destination, message):
                try:
                    self.host.send(build(destination, self.host.mac, message))
                except LinkDown as error:
                    self._deviation(Deviation(f"not sent: {error}"))
            case SetKey(nid, nmk):
                self._nursery.start_soon(self._set_key, nid, nmk)
            case AskLink():
                self._nursery.start_soon(self._ask_link)
            case LoadCp(state):
                if self.control_pilot is not None:
                    self.control_pilot.load(state)  # type: ignore[union-attr]
            case DriveCp(duty, fault):
                if self.control_pilot is not None:
                    self.control_pilot.drive(duty, fault)  # type: ignore[union-attr]
            case LinkReady():
                self._ready = action
                self._changed.set()
                self._changed = trio.Event()
            case Deviation():
                self.deviations.append(action)

    def _deviation(self, deviation: Deviation) -> None:
        self.deviations.append(deviation)
        if self.observer:
            self.observer(trio.current_time(), deviation)

    async def _set_key(self, nid: bytes, nmk: bytes) -> None:
        """One at a time: a newer key, or another try, ends the one that is still waiting for the modem."""
        self._setting_key.cancel()
        with trio.CancelScope() as self._setting_key:
            self._feed(KeyResult(await self.modem.set_key(nid, nmk), nmk))

    async def _ask_link(self) -> None:
        self._feed(LinkStatus(await self.modem.link_status()))


# --- entry points -----------------------------------------------------------------------------------


def open_link(link: EthernetLink | str) -> EthernetLink:
    if not isinstance(link, str):
        return link
    from .rawsocket import RawLink

    return RawLink(link)


@asynccontextmanager
async def _running(
    link: EthernetLink | str,
    make: Callable[[Mac, Mac | None], EvSlac | EvseSlac],
    control_pilot: EvControlPilot | EvseControlPilot | None,
    modem: type[Modem] | None,
    entropy: Entropy,
    observer: Observer | None,
    taps: list[FrameTap],
) -> AsyncIterator[Slac]:
    opened = open_link(link)
    # Shielded: a caller that is cancelled can still leave the network, in a shield of its own.
    work = [trio.CancelScope(shield=True), trio.CancelScope(shield=True)]

    async def run(scope: trio.CancelScope, task: Callable[[], Awaitable[None]]) -> None:
        with scope:
            await task()

    try:
        async with single_exceptions(), trio.open_nursery() as nursery:
            try:
                host = Host(opened, entropy)
                host.taps.extend(taps)
                nursery.start_soon(run, work[0], host.run)
                driver = modem(host) if modem is not None else await detect(host)
                if driver is None:
                    where = link if isinstance(link, str) else "this link"
                    raise NoModem(f"no Green PHY modem answers on {where}")
                slac = Slac(make(host.mac, driver.info.mac), host, driver, control_pilot, observer)
                nursery.start_soon(run, work[1], slac.run)
                yield slac
            finally:
                for scope in work:
                    scope.cancel()
    finally:
        if isinstance(link, str):
            opened.close()


@asynccontextmanager
async def ev_slac(
    link: EthernetLink | str,
    *,
    config: EvSlacConfig | None = None,
    control_pilot: EvControlPilot | None = None,
    modem: type[Modem] | None = None,
    entropy: Entropy = os.urandom,
    observer: Observer | None = None,
    taps: list[FrameTap] | None = None,
) -> AsyncIterator[Slac]:
    """Be an EV on this interface (a name, or a link). Without a control pilot: plugged in, 5 %. The mac of a
    config given is replaced by the link's."""

    def make(mac: Mac, _modem: Mac | None) -> EvSlac:
        return EvSlac(replace(config, mac=mac) if config else EvSlacConfig(mac), entropy)

    async with _running(link, make, control_pilot, modem, entropy, observer, taps or []) as slac:
        yield slac


@asynccontextmanager
async def evse_slac(
    link: EthernetLink | str,
    *,
    config: EvseSlacConfig | None = None,
    control_pilot: EvseControlPilot | None = None,
    modem: type[Modem] | None = None,
    entropy: Entropy = os.urandom,
    observer: Observer | None = None,
    taps: list[FrameTap] | None = None,
) -> AsyncIterator[Slac]:
    """Be an EVSE on this interface."""

    def make(mac: Mac, own_modem: Mac | None) -> EvseSlac:
        return EvseSlac(replace(config or EvseSlacConfig(mac), mac=mac, modem=own_modem), entropy)

    async with _running(link, make, control_pilot, modem, entropy, observer, taps or []) as slac:
        yield slac


async def match_ev(
    interface: EthernetLink | str,
    *,
    config: EvSlacConfig | None = None,
    control_pilot: EvControlPilot | None = None,
    observer: Observer | None = None,
) -> SlacMatch:
    """Match as an EV and leave the modem in the network. SlacFailed with the reason otherwise. The link is
    not watched afterwards: use ``ev_slac`` for that."""
    async with ev_slac(interface, config=config, control_pilot=control_pilot, observer=observer) as slac:
        return await slac.matched()
