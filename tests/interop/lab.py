"""What the interop tests stand on: Josev in a venv of its own, two namespaces joined by a cable, processes.

Needs root, `ip netns`, Java and (once) the package registry. `UnavailableError` says what is not there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JOSEV_VERSION = "0.31.2"
JOSEV_REQUIREMENTS = (f"iso15118=={JOSEV_VERSION}", "aiofile>=3.8,<4")  # aiofile: imported, not declared
SCRIPTS = Path(__file__).with_name("josev")
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Josev's codec is always cold here: without the optimizing compiler it takes a third of the time."""
NAMESPACE_PREFIX = "hlcinterop"


class UnavailableError(Exception):
    """Interop tests cannot run on this machine; the message says why."""


def check_machine() -> None:
    if not sys.platform.startswith("linux"):
        raise UnavailableError("network namespaces need Linux")
    if os.geteuid() != 0:
        raise UnavailableError("network namespaces need root")
    for program, use in (("ip", "network namespaces"), ("java", "Josev's EXI codec")):
        if shutil.which(program) is None:
            raise UnavailableError(f"no `{program}` on the PATH ({use})")


# ---------------------------------------------------------------------------------------------- Josev's venv


def cache_dir() -> Path:
    if folder := os.environ.get("HLC_INTEROP_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hlc-sim"


def josev_python() -> Path:
    """The interpreter of a venv that holds Josev; made on first use (about 15 s) and kept for the next."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = cache_dir() / f"josev-{JOSEV_VERSION}-python{version}"
    home.parent.mkdir(parents=True, exist_ok=True)
    python, stamp = home / "bin" / "python", home / "complete"
    with open(f"{home}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == repr(JOSEV_REQUIREMENTS) and python.exists():
            return python
        venv.create(home, clear=True, with_pip=True)
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            *JOSEV_REQUIREMENTS,
        ]
        try:
            done = subprocess.run(install, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"Josev {JOSEV_VERSION} was not installed within 300 s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["pip said nothing"]
            raise UnavailableError(f"Josev {JOSEV_VERSION} cannot be installed: {lines[-1]}")
        stamp.write_text(repr(JOSEV_REQUIREMENTS))
    return python


def make_josev_pki(python: Path, folder: Path) -> Path:
    """Certificates for TLS, made by the script that comes with Josev, in `folder` (its `PKI_PATH`)."""
    if shutil.which("openssl") is None:
        raise UnavailableError("no `openssl` on the PATH (Josev's certificates)")
    where = "import importlib.util as u; print(u.find_spec('iso15118').submodule_search_locations[0])"
    found = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True, cwd="/")
    source = Path(found.stdout.strip()) / "shared" / "pki"
    shutil.copytree(source / "configs", folder / "configs")
    script = shutil.copy(source / "create_certs.sh", folder)
    # Josev reads the iso15118_2 tree for every protocol
    subprocess.run(["bash", script, "-v", "iso-2"], cwd=folder, check=True, capture_output=True)
    return folder


# -------------------------------------------------------------------------------------------------- the cable


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UnavailableError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True)
class End:
    """One end of the cable: a network namespace and the interface in it."""

    namespace: str
    iface: str


@dataclass(frozen=True)
class Cable:
    secc: End
    evcc: End


@contextlib.contextmanager
def cable(number: int = 0) -> Iterator[Cable]:
    """Two namespaces joined by a veth pair with IPv6 link-local addresses, removed at the end. Cables of one
    process have different numbers.
    """
    _sweep()
    owner = f"{NAMESPACE_PREFIX}{os.getpid()}"
    secc, evcc = End(f"{owner}-secc{number}", "secc0"), End(f"{owner}-evcc{number}", "evcc0")
    try:
        for end in (secc, evcc):
            _ip("netns", "add", end.namespace)
            # Without duplicate address detection the link-local address works at once, not 2 s later
            dad_off = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"
            _ip("netns", "exec", end.namespace, "sh", "-c", dad_off)
            _ip("-n", end.namespace, "link", "set", "lo", "up")  # Josev talks to its codec over 127.0.0.1
        pair = ["link", "add", secc.iface, "netns", secc.namespace, "type", "veth"]
        _ip(*pair, "peer", "name", evcc.iface, "netns", evcc.namespace)
        for end in (secc, evcc):
            _ip("-n", end.namespace, "link", "set", end.iface, "up")
        for end in (secc, evcc):
            _wait_for_address(end)
        yield Cable(secc, evcc)
    finally:
        for end in (secc, evcc):
            _remove(end.namespace)


def _wait_for_address(end: End) -> None:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        shown = _ip("-n", end.namespace, "-6", "addr", "show", "dev", end.iface, "scope", "link")
        if "inet6" in shown and "tentative" not in shown:
            return
        time.sleep(0.05)
    raise UnavailableError(f"{end.iface} got no IPv6 link-local address within 5 s")


def _remove(namespace: str) -> None:
    """End what still runs in a namespace of ours, and delete it."""
    with contextlib.suppress(UnavailableError):
        for pid in _ip("netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "del", namespace)


def _sweep() -> None:
    """Remove what a test run that was killed left behind."""
    for line in _ip("netns", "list").splitlines():
        name = line.split()[0]
        match = re.fullmatch(rf"{NAMESPACE_PREFIX}(\d+)-(secc|evcc)\d+", name)
        if match and not Path("/proc", match[1]).exists():
            _remove(name)


# -------------------------------------------------------------------------------------------------- processes


@dataclass
class Process:
    """A program at one end of the cable. JSON lines on its stdout are reports; all the rest goes to `log`."""

    end: End
    command: Sequence[str | Path]
    log: Path
    _reports: queue.Queue[dict[str, Any] | None] = field(default_factory=queue.Queue, init=False)

    def __post_init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
        environment["JAVA_TOOL_OPTIONS"] = JAVA_OPTIONS
        with self.log.open("w") as log:
            self._popen = subprocess.Popen(
                ["ip", "netns", "exec", self.end.namespace, *self.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,  # a group of its own, so that java goes with it
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self.log.open("a") as log:
            for line in self._popen.stdout:
                try:
                    report = json.loads(line)
                except ValueError:
                    report = None
                if isinstance(report, dict):
                    self._reports.put(report)
                else:
                    log.write(line)
                    log.flush()
        self._reports.put(None)

    def tell(self, *words: str) -> None:
        """A line on its stdin."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(shlex.join(words) + "\n")
        self._popen.stdin.flush()

    def report(self, timeout: float) -> dict[str, Any]:
        """The next report. AssertionError, with the end of the log, if the process ends or stays silent."""
        try:
            report = self._reports.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no report within {timeout} s\n{self.explain()}") from None
        assert report is not None, f"ended with code {self._popen.wait()} and no report\n{self.explain()}"
        return report

    def wait(self, timeout: float) -> int:
        """The exit code."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.explain()}") from None

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def explain(self, lines: int = 40) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"{' '.join(map(str, self.command))}", f"  log {self.log} ends:", *tail])

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


@dataclass
class Lab:
    """The cable, Josev, our command, and a folder for logs.

    One process at each end of the cable: a new one ends the one before, and all end when the lab is closed.
    """

    cable: Cable
    python: Path
    folder: Path
    _running: dict[End, Process] = field(default_factory=dict, init=False)
    _started: int = field(default=0, init=False)

    def josev_secc(self, *options: str) -> Process:
        """Josev's SECC, ready to be discovered."""
        secc = self._start(self.cable.secc, "josev-secc", [self.python, SCRIPTS / "secc.py"], options)
        return self._ready(secc)

    def josev_evcc(self, *options: str) -> Process:
        """Josev's EVCC, which looks for an SECC at once."""
        return self._start(self.cable.evcc, "josev-evcc", [self.python, SCRIPTS / "evcc.py"], options)

    def josev_evcc_waiting(self, *options: str) -> Process:
        """Josev's EVCC, which runs a session for each set of options it is told."""
        return self._ready(self.josev_evcc("--repeat", *options))

    def josev_evcc_plugged(self, fifo: Path, *options: str) -> Process:
        """... for each set of options that is written to `fifo`."""
        through = ["sh", "-c", 'fifo=$1; shift; exec "$@" <>"$fifo"', "sh", fifo]
        command = [*through, self.python, SCRIPTS / "evcc.py", "--repeat"]
        return self._ready(self._start(self.cable.evcc, "josev-evcc", command, options))

    def hlc_secc(self, *options: str) -> Process:
        return self._start(self.cable.secc, "hlc-secc", [self._hlc(), "secc"], options)

    def run(self, end: End, name: str, command: Sequence[str | Path], *options: str) -> Process:
        """Another program at that end; it is given `--iface` and the options."""
        return self._start(end, name, list(command), options)

    def hlc_evcc(self, *options: str) -> Process:
        return self._start(self.cable.evcc, "hlc-evcc", [self._hlc(), "evcc"], options)

    @staticmethod
    def _ready(process: Process) -> Process:
        report = process.report(timeout=20)
        assert report.get("ready"), f"{report}\n{process.explain()}"
        return process

    @staticmethod
    def _hlc() -> Path:
        command = Path(sys.executable).with_name("hlc")
        assert command.exists(), (
            f"{command} is not there: install this project in the venv that runs the tests"
        )
        return command

    def _start(self, end: End, name: str, command: list[str | Path], options: Sequence[str]) -> Process:
        if before := self._running.pop(end, None):
            before.stop()
        log = self.folder / f"{self._started:02}-{name}.log"
        self._started += 1
        self._running[end] = Process(end, [*command, "--iface", end.iface, *options], log)
        return self._running[end]

    def close(self) -> None:
        for process in self._running.values():
            process.stop()
