"""Captures and traces for `hlc decode`: each message with where it is and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from iso15118 import v2gtp

from . import events as ev
from .load import open_input
from .pcap import is_capture
from .show import sdp_text


def is_recording(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a capture or of a trace of ours."""
    return is_capture(head) or head.startswith(b'{"event":')


def decoded(
    path: Path | None, stream: IO[bytes] | None, keylog: Path | None
) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Place, JSON form and problem (None if there is none) of every message of a capture or trace."""
    with open_input(path, stream, keylog=keylog) as source:
        where = str(path) if path is not None else "standard input"
        for event in source:
            match event:
                case ev.Frame():
                    place = f"{where}, connection {event.connection}, frame {event.number}"
                    head = {
                        "time": event.time,
                        "connection": event.connection,
                        "frame": event.number,
                        "sender": event.sender,
                        "payload_type": v2gtp.describe(event.payload_type),
                    }
                    if event.message is not None:
                        yield place, {**head, event.name: event.message}, None
                    else:
                        yield place, {**head, "payload": event.payload}, event.error
                case ev.SDP():
                    form = {"time": event.time, "sender": event.sender, "SDP": sdp_text(event)}
                    yield where, form, event.error or None
                case ev.SLAC():
                    yield where, {"time": event.time, "SLAC": event.name, **event.fields}, None
                case ev.TLS():
                    form = {"time": event.time, "connection": event.connection, "TLS": event.version}
                    yield where, {**form, "suite": event.suite, "group": event.group}, event.alert or None
                case ev.Damage():
                    place = f"{where}, connection {event.connection}"
                    yield (
                        place,
                        {"time": event.time, "sender": event.sender, "offset": event.offset},
                        event.text,
                    )
                case ev.Note(level="warning" | "error"):
                    yield where, {"time": event.time}, event.text
                case _:
                    pass
