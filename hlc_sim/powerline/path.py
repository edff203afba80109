"""Does the link carry packets of every size? By ICMPv6 echo, unfragmented. Linux only; needs CAP_NET_RAW."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import nullcontext

import trio

from . import netns
from .interface import Interface

_ECHO_REQUEST, _ECHO_REPLY = 128, 129
_ICMP6_FILTER = 1
_ONLY_REPLIES = struct.pack(
    "=8I", *(0xFFFFFFFF & ~(word == 4 and 1 << 1) for word in range(8))
)  # 129 = 4 * 32 + 1
_IPV6_DONTFRAG = 62
_HEADERS = 48  # IPv6 and ICMPv6


async def echo(
    interface: Interface, destination: str, size: int, *, namespace: str | None = None, timeout: float = 0.5
) -> str | None:
    """Send an IPv6 packet of `size` bytes that asks for an echo; the address of the first host that answers,
    None without one. OSError if it cannot be sent."""
    with netns.inside(namespace) if namespace else nullcontext():
        raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    with trio.socket.from_stdlib_socket(raw) as sock:
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _ONLY_REPLIES)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        mark = os.urandom(8)
        request = struct.pack("!BBH", _ECHO_REQUEST, 0, 0) + mark[:4]  # the kernel fills in the checksum
        request += mark.ljust(size - _HEADERS, b"\0")
        with trio.move_on_after(timeout):
            await sock.sendto(request, (destination, 0, 0, interface.index))
            while True:
                answer, sender = await sock.recvfrom(65536)
                if answer[:1] == bytes([_ECHO_REPLY]) and answer[4:] == request[4:]:
                    return str(sender[0]).partition("%")[0]
    return None


async def widest(
    interface: Interface, sizes: tuple[int, ...], namespace: str | None = None
) -> tuple[str, int]:
    """A host on the link and the largest of `sizes` (bytes of an IPv6 packet, falling) that it answers; 0 if
    it answers none of them, and no address without a host."""
    peer = await echo(interface, "ff02::1", 100, namespace=namespace)
    if peer is None:
        return "", 0
    for size in sizes:
        for _ in range(3):  # lines lose frames
            if await echo(interface, peer, size, namespace=namespace):
                return peer, size
    return peer, 0
