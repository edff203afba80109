"""A campaign in one SQLite file: what was run, what was found. Killed at any moment, it goes on where it was.

The cases of a campaign are numbered. A batch of them and what they found are one transaction, so after a kill
no case is lost, and none is counted twice. Several processes may run batches; this one alone writes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .minimise import minimise
from .subject import Subject
from .workers import Batch, Crew, crew

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
_VERSION = "3"
"""Of the cases: another one makes others of the same seed."""


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
    """KiB that the process of the last batch has grown since its first one; 0 if that is not known."""


@dataclass
class Campaign:
    """Opens or makes the file. CampaignError if it is of another seed or subject than asked for."""

    path: Path
    subject: Subject[Any]
    seed: int
    batch: int = 100
    """Cases of a transaction; 1 for a device."""
    jobs: int = 1
    """Processes; 1: this one."""
    _db: sqlite3.Connection = field(init=False)

    def __post_init__(self) -> None:
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise CampaignError(f"{self.path}: {error}") from None
        wanted = {"tests": self.subject.name, "seed": str(self.seed), "version": _VERSION}
        with self._transaction():
            for name, value in wanted.items():
                self._db.execute("INSERT OR IGNORE INTO campaign VALUES (?, ?)", (name, value))
        for name, value in self._db.execute("SELECT name, value FROM campaign"):
            if wanted.get(name, value) != value:
                raise CampaignError(
                    f"{self.path}: has {name} {value}, not {wanted[name]}; a new campaign needs another file"
                )

    @property
    def cases(self) -> int:
        """Cases run so far."""
        row = self._db.execute("SELECT coalesce(sum(count), 0) FROM done").fetchone()
        return int(row[0])

    def findings(self) -> list[tuple[str, str, str, int, int]]:
        """Key, kind, text, number of the first case, and how often it was seen; by first case."""
        return list(self._db.execute("SELECT key, kind, text, number, seen FROM findings ORDER BY number"))

    def scenarios(self) -> list[str]:
        """The findings as files that play them again."""
        return [
            row[0]
            for row in self._db.execute(
                "SELECT scenario FROM findings WHERE scenario IS NOT NULL ORDER BY number"
            )
        ]

    def go(self, *, cases: int | None = None, seconds: float | None = None) -> Iterator[Progress]:
        """Run on until there are `cases` cases in all, or for `seconds`; tell the progress of each batch."""
        with crew(self.subject, self.seed, self.jobs) as workers:
            yield from self._run(workers, cases, seconds)
        self.write_new()

    def close(self) -> None:
        self._db.close()

    def _run(self, workers: Crew, cases: int | None, seconds: float | None) -> Iterator[Progress]:
        started = time.monotonic()
        done = before = self.cases
        units = self._missing(cases)
        under_way = 0
        baseline = 0
        while True:
            while under_way < workers.size and not (seconds and time.monotonic() - started >= seconds):
                unit = next(units, None)
                if unit is None:
                    break
                workers.start(*unit)
                under_way += 1
            if not under_way:
                return
            batch = workers.next()
            under_way -= 1
            self._write(batch)
            done += batch.count
            spent = time.monotonic() - started
            rate = (done - before) / spent if spent else 0.0
            left = (cases - done) / rate if cases is not None and rate else None
            baseline = baseline or batch.resident
            found = self._db.execute("SELECT count(*) FROM findings").fetchone()[0]
            rest = _least(left, seconds and seconds - spent)
            yield Progress(done, found, rate, rest, max(0, batch.resident - baseline))

    def _missing(self, cases: int | None) -> Iterator[tuple[int, int]]:
        """Work units that have not been done, from the first case on: with several processes a kill leaves
        gaps.
        """
        following = 0
        for first, count in self._db.execute("SELECT first, count FROM done ORDER BY first").fetchall():
            yield from self._units(following, first)
            following = first + count
        while cases is None or following < cases:
            end = following + self.batch if cases is None else min(cases, following + self.batch)
            yield following, end - following
            following = end

    def _units(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        while first < end:
            count = min(self.batch, end - first)
            yield first, count
            first += count

    def _write(self, batch: Batch) -> None:
        with self._transaction():
            self._db.execute("INSERT INTO done VALUES (?, ?, ?)", (batch.first, batch.count, batch.seconds))
            for key, (problem, number, case, seen) in batch.found.items():
                self._db.execute(
                    "INSERT INTO findings (key, kind, text, number, seen, found) VALUES (?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET seen = seen + excluded.seen",
                    (key, problem.kind, problem.text, number, seen, case),
                )

    def write_new(self) -> None:
        """Shrink what is new, and write it as a file that plays it again."""
        rows = self._db.execute(
            "SELECT key, text, number, found FROM findings WHERE smallest IS NULL"
        ).fetchall()
        subject = self.subject
        for key, text, number, found in rows:
            run = partial(subject.run, thorough=True)
            smallest = minimise(subject.load(found), key, subject.smaller, run)
            name = f"fuzz-{subject.name.lower().replace('/', '-').partition(' ')[0]}-{self.seed}-{number}"
            saved = subject.saved(name, text, smallest)
            with self._transaction():
                self._db.execute(
                    "UPDATE findings SET smallest = ?, scenario = ? WHERE key = ?",
                    (subject.dump(smallest), saved, key),
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


def _least(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if known else None
