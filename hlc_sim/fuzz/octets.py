"""Cases of the layers below the messages: octets that go to a device at some point of a correct exchange."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

from iso15118.session.events import Role

from .problem import Problem, guarded


@dataclass(frozen=True, slots=True)
class Volley:
    """`frames` come in a correct exchange when `at` correct ones of ours have gone."""

    at: int
    frames: tuple[bytes, ...]


@dataclass
class Octets(ABC):
    """A subject whose cases are volleys; a layer says what is correct, and what a device makes of a volley.
    `device` runs a case; our own, in-process, by default.
    """

    tests: Role
    device: Callable[[Volley], list[Problem]] | None = None
    layer: str = ""
    suffix: str = ".json"

    @property
    def name(self) -> str:
        return f"{self.tests.value}/{self.layer}"

    @abstractmethod
    def correct(self) -> Sequence[bytes]:
        """What our side sends in a correct exchange, the same every time."""

    @abstractmethod
    def own(self, volley: Volley) -> list[Problem]:
        """Run a case on our own device."""

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
        return Volley(at, tuple(self.made(rng, correct, at) for _ in range(rng.choice((1, 1, 1, 2, 4)))))

    def run(self, case: Volley) -> list[Problem]:
        if self.device is not None:
            return self.device(case)
        with _quiet(_LOGGERS):
            return guarded(self.name, lambda: self.own(case))

    def smaller(self, case: Volley) -> Iterator[Volley]:
        if self.device is not None:
            return
        if len(case.frames) > 1:
            for index in range(len(case.frames)):
                yield replace(case, frames=case.frames[:index] + case.frames[index + 1 :])
        if case.at:
            yield replace(case, at=0)
        for index, frame in enumerate(case.frames):
            for cut in (len(frame) // 2, len(frame) // 4, 8, 1):
                if 0 < cut < len(frame):
                    yield replace(
                        case, frames=(*case.frames[:index], frame[:-cut], *case.frames[index + 1 :])
                    )

    def dump(self, case: Volley) -> str:
        return json.dumps({"at": case.at, "frames": [frame.hex() for frame in case.frames]})

    def load(self, text: str) -> Volley:
        data = json.loads(text)
        return Volley(int(data["at"]), tuple(bytes.fromhex(frame) for frame in data["frames"]))

    def saved(self, name: str, title: str, case: Volley) -> str:
        head = {"name": name, "title": title, "tests": self.tests.value, "layer": self.layer}
        return json.dumps(head | json.loads(self.dump(case)), indent=1) + "\n"

    def line(self, case: Volley) -> str:
        sizes = " and ".join(str(len(frame)) for frame in case.frames)
        return f"{self.layer}, after {case.at} correct: {sizes} octets"


_LOGGERS = ("hlc_sim.transport.sdp", "hlc_sim.trust")
"""They tell of each broken frame, as they should."""


@contextmanager
def _quiet(names: Sequence[str]) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


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
