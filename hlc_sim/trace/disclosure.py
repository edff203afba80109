"""TLS secrets told over UDP while a session runs, so that a capture on the same link decrypts itself live.

The form is what the Wireshark plugin dsV2Gshark reads: lines of an NSS key log in a datagram from a port of
49152 and above. Whoever hears them can read the connection: off unless asked for, on one named interface
only.
"""

from __future__ import annotations

import logging
import secrets
import socket

from iso15118 import sdp

from ..transport.interface import Interface

log = logging.getLogger(__name__)
_DISCARD = 9
"""Destination port: nobody needs to listen, the capture does."""


class SecretDisclosure:
    """Sends each line of a key log as a datagram; call it as TLSConfig.keylog. Errors are logged, never
    raised.
    """

    def __init__(self, interface: Interface) -> None:
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        loopback = interface.is_loopback
        if hasattr(socket, "SO_BINDTODEVICE"):
            self._socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode() + b"\0"
            )
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        if not loopback:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
        address = "::1" if loopback else sdp.MULTICAST_GROUP
        self._destination = (address, _DISCARD, 0, 0 if loopback else interface.index)
        self._bind()

    def _bind(self) -> None:
        for attempt in range(20):
            try:
                self._socket.bind(("::", secrets.choice(sdp.DYNAMIC_PORTS)))
                return
            except OSError:
                if attempt == 19:
                    self._socket.close()
                    raise

    def __call__(self, line: str) -> None:
        try:
            self._socket.sendto(line.strip().encode("ascii") + b"\n", self._destination)
        except OSError as error:
            log.warning("a TLS secret could not be disclosed: %s", error)

    def close(self) -> None:
        self._socket.close()
