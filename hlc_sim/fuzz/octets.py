"""Cases of the layers below the messages: octets that go to a device at some point of a correct exchange.

Each is a scenario of its layer: so it is played, on our own devices and on a named one, and so it is saved.
"""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import trio
from trio.testing import MockClock

from iso15118.session.events import Role

from ..scenario import SimulatedEVCC, SimulatedSECC
from ..scenario.files import parse
from ..scenario.model import Outcome, Scenario
from ..scenario.runner import run as play
from .lower import problems_of
from .problem import Problem, guarded
from .saved import quoted


@dataclass(frozen=True, slots=True)
class Volley:
    """`frames` come in a correct exchange when `at` correct ones of ours have gone."""

    at: int
    frames: tuple[bytes, ...]


@dataclass
class Octets(ABC):
    """A subject whose cases are volleys; a layer says what is correct, and how a volley stands in a scenario.
    `device` plays a scenario, the second one being harmless; our own, in virtual time, by default.
    """

    tests: Role
    device: Callable[[Scenario, Scenario], list[Problem]] | None = None
    layer: str = ""
    sound: str = ""
    """What a sound device does, in words."""
    sizes: tuple[int, ...] = (1, 1, 1, 2, 4)
    """Frames of a volley."""
    health_every: int = 1
    """Cases with our own devices of which one is followed by a correct exchange."""

    @property
    def name(self) -> str:
        return f"{self.tests.value}/{self.layer}"

    @abstractmethod
    def correct(self) -> Sequence[bytes]:
        """What our side sends in a correct exchange, the same every time."""

    @abstractmethod
    def table(self, volley: Volley) -> str:
        """The volley as the layer's table of a scenario, in TOML."""

    def outcome(self, volley: Volley) -> Outcome:
        return Outcome.SURVIVES

    def made(self, rng: Random, correct: Sequence[bytes], at: int) -> bytes:
        """One frame of a volley."""
        return mutated(rng, correct[at], rng.choice(correct))

    def place(self, rng: Random, correct: Sequence[bytes]) -> int:
        """Where a volley comes."""
        return rng.randrange(len(correct))

    def case(self, seed: int, number: int) -> Volley:
        rng = Random(f"{self.name}/{seed}/{number}")
        correct = self.correct()
        at = self.place(rng, correct)
        return Volley(at, tuple(self.made(rng, correct, at) for _ in range(rng.choice(self.sizes))))

    def run(self, case: Volley, *, thorough: bool = False) -> list[Problem]:
        if self.device is not None:
            return self.device(self.scenario(case), self.scenario(Volley(0, (self.correct()[0],))))
        scenario = self.scenario(case)
        if not thorough and zlib.crc32(b"".join(case.frames)) % self.health_every:
            scenario = replace(scenario, expect=replace(scenario.expect, health=False))
        return guarded(self.name, lambda: self._own(scenario))

    def _own(self, scenario: Scenario) -> list[Problem]:
        """Play it on our own device."""
        target = SimulatedSECC() if self.tests is Role.SECC else SimulatedEVCC()
        return problems_of(scenario, trio.run(play, scenario, target, clock=MockClock(autojump_threshold=0)))

    def smaller(self, case: Volley) -> Iterator[Volley]:
        """Half the frames, one less, an earlier place, shorter frames."""
        if self.device is not None:
            return  # there each try takes seconds
        frames = case.frames
        if len(frames) > 2:
            yield replace(case, frames=frames[: len(frames) // 2])
            yield replace(case, frames=frames[len(frames) // 2 :])
        if len(frames) > 1:
            for index in range(len(frames)):
                yield replace(case, frames=frames[:index] + frames[index + 1 :])
        if case.at:
            yield replace(case, at=0)
        for index, frame in enumerate(frames):
            for cut in (len(frame) // 2, len(frame) // 4, 8, 1):
                if 0 < cut < len(frame):
                    yield replace(case, frames=(*frames[:index], frame[:-cut], *frames[index + 1 :]))

    def dump(self, case: Volley) -> str:
        return json.dumps({"at": case.at, "frames": [frame.hex() for frame in case.frames]})

    def load(self, text: str) -> Volley:
        data = json.loads(text)
        return Volley(int(data["at"]), tuple(bytes.fromhex(frame) for frame in data["frames"]))

    def saved(self, name: str, title: str, case: Volley) -> str:
        return (
            f"[{quoted(name)}]\n"
            f"title = {quoted(title)}\n"
            f'layer = "{self.layer}"\n'
            f'plays = "{self.tests.other.value}"\n'
            f"sound = {quoted(self.sound)}\n"
            f"{self.layer} = {self.table(case)}\n"
            f'expect = {{ outcome = "{self.outcome(case).value}" }}\n'
        )

    def scenario(self, case: Volley) -> Scenario:
        """The same as an object."""
        return parse(self.saved("fuzz-case", self.line(case), case), "fuzz case")["fuzz-case"]

    def line(self, case: Volley) -> str:
        sizes = " and ".join(str(len(frame)) for frame in case.frames)
        return f"{self.layer}, after {case.at} correct: {sizes} octets"


def hexes(frames: Sequence[bytes]) -> str:
    """With commas between them, as scenarios have them."""
    return ",".join(frame.hex() for frame in frames)


_EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(rng: Random, data: bytes, other: bytes) -> bytes:
    """`data` with bits inverted, octets set to edges, cut, lengthened, repeated, or spliced with another."""
    result = bytearray(data)
    if not result:
        return rng.randbytes(rng.choice((1, 8, 60)))
    match rng.randrange(8):
        case 0 | 1:
            for _ in range(rng.choice((1, 1, 2, 8))):
                bit = rng.randrange(8 * len(result))
                result[bit // 8] ^= 0x80 >> bit % 8
        case 2 | 3:
            start, size = rng.randrange(len(result)), rng.choice((1, 1, 2, 4))
            stop = min(len(result), start + size)
            result[start:stop] = bytes(rng.choice(_EDGES) for _ in range(stop - start))
        case 4:
            del result[rng.randrange(len(result)) :]
        case 5:
            result += rng.randbytes(rng.choice((1, 2, 46, 300, 1500)))
        case 6:
            start = rng.randrange(len(result))
            stretch = result[start : start + rng.choice((1, 2, 8, 32))]
            result[start:start] = stretch * rng.choice((1, 2, 40))
        case _:
            cut = other[rng.randrange(len(other) or 1) :]
            result[rng.randrange(len(result)) :] = cut
    return bytes(result)
