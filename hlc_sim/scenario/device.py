"""What a command line says of a device under test, and of our side towards it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from iso15118.session.events import Role
    from pki.hierarchy import Hierarchy

    from ..transport.tls import TLSConfig
    from .fit import OurSide
    from .targets import Target

PlugIn = Annotated[
    str | None,
    typer.Option(
        "--trigger",
        metavar="COMMAND",
        help="Shell command that makes the car plug in; run for each session, ended after it.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OurSettings:
    """What our side is where nothing else sets it."""

    vehicle: Annotated[
        Path | None,
        typer.Option("--vehicle", metavar="FILE.toml", help="Our vehicle where a case does not set it."),
    ] = None
    station: Annotated[
        Path | None,
        typer.Option("--station", metavar="FILE.toml", help="Our station where a case does not set it."),
    ] = None
    relaxed: Annotated[
        bool, typer.Option("--relaxed", help="Our timers as long as a slow device may need.")
    ] = False

    def load(self) -> OurSide:
        """ConfigError names file and key."""
        from .fit import OurSide

        return OurSide.load(self.vehicle, self.station, relaxed=self.relaxed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How the device is spoken to: TLS with the certificates of a hierarchy or of files, or plain TCP."""

    lab_plain_tcp: Annotated[
        bool, typer.Option("--lab-plain-tcp", help="Without TLS, for the laboratory only.")
    ] = False
    pki: Annotated[
        Path | None,
        typer.Option(
            "--pki",
            metavar="DIR",
            help="Certificates that the device trusts and holds, made by `v2g-pki mint`: in place of --cert, "
            "--key and --root, and needed by scenarios that disturb TLS.",
        ),
    ] = None
    cert: Annotated[Path | None, typer.Option("--cert", metavar="PEM", help="TLS chain, leaf first.")] = None
    key: Annotated[Path | None, typer.Option("--key", metavar="PEM", help="Private key of it.")] = None
    root: Annotated[
        list[Path] | None, typer.Option("--root", metavar="PEM", help="Trusted roots (repeatable).")
    ] = None

    def load_tls(self) -> TLSConfig | None:
        """TLS with the files, or None in the laboratory; refuses what is neither."""
        if self.lab_plain_tcp:
            return None
        if self.cert is None or self.key is None or not self.root:
            raise ValueError(
                "ISO 15118-20 runs over TLS: give --pki, or --cert, --key and --root, or --lab-plain-tcp"
            )
        from ..transport.tls import TLSConfig

        return TLSConfig.load(self.cert, self.key, roots=tuple(self.root))


@dataclass
class Device:
    """What the command line says of the device under test."""

    against: str | None
    iface: str | None
    trigger: str | None = None
    tls: TLSConfig | None = None
    pki: Hierarchy | None = None
    plain: bool = False

    def secure(self, credentials: Credentials, *, needed: bool = True) -> None:
        """Load what `credentials` names; `needed` False: having none is no error."""
        self.plain = credentials.lab_plain_tcp
        if credentials.pki is not None:
            from pki.hierarchy import Hierarchy

            self.pki = Hierarchy.load(credentials.pki)
        elif needed:
            self.tls = credentials.load_tls()

    @property
    def simulated(self) -> bool:
        return self.against == "simulator"

    def named(self, ours: OurSide) -> OurSide:
        """Our side with the EVCCID that its certificate states [V2G20-2598], unless it says another."""
        from iso15118.session.events import Role

        tls = self._tls(Role.EVCC)
        if tls is not None and "evcc_id" not in ours.vehicle.evcc:
            from iso15118.security.credentials import common_name

            ours.vehicle.evcc["evcc_id"] = common_name(tls.credentials[0].chain[0])
        return ours

    def target(self, tests: Role) -> Target:
        """The device, of this side."""
        from iso15118.session.events import Role

        from .targets import NetworkEVCC, NetworkSECC, SimulatedEVCC, SimulatedSECC
        from .trigger import Trigger

        secc = tests is Role.SECC
        if self.simulated:
            return SimulatedSECC() if secc else SimulatedEVCC()
        tls = self._tls(tests.other)
        if not secc:
            if self.iface is None:
                raise ValueError("an EVCC connects to us: use --iface")
            trigger = Trigger(self.trigger) if self.trigger else None
            return NetworkEVCC(self.iface, tls, self.pki, trigger=trigger)
        if self.against is None:
            return NetworkSECC(interface=self.iface, tls=tls, pki=self.pki)
        from ..cli.common import host_and_port

        return NetworkSECC(host_and_port(self.against), tls=tls, pki=self.pki)

    def _tls(self, plays: Role) -> TLSConfig | None:
        if self.pki is None or self.plain:
            return self.tls
        from iso15118.session.events import Role

        from ..trust import station_of, vehicle_of

        return station_of(self.pki).tls if plays is Role.SECC else vehicle_of(self.pki).tls
