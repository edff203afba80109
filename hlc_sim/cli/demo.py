"""`hlc demo`: a vehicle and a station in one process, over TLS on loopback, with a live view."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import trio
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from iso15118.session.charger import Charger
from iso15118.session.events import Role
from iso15118.session.services import Family
from pki.hierarchy import Hierarchy

from ..charger import Site
from ..clock import unix_offset
from ..config.common import MODES
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..evcc import ChargeReport, charge
from ..powerline.cli_common import need_scapy
from ..secc import ConnectionReport, Station, serve
from ..trace.run import RunTrace, tracing
from ..transport import interface, tcp
from ..transport.link import FrameRecord, Link
from ..transport.sdp import SDPSink
from ..transport.tls import secure
from ..trust import StationTrust, VehicleTrust, describe, remarks, securing, station_of, vehicle_of
from ..vehicle import Battery, Driver, SimulatedVehicle
from . import summary
from .console import console as made_console
from .errors import Exit
from .options import Recording

if TYPE_CHECKING:
    from .demo_powerline import PowerlineMeeting

_ROWS = 12
_REFRESH = 8.0


class View:
    """What the terminal shows while the session runs; `record` is the link's frame sink."""

    def __init__(self, vehicle: SimulatedVehicle) -> None:
        self._vehicle = vehicle
        self._lines: deque[tuple[int, Role, str, int, int]] = deque(maxlen=_ROWS)
        self._target = vehicle.driver.target_soc
        self.frames = 0

    def record(self, frame: FrameRecord) -> None:
        name = type(frame.message).__name__ if frame.message is not None else "?"
        self.frames = frame.number
        # A charge loop is two names in turn; show them once and count.
        for index in (-2, -1):
            if len(self._lines) >= -index and self._lines[index][2] == name:
                _, role, _, size, times = self._lines[index]
                self._lines[index] = (frame.number, role, name, size + len(frame.payload), times + 1)
                return
        self._lines.append((frame.number, frame.sender, name, len(frame.payload), 1))

    def __rich__(self) -> RenderableType:
        battery = self._vehicle.battery
        messages = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("frame", "", "message", "times", "bytes"):
            messages.add_column(column, justify="right" if column in ("frame", "times", "bytes") else "left")
        for number, role, name, size, times in self._lines:
            arrow = "[cyan]EV  →  [/]" if role is Role.EVCC else "[magenta]  ←  SE[/]"
            messages.add_row(str(number), arrow, name, str(times) if times > 1 else "", str(size))
        power = battery.voltage * battery.current / 1000
        gauge = Table.grid(padding=(0, 2))
        gauge.add_row(
            Text(f"SoC {battery.soc:5.1f} %", style="bold"),
            ProgressBar(total=100, completed=battery.soc, width=40, complete_style="green"),
            Text(f"target {self._target:.0f} %", style="dim"),
        )
        gauge.add_row(
            Text(f"{power:7.1f} kW", style="bold"),
            ProgressBar(
                total=battery.max_charge_power / 1000,
                completed=max(0.0, power),
                width=40,
                complete_style="blue",
            ),
            Text(f"{battery.voltage:.0f} V {battery.current:.0f} A", style="dim"),
        )
        return Group(messages, Text(), gauge)


def _scene(mode: str, control: str, speed: float) -> tuple[VehicleConfig, StationConfig]:
    """A vehicle that needs some minutes of simulated time; a bidirectional one gives energy back first."""
    service = MODES[mode]
    start = 72.0 if service.family is Family.AC else 40.0
    driver = Driver(target_soc=80, v2x_range=(30.0, 90.0))
    site = Site()
    if service.bidirectional and control == "scheduled":
        driver.discharge_first_to = start - 2
    elif service.bidirectional:
        site.set_points = ((0.0, -20_000.0), (240.0, 150_000.0))
    vehicle = VehicleConfig(
        mode=mode,
        control=control,
        speed=speed,
        battery=Battery(soc=start),
        driver=driver,
        evcc={"meter_interval": 1},
    )
    return vehicle, StationConfig(modes=(mode,), speed=speed, site=site)


def _minted(eim: bool, keylog: Path | None) -> tuple[VehicleTrust, StationTrust]:
    """Both sides' certificates, of a hierarchy that lives as long as the demo."""
    hierarchy = Hierarchy.mint()
    vehicle = vehicle_of(hierarchy, plug_and_charge=not eim)
    station = station_of(hierarchy, plug_and_charge=not eim)
    return replace(vehicle, tls=replace(vehicle.tls, keylog=keylog)), station


