"""A powerline with modems on it, simulated: frames in from hosts, frames out to hosts, on a clock passed in.

What it keeps of the real thing: SLAC messages pass whatever the keys are, data only within a network (same
NMK and NID, joined, in reach); an EV's modem says nothing before it hears a station's; every sound makes the
hearing station's modem report attenuation to its host; unicast goes where the address was last seen; keys
and resets are not taken from the line. What it simplifies: no beacons, no half-open joins, no power save,
one PHY rate.

Everything random comes from the seed, per pair of modems, so that a run does not depend on the order in which
unrelated hosts happen to be scheduled.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scapy.layers.l2 import Ether

from iso15118.slac.messages import BROADCAST, LOCAL_MODEM, Mac, mac_text

from . import layers_mme as lm
from . import layers_vendor as lv
from .families import Family, family
from .simulated_modem import Question, Role, SimulatedModem, answer
from .wire import mmtype_of, stack

_SLAC = frozenset(
    {0x6064, 0x6065, 0x606A, 0x606E, 0x606F, 0x6076, 0x6078, 0x6079, 0x607C, 0x607D}
)  # pass between networks
_FOR_STATIONS = frozenset({0x6064, 0x606A, 0x6076})  # broadcasts a modem in EV mode keeps from its host
_SOUND, _MATCH_CNF = 0x6076, 0x607D

HEARING_LIMIT = 100.0
"""dB; above it a modem hears nothing of another."""
DATA_LIMIT = 75.0
"""dB; above it no link forms, though SLAC messages (sent in the most robust mode) still pass."""


@dataclass(slots=True)
class Fault:
    """Something that happens to frames on the line: to which (message type, sender, receiver; None = any),
    with what probability, how many times at the most. seconds: for "delay"."""

    what: Literal["drop", "duplicate", "delay", "corrupt"]
    mmtype: int | None = None
    sender: str | None = None
    receiver: str | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 0.0

    def meets(self, mmtype: int | None, sender: SimulatedModem, receiver: SimulatedModem) -> bool:
        return (
            self.times != 0
            and self.mmtype in (None, mmtype)
            and self.sender in (None, sender.name)
            and self.receiver in (None, receiver.name)
        )


Observer = Callable[[float, str, bytes], None]


class Powerline:
    """The medium and its modems. No I/O: ``transmit`` takes a host's frame, ``advance`` gives what is due to
    hosts.

    loss: probability per frame and receiver. latency, jitter: seconds. rate: bit/s of the shared line, None
    = not limited. noise: standard deviation of measured attenuation in dB, per sound and group.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        loss: float = 0.0,
        latency: float = 0.0015,
        jitter: float = 0.0,
        rate: float | None = None,
        noise: float = 1.0,
        faults: list[Fault] | None = None,
    ) -> None:
        self.seed, self.loss, self.latency, self.jitter = seed, loss, latency, jitter
        self.rate, self.noise = rate, noise
        self.faults = faults or []
        self.modems: dict[str, SimulatedModem] = {}
        self.observer: Observer | None = None
        self.now = float("-inf")
        self._attenuation: dict[frozenset[str], float] = {}
        self._random: dict[tuple[str, str], random.Random] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._out: list[tuple[SimulatedModem, bytes]] = []
        self._free_at = float("-inf")
        self._blank_profiles: dict[tuple[str, Mac], list[bytes]] = {}

    # --- the set-up ----------------------------------------------------------------------------------

    def add(self, name: str, kind: Family | str = "qca7000", role: Role = "EV") -> SimulatedModem:
        """A modem with its own random key; its address follows from its name's place on the line."""
        if name in self.modems:
            raise ValueError(f"modem {name!r} is on the line already")
        kind = family(kind) if isinstance(kind, str) else kind
        mac = bytes([0x02, 0x00, 0x00, 0x88, 0xE1, len(self.modems) + 1])
        modem = SimulatedModem(name, mac, kind, role, self._rng(name, "key").randbytes(16))
        self.modems[name] = modem
        return modem

    def set_attenuation(self, a: str, b: str, decibel: float) -> None:
        """Between two modems, both ways. Pairs not set hear each other at 20 dB if one is an EV's and one a
        station's, at 60 dB otherwise; float("inf") cuts the wire."""
        for name in (a, b):
            if name not in self.modems:
                raise ValueError(f"no modem {name!r} on the line; there are {', '.join(self.modems)}")
        self._attenuation[frozenset((a, b))] = decibel

    def attenuation(self, a: SimulatedModem, b: SimulatedModem) -> float:
        default = 20.0 if a.role != b.role else 60.0
        return self._attenuation.get(frozenset((a.name, b.name)), default)

    def peers(self, modem: SimulatedModem) -> list[SimulatedModem]:
        """The other members of the modem's network to which there is a link now."""
        return [other for other in self.modems.values() if self._linked(modem, other)]

    def _linked(self, a: SimulatedModem, b: SimulatedModem) -> bool:
        return (
            a is not b
            and (a.nid, a.nmk) == (b.nid, b.nmk)
            and "EVSE" in (a.role, b.role)  # somebody has to coordinate
            and a.joined(self.now)
            and b.joined(self.now)
            and self.attenuation(a, b) <= DATA_LIMIT
        )

    def _rng(self, a: str, b: str) -> random.Random:
        if (a, b) not in self._random:
            self._random[a, b] = random.Random(f"{self.seed}/{a}/{b}")
        return self._random[a, b]

    # --- time ----------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        return self._queue[0][0] if self._queue else None

    def advance(self, now: float) -> list[tuple[SimulatedModem, bytes]]:
        """Let time pass; the frames that now reach hosts, each with the modem it comes from."""
        while self._queue and self._queue[0][0] <= now:
            when, _, call = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            call()
        self.now = max(self.now, now)
        out, self._out = self._out, []
        return out

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), call))

    def _to_host(self, modem: SimulatedModem, frame: bytes) -> None:
        if self.observer:
            self.observer(self.now, f"{modem.name} -> host", frame)
        self._out.append((modem, frame))

    # --- frames --------------------------------------------------------------------------------------

    def transmit(self, modem: SimulatedModem, frame: bytes, now: float) -> None:
        """A host hands its modem a frame."""
        if now > self.now:
            self._out = self.advance(now) + self._out  # due before this frame; still to be fetched
        if self.observer:
            self.observer(self.now, f"host -> {modem.name}", frame)
        if len(frame) < 14:
            return
        modem.hosts.add(frame[6:12])
        if modem.deaf(self.now):
            return
        destination, mmtype = frame[:6], mmtype_of(frame)
        if mmtype is not None and mmtype not in _SLAC:
            if destination in (LOCAL_MODEM, modem.mac, BROADCAST):
                self._ask(modem, frame, over_line=False)
            if destination in (LOCAL_MODEM, modem.mac):
                return
        if mmtype in _SLAC and modem.role == "EV" and not self._hears_a_station(modem):
            return
        if mmtype == _MATCH_CNF:
            modem.last_match = self.now
        start = self.now
        if self.rate is not None:
            start = max(self.now, self._free_at) + 8 * len(frame) / self.rate
            self._free_at = start
        for other in self.modems.values():
            if other is not modem:
                self._propagate(modem, other, frame, mmtype, start - self.now)

    def _hears_a_station(self, modem: SimulatedModem) -> bool:
        return any(
            other.role == "EVSE"
            and not other.deaf(self.now)
            and self.attenuation(modem, other) < HEARING_LIMIT
            for other in self.modems.values()
        )

    def _propagate(
        self, sender: SimulatedModem, receiver: SimulatedModem, frame: bytes, mmtype: int | None, wait: float
    ) -> None:
        rng = self._rng(sender.name, receiver.name)
        copies, delay = 1, wait + self.latency + (rng.random() * self.jitter if self.jitter else 0.0)
        if self.attenuation(sender, receiver) >= HEARING_LIMIT or rng.random() < self.loss:
            return
        for fault in self.faults:
            if not fault.meets(mmtype, sender, receiver) or rng.random() >= fault.probability:
                continue
            if fault.times is not None:
                fault.times -= 1
            if fault.what == "drop":
                return
            if fault.what == "duplicate":
                copies += 1
            elif fault.what == "delay":
                delay += fault.seconds
            else:
                broken = bytearray(frame)
                broken[rng.randrange(min(19, len(frame) - 1), len(frame))] ^= rng.randrange(1, 256)
                frame = bytes(broken)
        for _ in range(copies):
            self._later(delay, lambda: self._arrive(sender, receiver, frame, mmtype))

    def _arrive(
        self, sender: SimulatedModem, receiver: SimulatedModem, frame: bytes, mmtype: int | None
    ) -> None:
        if receiver.deaf(self.now):
            return
        destination = frame[:6]
        unicast = not destination[0] & 1
        if mmtype in _SLAC:
            if receiver.role == "EV" and mmtype in _FOR_STATIONS:
                return
            if unicast and destination not in receiver.hosts and not receiver.family.leaks_unicast:
                return
            if mmtype == _MATCH_CNF:
                receiver.last_match = self.now
            self._to_host(receiver, frame)
            if mmtype == _SOUND:
                self._later(0.0005, lambda: self._report(sender, receiver, frame[6:12]))
            return
        if mmtype is not None and destination in (receiver.mac, BROADCAST) and mmtype & 3 == 0:
            if destination == receiver.mac or self._linked(sender, receiver):
                self._ask(receiver, frame, over_line=True, asker=sender)
            if destination == receiver.mac:
                return
        if self._linked(sender, receiver) and not (unicast and self._elsewhere(destination, receiver)):
            self._to_host(receiver, frame)

    def _elsewhere(self, destination: Mac, receiver: SimulatedModem) -> bool:
        """The address was seen behind another modem (an address never seen is flooded)."""
        return destination not in receiver.hosts and any(
            destination in modem.hosts for modem in self.modems.values()
        )

    def _report(self, sender: SimulatedModem, receiver: SimulatedModem, ev: Mac) -> None:
        """A modem in EVSE mode tells its host how a sound arrived."""
        if receiver.role != "EVSE" or receiver.deaf(self.now):
            return
        rng = self._rng(sender.name, f"{receiver.name} sound")
        level = 0.0 if receiver.zero_groups else self.attenuation(sender, receiver)
        noise = 0.0 if receiver.zero_groups else self.noise
        groups = [min(255, max(0, round(rng.gauss(level, noise)))) for _ in range(receiver.family.groups)]
        for blank in self._profiles(receiver, ev):
            # both messages end with the groups
            self._to_host(receiver, blank[: len(blank) - len(groups)] + bytes(groups) if groups else blank)

    def _profiles(self, modem: SimulatedModem, ev: Mac) -> list[bytes]:
        """The frames of a report, groups still zero; the same for every sound of a run."""
        key = (modem.name, ev)
        if key not in self._blank_profiles:
            zeros = bytes(modem.family.groups)
            parts = [(lm.HomePlug(), lm.CM_ATTEN_PROFILE_IND(pev_mac=mac_text(ev), attenuation=zeros))]
            if modem.family.vs_attenuation is not None:
                header = lm.HomePlug(mmtype=0xA14E, oui=modem.family.vs_attenuation)
                body = lv.VS_ATTENUATION_CHARACTERISTICS_IND(pev_mac=mac_text(ev), attenuation=zeros)
                parts.insert(0, (header, body))
            self._blank_profiles[key] = [bytes(stack(h, b, BROADCAST, modem.mac)) for h, b in parts]
        return self._blank_profiles[key]

    def _ask(
        self, modem: SimulatedModem, frame: bytes, *, over_line: bool, asker: SimulatedModem | None = None
    ) -> None:
        """A management message for the modem itself."""
        request = Ether(frame)
        if not request.haslayer(lm.HomePlug):
            return
        header = request[lm.HomePlug]
        rng = self._rng(modem.name, "answers")
        question = Question(header, header.payload, over_line, self.now, self.peers(modem), rng.randbytes)
        reply = answer(modem, question)
        if reply is None:
            return
        built = bytes(Ether(dst=request.src, src=mac_text(modem.mac), type=lm.ETHERTYPE) / reply)
        if asker is None:
            self._later(modem.family.response_time, lambda: self._to_host(modem, built))
        else:
            self._later(modem.family.response_time + self.latency, lambda: self._to_host(asker, built))
