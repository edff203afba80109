"""What `hlc secc` and `hlc evcc` share: options over files, addresses, logging, the run itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from iso15118.session.events import Role

from ..trace.run import RunTrace, tracing
from ..transport import interface as interfaces
from ..transport.link import FrameRecord, FrameSink

if TYPE_CHECKING:
    from ..transport.interface import Interface
    from .options import Recording, Secured

log = logging.getLogger("hlc")


def override(settings: object, **values: object) -> None:
    """Options of the command line go before the file."""
    for name, value in values.items():
        if value is not None:
            setattr(settings, name, value)
    post_init: Callable[[], None] = settings.__post_init__  # type: ignore[attr-defined]
    post_init()


def run(
    main: Callable[[RunTrace], Any],
    role: Role,
    settings: object,
    interface: Interface | None,
    security: Secured,
    recording: Recording,
) -> bool:
    """Run a side to the end, recorded if that is wanted; True if Ctrl-C ended it. Everything is closed
    properly either way, and the recording named.
    """
    record = None
    try:
        with _recorded(role, settings, interface, security, recording) as record:
            return _until_interrupted(main, record)
    finally:
        if record is not None and record.path is not None:
            log.info("recorded: %s", record.path)


def _recorded(
    role: Role, settings: object, interface: Interface | None, security: Secured, recording: Recording
) -> AbstractContextManager[RunTrace]:
    return tracing(
        recording.trace,
        role,
        config=msgspec.to_builtins(settings, enc_hook=str),
        disclose=interface if security.disclose_secrets else None,
        lab_plain_tcp=security.lab_plain_tcp,
        max_bytes=recording.max_bytes,
    )


def _until_interrupted(main: Callable[[RunTrace], Any], record: RunTrace) -> bool:
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


def host_and_port(text: str) -> tuple[str, int] | tuple[str, int, int, int]:
    """ "host:port" or "[ipv6%iface]:port". ValueError if it is neither."""
    host, _, port = text.rpartition(":")
    bare = ":" in host and not host.startswith("[")  # '::1' ends in what looks like a port
    if not host or bare or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT (IPv6 addresses in brackets: [fe80::1%eth0]:50000)")
    host = host.removeprefix("[").removesuffix("]")
    address, _, scope = host.partition("%")
    if scope:
        try:
            return interfaces.find(scope).socket_address(IPv6Address(address), int(port))
        except AddressValueError:
            raise ValueError(f"{text!r}: {address!r} is no IPv6 address") from None
    if address.lower().startswith("fe80:"):
        raise ValueError(f"{text!r}: a link-local address needs its interface: [{address}%eth0]:{port}")
    return host, int(port)
