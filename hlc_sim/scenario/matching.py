"""Where SLAC scenarios meet a device: our side of the matching with its messages spoilt, on a simulated
powerline or on an interface.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import trio

from iso15118.session.events import Role
from iso15118.slac import BROADCAST, EvseSlacConfig, EvSlacConfig, Mac, SimulatedLine, SlacMatch, Validation
from iso15118.slac import messages as m

from ..groups import sole
from ..powerline.attach import RunningPowerline
from ..powerline.attacks import ON_MODEM, Attacker, Permit, attacker
from ..powerline.families import family
from ..powerline.link import EthernetLink
from ..powerline.matching import NoModem, Slac, SlacFailed, ev_slac, evse_slac
from ..powerline.simulated import Powerline
from ..powerline.wire import MalformedMme, build, mmtype_of, parse
from .model import Scenario
from .no_target import Crashed, NoTarget, Unreached
from .settings import EV, EVSE, RUN_ID, SLAC_MESSAGES, SLACSettings, SLACStep

THIRD = bytes.fromhex("020000000bad")
_MODEM_READY = 2.0
"""s for a modem to hear again after its new key."""
_GONE = 5.0
"""s between a vehicle that was unplugged and the next one."""
_READY, _PROBE = 45.0, 1.0
"""s that a station may take to its next answer (reset of a modem, E/F, 5 % again), and between questions."""
_WEAK = 50.0
"""dB between the modems where the EV is to ask for validation."""
_VALIDATIONS = {
    "": Validation.TOGGLES,
    "toggles": Validation.TOGGLES,
    "not-required": Validation.NOT_REQUIRED,
    "failure": Validation.FAILURE,
}
_NAMES = {kind: name for name, kind in SLAC_MESSAGES.items()}
_FIRST_WORDS = (0x6064, 0x6065)
"""CM_SLAC_PARM.REQ and CM_SLAC_PARM.CNF: their sender is the other side of the matching."""


class Spoilt:
    """A powerline link whose outgoing SLAC messages go through the steps of a scenario. The host's talk with
    its own modem passes unchanged. `plays`: the side whose link it is.
    """

    def __init__(
        self, inner: EthernetLink, steps: tuple[SLACStep, ...], nursery: trio.Nursery, plays: Role
    ) -> None:
        self.inner = inner
        self.mac: Mac = inner.mac
        self.done: list[str] = []
        """Steps carried out."""
        self.missed = list(steps)
        self._steps = steps
        self._nursery = nursery
        self._seen: Counter[str] = Counter()
        self._silent = False
        self._ours, self._theirs = (EV, EVSE) if plays is Role.EVCC else (EVSE, EV)
        self._peer = BROADCAST

    def send(self, frame: bytes) -> None:
        try:
            parsed = parse(frame)
        except MalformedMme:
            parsed = None
        if parsed is None:
            self.inner.send(frame)
            return
        name = _NAMES.get(type(parsed[1]), "")
        self._seen[name] += 1
        step = self._step(name)
        if step is not None:
            self.done.append(f"{step.do} {name}")
            self.missed = [item for item in self.missed if item is not step]
            self._silent = self._silent or step.do == "silence"
        if self._silent or (step is not None and step.do == "drop"):
            return
        if step is None:
            self.inner.send(frame)
        elif step.do == "delay":
            self._nursery.start_soon(self._later, step.seconds, frame)
        elif step.do == "repeat":
            for _ in range(step.count):
                self.inner.send(frame)
        elif step.do == "insert":
            for raw in step.raw.split(","):
                self.inner.send(self._placed(bytes.fromhex(raw), parsed[1]))
            self.inner.send(frame)
        else:
            self.inner.send(_replaced(frame, parsed[1], step))

    async def receive(self) -> bytes:
        frame = await self.inner.receive()
        if mmtype_of(frame) in _FIRST_WORDS:
            self._peer = frame[6:12]
        return frame

    def _placed(self, raw: bytes, message: m.SlacMessage) -> bytes:
        """A raw frame with the addresses and the RunID of this matching."""
        raw = raw.replace(self._theirs, self._peer).replace(self._ours, self.mac)
        return raw.replace(RUN_ID, getattr(message, "run_id", RUN_ID))

    def close(self) -> None:
        self.inner.close()

    def _step(self, name: str) -> SLACStep | None:
        for step in self._steps:
            if step.at == name and step.occurrence in (0, self._seen[name]):
                return step
        return None

    async def _later(self, seconds: float, frame: bytes) -> None:
        await trio.sleep(seconds)
        self.inner.send(frame)


def _replaced(frame: bytes, message: m.SlacMessage, step: SLACStep) -> bytes:
    spoilt = build(frame[:6], frame[6:12], replace(message, **step.values()))
    return spoilt[: len(spoilt) - step.truncate]


@dataclass
class Matching:
    """What became of a matching as our side saw it."""

    match: SlacMatch | None
    ended: str
    done: list[str]
    missed: list[SLACStep]
    deviations: list[str]


PlugIn = Callable[[trio.Nursery], Awaitable[None]]


class Bench(Protocol):
    """A powerline with the device on it."""

    async def match(self, settings: SLACSettings | None, seconds: float) -> Matching:
        """One matching of our side with the device, spoilt by the settings; afterwards the vehicle goes."""

    def attack(self) -> AbstractAsyncContextManager[Attacker]:
        """A host that says what it likes, with the device as its only target."""


async def _play(slac: Slac, seconds: float) -> tuple[SlacMatch | None, str]:
    with trio.move_on_after(seconds):
        try:
            return await slac.matched(), "matched"
        except SlacFailed as error:
            return None, str(error)
    return None, f"no match within {seconds:g} s"


def _our_ev(settings: SLACSettings | None) -> EvSlacConfig:
    """At one attempt per matching: what is spoilt is seen once. Validation is asked for from 0 dB on."""
    config = EvSlacConfig(EV, attempts=1 if settings is not None else None)
    return replace(config, signalattn_direct=0.0) if settings is not None and settings.validate else config


def _our_evse(settings: SLACSettings | None) -> EvseSlacConfig:
    config = EvseSlacConfig(EVSE, validation=_VALIDATIONS[settings.validation if settings else ""])
    weak = settings is not None and settings.validate
    return replace(config, attenuation_offset=_WEAK - 20) if weak else config


@dataclass
class _Simulated:
    scenario: Scenario
    powerline: Powerline
    live: RunningPowerline
    pilot: SimulatedLine
    device: Slac

    async def match(self, settings: SLACSettings | None, seconds: float) -> Matching:
        secc = self.scenario.tests is Role.SECC
        name, mac = ("ev", EV) if secc else ("evse", EVSE)
        async with trio.open_nursery() as nursery:
            inner = self.live.memory_link(self.powerline.modems[name], mac)
            link = Spoilt(inner, settings.steps if settings else (), nursery, self.scenario.plays)
            made = (
                ev_slac(link, config=_our_ev(settings), control_pilot=self.pilot.ev)
                if secc
                else evse_slac(link, config=_our_evse(settings), control_pilot=self.pilot.evse)
            )
            async with made as slac:
                await trio.sleep(_MODEM_READY)
                self.pilot.plug()
                match, ended = await _play(slac, seconds)
                deviations = [str(item.text) for item in slac.deviations]
                self.pilot.unplug()
                await trio.sleep(_GONE)
            inner.close()
            nursery.cancel_scope.cancel()
        return Matching(match, ended, link.done, link.missed, deviations)

    @asynccontextmanager
    async def attack(self) -> AsyncIterator[Attacker]:
        settings = self.scenario.slac
        secc = self.scenario.tests is Role.SECC
        host = EVSE if secc else EV
        on_modem = settings is not None and settings.attack in ON_MODEM
        target = self.powerline.modems["evse" if secc else "ev"].mac if on_modem else host
        link = self.live.memory_link(self.powerline.modems["third"], THIRD)
        async with AsyncExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            permit = Permit(frozenset({target}), i_own_this=True)
            nursery = await stack.enter_async_context(trio.open_nursery())
            stack.callback(nursery.cancel_scope.cancel)
            bench = await stack.enter_async_context(
                attacker(link, permit, capture=Path(directory) / "attack.pcap")
            )
            await self._honest(stack)
            await trio.sleep(_MODEM_READY)
            if secc and not self._listening:
                self.pilot.plug()
            else:
                nursery.start_soon(self._plug_later)
            yield bench
            self.pilot.unplug()
            await trio.sleep(_GONE)
        link.close()

    @property
    def _listening(self) -> bool:
        return self.scenario.slac is not None and self.scenario.slac.attack == "listen for keys"

    async def _plug_later(self) -> None:
        await trio.sleep(_MODEM_READY)
        self.pilot.plug()

    async def _honest(self, stack: AsyncExitStack) -> None:
        """The other side of the matching beside the attacker, where the device needs one to begin."""
        if self.scenario.tests is Role.EVCC:
            link = self.live.memory_link(self.powerline.modems["evse"], EVSE)
            made = evse_slac(link, config=EvseSlacConfig(EVSE), control_pilot=self.pilot.evse)
            await stack.enter_async_context(made)
        elif self._listening:
            link = self.live.memory_link(self.powerline.modems["ev"], EV)
            await stack.enter_async_context(
                ev_slac(link, config=EvSlacConfig(EV), control_pilot=self.pilot.ev)
            )


@asynccontextmanager
async def simulated(scenario: Scenario, config: dict[str, Any]) -> AsyncIterator[Bench]:
    """Our own EVSE or EV on a simulated powerline, with a modem for our side and one for an attacker."""
    secc = scenario.tests is Role.SECC
    exposed = config.get("exposed", False)
    powerline = Powerline(seed=15118)
    powerline.add("ev", "qca7000", "EV")
    powerline.add("evse", family("qca7000").but(manageable_over_line=exposed), "EVSE")
    listens = scenario.slac is not None and scenario.slac.attack == "listen for keys"
    powerline.add("third", "qca7000", "EV" if secc and not listens else "EVSE")
    powerline.set_attenuation("third", "ev", 45)
    pilot = SimulatedLine()
    given = {name: value for name, value in config.items() if name != "exposed"}
    async with trio.open_nursery() as nursery:
        live = RunningPowerline(powerline)
        nursery.start_soon(live.run)
        entropy = given.pop("entropy", random.Random(15118).randbytes)
        name, mac = ("evse", EVSE) if secc else ("ev", EV)
        link = live.memory_link(powerline.modems[name], mac)
        made = (
            evse_slac(link, config=EvseSlacConfig(EVSE, **given), control_pilot=pilot.evse, entropy=entropy)
            if secc
            else ev_slac(link, config=EvSlacConfig(EV, **given), control_pilot=pilot.ev, entropy=entropy)
        )
        ours: Exception | None = None
        try:
            async with made as device:
                try:
                    yield _Simulated(scenario, powerline, live, pilot, device)
                except Exception as error:
                    ours = error
                    raise
        except Exception as error:
            if ours is not None:
                raise
            raise Crashed(error) from error
        nursery.cancel_scope.cancel()


class Remembered(Protocol):
    """What is known of a device from one scenario to the next."""

    host: Mac | None


@dataclass
class _OnInterface:
    """The device is on the powerline behind our modem. Its control pilot is not ours: the vehicle counts as
    plugged in, and what a device needs to begin anew after a matching is for the user to do.
    """

    device: Remembered
    scenario: Scenario
    interface: str
    plug_in: PlugIn | None = None

    async def match(self, settings: SLACSettings | None, seconds: float) -> Matching:
        if settings is not None and settings.counts_toggles:
            raise NoTarget(
                "validation counts toggles on the control pilot, and there is none on an interface"
            )
        await self._until_ready()
        until = trio.current_time() + seconds
        made = await self._match(settings, seconds)
        # The station may still be busy with what was before: an undisturbed matching is tried again.
        while settings is None and made.match is None and trio.current_time() < until:
            made = await self._match(settings, until - trio.current_time())
        return made

    async def _match(self, settings: SLACSettings | None, seconds: float) -> Matching:
        try:
            return await self._over_modem(settings, seconds)
        except (OSError, BaseExceptionGroup) as error:
            if isinstance(cause := sole(error), OSError | NoModem):  # that is not the device's
                raise Unreached(f"{self.interface}: {cause}") from error
            raise

    async def _over_modem(self, settings: SLACSettings | None, seconds: float) -> Matching:
        from ..powerline.rawsocket import RawLink

        async with trio.open_nursery() as nursery:
            raw = RawLink(self.interface)
            link = Spoilt(raw, settings.steps if settings else (), nursery, self.scenario.plays)
            secc = self.scenario.tests is Role.SECC
            made = (
                ev_slac(link, config=_our_ev(settings))
                if secc
                else evse_slac(link, config=_our_evse(settings))
            )
            try:
                async with made as slac:
                    if self.plug_in is not None:
                        await self.plug_in(nursery)
                    match, ended = await _play(slac, seconds)
                    if match is not None:
                        self.device.host = match.evse_mac if secc else match.ev_mac
                        await slac.leave()
                    deviations = [str(item.text) for item in slac.deviations]
            finally:
                raw.close()
            nursery.cancel_scope.cancel()
        return Matching(match, ended, link.done, link.missed, deviations)

    async def _until_ready(self) -> None:
        """A station whose vehicle has left needs a while; what it does not hear says nothing about it."""
        if self.device.host is None or self.scenario.tests is not Role.SECC:
            return
        async with self._attacker(self.device.host) as bench:
            with trio.move_on_after(_READY):
                while not await bench.probe():
                    await trio.sleep(_PROBE)
                await trio.sleep(_PROBE)  # it drops the matching that the probe began
                return
        raise NoTarget(f"the station answers no CM_SLAC_PARM.REQ {_READY:g} s after a matching")

    @asynccontextmanager
    async def attack(self) -> AsyncIterator[Attacker]:
        if self.device.host is None or (self.scenario.slac and self.scenario.slac.attack in ON_MODEM):
            raise NoTarget("the address of the attack's target is not known from a matching")
        await self._until_ready()
        async with self._attacker(self.device.host) as bench, trio.open_nursery() as nursery:
            if self.plug_in is not None:
                await self.plug_in(nursery)
            yield bench
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _attacker(self, peer: Mac) -> AsyncIterator[Attacker]:
        permit = Permit(frozenset({peer}), i_own_this=True)
        with tempfile.TemporaryDirectory() as directory:
            capture = Path(directory) / "attack.pcap"
            async with attacker(self.interface, permit, capture=capture) as bench:
                yield bench


@asynccontextmanager
async def on_interface(
    device: Remembered, interface: str, scenario: Scenario, plug_in: PlugIn | None = None
) -> AsyncIterator[Bench]:
    """The device on a named interface; plug_in makes a car begin, once for each matching."""
    yield _OnInterface(device, scenario, interface, plug_in)
