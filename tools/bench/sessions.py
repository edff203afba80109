"""What the SECC process costs: start to ready, charge loops, sessions, memory, and 200 vehicles at once.

    python -m tools.bench.sessions                  a table of figures
    python -m tools.bench.sessions --json FILE      and the figures as JSON
    python -m tools.bench.sessions --only loops     one part: start, loops, pair, sessions, memory,
                                                    concurrent or soak
    python -m tools.bench.sessions --josev          Josev beside ours (root, Java; see tools/bench/josev.py)

The station is `hlc secc` as a user starts it, in a process of its own; vehicles connect over TCP on loopback.
In `loops` the vehicle is a bare socket that sends one encoded DC_ChargeLoopReq again and again, so that the
round trip is the SECC's alone; in `pair` it is our EVCC without pauses. "Per core" divides by the CPU seconds
that the SECC process used, user and system. `soak` runs 1,000 sessions, one after another, through one
station and fails if its memory grows or a connection is left in it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import trio

from hlc_sim.config import VehicleConfig
from hlc_sim.evcc import ChargeReport, charge, drive
from hlc_sim.transport import tcp
from hlc_sim.transport.link import FrameRecord, Link
from hlc_sim.vehicle import Battery, Driver
from iso15118 import exi, v2gtp
from iso15118.messages.common import ChargingSession
from iso15118.session.evcc import EVCC, Exchange
from iso15118.session.events import Role
from iso15118.session.timers import RELAXED

_TICKS = os.sysconf("SC_CLK_TCK")
_HLC = [sys.executable, "-c", "from hlc_sim.cli import main; main()"]
_NO_PAUSES = {
    "poll_interval": 0.0,
    "loop_interval": 0.0,
    "ramp_down_time": 0.0,
    "meter_interval": 0,
    "pre_charge_patience": 0.0,
    "welding_time": 0.0,
}
STATION = """
timers = "relaxed"
speed = 100000
[outlet.isolation]
duration = 0
[outlet.contactor]
closing_time = 0
"""
_SOAK_GROWTH = 2.0
"""MB that the station's memory may grow by from session 100 to the last: the allocator's unrest."""

Figures = dict[str, float | int | str]


@dataclass
class Station:
    """A running `hlc secc`."""

    process: subprocess.Popen[str]
    port: int
    ready: float
    """Seconds from the start of the process to its ready line."""

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return used_cpu(self.process.pid)

    def rss(self) -> float:
        """Resident memory in MB."""
        return resident(self.process.pid)


def used_cpu(pid: int) -> float:
    """CPU seconds, user and system, that a process used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1000


@contextmanager
def station() -> Iterator[Station]:
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "station.toml"
        config.write_text(STATION)
        log = Path(directory) / "secc.log"
        command = [*_HLC, "secc", "--lab-plain-tcp", "--no-sdp", "--mode", "dc", "--config", str(config)]
        started = time.perf_counter()
        with log.open("w") as sink:
            process = subprocess.Popen(command, stderr=sink, text=True)
        try:
            while not (line := re.search(r"ready: .*\[::1\]:(\d+)", log.read_text())):
                if process.poll() is not None:
                    raise RuntimeError(f"hlc secc ended: {log.read_text()}")
                time.sleep(0.002)
            yield Station(process, int(line[1]), time.perf_counter() - started)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=20)


def vehicle_config(loops: int) -> VehicleConfig:
    return VehicleConfig(
        mode="dc",
        control="dynamic",
        battery=Battery(soc=20),
        driver=Driver(stop_when_charged=False),
        evcc={**_NO_PAUSES, "charge_loops": loops, "timers": RELAXED},
    )


def loopback(port: int) -> tuple[str, int, int, int]:
    return "::1", port, 0, 0


