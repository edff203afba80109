"""A campaign in one SQLite file: what was run, what was found. Killed at any moment, it goes on where it was.

The cases of a campaign are numbered. A batch of them and what they found are one transaction, so after a kill
no case is lost, and none is counted twice.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from iso15118.session.events import Role

from .cases import Case, Kind, case
from .inprocess import Problem, execute
from .minimise import minimise
from .saved import as_toml

_SCHEMA = """
CREATE TABLE IF NOT EXISTS campaign (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS done (
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, seconds REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS findings (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, number INTEGER NOT NULL,
    seen INTEGER NOT NULL, found TEXT NOT NULL, smallest TEXT, scenario TEXT
) STRICT;
"""


class CampaignError(ValueError):
    """A campaign file that cannot be used; the text says why."""


@dataclass(slots=True)
class Progress:
    """Where a campaign is. `rate` is of this run, in cases per s; `left` s, None if unknown."""

    cases: int
    findings: int
    rate: float
    left: float | None
    growth: int
    """KiB that the process has grown since the first batch of this run."""


@dataclass
class Campaign:
    """Opens or makes the file. ValueError if it is of another seed or target than asked for."""

    path: Path
    tests: Role
    seed: int
    run: Callable[[Case], list[Problem]] = execute
    batch: int = 100
    """Cases of a transaction; 1 for a device."""
    _db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise CampaignError(f"{self.path}: {error}") from None
        wanted = {"tests": self.tests.value, "seed": str(self.seed), "version": "1"}
        with self._transaction():
            for name, value in wanted.items():
                self._db.execute("INSERT OR IGNORE INTO campaign VALUES (?, ?)", (name, value))
        for name, value in self._db.execute("SELECT name, value FROM campaign"):
            if wanted.get(name, value) != value:
                raise CampaignError(f"{self.path}: has {name} {value}, not {wanted[name]}")

    @property
    def cases(self) -> int:
        """Cases run so far."""
        row = self._db.execute("SELECT coalesce(sum(count), 0) FROM done").fetchone()
        return int(row[0])

    def findings(self) -> list[tuple[str, str, str, int, int]]:
        """Key, kind, text, number of the first case, and how often it was seen; by first case."""
        return list(self._db.execute("SELECT key, kind, text, number, seen FROM findings ORDER BY number"))

    def scenarios(self) -> list[str]:
        """The findings as scenario files."""
        return [
            row[0] for row in self._db.execute("SELECT scenario FROM findings WHERE scenario IS NOT NULL")
        ]

    def go(self, *, cases: int | None = None, seconds: float | None = None) -> Iterator[Progress]:
        """Run on until there are `cases` cases in all, or for `seconds`; tell the progress of each batch."""
        started = time.monotonic()
        done = first = self.cases
        baseline = 0
        while (cases is None or done < cases) and (seconds is None or time.monotonic() - started < seconds):
            count = self.batch if cases is None else min(self.batch, cases - done)
            self._batch(done, count)
            done += count
            spent = time.monotonic() - started
            rate = (done - first) / spent if spent else 0.0
            left = _least(
                (cases - done) / rate if cases is not None and rate else None, seconds and seconds - spent
            )
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            baseline = baseline or resident
            found = self._db.execute("SELECT count(*) FROM findings").fetchone()[0]
            yield Progress(done, found, rate, left, resident - baseline)
        self._minimise()

    def close(self) -> None:
        self._db.close()

    def _batch(self, first: int, count: int) -> None:
        started = time.monotonic()
        found: dict[str, tuple[Problem, int, Case, int]] = {}
        for number in range(first, first + count):
            this = case(self.tests, self.seed, number)
            for problem in self.run(this):
                known = found.get(problem.key)
                found[problem.key] = (*known[:3], known[3] + 1) if known else (problem, number, this, 1)
        with self._transaction():
            self._db.execute("INSERT INTO done VALUES (?, ?, ?)", (first, count, time.monotonic() - started))
            for key, (problem, number, this, seen) in found.items():
                self._db.execute(
                    "INSERT INTO findings (key, kind, text, number, seen, found) VALUES (?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET seen = seen + excluded.seen",
                    (key, problem.kind, problem.text, number, seen, dump(this)),
                )

    def _minimise(self) -> None:
        """Shrink what is new, and write it as a scenario."""
        rows = self._db.execute(
            "SELECT key, text, number, found FROM findings WHERE smallest IS NULL"
        ).fetchall()
        for key, text, number, found in rows:
            # On a device each try is a session of many seconds: there the case is kept as it was found.
            smallest = minimise(load(found), key) if self.run is execute else load(found)
            scenario = as_toml(f"fuzz-{self.tests.value.lower()}-{self.seed}-{number}", text, smallest)
            with self._transaction():
                self._db.execute(
                    "UPDATE findings SET smallest = ?, scenario = ? WHERE key = ?",
                    (dump(smallest), scenario, key),
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def dump(this: Case) -> str:
    """A case as JSON."""
    return json.dumps(
        {
            "tests": this.tests,
            "profile": this.profile,
            "prefix": this.prefix,
            "frames": [frame.hex() for frame in this.frames],
            "kinds": this.kinds,
        }
    )


def load(text: str) -> Case:
    data = json.loads(text)
    return Case(
        Role(data["tests"]),
        data["profile"],
        data["prefix"],
        tuple(bytes.fromhex(frame) for frame in data["frames"]),
        tuple(Kind(kind) for kind in data["kinds"]),
    )


def _least(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if known else None
