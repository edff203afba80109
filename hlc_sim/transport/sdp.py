"""SDP on trio: the SECC's server and the EVCC's search, on one explicitly chosen interface."""

from __future__ import annotations

import logging
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address

import trio

from iso15118 import sdp, v2gtp

from .interface import Interface

log = logging.getLogger(__name__)

SDPSink = Callable[[str, int, bytes], None]
"""Told of every SDP frame: direction ("evcc->secc" or "secc->evcc"), payload type, payload."""

_LARGEST_DATAGRAM = 2048


class DiscoveryError(OSError):
    """No SECC answered."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """The SECC that answered first, and the number of requests it took."""

    response: sdp.Response
    interface: Interface
    requests: int

    @property
    def socket_address(self) -> tuple[str, int, int, int]:
        return self.interface.socket_address(self.response.address, self.response.port)


def _socket(interface: Interface) -> trio.socket.SocketType:
    sock = trio.socket.socket(trio.socket.AF_INET6, trio.socket.SOCK_DGRAM)
    sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, 1)
    if hasattr(trio.socket, "SO_BINDTODEVICE"):  # Linux: nothing from or to other interfaces
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_BINDTODEVICE, interface.name.encode() + b"\0")
    return sock


async def serve(
    interface: Interface,
    endpoints: Mapping[sdp.Security, int],
    *,
    udp_port: int = sdp.PORT,
    sink: SDPSink | None = None,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer SDP requests for ever; reports the UDP port as started value.

    `endpoints` gives the TCP port per security on offer. A request is answered with the security it asks for
    if that is on offer, else with what is: TLS is answered with TLS wherever it can be [V2G20-1238]. What is
    not a standard request is ignored, with a line in the log, and never ends the server.
    """
    sock = _socket(interface)
    with sock:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        await sock.bind(("::", udp_port))
        if not interface.is_loopback:
            group = IPv6Address(sdp.MULTICAST_GROUP).packed + struct.pack("@I", interface.index)
            sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_JOIN_GROUP, group)
        task_status.started(sock.getsockname()[1])
        while True:
            data, sender = await sock.recvfrom(_LARGEST_DATAGRAM)
            request = _request(data, sender[0])
            if request is None:
                continue
            security = request.security if request.security in endpoints else next(iter(endpoints))
            response = sdp.Response(interface.address, endpoints[security], security)
            if sink is not None:
                sink("evcc->secc", v2gtp.PayloadType.SDP_REQUEST, request.to_bytes())
                sink("secc->evcc", v2gtp.PayloadType.SDP_RESPONSE, response.to_bytes())
            try:
                await sock.sendto(sdp.datagram(response), sender)
            except OSError as error:
                log.warning("SDP: no answer could be sent to %s: %s", sender[0], error)


def _request(data: bytes, sender: str) -> sdp.Request | None:
    try:
        message = sdp.parse(*v2gtp.unpack(data))
    except (v2gtp.V2GTPError, sdp.SDPError) as error:
        log.warning("SDP: datagram of %d bytes from %s ignored: %s", len(data), sender, error)
        return None
    if not isinstance(message, sdp.Request):
        log.debug("SDP: %s from %s ignored", type(message).__name__, sender)
        return None
    if message.transport is not sdp.Transport.TCP:
        log.warning("SDP: request for transport UDP from %s ignored", sender)
        return None
    return message


async def discover(
    interface: Interface,
    *,
    security: sdp.Security = sdp.Security.TLS,
    udp_port: int = sdp.PORT,
    timeout: float = sdp.REQUEST_TIMEOUT,
    max_requests: int = sdp.MAX_REQUESTS,
    sink: SDPSink | None = None,
) -> Discovered:
    """Ask until an SECC answers. Whether the security of the answer will do is for the caller to decide.

    Raises DiscoveryError after `max_requests` requests, `timeout` seconds apart.
    """
    sock = _socket(interface)
    request = sdp.Request(security)
    destination = interface.socket_address(IPv6Address(interface.sdp_destination), udp_port)
    with sock:
        await _bind_to_dynamic_port(sock)
        if not interface.is_loopback:
            sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_MULTICAST_IF, interface.index)
        for number in range(1, max_requests + 1):
            if sink is not None:
                sink("evcc->secc", v2gtp.PayloadType.SDP_REQUEST, request.to_bytes())
            with trio.move_on_after(timeout):
                # A link that has just come up may refuse the first datagrams; the next attempt follows in any
                # case.
                try:
                    await sock.sendto(sdp.datagram(request), destination)
                except OSError as error:
                    log.debug("SDP: request %d could not be sent: %s", number, error)
                    await trio.sleep_forever()
                response = await _response(sock)
                if sink is not None:
                    sink("secc->evcc", v2gtp.PayloadType.SDP_RESPONSE, response.to_bytes())
                return Discovered(response, interface, number)
    raise DiscoveryError(f"no SECC answered {max_requests} SDP requests on {interface.name}")


async def _response(sock: trio.socket.SocketType) -> sdp.Response:
    while True:
        data, sender = await sock.recvfrom(_LARGEST_DATAGRAM)
        try:
            message = sdp.parse(*v2gtp.unpack(data))
        except (v2gtp.V2GTPError, sdp.SDPError) as error:
            log.warning("SDP: datagram of %d bytes from %s ignored: %s", len(data), sender[0], error)
            continue
        if isinstance(message, sdp.Response) and message.transport is sdp.Transport.TCP and message.port != 0:
            return message
        log.warning("SDP: useless answer from %s ignored: %s", sender[0], message)


async def _bind_to_dynamic_port(sock: trio.socket.SocketType) -> None:
    for _ in range(20):
        try:
            await sock.bind(("::", secrets.choice(sdp.DYNAMIC_PORTS)))
            return
        except OSError:
            continue
    raise DiscoveryError("no free UDP port between 49152 and 65535")
