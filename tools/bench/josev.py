"""Josev's SECC and EVCC beside ours in one run: the same cable, the same vehicle, one after the other.

    python -m tools.bench.sessions --josev                     Josev from the venv of the interop tests
    python -m tools.bench.sessions --josev VENV/bin/python     ... from another

Needs root, `ip netns` and Java, as tests/interop does, whose cable and scripts are used: two namespaces
joined by a veth pair, SDP, plain TCP, DC in dynamic mode. At a station it is our EVCC without pauses that
charges, and its clock that measures; Josev's EVCC is measured by Josev's own report. Memory and CPU are those
of the process and its children. Josev's codec is a JVM: sessions went before those that are measured, and it
runs with the options of tests/interop, with which it is quicker than without in runs of this length.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import trio

from hlc_sim.transport import interface, sdp
from iso15118.sdp import Security
from tests.interop import lab as interop

from .sessions import STATION, Figures, LoopTimes, resident, session, used_cpu

_STATION = STATION + "[secc.dialect]\ndischarge_register = false\n"  # Josev's EVCC drops a response with it
_READY = 60.0
_MINUTES = 300.0


@dataclass(frozen=True)
class Amount:
    """How much is measured: charge loops of the long session, and short sessions of five loops."""

    loops: int
    sessions: int
    starts: int = 3


# -- the vehicle, in its namespace ------------------------------------------------------------------------


async def drive(iface: str, loops: int) -> LoopTimes:
    """One session of our EVCC, with SDP."""
    times = LoopTimes()
    found = await sdp.discover(interface.find(iface), security=Security.NONE)
    await session(found.socket_address, loops, times)
    return times


def client() -> None:
    """`python -m tools.bench.josev IFACE LOOPS SESSIONS`: a long session, then short ones; prints JSON."""
    iface, loops, sessions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    async def run() -> dict[str, Any]:
        measured = await drive(iface, loops)
        begun = time.perf_counter()
        for _ in range(sessions):
            await drive(iface, 5)
        return {"times": measured.times, "looping": measured.seconds, "seconds": time.perf_counter() - begun}

    print(json.dumps(trio.run(run)), flush=True)


# -- the stations -----------------------------------------------------------------------------------------


@dataclass
class Running:
    """A station that is ready, and the s that took."""

    process: interop.Process
    ready: float

    def tree(self) -> list[int]:
        """The process and its descendants."""
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            found += map(int, children.read_text().split()) if children.exists() else []
        return found

    def rss(self) -> float:
        return sum(resident(pid) for pid in self.tree())

    def cpu(self) -> float:
        return sum(used_cpu(pid) for pid in self.tree())


class Bench:
    """Both stations and both vehicles at the ends of one cable."""

    def __init__(self, cable: interop.Cable, python: Path, folder: Path) -> None:
        self._cable = cable
        self._python = python
        self._folder = folder
        self._config = folder / "station.toml"
        self._config.write_text(_STATION)

    def _process(self, end: interop.End, name: str, *command: str | Path) -> interop.Process:
        return interop.Process(end, command, self._folder / f"{name}.log")

    @contextmanager
    def station(self, josev: bool) -> Iterator[Running]:
        end = self._cable.secc
        begun = time.perf_counter()
        if josev:
            process = self._process(
                end, "secc-josev", self._python, interop.SCRIPTS / "secc.py", "--iface", end.iface
            )
        else:
            hlc = Path(sys.executable).with_name("hlc")
            options = ("--iface", end.iface, "--mode", "dc", "--lab-plain-tcp", "--config", self._config)
            process = self._process(end, "secc-ours", hlc, "secc", *options)
        try:
            if josev:
                process.report(_READY)
            else:
                while "ready: SECC" not in process.log.read_text():
                    if not process.running or time.perf_counter() - begun > _READY:
                        raise RuntimeError(process.explain())
                    time.sleep(0.002)
            yield Running(process, time.perf_counter() - begun)
        finally:
            process.stop()

    def charge(self, loops: int, sessions: int) -> dict[str, Any]:
        """Our EVCC, in a process of its own in the vehicle's namespace."""
        end = self._cable.evcc
        words = ("-m", "tools.bench.josev", end.iface, str(loops), str(sessions))
        process = self._process(end, "evcc-ours", sys.executable, *words)
        try:
            return process.report(_MINUTES)
        finally:
            process.stop()

    def secc(self, josev: bool, amount: Amount) -> Figures:
        starts = []
        for _ in range(amount.starts - 1):
            with self.station(josev) as running:
                starts.append(running.ready)
        with self.station(josev) as running:
            starts.append(running.ready)
            self.charge(80, 2)  # warm
            start = running.cpu()
            self.charge(5, 0)
            begun = running.cpu()
            long = self.charge(amount.loops, 0)
            used = running.cpu() - begun - (begun - start)  # without what is not the loop
            short = self.charge(5, amount.sessions)
            memory = running.rss()
        times = long["times"]
        return {
            "SECC: start to ready, s": median(starts),
            "SECC: charge-loop round trip, median ms": median(times) * 1e3,
            "SECC: charge loops per second": len(times) / sum(times),
            "SECC: CPU per charge loop, ms": used / (amount.loops - 5) * 1e3,
            "SECC: sessions of 5 loops per second": amount.sessions / short["seconds"],
            "SECC: memory after these sessions, MB": memory,
        }

    def evcc(self, josev: bool, amount: Amount) -> Figures:
        """At our SECC. What the session is worth beside its loops is taken away by a shorter one."""
        with self.station(josev=False):
            short, long = 20, 20 + amount.loops
            if josev:
                end = self._cable.evcc
                script = interop.SCRIPTS / "evcc.py"
                process = self._process(
                    end, "evcc-josev", self._python, script, "--iface", end.iface, "--repeat"
                )
                try:
                    process.report(_READY)
                    seconds = {loops: _told(process, loops) for loops in (80, short, long)}
                finally:
                    process.stop()
                return {"EVCC: charge loops per second": (long - short) / (seconds[long] - seconds[short])}
            session = self.charge(long, 0)
            return {"EVCC: charge loops per second": (long - 1) / session["looping"]}


def _told(process: interop.Process, loops: int) -> float:
    process.tell("--service", "DC", "--control-mode", "dynamic", "--loops", str(loops), "--patience", "30")
    report = process.report(_MINUTES)
    if report["outcome"] != "complete":
        raise RuntimeError(f"{report}\n{process.explain()}")
    return float(report["wall_s"])


def compare(python: Path | None, show: Callable[[str], None], amount: Amount) -> dict[str, dict[str, float]]:
    """Ours, Josev's, and how many times better ours is, by label; `show` gets the table line by line."""
    interop.check_machine()
    results: dict[str, dict[str, float]] = {}
    with interop.cable() as cable, tempfile.TemporaryDirectory() as folder:
        fewer = Amount(max(amount.loops // 20, 20), max(amount.sessions // 5, 2), amount.starts)
        bench = Bench(cable, python or interop.josev_python(), Path(folder))
        show(f"{'':45}{'ours':>10}{'Josev':>10}{'ratio':>8}")
        for part in (bench.secc, bench.evcc):
            ours = part(False, amount)
            theirs = part(True, fewer)
            for label, value in ours.items():
                mine, other = float(value), float(theirs[label])
                ratio = mine / other if "per second" in label else other / mine
                results[label] = {"ours": mine, "Josev": other, "ratio": ratio}
                show(f"{label:45}{mine:10.3g}{other:10.3g}{ratio:8.2g}")
    return results


if __name__ == "__main__":
    client()
