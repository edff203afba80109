"""SLAC: frames to an EVSE or an EV in the middle of a matching, as the octets that a modem hands over."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from iso15118.session.events import Role
from iso15118.slac import (
    BROADCAST,
    Action,
    AskLink,
    CpChanged,
    DriveCp,
    EvseSlac,
    EvseSlacConfig,
    EvSlac,
    EvSlacConfig,
    KeyResult,
    LinkStatus,
    LoadCp,
    Mac,
    Received,
    Send,
    SetKey,
    SimulatedLine,
)
from iso15118.slac.messages import AttenProfileInd, MnbcSoundInd

from ..powerline.wire import MalformedMme, build, parse
from .octets import Octets, Volley, mutated
from .problem import Problem

_EV, _EVSE, _OTHER = (bytes([2, 0, 0, 0, 0, number]) for number in (1, 0x81, 9))
_MODEM = bytes.fromhex("00b052000081")
_LATENCY = 0.002
_KEY_TIME = 0.1
_ATTENUATION = (20,) * 58
_PATIENCE = 180.0
"""s of virtual time for one matching with its repetitions, and for a station to begin anew."""
_STEPS = 20_000
_HEADER = 14 + 5


@dataclass
class Matching(Octets):
    layer: str = "slac"

    def correct(self) -> Sequence[bytes]:
        return _frames_to(self.tests)

    def made(self, rng: random.Random, correct: Sequence[bytes], at: int) -> bytes:
        original = bytearray(rng.choice((correct[at], correct[at], rng.choice(correct))))
        match rng.randrange(8):
            case 0:
                pass  # another message at this point, or once more
            case 1:  # from another, to another, for another matching
                original[6:12] = rng.choice((_EV, _EVSE, _OTHER, _MODEM, BROADCAST, bytes(6)))
            case 2:  # another message type or version
                original[14:17] = bytes([rng.choice((0, 1, 2, 0xFF))]) + rng.choice(_TYPES).to_bytes(
                    2, "little"
                )
            case 3:  # edges in the body
                body = rng.randrange(_HEADER, len(original))
                original[body] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 4 | 5:  # the body, under a whole header
                other = rng.choice(correct)
                head, tail = original[:_HEADER], bytes(original[_HEADER:])
                original = bytearray(bytes(head) + mutated(rng, tail, other[_HEADER:]))
            case _:
                return mutated(rng, bytes(original), rng.choice(correct))
        return bytes(original)

    def own(self, volley: Volley) -> list[Problem]:
        medium = _Medium(self.tests, volley)
        medium.run(_PATIENCE, until=medium.matched)
        again = _Again(medium)
        if not again.matches():
            return [
                Problem("no recovery", "slac/no recovery", f"the next vehicle is not matched: {again.state}")
            ]
        return []


_TYPES = (*range(0x6064, 0x6090), 0xA000, 0xA068, 0x0000, 0xFFFF)


@cache
def _frames_to(tests: Role) -> tuple[bytes, ...]:
    """What a device of this side gets in an undisturbed matching."""
    medium = _Medium(tests, Volley(0, ()))
    medium.run(_PATIENCE, until=medium.matched)
    if not medium.matched():
        raise AssertionError("the undisturbed matching fails")
    return tuple(medium.received)


class _Medium:
    """An EV and an EVSE on a powerline of frames, on a clock that jumps."""

    def __init__(self, tests: Role, volley: Volley) -> None:
        self.now = 0.0
        self.tests = tests
        self.received: list[bytes] = []
        """Frames that the device has got."""
        self.keys: dict[Mac, SetKey] = {}
        self.line = SimulatedLine()
        self._volley: Volley | None = volley
        self._random = random.Random(0)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.station = EvseSlac(EvseSlacConfig(_EVSE, modem=_MODEM), self._entropy)
        self.car = EvSlac(EvSlacConfig(_EV, survey_requests=1), self._entropy)
        self.line.evse.listen(lambda signal: self._soon(lambda: self.give(self.station, CpChanged(signal))))
        self.line.ev.listen(lambda signal: self._soon(lambda: self.give(self.car, CpChanged(signal))))
        self._carry_out(self.station, self.station.start(self.now))
        self.give(self.station, CpChanged(self.line.signal))
        self.give(self.car, CpChanged(self.line.signal))
        self.run(1.0)
        self.line.plug()

    @property
    def device(self) -> EvSlac | EvseSlac:
        return self.station if self.tests is Role.SECC else self.car

    def matched(self) -> bool:
        return self.car.state.name == "MATCHED" and self.station.state.name == "MATCHED"

    def replace_other(self) -> None:
        """A new vehicle, or a new station, in place of the one that is not under test."""
        if self.tests is Role.SECC:
            self.car = EvSlac(EvSlacConfig(_EV, survey_requests=1), self._entropy)
            self.line.ev.listen(lambda signal: self._soon(lambda: self.give(self.car, CpChanged(signal))))
        else:
            self.station = EvseSlac(EvseSlacConfig(_EVSE, modem=_MODEM), self._entropy)
            self.line.evse.listen(
                lambda signal: self._soon(lambda: self.give(self.station, CpChanged(signal)))
            )
            self._carry_out(self.station, self.station.start(self.now))
        self.give(self.station, CpChanged(self.line.signal))

    def give(self, machine: EvSlac | EvseSlac, event: Any) -> None:
        self._carry_out(machine, machine.handle(event, self.now))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        end = self.now + seconds
        for _ in range(_STEPS):
            if until is not None and until():
                return
            due = [(m.deadline, m) for m in (self.car, self.station) if m.deadline is not None]
            when, machine = min(due, key=lambda pair: pair[0], default=(float("inf"), None))
            if self._queue and self._queue[0][0] <= when:
                if self._queue[0][0] > end:
                    break
                when, _, call = heapq.heappop(self._queue)
                self.now = max(self.now, when)
                call()
            elif machine is None or when > end:
                break
            else:
                self.now = max(self.now, when)
                self._carry_out(machine, machine.tick(self.now))
        else:
            raise RuntimeError(f"no end after {_STEPS} steps in {self.device.state.name}")
        self.now = end

    def _entropy(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def _soon(self, call: Callable[[], None], delay: float = 0.0) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), call))

    def _carry_out(self, machine: EvSlac | EvseSlac, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send(destination, message):
                    self._transmit(machine, destination, message)
                case SetKey():
                    self.keys[machine.mac] = action
                    self._soon(partial(self.give, machine, KeyResult(True, action.nmk)), _KEY_TIME)
                case AskLink():
                    up = self.keys.get(_EV) is not None and self.keys.get(_EV) == self.keys.get(_EVSE)
                    self._soon(partial(self.give, machine, LinkStatus(up)), _LATENCY)
                case LoadCp(state):
                    self.line.ev.load(state)
                case DriveCp(duty, fault):
                    self.line.evse.drive(duty, fault)

    def _transmit(self, sender: EvSlac | EvseSlac, destination: Mac, message: Any) -> None:
        receiver = self.station if sender is self.car else self.car
        if destination not in (BROADCAST, receiver.mac):
            return
        frames = [build(destination, sender.mac, message)]
        if isinstance(message, MnbcSoundInd) and receiver is self.station:
            frames.append(build(receiver.mac, _MODEM, AttenProfileInd(sender.mac, _ATTENUATION)))
        for frame in frames:
            self._soon(partial(self._arrive, receiver, frame), _LATENCY)

    def _arrive(self, receiver: EvSlac | EvseSlac, frame: bytes) -> None:
        if receiver is self.device:
            volley = self._volley
            if volley is not None and volley.at == len(self.received):
                self._volley = None
                for wrong in volley.frames:
                    self._take(receiver, wrong)
            self.received.append(frame)
        if receiver in (self.car, self.station):
            self._take(receiver, frame)

    def _take(self, receiver: EvSlac | EvseSlac, frame: bytes) -> None:
        try:
            parsed = parse(frame)
        except MalformedMme:
            return  # the driver notes it
        if parsed is not None:
            self.give(receiver, Received(*parsed))


class _Again:
    """The vehicle goes, and another one comes."""

    def __init__(self, medium: _Medium) -> None:
        self.medium = medium

    @property
    def state(self) -> str:
        return f"{self.medium.car.state.name} and {self.medium.station.state.name}"

    def matches(self) -> bool:
        medium = self.medium
        medium.line.unplug()
        medium.run(_PATIENCE)
        medium.replace_other()
        medium.run(5.0)
        medium.line.plug()
        medium.run(_PATIENCE, until=medium.matched)
        return medium.matched()
