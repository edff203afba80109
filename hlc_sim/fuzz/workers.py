"""Runs batches of cases, here or in several processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .problem import Problem
from .subject import Subject

PAGE = 4096
WARM_UP = 5_000
"""Cases after which a process has imported and cached what it needs."""
MOST_GROWTH = 64 * 1024
"""KiB that a process may grow after that: caches have bounds, a leak has none."""


class Found(NamedTuple):
    """A problem, the first case that had it, and how many had it."""

    problem: Problem
    number: int
    case: str
    seen: int


@dataclass(slots=True)
class Batch:
    """Cases that were run. `resident` KiB of the process afterwards."""

    first: int
    count: int
    seconds: float
    found: dict[str, Found] = field(default_factory=dict)
    resident: int = 0


@dataclass
class Runner:
    """Runs cases of one subject and seed, and watches the memory of its process."""

    subject: Subject[Any]
    seed: int
    done: int = 0
    baseline: int = 0
    leaked: bool = False

    def run(self, first: int, count: int) -> Batch:
        started = time.monotonic()
        batch = Batch(first, count, 0.0)
        for number in range(first, first + count):
            case = self.subject.case(self.seed, number)
            for problem in self.subject.run(case):
                self._note(batch, problem, number, case)
        self.done += count
        batch.resident = resident()
        if self.done >= WARM_UP:
            self.baseline = self.baseline or batch.resident
            grown = batch.resident - self.baseline
            if grown > MOST_GROWTH and not self.leaked:
                self.leaked = True
                text = f"{grown} KiB more resident memory after {self.done} cases"
                self._note(batch, Problem("growth", "growth/resident", text), number, case)
        batch.seconds = time.monotonic() - started
        return batch

    def _note(self, batch: Batch, problem: Problem, number: int, case: Any) -> None:
        known = batch.found.get(problem.key)
        if known is not None:
            batch.found[problem.key] = known._replace(seen=known.seen + 1)
        else:
            batch.found[problem.key] = Found(problem, number, self.subject.dump(case), 1)


def resident() -> int:
    """KiB of memory of this process; 0 where /proc does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE // 1024
    except (OSError, IndexError, ValueError):
        return 0


class Crew(Protocol):
    """Takes work units (first case, number of cases), gives batches in the order in which they are done."""

    size: int

    def start(self, first: int, count: int) -> None: ...

    def next(self) -> Batch: ...


class Alone:
    """This process."""

    size = 1

    def __init__(self, subject: Subject[Any], seed: int) -> None:
        self._runner = Runner(subject, seed)
        self._units: list[tuple[int, int]] = []

    def start(self, first: int, count: int) -> None:
        self._units.append((first, count))

    def next(self) -> Batch:
        return self._runner.run(*self._units.pop(0))


class Processes:
    """`size` processes, each with a pipe: they end when this one is gone, however it went."""

    def __init__(self, subject: Subject[Any], seed: int, size: int) -> None:
        self.size = size
        context = multiprocessing.get_context("spawn")
        self._idle: list[Connection] = []
        self._busy: list[Connection] = []
        self._processes = []
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, subject, seed), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._idle.append(ours)

    def start(self, first: int, count: int) -> None:
        pipe = self._idle.pop()
        pipe.send((first, count))
        self._busy.append(pipe)

    def next(self) -> Batch:
        pipe = wait(self._busy)[0]
        assert isinstance(pipe, Connection)
        self._busy.remove(pipe)
        try:
            batch: Batch = pipe.recv()
        except EOFError:
            raise RuntimeError("a process of the campaign died; its batch is run again next time") from None
        self._idle.append(pipe)
        return batch

    def close(self) -> None:
        for pipe in (*self._idle, *self._busy):
            pipe.close()
        for process in self._processes:
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()


def _serve(pipe: Connection, subject: Subject[Any], seed: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us, and writes down what is done
    runner = Runner(subject, seed)
    with contextlib.suppress(EOFError, OSError):
        while True:
            pipe.send(runner.run(*pipe.recv()))


@contextmanager
def crew(subject: Subject[Any], seed: int, jobs: int) -> Iterator[Crew]:
    """Whoever does the work, for `jobs` processes."""
    if jobs == 1:
        yield Alone(subject, seed)
        return
    processes = Processes(subject, seed, jobs)
    try:
        yield processes
    finally:
        processes.close()
