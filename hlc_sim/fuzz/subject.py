"""What a campaign fuzzes: where its cases come from, what runs them, how they are shrunk and written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from iso15118.session.events import Role

from . import minimise
from .cases import Case, Kind, case
from .inprocess import execute
from .problem import Problem
from .saved import as_toml, place
from .seeds import Seeds, none

C = TypeVar("C")


class Subject(Protocol[C]):
    """A device and the layer at which it is fuzzed. To be run in several processes it must be picklable."""

    @property
    def name(self) -> str:
        """Stands in the campaign's file: another one cannot go on with it."""

    def case(self, seed: int, number: int) -> C:
        """The case of this number; the same every time."""

    def run(self, case: C, *, thorough: bool = False) -> list[Problem]:
        """What the case finds; `thorough`: with what is looked at after some cases only, as it takes long."""

    def smaller(self, case: C) -> Iterator[C]:
        """Ways to shrink a case, the most promising first; none where a try costs too much."""

    def dump(self, case: C) -> str: ...

    def load(self, text: str) -> C: ...

    def saved(self, name: str, title: str, case: C) -> str:
        """The text of a scenario file that plays the case again."""

    def line(self, case: C) -> str:
        """What the case does, in a line."""


@dataclass
class Messages:
    """V2G messages to an SECC, or to an EVCC. `device` runs a case; our own, in-process, by default."""

    tests: Role
    seeds: Seeds = none
    device: Callable[[Case], list[Problem]] | None = None

    @property
    def name(self) -> str:
        return self.tests.value + (f" with {self.seeds.digest}" if self.seeds else "")

    def case(self, seed: int, number: int) -> Case:
        return case(self.tests, seed, number, self.seeds)

    def run(self, case: Case, *, thorough: bool = False) -> list[Problem]:
        return (self.device or execute)(case)

    def smaller(self, case: Case) -> Iterator[Case]:
        # On a device each try is a session of many seconds: there the case is kept as it was found.
        return iter(()) if self.device is not None else minimise.smaller(case)

    def dump(self, case: Case) -> str:
        return json.dumps(
            {
                "tests": case.tests,
                "profile": case.profile,
                "prefix": case.prefix,
                "frames": [frame.hex() for frame in case.frames],
                "kinds": case.kinds,
            }
        )

    def load(self, text: str) -> Case:
        data = json.loads(text)
        return Case(
            Role(data["tests"]),
            data["profile"],
            data["prefix"],
            tuple(bytes.fromhex(frame) for frame in data["frames"]),
            tuple(Kind(kind) for kind in data["kinds"]),
        )

    def saved(self, name: str, title: str, case: Case) -> str:
        return as_toml(name, title, case)

    def line(self, case: Case) -> str:
        name, occurrence = place(case)
        return f"{case.profile}, in place of {name} {occurrence}: {', '.join(case.kinds)}"


def write_findings(findings: list[str], directory: Path) -> None:
    """One file for each finding."""
    directory.mkdir(parents=True, exist_ok=True)
    for index, text in enumerate(findings):
        (directory / f"finding-{index:03d}.toml").write_text(text, encoding="utf-8")
