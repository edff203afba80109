"""What `hlc secc` and `hlc evcc` share: security, options over files, logging, the run itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from iso15118 import sdp as sdp_messages

from ..transport.link import FrameRecord, FrameSink
from .errors import stop

if TYPE_CHECKING:
    from ..trace.run import RunTrace
    from ..transport.tls import TLSConfig

log = logging.getLogger("hlc")


@dataclass(frozen=True, slots=True)
class Secured:
    """How the connection is secured: TLS with these files, or plain TCP in the laboratory."""

    lab_plain_tcp: bool
    chain: Path | None = None
    key: Path | None = None
    roots: tuple[Path, ...] = ()
    keylog: Path | None = None
    disclose: bool = False

    @property
    def security(self) -> sdp_messages.Security:
        return sdp_messages.Security.NONE if self.lab_plain_tcp else sdp_messages.Security.TLS

    def tls(self) -> TLSConfig | None:
        """None in the laboratory. Refuses what is neither."""
        if self.lab_plain_tcp:
            if self.chain or self.key or self.roots:
                stop("--lab-plain-tcp and TLS files (--cert, --key, --root) exclude each other")
            return None
        if self.chain is None or self.key is None or not self.roots:
            stop(
                "ISO 15118-20 runs over TLS: give --cert, --key and --root, "
                "or --lab-plain-tcp to run it over plain TCP in the laboratory"
            )
        from ..transport.tls import TLSConfig

        return TLSConfig.load(self.chain, self.key, roots=self.roots, keylog=self.keylog)


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
