"""Network interfaces by name: their index, and the IPv6 address that peers on the link can reach."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv6Address

from iso15118 import sdp

LOOPBACK = IPv6Address("::1")


class InterfaceError(OSError):
    """There is no such interface, or it has no usable address."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that SDP and TCP are bound to.

    The loopback interface has no link-local address and no multicast on Linux: there, SDP goes by unicast to
    ::1.
    """

    name: str
    index: int
    address: IPv6Address

    @property
    def is_loopback(self) -> bool:
        return self.address == LOOPBACK

    @property
    def sdp_destination(self) -> str:
        return str(LOOPBACK) if self.is_loopback else sdp.MULTICAST_GROUP

    def socket_address(self, address: IPv6Address, port: int) -> tuple[str, int, int, int]:
        """For `bind`, `connect` and `sendto`: link-local addresses need the scope of the interface."""
        return str(address), port, 0, self.index if address.is_link_local or address.is_multicast else 0


def find(name: str) -> Interface:
    """The interface called `name`, with its link-local address (::1 for the loopback interface)."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        known = ", ".join(sorted(label for _, label in socket.if_nameindex()))
        raise InterfaceError(f"there is no network interface {name!r} (there are: {known})") from None
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a UDP socket sends nothing; it makes the kernel choose the source address for the
            # link.
            probe.connect((sdp.MULTICAST_GROUP, sdp.PORT, 0, index))
            address = IPv6Address(probe.getsockname()[0].partition("%")[0])
        except OSError:
            address = None
    if address is None or address == LOOPBACK:
        if not name.startswith("lo"):
            raise InterfaceError(f"{name} has no IPv6 link-local address: is it up?")
        address = LOOPBACK
    return Interface(name, index, address)
