"""A trace as a capture for Wireshark: the bytes on the wire in made-up TCP, with the TLS secrets inside."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

from iso15118 import sdp, v2gtp

from . import events as ev
from .load import UnreadableInput, open_input
from .packets import ACK, FIN, PSH, SYN, Endpoint, endpoint, tcp, udp
from .pcap import PcapngWriter

_EVCC = Endpoint(IPv6Address("fe80::e"), 49152)
_SECC = Endpoint(IPv6Address("fe80::5"), 49153)
_MULTICAST = Endpoint(IPv6Address(sdp.MULTICAST_GROUP), sdp.PORT)
_MSS = 1440


class _Flow:
    """One TCP connection, made up from what was said on it. Sequence numbers start at 0."""

    def __init__(self, capture: PcapngWriter, opened: ev.Connection) -> None:
        self._capture = capture
        self.tapped = opened.tapped
        self._ends = {
            "EVCC": endpoint(opened.evcc, _EVCC._replace(port=_EVCC.port + opened.connection)),
            "SECC": endpoint(opened.secc, _SECC),
        }
        self._next = {"EVCC": 0, "SECC": 0}
        self._send(opened.time, "EVCC", SYN)
        self._send(opened.time, "SECC", SYN | ACK)
        self._send(opened.time, "EVCC", ACK)

    def _send(self, time: float, sender: str, flags: int, data: bytes = b"", comment: str = "") -> None:
        peer = "SECC" if sender == "EVCC" else "EVCC"
        packet = tcp(
            self._ends[sender],
            self._ends[peer],
            self._next[sender],
            self._next[peer] if flags & ACK else 0,
            flags,
            data,
        )
        self._capture.packet(time, packet, comment)
        self._next[sender] += len(data) + bool(flags & (SYN | FIN))

    def data(self, time: float, sender: str, data: bytes, comment: str = "") -> None:
        for start in range(0, len(data), _MSS):
            part = data[start : start + _MSS]
            self._send(time, sender, ACK | (PSH if start + _MSS >= len(data) else 0), part, comment)
            comment = ""

    def close(self, time: float, by: str) -> None:
        first = by if by in self._next else "EVCC"
        for sender in (first, "SECC" if first == "EVCC" else "EVCC"):
            self._send(time, sender, FIN | ACK)
        self._send(time, first, ACK)


def export(trace: Path, capture: Path) -> int:
    """Write `capture` (pcapng) from a trace, or from what else `load` reads that is no capture; the number of
    packets written. UnreadableInput, before anything is written.

    Two passes over the file: readers want the secrets before the packets.
    """
    secrets, header = "", None
    for event in _events(trace):
        if isinstance(event, ev.Secret):
            secrets += f"{event.line}\n"
        elif isinstance(event, ev.Header) and header is None:
            header = event
    with capture.open("wb") as stream:
        writer = PcapngWriter(
            stream,
            application=f"hlc-sim {header.version if header else ''}".strip(),
            comment="Payloads and times as recorded; Ethernet, IP and TCP headers are made up.",
            interface=trace.stem,
        )
        if secrets:
            writer.secrets(secrets)
        _packets(writer, _events(trace))
        return writer.packets


def _events(trace: Path) -> Iterator[ev.Event]:
    with open_input(trace) as opened:
        if opened.kind == "capture":
            raise UnreadableInput("it is a capture already")
        yield from opened


def _packets(writer: PcapngWriter, events: Iterator[ev.Event]) -> None:
    flows: dict[int, _Flow] = {}

    def flow(event: ev.Frame | ev.Segment | ev.Closed) -> _Flow:
        if event.connection not in flows:
            # The file begins within the connection. Without its handshake TLS cannot be read: the frames can.
            flows[event.connection] = _Flow(
                writer, ev.Connection(time=event.time, connection=event.connection)
            )
        return flows[event.connection]

    for event in events:
        match event:
            case ev.Connection():
                flows[event.connection] = _Flow(writer, event)
            case ev.Segment() if flow(event).tapped:
                flow(event).data(event.time, event.sender, bytes.fromhex(event.data))
            case ev.Frame() if not flow(event).tapped:
                frame = v2gtp.pack(event.payload_type, bytes.fromhex(event.payload))
                flow(event).data(event.time, event.sender, frame, event.name)
            case ev.Closed():
                flow(event).close(event.time, event.by)
                flows.pop(event.connection, None)
            case ev.SDP():
                ask = event.sender == "EVCC"
                source = endpoint(event.source, _EVCC if ask else _SECC._replace(port=sdp.PORT))
                destination = endpoint(event.destination, _MULTICAST if ask else _EVCC)
                payload = v2gtp.pack(event.payload_type, bytes.fromhex(event.payload))
                writer.packet(event.time, udp(source, destination, payload))
            case ev.SLAC():
                writer.packet(event.time, bytes.fromhex(event.frame), event.name)
            case _:
                pass
