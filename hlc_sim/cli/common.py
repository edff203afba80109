"""What `hlc secc` and `hlc evcc` share: security, options over files, logging, the run itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from iso15118 import sdp as sdp_messages

from ..transport.link import FrameRecord, FrameSink
from .errors import stop

if TYPE_CHECKING:
    from ..config.trust import TrustConfig
    from ..trace.run import RunTrace
    from ..trust import StationTrust, VehicleTrust

log = logging.getLogger("hlc")


@dataclass(frozen=True, slots=True)
class Secured:
    """How the connection is secured: TLS with these files, or plain TCP in the laboratory.

    The options of the command line go before the table `[trust]` of a configuration file.
    """

    lab_plain_tcp: bool
    pki: Path | None = None
    chain: Path | None = None
    key: Path | None = None
    roots: tuple[Path, ...] = ()
    profile: str | None = None
    keylog: Path | None = None
    eim: bool = False
    """No Plug & Charge."""
    disclose: bool = False

    @property
    def security(self) -> sdp_messages.Security:
        return sdp_messages.Security.NONE if self.lab_plain_tcp else sdp_messages.Security.TLS

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
        values: dict[str, Any] = {"pki": self.pki, "cert": self.chain, "key": self.key, "keylog": self.keylog}
        values = {name: str(path) for name, path in values.items() if path is not None}
        if self.roots:
            values["roots"] = tuple(map(str, self.roots))
        if self.lab_plain_tcp:
            if values.keys() & {"pki", "cert", "key", "roots"}:
                stop("--lab-plain-tcp excludes --pki, --cert, --key and --root")
            return None
        if "pki" in values:  # in place of files that the table names
            values = {"cert": None, "key": None, "roots": (), **values}
        elif "cert" in values:
            values["pki"] = None
        if self.profile is not None:
            values["profile"] = self.profile
        if self.eim:
            values["plug_and_charge"] = False
        config = replace(table, **values)
        if not config.given:
            stop(
                "ISO 15118-20 runs over TLS: give --pki with a directory made by `v2g-pki mint --out DIR`, "
                "or --cert, --key and --root, or --lab-plain-tcp to run it over plain TCP in the laboratory"
            )
        return config


def trace_max(trace: Path | None, megabytes: int | None) -> int | None:
    """Bytes of --trace-max-mb, which only a trace can have."""
    if megabytes is None:
        return None
    if trace is None:
        stop("--trace-max-mb needs --trace")
    return megabytes * 1_000_000


def override(settings: object, **values: object) -> None:
    """Options of the command line go before the file."""
    for name, value in values.items():
        if value is not None:
            setattr(settings, name, value)
    post_init: Callable[[], None] = settings.__post_init__  # type: ignore[attr-defined]
    post_init()


def run(main: Callable[[RunTrace], Any], record: RunTrace) -> bool:
    """Run to the end; True if Ctrl-C ended it. Everything is closed properly either way."""
    try:
        trio.run(main, record)
    except KeyboardInterrupt:
        return True
    except BaseExceptionGroup as group:
        interrupts, others = group.split(KeyboardInterrupt)
        if others is not None:
            raise others from None
        return interrupts is not None
    return False


def log_to_stderr(verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s"
    )


def logging_sink(peer: str) -> FrameSink:
    def record(frame: FrameRecord) -> None:
        name = type(frame.message).__name__ if frame.message is not None else str(frame.error)
        log.debug(
            "%s %4d %s %-34s %d bytes", peer, frame.number, frame.sender.value, name, len(frame.payload)
        )

    return record
