"""Correct sessions, recorded in virtual time without I/O: the ways on which a fuzzer comes to every state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from iso15118.messages.declare import Node
from iso15118.session.evcc import EVCC, ConnectionLost, Incoming, Post, Receive, Reply, Send
from iso15118.session.evcc_steps import SessionResult, Wait
from iso15118.session.secc import SECC
from iso15118.session.secc_config import LinkSecurity, SECCConfig, SessionStore

from ..charger import SimulatedCharger
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig

EPOCH = 1_800_000_000.0
"""Unix time of virtual time 0."""
POLLS = 5000
"""Looks at a switching charger after which a response counts as missing."""

_SPEED = 20.0
"""Of the physical models: cable check and pre-charge take few polls."""

PROFILES: dict[str, tuple[str, str]] = {
    "dc": ("dc", "scheduled"),
    "dc-dynamic": ("dc", "dynamic"),
    "dc-bpt": ("dc_bpt", "dynamic"),
    "ac": ("ac", "scheduled"),
    "ac-dynamic": ("ac", "dynamic"),
    "ac-bpt": ("ac_bpt", "scheduled"),
}
"""Energy service and control mode of each profile."""


class Exchange(NamedTuple):
    """A request and its response as they were said. s of virtual time."""

    time: float
    payload_type: int
    request: Node
    answered: float
    reply_type: int
    response: Node


@dataclass(frozen=True, slots=True)
class Walk:
    """A whole session of one profile."""

    profile: str
    exchanges: tuple[Exchange, ...]
    session_id: bytes


class Entropy:
    """Repeatable: every SECC of a fuzzer gives the same SessionID."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, size: int) -> bytes:
        self.drawn += 1
        return hashlib.shake_128(f"walk/{self.drawn}".encode()).digest(size)


def vehicle_config(profile: str) -> VehicleConfig:
    mode, control = PROFILES[profile]
    evcc = {"charge_loops": 2, "ramp_down_time": 0.0, "welding_time": 0.2, "poll_interval": 0.25}
    return VehicleConfig(mode=mode, control=control, speed=_SPEED, evcc=evcc)


def station_config(profile: str) -> StationConfig:
    return StationConfig(modes=(PROFILES[profile][0],), speed=_SPEED)


@dataclass
class Station:
    """An SECC with its charger, new for each case."""

    profile: str
    secc: SECC = field(init=False)
    charger: SimulatedCharger = field(init=False)

    def __post_init__(self) -> None:
        config = _station(self.profile)
        self.charger = config.charger(EPOCH)
        self.secc = SECC(
            _secc_config(self.profile),
            self.charger,
            LinkSecurity(tls=False, lab_plain_tcp=True),
            entropy=Entropy(),
            store=SessionStore(),
            now=0.0,
            unix_offset=EPOCH,
        )

    def answer(self, request: Node, now: float, payload_type: int) -> tuple[Node | None, float]:
        """The response, and when it came; None if there is none."""
        response = self.secc.handle(request, now, payload_type)
        for _ in range(POLLS):
            if response is not None or self.secc.closing is not None:
                break
            due = self.secc.deadline()
            if due is None:
                break
            now = max(now, due)
            response = self.secc.poll(now)
        return response, now


@cache
def _station(profile: str) -> StationConfig:
    return station_config(profile)


@cache
def _secc_config(profile: str) -> SECCConfig:
    return _station(profile).session()


def new_evcc(profile: str) -> EVCC:
    """An EVCC with its vehicle, new for each case."""
    config = vehicle_config(profile)
    return EVCC(config.session(), config.vehicle(), now=0.0, unix_offset=EPOCH)


@cache
def walk(profile: str) -> Walk:
    """The recorded session of a profile."""
    station = Station(profile)
    generator = new_evcc(profile).run()
    exchanges: list[Exchange] = []
    posted: list[Incoming] = []
    now = 0.0
    step = next(generator)
    try:
        while True:
            reply = Reply(now)
            if isinstance(step, Send | Post):
                response, answered = station.answer(step.request, now, step.payload_type)
                if response is None:
                    step = generator.throw(ConnectionLost("no answer"))
                    continue
                kind = station.secc.reply_type(response)
                exchanges.append(Exchange(now, step.payload_type, step.request, answered, kind, response))
                now = answered
                if isinstance(step, Send):
                    reply = Reply(now, response)
                else:
                    posted.append(Incoming(kind, response))
            elif isinstance(step, Receive):
                reply = Reply(now, posted.pop(0).message) if posted else Reply(now)
            elif isinstance(step, Wait):
                now += step.seconds
                reply = Reply(now)
            step = generator.send(reply)
    except StopIteration as stop:
        result: SessionResult = stop.value
    if not result.ok:
        raise AssertionError(f"the walk of profile {profile} fails: {result.reason}")
    return Walk(profile, tuple(exchanges), station.secc.session_id)
