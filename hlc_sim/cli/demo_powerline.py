"""`hlc demo --powerline`: where the vehicle and the station meet over a simulated powerline, each a host in a
network namespace of its own with a modem, a second station in earshot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any

import trio
from rich.console import Console

from iso15118.sdp import Security
from iso15118.slac import EvseSlacConfig, LinkReady, SimulatedLine, SlacMatch

from ..powerline import netns
from ..powerline.cli_common import action_text, match_facts, match_table
from ..powerline.dlink import StationLink, VehicleLink, station_link, until_signalled, vehicle_link
from ..powerline.host import FrameTap
from ..powerline.lab import Lab, enter_user_namespace, powerline_lab, user_namespaces_work
from ..powerline.matching import SlacFailed, evse_slac
from ..powerline.simulated import Powerline
from ..transport import interface as interfaces
from ..transport import sdp, tcp
from .errors import stop

_NEAR, _FAR = 12.0, 31.0
"""Mean attenuation in dB to the station of the plug, and to its neighbour: what a recorded car saw was 26
and 31."""


def prepare() -> None:
    """Root, or a user namespace (in which the command then starts again), or the end with exit code 2."""
    reason = netns.available()
    if reason is None:
        return
    if os.geteuid() != 0 and user_namespaces_work():
        enter_user_namespace()
    stop(f"the simulated powerline cannot be set up here: {reason}; hlc demo without --powerline needs none")


@dataclass
class PowerlineMeeting:
    """The two sides on the line. `security`: what SDP asks for and offers."""

    lab: Lab
    vehicle: VehicleLink
    station: StationLink
    security: Security
    nursery: trio.Nursery
    match: SlacMatch | None = field(default=None, init=False)
    left: bool = field(default=False, init=False)
    """Both modems have keys other than the match's."""

    async def listen(self) -> trio.abc.Listener[trio.SocketStream]:
        with self.lab.on("evse"):
            own = self._interface("evse")
            listener = await tcp.listen(own)
            endpoints = {self.security: listener.socket.getsockname()[1]}
            await self.nursery.start(lambda task_status: sdp.serve(own, endpoints, task_status=task_status))
        return self.station.accepting(listener)

    async def connect(self, sink: sdp.SDPSink | None) -> tuple[trio.SocketStream, str]:
        """SLAC, SDP, TCP: the vehicle's connection, and the peer's name."""
        self.match = await self.vehicle.up()
        with self.lab.on("ev"):
            found = await sdp.discover(self._interface("ev"), security=self.security, sink=sink)
            stream = await tcp.connect(found.socket_address)
        return self.vehicle.carry(stream), f"[{found.response.address}]:{found.response.port}"

    async def part(self) -> None:
        """Both leave the network with new random keys."""
        self.station.over(paused=False)
        await self.vehicle.down(paused=False)
        await self.station.slac.settled()
        modems = self.lab.powerline.modems
        self.left = self.match is not None and all(
            modems[name].nmk != self.match.nmk for name in ("ev", "evse")
        )

    def show(self, console: Console) -> None:
        if self.match is not None:
            console.print("[bold]powerline[/]")
            console.print(match_table(self.match))
            console.print(
                "left         both modems have new random keys" if self.left else "[red]not left[/]"
            )
            console.print()

    def facts(self) -> dict[str, Any]:
        return {"slac": match_facts(self.match), "left": self.left} if self.match is not None else {}

    def _interface(self, name: str) -> interfaces.Interface:
        host = self.lab.hosts[name]
        with netns.inside(host.namespace):
            index = interfaces.find(host.interface).index
        return interfaces.Interface(host.interface, index, IPv6Address(host.address))


@asynccontextmanager
async def powerline(
    console: Console, security: Security, taps: Sequence[FrameTap] = ()
) -> AsyncIterator[PowerlineMeeting]:
    """A line with the vehicle's modem, its station's, and the neighbour's. `taps` get each frame of the
    vehicle and of its station once."""
    line = Powerline(seed=1)
    for name, family, role in (
        ("ev", "qca7005", "EV"),
        ("evse", "qca7000", "EVSE"),
        ("next", "cg5317", "EVSE"),
    ):
        line.add(name, family, "EV" if role == "EV" else "EVSE")
    line.set_attenuation("ev", "evse", _NEAR)
    line.set_attenuation("ev", "next", _FAR)
    pilot = SimulatedLine()
    started = trio.current_time()

    linked = False

    def observe(when: float, action: Any) -> None:
        nonlocal linked
        linked = linked or isinstance(action, LinkReady)
        text = action_text(action, verbose=False)
        if text and not linked:
            console.print(f"[dim]{when - started:7.3f}[/] {text}", highlight=False, emoji=False)

    try:
        async with powerline_lab(line, prefix=f"hlc{os.getpid()}") as lab, trio.open_nursery() as nursery:
            with (
                closing(lab.link("ev")) as ev,
                closing(lab.link("evse")) as evse,
                closing(lab.link("next")) as far,
            ):

                def beside(frame: bytes, sent: bool) -> None:
                    """What the station and its modem say to each other, which the vehicle does not hear."""
                    if ev.mac not in (frame[:6], frame[6:12]):
                        for tap in taps:
                            tap(frame, sent)

                async with (
                    until_signalled(),
                    evse_slac(far, config=EvseSlacConfig(bytes(6), answer_unplugged=True)),
                    station_link(evse, control_pilot=pilot.evse, taps=[beside]) as station,
                    vehicle_link(ev, control_pilot=pilot.ev, observer=observe, taps=list(taps)) as vehicle,
                ):
                    for name, side in (("EV  ", vehicle), ("EVSE", station)):
                        console.print(
                            f"modem of the {name} {side.slac.modem.info}", emoji=False, highlight=False
                        )
                    pilot.plug()
                    yield PowerlineMeeting(lab, vehicle, station, security, nursery)
            nursery.cancel_scope.cancel()
    except netns.NoNamespaces as error:
        stop(f"the simulated powerline cannot be set up here: {error} (in a container: run it privileged)")
    except SlacFailed as error:
        raise ConnectionError(f"powerline: {error}") from None