class LoopTimes:
    """A frame sink that times the charge loops: seconds of each, and from the first request to the last."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._sent: list[float] = []

    def __call__(self, frame: FrameRecord) -> None:
        name = type(frame.message).__name__
        if name == "DC_ChargeLoopReq":
            self._sent.append(time.perf_counter())
        elif name == "DC_ChargeLoopRes":
            self.times.append(time.perf_counter() - self._sent[-1])

    @property
    def seconds(self) -> float:
        return self._sent[-1] - self._sent[0]


async def session(
    address: tuple[str, int, int, int], loops: int, sink: Callable[[FrameRecord], None] | None = None
) -> ChargeReport:
    """One whole session of our EVCC, without pauses."""
    config = vehicle_config(loops)
    link = Link(await tcp.connect(address), Role.EVCC, sink=sink)
    report = await charge(link, config.session(), config.vehicle())
    if not report.session.ok:
        raise RuntimeError(f"session failed: {report.session.outcome} {report.session.reason}")
    return report


class Holder(EVCC):
    """Runs to the charge loop and stops there, with the connection open."""

    def transfer(self) -> Exchange[ChargingSession]:
        self.charge_loop_reached = True
        yield from ()
        raise _InLoop


class _InLoop(Exception):
    pass


async def to_charge_loop(port: int) -> tuple[Link, bytes]:
    """A connection that stands in the charge loop, and its SessionID."""
    config = vehicle_config(1)
    link = Link(await tcp.connect(loopback(port)), Role.EVCC)
    evcc = Holder(
        config.session(),
        config.vehicle(),
        now=trio.current_time(),
        unix_offset=time.time() - trio.current_time(),
    )
    try:
        await drive(evcc.session(), link)
    except _InLoop:
        return link, evcc.session_id
    raise RuntimeError("the session ended before the charge loop")


def loop_request(session_id: bytes) -> bytes:
    """One DC_ChargeLoopReq of dynamic control, as a frame."""
    from iso15118.messages import dc
    from iso15118.messages.common_types import MessageHeader, RationalNumber

    number = RationalNumber.of
    request = dc.DC_ChargeLoopReq(
        header=MessageHeader(session_id=session_id, timestamp=int(time.time())),
        meter_info_requested=False,
        ev_present_voltage=number(380.5),
        control_mode=dc.Dynamic_DC_CLReqControlMode(
            ev_target_energy_request=number(20_000),
            ev_maximum_energy_request=number(30_000),
            ev_minimum_energy_request=number(-5_000),
            ev_maximum_charge_power=number(100_000),
            ev_minimum_charge_power=number(0),
            ev_maximum_charge_current=number(250),
            ev_maximum_voltage=number(420),
            ev_minimum_voltage=number(330),
        ),
    )
    return v2gtp.pack(v2gtp.PayloadType.DC, exi.encode(request))


def bench_start(runs: int = 5) -> Figures:
    """From the start of the process to SDP and TCP being served."""
    times, used = [], []
    for _ in range(runs):
        with station() as running:
            times.append(running.ready)
            used.append(running.cpu())
            memory = running.rss()
    return {
        "start to ready, median s": median(times),
        "start to ready, median CPU s": median(used),
        "memory when ready, MB": memory,
    }


def bench_loops(count: int = 5000) -> Figures:
    """Round trips of the charge loop, seen by a bare socket."""
    with station() as running:

        async def prepare() -> tuple[socket.socket, bytes]:
            link, session_id = await to_charge_loop(running.port)
            assert isinstance(link.stream, trio.SocketStream)
            return socket.socket(fileno=os.dup(link.stream.socket.fileno())), loop_request(session_id)

        sock, frame = trio.run(prepare)
        with sock:
            sock.setblocking(True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            times = []
            for index in range(count + 200):
                if index == 200:  # warm
                    used, begun = running.cpu(), time.perf_counter()
                started = time.perf_counter()
                sock.sendall(frame)
                answer = sock.recv(4096)
                times.append(time.perf_counter() - started)
                if not answer:
                    raise RuntimeError("the SECC hung up")
            seconds, used = time.perf_counter() - begun, running.cpu() - used
        response = exi.decode(answer[8:], "iso20_dc")
        if not response.response_code.is_ok:
            raise RuntimeError(f"charge loop answered {response.response_code}")
    times = times[200:]
    cuts = quantiles(times, n=100)
    return {
        "charge-loop round trip, median ms": median(times) * 1e3,
        "charge-loop round trip, 95 % ms": cuts[94] * 1e3,
        "charge-loop round trip, best ms": min(times) * 1e3,
        "charge loops per second, one vehicle": count / seconds,
        "charge loops per CPU second of the SECC": count / used,
    }


def bench_pair(count: int = 3000) -> Figures:
    """Charge loops between our EVCC and our SECC, each on what core it gets."""
    with station() as running:
        loops = LoopTimes()
        trio.run(session, loopback(running.port), count, loops)
    return {
        "pair: round trip seen by our EVCC, median ms": median(loops.times) * 1e3,
        "pair: loops per second": len(loops.times) / loops.seconds,
    }


def bench_sessions(count: int = 60) -> Figures:
    """Whole sessions one after another, five charge loops each."""
    with station() as running:

        async def run() -> float:
            await session(loopback(running.port), 5)
            started = time.perf_counter()
            for _ in range(count):
                await session(loopback(running.port), 5)
            return time.perf_counter() - started

        used = running.cpu()
        seconds = trio.run(run)
        used = running.cpu() - used
    return {
        "whole sessions per second": count / seconds,
        "whole sessions per CPU second of the SECC": count / used,
    }


def bench_memory(count: int = 200) -> Figures:
    """Resident memory with one and with many sessions standing in the charge loop."""
    with station() as running:

        async def run() -> tuple[float, float]:
            links = [(await to_charge_loop(running.port))[0]]
            one = running.rss()
            for _ in range(count):
                links.append((await to_charge_loop(running.port))[0])
            many = running.rss()
            for link in links:
                await link.aclose()
            return one, many

        one, many = trio.run(run)
    return {"memory with one session, MB": one, "memory per further session, kB": (many - one) * 1000 / count}


def bench_concurrent(vehicles: int = 200, loops: int = 20) -> Figures:
    """That many vehicles at once, from one other process; all must end well."""
    with station() as running:

        async def run() -> float:
            started = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(vehicles):
                    nursery.start_soon(session, loopback(running.port), loops)
            return time.perf_counter() - started

        used = running.cpu()
        seconds = trio.run(run)
        used = running.cpu() - used
        memory = running.rss()
    return {
        f"{vehicles} vehicles at once, {loops} loops each, s": seconds,
        f"{vehicles} vehicles at once, CPU s of the SECC": used,
        f"{vehicles} vehicles at once, memory after, MB": memory,
    }


def bench_soak(count: int = 1000) -> Figures:
    """A station left running through many sessions: RuntimeError if its memory or its open files grow."""
    with station() as running:
        files = Path(f"/proc/{running.process.pid}/fd")

        async def run() -> tuple[float, float, int]:
            early = 0.0
            open_before = len(list(files.iterdir()))
            for index in range(count):
                await session(loopback(running.port), 2)
                if index == 99:
                    early = running.rss()
            await trio.sleep(0.2)  # the last connection is being closed
            return early, running.rss(), len(list(files.iterdir())) - open_before

        early, late, left_open = trio.run(run)
    if left_open or late - early > _SOAK_GROWTH:
        raise RuntimeError(f"{left_open} files left open, memory from {early:.1f} MB to {late:.1f} MB")
    return {
        "memory after 100 sessions, MB": early,
        f"memory after {count} sessions, MB": late,
        "files left open": left_open,
    }


PARTS: dict[str, Callable[[], Figures]] = {
    "start": bench_start,
    "loops": bench_loops,
    "pair": bench_pair,
    "sessions": bench_sessions,
    "memory": bench_memory,
    "concurrent": bench_concurrent,
    "soak": bench_soak,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench.sessions", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part (repeatable)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--josev",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="PYTHON",
        help="Josev beside ours, from the venv of this interpreter [default: that of tests/interop]",
    )
    parser.add_argument("--loops", type=int, default=2000, help="with --josev: loops of our long session")
    options = parser.parse_args()
    figures: dict[str, Any] = {"load before": os.getloadavg()[0]}
    if options.josev is not None:
        from .josev import Amount, compare

        python = None if options.josev == Path() else options.josev
        figures |= compare(python, lambda line: print(line, flush=True), Amount(options.loops, 40))
    for name in options.only or (PARTS if options.josev is None else ()):
        for label, value in PARTS[name]().items():
            figures[label] = value
            print(
                f"{label:55} {value:10.3f}" if isinstance(value, float) else f"{label:55} {value:>10}",
                flush=True,
            )
    print(f"{'load average before and after':55} {figures['load before']:.1f}, {os.getloadavg()[0]:.1f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
