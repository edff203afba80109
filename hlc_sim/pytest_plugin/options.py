"""The options: which device is under test, and what our side is."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from iso15118.session.events import Role

    from ..conformance import Capabilities
    from ..scenario.device import Device
    from ..scenario.fit import OurSide


def add(parser: pytest.Parser) -> None:
    group = parser.getgroup("hlc", "ISO 15118-20 devices under test")
    group.addoption("--hlc-secc", metavar="HOST:PORT", help="The SECC under test [default: the simulator].")
    group.addoption(
        "--hlc-iface",
        metavar="IF",
        help="The device under test is there: an SECC is found by SDP, an EVCC connects to us.",
    )
    group.addoption(
        "--hlc-trigger",
        metavar="COMMAND",
        help="Shell command that makes the car plug in; run for each connection, ended after it.",
    )
    group.addoption("--hlc-cert", type=Path, metavar="PEM", help="TLS certificate chain, leaf first.")
    group.addoption("--hlc-key", type=Path, metavar="PEM", help="Private key of it.")
    group.addoption(
        "--hlc-root", type=Path, metavar="PEM", action="append", default=[], help="Trusted root (repeatable)."
    )
    group.addoption(
        "--hlc-pki",
        type=Path,
        metavar="DIR",
        help="Certificates that the device trusts and holds, made by `v2g-pki mint`: in place of --hlc-cert, "
        "--hlc-key and --hlc-root, and needed for scenarios below TLS.",
    )
    group.addoption("--hlc-lab-plain-tcp", action="store_true", help="Without TLS, for the laboratory only.")
    group.addoption(
        "--hlc-vehicle", type=Path, metavar="FILE.toml", help="Our vehicle, and the simulated one."
    )
    group.addoption(
        "--hlc-station", type=Path, metavar="FILE.toml", help="Our station, and the simulated one."
    )
    group.addoption(
        "--hlc-relaxed", action="store_true", help="Our timers as long as a slow device may need."
    )
    group.addoption(
        "--hlc-capabilities",
        type=Path,
        metavar="FILE.toml",
        help="What the device supports, for conformance cases; `hlc conformance --template` prints one.",
    )
    group.addoption(
        "--hlc-artifacts",
        type=Path,
        metavar="DIR",
        help="Where the trace and the report of each failed test go [default: pytest's temporary folder].",
    )
    group.addoption(
        "--hlc-parallel",
        action="store_true",
        help="The device bears several tests at once, of the workers of pytest-xdist for example.",
    )


def names_a_device(options: argparse.Namespace) -> bool:
    return any(
        (options.hlc_secc, options.hlc_iface, options.hlc_trigger, options.hlc_vehicle, options.hlc_station)
    ) or bool(options.hlc_capabilities)


@dataclass
class Chosen:
    """What the options say."""

    devices: dict[Role, Device]
    ours: OurSide
    capabilities: Capabilities | None
    parallel: bool

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The named device for one test alone, whatever workers and other runs on this machine there are."""
        if self.parallel:
            yield
            return
        import fcntl

        with self.lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def lock(self) -> Path:
        """The file that says whose turn it is."""
        names = sorted({d.against or d.iface or "" for d in self.devices.values() if not d.simulated})
        name = re.sub(r"[^\w.-]+", "_", "-".join(["hlc", str(os.getuid()), *names]))
        return Path(tempfile.gettempdir()) / f"{name}.lock"


def chosen(options: argparse.Namespace) -> Chosen:
    """UsageError names the option or the file that cannot be used."""
    from iso15118.session.events import Role

    from ..conformance import Capabilities, of_simulator
    from ..scenario.device import Credentials, Device
    from ..scenario.fit import OurSide

    address, iface, plain = options.hlc_secc, options.hlc_iface, options.hlc_lab_plain_tcp
    named = bool(address or iface)
    credentials = Credentials(
        lab_plain_tcp=plain,
        pki=options.hlc_pki,
        cert=options.hlc_cert,
        key=options.hlc_key,
        root=options.hlc_root,
    )
    if options.hlc_trigger and not iface:
        raise pytest.UsageError("--hlc-trigger makes a car connect to us: use it with --hlc-iface")
    if named and not (plain or options.hlc_pki or all((options.hlc_cert, options.hlc_key, options.hlc_root))):
        raise pytest.UsageError(
            "ISO 15118-20 runs over TLS: give --hlc-pki, or --hlc-cert, --hlc-key and --hlc-root, or "
            "--hlc-lab-plain-tcp"
        )
    try:
        device = Device(None, iface, options.hlc_trigger)
        if named:
            device.secure(credentials)
        devices = {
            Role.SECC: replace(device, against=address or (None if iface else "simulator")),
            Role.EVCC: replace(device, against=None if iface else "simulator"),
        }
        for role, item in devices.items():
            item.target(role)  # what cannot be one says so now
        capabilities = None if named else of_simulator()
        if options.hlc_capabilities:
            capabilities = Capabilities.load(options.hlc_capabilities)
            capabilities.tls = capabilities.tls and not plain
        ours = device.named(
            OurSide.load(options.hlc_vehicle, options.hlc_station, relaxed=options.hlc_relaxed)
        )
    except (OSError, ValueError) as error:
        raise pytest.UsageError(str(error)) from error
    return Chosen(devices, ours, capabilities, options.hlc_parallel)
