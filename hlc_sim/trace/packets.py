"""Ethernet, IPv6, UDP and TCP, as far as V2G traffic needs them: built for captures of ours, taken apart in
others.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

_IPV4, _IPV6, HOMEPLUG_AV = 0x0800, 0x86DD, 0x88E1
_VLANS = frozenset({0x8100, 0x88A8, 0x9100})
_TCP, _UDP = 6, 17
_EXTENSIONS = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options
_FRAGMENT, _AUTHENTICATION = 44, 51
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10


class Endpoint(NamedTuple):
    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}"


def endpoint(text: str, default: Endpoint) -> Endpoint:
    """The endpoint in "[address%scope]:port" or "address:port"; the default if it is in neither form."""
    host, _, port = text.rpartition(":")
    try:
        address = IPv6Address(host.strip("[]").partition("%")[0])
    except ValueError:
        try:
            address = IPv6Address(f"::ffff:{IPv4Address(host)}")
        except ValueError:
            return default
    return Endpoint(address, int(port)) if port.isdigit() and int(port) < 65536 else default


class Segment(NamedTuple):
    """What a packet carries: TCP (with flags), UDP (flags 0), both with endpoints."""

    tcp: bool
    source: Endpoint
    destination: Endpoint
    payload: bytes
    sequence: int = 0
    flags: int = 0


class Management(NamedTuple):
    """A HomePlug AV management message: the whole Ethernet frame."""

    frame: bytes


class UnknownLink(ValueError):
    """A link layer that is not read here."""


def parse(link_type: int, data: bytes) -> Segment | Management | None:
    """The part of a captured packet that matters here; None if there is none, also for damaged packets.

    UnknownLink for a link layer that is not read.
    """
    try:
        ethertype, payload = _link(link_type, data)
        while ethertype in _VLANS:
            ethertype, payload = int.from_bytes(payload[2:4], "big"), payload[4:]
        if ethertype == HOMEPLUG_AV:
            return Management(data if link_type == 1 else bytes(12) + b"\x88\xe1" + payload)
        if ethertype == _IPV6:
            return _ipv6(payload)
        if ethertype == _IPV4:
            return _ipv4(payload)
    except (struct.error, IndexError):
        pass
    return None


def _link(link_type: int, data: bytes) -> tuple[int, bytes]:
    match link_type:
        case 1:  # Ethernet
            return int.from_bytes(data[12:14], "big"), data[14:]
        case 113:  # Linux cooked
            return int.from_bytes(data[14:16], "big"), data[16:]
        case 276:  # Linux cooked, version 2
            return int.from_bytes(data[0:2], "big"), data[20:]
        case 12 | 14 | 101 | 228 | 229:  # raw IP
            return {4: _IPV4, 6: _IPV6}.get(data[0] >> 4, 0), data
        case 0 | 108:  # BSD loopback: a protocol family, 2 for IPv4 and several numbers for IPv6
            return {4: _IPV4, 6: _IPV6}.get(data[4] >> 4, 0), data[4:]
        case 9 | 50:  # PPP
            start = 4 if data[:2] == b"\xff\x03" else 2
            return {0x21: _IPV4, 0x57: _IPV6}.get(int.from_bytes(data[start - 2 : start], "big"), 0), data[
                start:
            ]
        case _:
            raise UnknownLink(
                f"link type {link_type} is not read here; convert the capture with `editcap` or `tshark`"
            )


def _ipv6(packet: bytes) -> Segment | None:
    _, length, following, _ = struct.unpack_from("!IHBB", packet)
    source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    body = packet[40 : 40 + length] if length else packet[40:]
    while following in _EXTENSIONS or following == _AUTHENTICATION:
        size = (body[1] + 2) * 4 if following == _AUTHENTICATION else (body[1] + 1) * 8
        following, body = body[0], body[size:]
    if following == _FRAGMENT:
        if int.from_bytes(body[2:4], "big") & 0xFFF9:
            return None  # one of several fragments; V2G traffic has none
        following, body = body[0], body[8:]
    return _transport(following, source, destination, body)


def _ipv4(packet: bytes) -> Segment | None:
    size, total = (packet[0] & 0x0F) * 4, int.from_bytes(packet[2:4], "big")
    if int.from_bytes(packet[6:8], "big") & 0x3FFF:
        return None  # a fragment
    return _transport(
        packet[9], IPv4Address(packet[12:16]), IPv4Address(packet[16:20]), packet[size : total or len(packet)]
    )


def _transport(
    protocol: int, source: IPv4Address | IPv6Address, destination: IPv4Address | IPv6Address, body: bytes
) -> Segment | None:
    if protocol == _UDP:
        source_port, destination_port, length, _ = struct.unpack_from("!HHHH", body)
        ends = Endpoint(source, source_port), Endpoint(destination, destination_port)
        return Segment(False, *ends, body[8 : max(length, 8)])
    if protocol == _TCP:
        source_port, destination_port, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", body)
        ends = Endpoint(source, source_port), Endpoint(destination, destination_port)
        return Segment(True, *ends, body[(offset >> 4) * 4 :], sequence, flags)
    return None


# -- building ------------------------------------------------------------------------------------------------


def ethernet(ethertype: int, payload: bytes, source: bytes, destination: bytes) -> bytes:
    return destination + source + ethertype.to_bytes(2, "big") + payload


def mac_of(address: IPv4Address | IPv6Address) -> bytes:
    """A locally administered MAC address for an IP address; multicast groups have theirs (RFC 2464)."""
    if address.is_multicast:
        return b"\x33\x33" + address.packed[-4:]
    return b"\x02" + address.packed[-5:]


def udp(source: Endpoint, destination: Endpoint, payload: bytes) -> bytes:
    """The Ethernet frame of a datagram."""
    head = struct.pack("!HHHH", source.port, destination.port, 8 + len(payload), 0)
    return _packet(_UDP, source, destination, head, 6, payload)


def tcp(
    source: Endpoint,
    destination: Endpoint,
    sequence: int,
    acknowledged: int,
    flags: int,
    payload: bytes,
) -> bytes:
    """The Ethernet frame of a segment without options."""
    head = struct.pack(
        "!HHIIBBHHH",
        source.port,
        destination.port,
        sequence & 0xFFFFFFFF,
        acknowledged & 0xFFFFFFFF,
        5 << 4,
        flags,
        65535,
        0,
        0,
    )
    return _packet(_TCP, source, destination, head, 16, payload)


def _packet(
    protocol: int, source: Endpoint, destination: Endpoint, head: bytes, at: int, payload: bytes
) -> bytes:
    """`at` is where the checksum goes in the transport header."""
    length = len(head) + len(payload)
    addresses = source.address.packed + destination.address.packed
    checksum = _checksum(addresses + struct.pack("!II", length, protocol) + head + payload) or 0xFFFF
    body = head[:at] + checksum.to_bytes(2, "big") + head[at + 2 :] + payload
    packet = struct.pack("!IHBB", 6 << 28, length, protocol, 255) + addresses + body
    return ethernet(_IPV6, packet, mac_of(source.address), mac_of(destination.address))


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
