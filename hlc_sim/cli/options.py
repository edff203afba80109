"""Options that several commands have, each declared once.

A dataclass below is a group of options. A command takes one as a parameter and is decorated with `grouped`:
typer then shows the fields of the group as options of their own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from .errors import stop

if TYPE_CHECKING:
    from iso15118 import sdp
    from iso15118.session.events import Role

    from ..config.trust import TrustConfig
    from ..trust import StationTrust, VehicleTrust

SECURITY = "Security"
RECORDING = "Results and recording"


class Mode(StrEnum):
    ac = "ac"
    dc = "dc"
    ac_bpt = "ac_bpt"
    dc_bpt = "dc_bpt"
    mcs = "mcs"
    mcs_bpt = "mcs_bpt"


class Control(StrEnum):
    scheduled = "scheduled"
    dynamic = "dynamic"


class Side(StrEnum):
    secc = "secc"
    evcc = "evcc"

    @property
    def role(self) -> Role:
        from iso15118.session.events import Role

        return Role.SECC if self is Side.secc else Role.EVCC


class Profile(StrEnum):
    iso20 = "iso20"
    lenient = "lenient"


MODES = ", ".join(Mode)

LabPlainTCP = Annotated[
    bool,
    typer.Option(
        "--lab-plain-tcp",
        help="No TLS, against [V2G20-1237] and [V2G20-2356]: for the laboratory only.",
        rich_help_panel=SECURITY,
    ),
]
EIM = Annotated[
    bool,
    typer.Option("--eim", help="No Plug & Charge: authorize by external means.", rich_help_panel=SECURITY),
]
KeyLog = Annotated[
    Path | None,
    typer.Option(
        "--keylog", metavar="FILE", help="Write TLS secrets there (NSS format).", rich_help_panel=SECURITY
    ),
]
ReadKeyLog = Annotated[
    Path | None,
    typer.Option("--keylog", metavar="FILE", help="TLS secrets of captures (NSS key log)."),
]
SDPPort = Annotated[
    int, typer.Option("--sdp-port", metavar="PORT", min=1, max=65535, help="UDP port of SDP.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a side runs, and on what settings."""

    iface: Annotated[
        str, typer.Option("--iface", metavar="NAME", help="Network interface; SDP and TCP use no other.")
    ] = "lo"
    powerline: Annotated[
        bool,
        typer.Option("--powerline", help="Match over the modem on --iface first (SLAC), leave at the end."),
    ] = False
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE.toml", help="Configuration file.")
    ] = None
    speed: Annotated[
        float | None,
        typer.Option("--speed", metavar="N", help="Simulated seconds per second [default: 1]."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What is kept of a run."""

    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace",
            metavar="DIR",
            help="Record everything there: JSON lines, and pcapng for Wireshark.",
            rich_help_panel=RECORDING,
        ),
    ] = None
    trace_max_mb: Annotated[
        int | None,
        typer.Option(
            "--trace-max-mb",
            metavar="MB",
            min=1,
            help="Keep only the latest part of the JSON lines, at most this much (10^6 bytes).",
            rich_help_panel=RECORDING,
        ),
    ] = None
    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write the results there as JSON ('-': standard output).",
            rich_help_panel=RECORDING,
        ),
    ] = None

    def check(self) -> None:
        """That the results can be written, before a session whose results they are."""
        if self.json is not None and str(self.json) != "-":
            self.json.open("a").close()

    @property
    def max_bytes(self) -> int | None:
        """Bytes of --trace-max-mb, which only a trace can have."""
        if self.trace_max_mb is None:
            return None
        if self.trace is None:
            stop("--trace-max-mb needs --trace")
        return self.trace_max_mb * 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """How the connection is secured: TLS with these files, or plain TCP in the laboratory.

    The options of the command line go before the table `[trust]` of a configuration file.
    """

    pki: Annotated[
        Path | None,
        typer.Option(
            "--pki",
            metavar="DIR",
            help="Certificates and keys, made by v2g-pki mint --out DIR.",
            rich_help_panel=SECURITY,
        ),
    ] = None
    cert: Annotated[
        Path | None,
        typer.Option(
            "--cert", metavar="PEM", help="TLS certificate chain, leaf first.", rich_help_panel=SECURITY
        ),
    ] = None
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="PEM", help="Private key of that chain.", rich_help_panel=SECURITY),
    ] = None
    root: Annotated[
        list[Path] | None,
        typer.Option(
            "--root", metavar="PEM", help="Trusted roots of the peer (repeatable).", rich_help_panel=SECURITY
        ),
    ] = None
    profile: Annotated[
        Profile | None,
        typer.Option(
            "--profile",
            help="TLS and chain rules [default: as the PKI was minted, else iso20].",
            rich_help_panel=SECURITY,
        ),
    ] = None
    eim: EIM = False
    lab_plain_tcp: LabPlainTCP = False
    keylog: KeyLog = None
    disclose_secrets: Annotated[
        bool,
        typer.Option(
            "--disclose-secrets",
            help="Send TLS secrets over UDP on the interface, for live decryption with dsV2Gshark.",
            rich_help_panel=SECURITY,
        ),
    ] = False

    @property
    def security(self) -> sdp.Security:
        from iso15118 import sdp

        return sdp.Security.NONE if self.lab_plain_tcp else sdp.Security.TLS

    def station(self, table: TrustConfig) -> StationTrust | None:
        """What a station needs; None in the laboratory. Refuses what is neither."""
        config = self._config(table)
        if config is None:
            return None
        from ..trust import station

        return station(config)

    def vehicle(self, table: TrustConfig) -> VehicleTrust | None:
        """What a vehicle needs; None in the laboratory. Refuses what is neither."""
        config = self._config(table)
        if config is None:
            return None
        from ..trust import vehicle

        return vehicle(config)

    def _config(self, table: TrustConfig) -> TrustConfig | None:
        values: dict[str, Any] = {"pki": self.pki, "cert": self.cert, "key": self.key, "keylog": self.keylog}
        values = {name: str(path) for name, path in values.items() if path is not None}
        if self.root:
            values["roots"] = tuple(map(str, self.root))
        if self.lab_plain_tcp:
            if values.keys() & {"pki", "cert", "key", "roots"}:
                stop("--lab-plain-tcp excludes --pki, --cert, --key and --root")
            return None
        if "pki" in values:  # in place of files that the table names
            values = {"cert": None, "key": None, "roots": (), **values}
        elif "cert" in values:
            values["pki"] = None
        if self.profile is not None:
            values["profile"] = self.profile.value
        if self.eim:
            values["plug_and_charge"] = False
        config = replace(table, **values)
        if not config.given:
            stop(
                "ISO 15118-20 runs over TLS: give --pki with a directory made by `v2g-pki mint --out DIR`, "
                "or --cert, --key and --root, or --lab-plain-tcp to run it over plain TCP in the laboratory"
            )
        return config


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer sees it: fields of the option groups it takes stand for the groups."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind):
            groups[parameter.name] = kind  # type: ignore[assignment]
            of_group = get_type_hints(kind, include_extras=True)
            members = [(item.name, item.default, of_group[item.name]) for item in fields(kind)]
        else:
            members = [(parameter.name, parameter.default, kind)]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
            for name, default, hint in members
        ]

    @functools.wraps(command)
    def flat(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{item.name: values.pop(item.name) for item in fields(group)})
        command(**values)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat
