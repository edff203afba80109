"""Josev at one end of a cable, our worker at the other, case after case."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from hlc_sim.conformance import suite
from hlc_sim.scenario import library
from hlc_sim.scenario.settings import Layer
from iso15118.session.events import Role
from tests.interop.expect import STATION, VEHICLE
from tests.interop.lab import (
    JOSEV_VERSION,
    SCRIPTS,
    Cable,
    Lab,
    Process,
    UnavailableError,
    cable,
    check_machine,
)
from tests.interop.lab import josev_python as installed_josev

_MODES = ("dc", "ac", "dc_bpt", "ac_bpt")
_LONGEST_CASE = 700.0
_REPORT_TIME = 15.0
"""s after the end of a session until Josev must have said how it went."""
_LOG_LINES = 60


def cases(what: str, side: str, patterns: Sequence[str], exclude: Sequence[str], tls: bool) -> list[str]:
    """Names of what can be run against that side."""
    known = _scenarios(tls) if what == "scenario" else {n: c.tests for n, c in suite().items()}
    chosen = [
        name
        for name, tests in known.items()
        if tests.value.lower() == side and _matches(name, patterns) and not _matches(name, exclude)
    ]
    if what == "conformance" and list(patterns) == ["*"]:
        chosen = [name for name in chosen if not suite()[name].thorough]
    return sorted(chosen, key=services)  # stable: Josev is seldom started again


def _scenarios(tls: bool) -> dict[str, Role]:
    """Those for services that Josev has: of messages, or with `tls` of discovery and handshake."""
    layers = (Layer.SDP, Layer.TLS) if tls else (Layer.V2G,)
    return {
        name: item.tests
        for name, item in library().items()
        if item.layer in layers and {item.vehicle.mode, *item.station.modes} <= set(_MODES)
    }


def services(name: str) -> tuple[str, ...]:
    """What Josev's SECC has to offer for a case."""
    modes = library()[name].station.modes if name in library() else _MODES
    return tuple(mode.upper() for mode in modes)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class PKI(NamedTuple):
    """For TLS 1.3: a hierarchy of ours and its export for Josev, which speaks P-256 only."""

    ours: Path
    josevs: Path

    @classmethod
    def mint(cls, folder: Path) -> PKI:
        made = cls(folder / "ours", folder / "josev")
        command = str(Path(sys.executable).with_name("v2g-pki"))
        for words in (
            ("mint", "--out", made.ours, "--edition", "lenient", "--family", "p256"),
            ("export", made.ours, "josev", made.josevs, "--vehicle-as-oem"),
        ):
            subprocess.run([command, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
        return made


class Bench:
    """One cable. Josev is kept from case to case while it is well: it is quick only when warm."""

    def __init__(
        self, made: Cable, josev_python: Path, folder: Path, side: str, pki: PKI | None = None
    ) -> None:
        self._side, self._pki = side, pki
        self._folder = folder
        folder.mkdir()
        self._lab = Lab(made, josev_python, folder)
        self._fifo = folder / "plug"
        os.mkfifo(self._fifo)
        (folder / "vehicle.toml").write_text(VEHICLE)
        (folder / "station.toml").write_text(STATION)
        self._josev: Process | None = None
        self._offered: tuple[str, ...] = ()
        self._worker: Process | None = None

    def play(self, name: str) -> dict[str, Any]:
        """One case; how Josev fared is part of the result."""
        josev = self._josev_for(name)
        worker = self._worker = self._worker or self._start_worker()
        since = josev.log.stat().st_size
        with contextlib.suppress(AssertionError):
            while True:
                josev.report(0)  # of a connection that no session came of
        worker.tell(name)
        try:
            result = worker.report(_LONGEST_CASE)
        except AssertionError as error:
            result = {"result": "error", "reasons": [str(error)], "log": [], "seconds": 0.0, "runs": 0}
            worker.stop()
            self._worker = None
        device = self._reports(josev, result.pop("runs"))
        with josev.log.open(errors="replace") as log:
            log.seek(since)
            lines = log.read().splitlines()[-_LOG_LINES:]
        again = self._restart(josev, result, device)
        if again:
            josev.stop()
            self._josev = None
        return {**result, "device": device, "device_log": lines, "restarted": again}

    def _reports(self, josev: Process, runs: int) -> list[dict[str, Any]]:
        """What Josev itself says of its sessions; its EVCC is ready for another when it has."""
        found: list[dict[str, Any]] = []
        with contextlib.suppress(AssertionError):
            for _ in range(runs):
                found.append(josev.report(_REPORT_TIME))
        if len(found) < runs:
            found.append({"outcome": "hangs", "reason": f"no end of the session within {_REPORT_TIME:g} s"})
        return found

    def _restart(self, josev: Process, result: dict[str, Any], device: list[dict[str, Any]]) -> str:
        """Why Josev must be started again, or nothing."""
        if not josev.running:
            return "it died"
        if device and device[-1]["outcome"] == "hangs":
            return "it hangs"
        if self._side == "secc" and any("next session" in r or "SECC on" in r for r in result["reasons"]):
            return "it did not serve the next session"
        if result["result"] == "error":
            return "our own error"
        return ""

    def _josev_for(self, name: str) -> Process:
        offered = services(name) if self._side == "secc" else ()
        if self._josev is None or offered != self._offered:
            self._josev, self._offered = self._start_josev(offered), offered
        return self._josev

    def _start_josev(self, offered: tuple[str, ...]) -> Process:
        tls = ("--tls", "1.3", "--pki", str(self._pki.josevs)) if self._pki is not None else ()
        if self._side == "evcc":
            return self._lab.josev_evcc_plugged(self._fifo, "--timeout", "600", *tls)
        protocols = sorted({f"ISO_15118_20_{service[:2]}" for service in offered}, reverse=True)
        return self._lab.josev_secc("--services", ",".join(offered), "--protocols", ",".join(protocols), *tls)

    def _start_worker(self) -> Process:
        end = self._lab.cable.evcc if self._side == "secc" else self._lab.cable.secc
        command = [sys.executable, "-m", "tools.against_josev.worker"]
        files = [f"--{n}={self._folder / n}.toml" for n in ("vehicle", "station")]
        files += [f"--capabilities={SCRIPTS / self._side}.toml", f"--fifo={self._fifo}"]
        if self._pki is not None:
            files.append(f"--pki={self._pki.ours}")
        options = ["--side", self._side, *files]
        worker = self._lab.run(end, "worker", command, *options)
        worker.report(timeout=30)
        return worker

    def close(self) -> None:
        self._lab.close()


class Progress:
    """The file of results, and a line on stderr for each."""

    def __init__(self, out: TextIO, total: int, common: dict[str, Any]) -> None:
        self._out, self._total, self._common = out, total, common
        self._started, self._done, self._lock = time.monotonic(), 0, threading.Lock()

    def add(self, name: str, result: dict[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps({**self._common, "case": name, **result}) + "\n")
            self._out.flush()
            self._done += 1
            left = (time.monotonic() - self._started) / self._done * (self._total - self._done)
            count = f"[{self._done}/{self._total}, {left / 60:.0f} min left]"
            print(f"{count} {result['result']:<12} {name} ({result['seconds']:.1f} s)", file=sys.stderr)
            for reason in result["reasons"]:
                print(f"    {reason}", file=sys.stderr)
            if result["restarted"]:
                print(f"    Josev is started again: {result['restarted']}", file=sys.stderr)


def run_all(args: argparse.Namespace, names: Sequence[str], out: TextIO) -> None:
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    common = {"josev": JOSEV_VERSION, "side": args.side, "what": args.what, "tls": args.tls}
    progress = Progress(out, len(names), common)
    stopped = threading.Event()
    trouble: list[BaseException] = []

    def work(bench: Bench) -> None:
        try:
            while not stopped.is_set():
                name = waiting.get_nowait()
                result = bench.play(name)
                if not stopped.is_set():
                    progress.add(name, result)
        except queue.Empty:
            pass
        except BaseException as error:
            trouble.append(error)

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        python = args.josev / "bin" / "python" if args.josev else installed_josev()
        pki = PKI.mint(folder) if args.tls else None
        benches = []
        for number in range(min(args.jobs, len(names))):
            made = stack.enter_context(cable(number))
            bench = Bench(made, python, folder / str(number), args.side, pki)
            stack.callback(bench.close)
            benches.append(bench)
        stack.callback(stopped.set)
        threads = [threading.Thread(target=work, args=(bench,), daemon=True) for bench in benches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if trouble:
        raise trouble[0]


def results(path: Path) -> list[dict[str, Any]]:
    """What is in the file of results. A line that a kill cut short is taken off."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def summary(lines: Sequence[dict[str, Any]]) -> None:
    """Counts by group, then each case that did not pass."""
    for side, what, tls in sorted({(line["side"], line["what"], line["tls"]) for line in lines}):
        chosen = [line for line in lines if (line["side"], line["what"], line["tls"]) == (side, what, tls)]
        where = f"the {side.upper()} of Josev {chosen[0]['josev']} over {'TLS' if tls else 'plain TCP'}"
        print(f"{what} against {where}: {_counts(chosen)}")
        for group in dict.fromkeys(line["group"] for line in chosen if "group" in line):
            print(f"  {group}: {_counts([line for line in chosen if line['group'] == group])}")
        for line in chosen:
            if line["result"] not in ("pass", "not applicable"):
                print(f"  {line['result']:<13} {line['case']}: {'; '.join(line['reasons'])}")


def _counts(lines: Sequence[dict[str, Any]]) -> str:
    counts = Counter(line["result"] for line in lines)
    return ", ".join(f"{count} {result}" for result, count in sorted(counts.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.against_josev", description=__doc__)
    parser.add_argument("pattern", nargs="*", default=["*"], metavar="PATTERN", help="names of cases [*]")
    parser.add_argument("--side", choices=["secc", "evcc"], help="the side that Josev is")
    parser.add_argument("--what", choices=["scenario", "conformance"], default="scenario")
    parser.add_argument(
        "--tls",
        action="store_true",
        help="over TLS 1.3, on certificates made for the run; of the scenarios those in SDP and TLS",
    )
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN")
    parser.add_argument("--jobs", type=int, default=1, help="pairs of namespaces at once")
    parser.add_argument(
        "--josev", type=Path, metavar="DIR", help="a venv that holds Josev [made on first use]"
    )
    parser.add_argument("--out", type=Path, default=Path("against_josev.jsonl"), metavar="FILE")
    parser.add_argument("--summary", action="store_true", help="only say what is in the file of results")
    args = parser.parse_args()
    before = results(args.out)
    if args.summary:
        summary(before)
        return 0
    if args.side is None:
        parser.error("--side secc or --side evcc is needed")
    wanted = (args.side, args.what, args.tls)
    have = {line["case"] for line in before if (line["side"], line["what"], line["tls"]) == wanted}
    names = [n for n in cases(args.what, args.side, args.pattern, args.exclude, args.tls) if n not in have]
    print(f"{len(names)} cases, {len(have)} are done already", file=sys.stderr)
    if not names:
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        check_machine()
        with args.out.open("a") as out:
            run_all(args, names, out)
    except UnavailableError as error:
        print(f"against_josev: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("against_josev: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0
