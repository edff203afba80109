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
    from .targets import Target

PlugIn = Annotated[
    str | None,
    typer.Option(
        "--trigger",
        metavar="COMMAND",
        help="Shell command that makes the car plug in; run for each session, ended after it.",
    ),
]
OurVehicle = Annotated[
    Path | None,
    typer.Option("--vehicle", metavar="FILE.toml", help="Our vehicle where a case does not set it."),
]
OurStation = Annotated[
    Path | None,
    typer.Option("--station", metavar="FILE.toml", help="Our station where a case does not set it."),
]
Relaxed = Annotated[bool, typer.Option("--relaxed", help="Our timers as long as a slow device may need.")]


def load_tls(
    lab_plain_tcp: bool, cert: Path | None, key: Path | None, root: list[Path] | None
) -> TLSConfig | None:
    """TLS with these files, or None in the laboratory; refuses what is neither."""
    if lab_plain_tcp:
        return None
    if cert is None or key is None or not root:
        raise ValueError("ISO 15118-20 runs over TLS: give --cert, --key and --root, or --lab-plain-tcp")
    from ..transport.tls import TLSConfig

    return TLSConfig.load(cert, key, roots=tuple(root))


@dataclass
class Device:
    """What the command line says of the device under test."""

    against: str | None
    iface: str | None
    trigger: str | None = None
    tls: TLSConfig | None = None
    pki: Hierarchy | None = None
    plain: bool = False

    def secure(
        self,
        pki: Path | None,
        lab_plain_tcp: bool,
        files: tuple[Path | None, Path | None, list[Path] | None],
        *,
        needed: bool = True,
    ) -> None:
        """How it is spoken to: TLS with the certificates of a hierarchy or of files, or plain TCP."""
        self.plain = lab_plain_tcp
        if pki is not None:
            from pki.hierarchy import Hierarchy

            self.pki = Hierarchy.load(pki)
        elif needed:
            self.tls = load_tls(lab_plain_tcp, *files)

    @property
    def simulated(self) -> bool:
        return self.against == "simulator"

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