class Loopback:
    """Where the vehicle and the station meet unless it is over the powerline."""

    async def listen(self) -> trio.abc.Listener[trio.SocketStream]:
        listener = await tcp.listen(interface.find("lo"))
        self._port = listener.socket.getsockname()[1]
        return listener

    async def connect(self, sink: SDPSink | None) -> tuple[trio.SocketStream, str]:
        """The vehicle's connection, and the peer's name."""
        return await tcp.connect(("::1", self._port, 0, 0)), f"[::1]:{self._port}"

    async def part(self) -> None:
        await trio.lowlevel.checkpoint()

    def show(self, console: Console) -> None:
        """What came of the meeting, before the session's summary."""

    def facts(self) -> dict[str, object]:
        return {}


@asynccontextmanager
async def _meeting(
    powerline: bool, console: Console, record: RunTrace, *, tls: bool
) -> AsyncIterator[Loopback | PowerlineMeeting]:
    if not powerline:
        yield Loopback()
        return
    from iso15118.sdp import Security

    from . import demo_powerline

    security = Security.TLS if tls else Security.NONE
    async with demo_powerline.powerline(console, security, record.slac_taps()) as meeting:
        yield meeting


def run_demo(
    recording: Recording,
    *,
    powerline: bool,
    mode: str,
    control: str,
    speed: float,
    lab_plain_tcp: bool,
    eim: bool,
    keylog: Path | None,
) -> None:
    recording.check()
    if powerline:
        need_scapy()
        from .demo_powerline import prepare

        prepare()
    console = made_console(stderr=str(recording.json) == "-")
    settings, station = _scene(mode, control, speed)
    own, its = _minted(eim, keylog) if not lab_plain_tcp else (None, None)
    connections: list[ConnectionReport] = []

    async def run(record: RunTrace) -> tuple[ChargeReport, Loopback | PowerlineMeeting]:
        async with _meeting(powerline, console, record, tls=own is not None) as meeting:
            return await session_of(record, meeting), meeting

    async def session_of(record: RunTrace, meeting: Loopback | PowerlineMeeting) -> ChargeReport:
        outlets: list[Charger] = []
        shared = Station(
            replace(station.session(), **(its.offers if its else {})),
            lambda: station.charger(unix_offset()),
            secure=securing(its.tls) if its else None,
            trust=its.trust if its else None,
            assigned=lambda _, charger: outlets.append(charger),
            finished=connections.append,
        )
        vehicle = settings.vehicle()
        view = View(vehicle)
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, shared, [await meeting.listen()])
            plain, peer = await meeting.connect(record.sdp)
            stream = record.connect(plain, peer, tls=own is not None)
            facts, tolerated = "", tuple[str, ...]()
            if own is not None:
                tls = record.tls_config(own.tls)
                assert tls is not None
                secured = await secure(stream, tls, server_side=False)
                record.tls(peer, secured.facts)
                stream, facts, tolerated = secured, describe(secured.facts), remarks(secured.facts)
            sink = record.sink(
                peer,
                view.record,
                battery=vehicle.battery,
                charger=lambda: outlets[-1] if outlets else None,
            )
            nursery.start_soon(record.watch)
            link = Link(stream, Role.EVCC, sink=sink)
            where = f"[bold]EV and charger on {escape(peer)}[/]"
            console.print(f"{where}, {mode}, {control} control, {speed:g} times real time")
            with Live(view, console=console, auto_refresh=False, transient=False) as live:

                async def refresh() -> None:
                    while console.is_terminal:
                        live.refresh()
                        await trio.sleep(1 / _REFRESH)

                nursery.start_soon(refresh)
                session = replace(settings.session(), **(own.settings if own else {}))
                result = await charge(link, session, vehicle, tls=facts, tls_remarks=tolerated)
                record.closed(peer, result.closed_by.value, result.session.reason, result.session.deviations)
                live.refresh()
            # The station sees the close of the connection; its report comes with it.
            with trio.move_on_after(1):
                while not connections:
                    await trio.sleep(0.01)
            await meeting.part()
            nursery.cancel_scope.cancel()
        return result

    told = {"mode": mode, "control": control, "speed": speed}
    with tracing(
        recording.trace,
        Role.EVCC,
        config=told,
        name=f"demo-{mode}-{control}",
        lab_plain_tcp=lab_plain_tcp,
        max_bytes=recording.max_bytes,
    ) as record:
        result, meeting = trio.run(run, record)
    console.print()
    meeting.show(console)
    summary.show_charge(console, result, "summary")
    if record.path is not None:
        console.print(f"[dim]recorded[/]         {escape(str(record.path))}", soft_wrap=True)
    for connection in connections:
        if connection.deviations:
            console.print("[dim]seen by the charger[/]")
            summary.show_deviations(console, connection.deviations)
    if recording.json is not None:
        summary.write(recording.json, summary.of_charge(result) | meeting.facts())
    if not result.session.ok:
        raise typer.Exit(Exit.FAILED)
