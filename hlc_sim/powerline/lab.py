"""The powerline lab: a namespace per host, each with an interface to its own modem on a simulated powerline.

    powerline = Powerline(seed=1)
    powerline.add("ev", "qca7000", "EV"); powerline.add("evse", "qca7000", "EVSE")
    async with powerline_lab(powerline) as lab:
        match = await match_ev(lab.link("ev"))
        subprocess.run([*lab.command("evse"), "tcpdump", "-i", "plc0"])

Foreign programs run in the namespaces as if there were a modem on their interface. Needs root or a user
namespace.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, NoReturn

import trio

from iso15118.slac.messages import Mac

from . import netns
from .attach import RunningPowerline
from .host import single_exceptions
from .rawsocket import RawLink
from .simulated import Powerline
from .simulated_modem import SimulatedModem

Attachment = Literal["tap", "veth"]


@dataclass(frozen=True, slots=True)
class LabHost:
    """interface and mac are the host's own; address: its link-local IPv6 address."""

    name: str
    namespace: str
    interface: str
    mac: Mac

    @property
    def address(self) -> str:
        return netns.link_local(self.mac)


_namespace: ContextVar[str | None] = ContextVar("namespace", default=None)


class _HostSockets(trio.abc.SocketFactory):
    """Makes sockets in the namespace of the host that the task is on."""

    def socket(
        self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0
    ) -> trio.socket.SocketType:
        name = _namespace.get()
        with netns.inside(name) if name else nullcontext():
            made = socket.socket(family, type, proto)
        return trio.socket.from_stdlib_socket(made)


@dataclass(slots=True)
class Lab:
    powerline: Powerline
    running: RunningPowerline
    hosts: dict[str, LabHost] = field(default_factory=dict)
    ports: dict[str, TapPort | VethPort] = field(default_factory=dict)

    def link(self, name: str, ethertype: int | None = 0x88E1) -> RawLink:
        """A raw socket on a host's interface, to be used from this process."""
        host = self.hosts[name]
        return RawLink(host.interface, ethertype, namespace=host.namespace)

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Trio sockets made inside, here and in tasks started here, are that host's."""
        before = _namespace.set(self.hosts[name].namespace)
        try:
            yield
        finally:
            _namespace.reset(before)

    def command(self, name: str) -> list[str]:
        """What to put before a command line to run it on that host."""
        return ["ip", "netns", "exec", self.hosts[name].namespace]


class TapPort:
    """Frames between a TAP interface and its modem; with several in ``modems``, a switch."""

    def __init__(self, descriptor: int, running: RunningPowerline, modem: SimulatedModem) -> None:
        self.descriptor = descriptor
        self.dropped = 0
        self.modems = [modem]
        self._running = running

    def deliver(self, frame: bytes) -> None:
        try:
            os.write(self.descriptor, frame)
        except (BlockingIOError, OSError):
            self.dropped += 1  # interface down or its queue full

    async def run(self) -> None:
        burst = 0
        while True:
            try:
                frame = os.read(self.descriptor, 65536)
            except BlockingIOError:
                burst = 0
                await trio.lowlevel.wait_readable(self.descriptor)
                continue
            for modem in self.modems:
                self._running.transmit(modem, frame)
            burst += 1
            if burst >= 64:
                burst = 0
                await trio.lowlevel.checkpoint()

    def close(self) -> None:
        os.close(self.descriptor)


class VethPort:
    """Frames between a modem and our end of a veth pair."""

    def __init__(self, link: RawLink, running: RunningPowerline, modem: SimulatedModem) -> None:
        self._link = link
        self._running = running
        self._modem = modem

    def deliver(self, frame: bytes) -> None:
        with suppress(OSError):  # a frame lost, as on the line
            self._link.send(frame)

    async def run(self) -> None:
        while True:
            self._running.transmit(self._modem, await self._link.receive())

    def close(self) -> None:
        self._link.close()
        netns.delete_link(self._link.interface)


def _attach(
    running: RunningPowerline, modem: SimulatedModem, host: LabHost, how: Attachment
) -> TapPort | VethPort:
    if how == "tap":
        return TapPort(netns.create_tap(host.namespace, host.interface, host.mac), running, modem)
    outside = f"p{os.getpid() % 100000}{modem.name}"[:15]
    netns.create_veth(host.namespace, host.interface, host.mac, outside)
    return VethPort(RawLink(outside, None), running, modem)


def best_attachment() -> Attachment:
    return "tap" if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "veth"


@asynccontextmanager
async def powerline_lab(
    powerline: Powerline,
    *,
    prefix: str = "hlc",
    interface: str = "plc0",
    attachment: Attachment | None = None,
) -> AsyncIterator[Lab]:
    """One namespace ``<prefix>-<modem's name>`` per modem, gone again at the end, whatever ends it.

    NoNamespaces with the reason where that is not possible.
    """
    reason = netns.available()
    if reason:
        raise netns.NoNamespaces(reason)
    attachment = attachment or best_attachment()
    running = RunningPowerline(powerline)
    lab = Lab(powerline, running)
    made: list[str] = []
    sockets = trio.socket.set_custom_socket_factory(_HostSockets())
    try:
        async with single_exceptions(), trio.open_nursery() as nursery:
            for number, modem in enumerate(powerline.modems.values(), 1):
                mac = bytes([0x02, 0x48, 0x4C, 0x43, 0x00, number])
                host = LabHost(modem.name, f"{prefix}-{modem.name}", interface, mac)
                netns.must_be_free(host.namespace)
                made.append(host.namespace)  # before it is there: Ctrl-C must not come between the two
                netns.create(host.namespace)
                port = _attach(running, modem, host, attachment)
                lab.ports[modem.name] = port
                running.attach(modem, port)
                nursery.start_soon(port.run)
                lab.hosts[modem.name] = host
            nursery.start_soon(running.run)
            yield lab
            nursery.cancel_scope.cancel()
    finally:
        trio.socket.set_custom_socket_factory(sockets)
        for port in lab.ports.values():
            port.close()
        for name in made:
            netns.delete(name)


_UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount")


def user_namespaces_work() -> bool:
    """Whether ``enter_user_namespace`` would be allowed."""
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def enter_user_namespace() -> NoReturn:
    """Start this command again as root of a user namespace of its own, where labs can be made without
    privileges.

    Does not return. OSError where the system forbids it (Ubuntu:
    kernel.apparmor_restrict_unprivileged_userns).
    """
    again = shlex.join([sys.executable, *sys.orig_argv[1:]])
    script = f"mount -t tmpfs tmpfs /run && HLC_USER_NAMESPACE=1 exec {again}"
    os.execvp("unshare", [*_UNSHARE, "sh", "-c", script])
