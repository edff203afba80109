"""What a trace is made of: one event per line of JSON, told apart by its `event`.

`time` is Unix s throughout; bytes are hexadecimal. A frame is a V2GTP frame on TCP or TLS; its `payload` is
what counts, `message` is the same decoded for the reader. Segments are the bytes of the TCP connection as
they were on the wire, so ciphertext in a TLS connection; with the secrets they make a capture that
Wireshark decrypts.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

FORMAT = 1


class _Event(msgspec.Struct, tag_field="event", omit_defaults=True, kw_only=True):
    time: float


class Header(_Event, tag="header"):
    """First line of every file: enough to run the same again."""

    format: int = FORMAT
    version: str = ""
    """Of the distribution that wrote the trace."""
    command: list[str] = []
    role: str = ""
    """"EVCC" or "SECC", whose side the trace was taken on; "" for an observer of both."""
    config: dict[str, Any] = {}
    seed: int | None = None
    lab_plain_tcp: bool = False
    """ISO 15118-20 without TLS was asked for, which the standard forbids."""
    part: int = 1
    """Counts the files of a size-bounded trace."""


class Connection(_Event, tag="connection"):
    """A TCP connection opened. Endpoints as "[fe80::1]:49152"."""

    connection: int
    evcc: str = ""
    secc: str = ""
    tapped: bool = False
    """The bytes on the wire follow as segments; else frames are all there is of them."""


class Closed(_Event, tag="closed"):
    """A TCP connection ended; `by` is the role that closed it first, "" if unknown."""

    connection: int
    by: str = ""
    reason: str = ""


class Frame(_Event, tag="frame"):
    connection: int
    number: int
    """Counts the frames of the connection, both ways, from 1."""
    sender: str
    payload_type: int
    payload: str
    name: str = ""
    """Element name of the message."""
    message: dict[str, Any] | None = None
    error: str = ""
    """Why the payload is no message."""
    before: str = ""
    after: str = ""
    """Phase of the session around the frame, by the sequence table."""


class Segment(_Event, tag="segment"):
    """Bytes of a TCP connection in one direction, in order."""

    connection: int
    sender: str
    data: str


class Damage(_Event, tag="damage"):
    """Bytes on a connection that are no V2GTP frame; `offset` is their place in the sender's stream."""

    connection: int
    sender: str
    offset: int
    text: str


class SDP(_Event, tag="sdp"):
    """A datagram of the SECC discovery."""

    sender: str
    payload_type: int
    payload: str
    source: str = ""
    destination: str = ""
    error: str = ""


class SLAC(_Event, tag="slac"):
    """A HomePlug Green PHY management message, the whole Ethernet frame."""

    frame: str
    name: str = ""
    fields: dict[str, Any] = {}


class TLS(_Event, tag="tls"):
    """What a handshake settled, or how it failed."""

    connection: int
    version: str = ""
    """"TLSv1.3", "TLSv1.2"."""
    suite: str = ""
    group: str = ""
    client_certificates: list[str] = []
    """Chains as sent, leaf first, DER."""
    server_certificates: list[str] = []
    mutual: bool | None = None
    """Both sides sent a certificate; None where that was not seen."""
    alert: str = ""
    verdict: str = ""


class Secret(_Event, tag="secret"):
    """A line of an NSS key log. Whoever has it can decrypt the connection."""

    line: str


class Deviation(_Event, tag="deviation"):
    """What a side of the session reported while it ran; the judge makes its own findings."""

    connection: int
    severity: str
    text: str
    expected: str = ""
    offender: str = ""
    message: str = ""
    frame: int = 0
    requirement: str = ""


class Sample(_Event, tag="sample"):
    """Values of a physical model, SI units, power positive when it charges: `soc` in %, `power` W,
    `voltage` V, `current` A, energies in Wh, switches 0 or 1, ...
    """

    source: str
    """"vehicle" or "charger"."""
    values: dict[str, float]
    connection: int = 0
    """Whose session it is about; 0: the latest."""


class Note(_Event, tag="note"):
    text: str
    level: str = "info"


Event: TypeAlias = (
    Header
    | Connection
    | Closed
    | Frame
    | Segment
    | Damage
    | SDP
    | SLAC
    | TLS
    | Secret
    | Deviation
    | Sample
    | Note
)
