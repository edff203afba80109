"""SDP on trio: the SECC's server and the EVCC's search, on one explicitly chosen interface."""

from __future__ import annotations

import errno
import logging
import secrets
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any, Protocol

import trio

from iso15118 import sdp, v2gtp

from .interface import Interface

log = logging.getLogger(__name__)

SDPSink = Callable[[str, int, bytes], None]
"""Told of every SDP frame: direction ("evcc->secc" or "secc->evcc"), payload type, payload."""

LARGEST_DATAGRAM = 2048


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


class Datagrams(Protocol):
    """A UDP socket, or what takes its place in memory."""

    def sendto(self, data: bytes, address: Any, /) -> Awaitable[int]: ...

    def recvfrom(self, size: int, /) -> Awaitable[tuple[bytes, Any]]: ...


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
    with await server_socket(interface, udp_port) as sock:
        task_status.started(sock.getsockname()[1])
        await answer(sock, interface.address, endpoints, sink=sink)


async def server_socket(interface: Interface, udp_port: int = sdp.PORT) -> trio.socket.SocketType:
    """Where requests arrive: bound to the SDP port, and a member of its group. Several stations can share the
    port; the log says so, since a car then gets several answers.
    """
    sock = _socket(interface)
    try:
        await _bind(sock, interface, udp_port)
    except OSError as error:
        sock.close()
        raise OSError(
            error.errno, f"cannot listen on UDP port {udp_port} of {interface.name}: {error.strerror}"
        ) from None
    if not interface.is_loopback:
        group = IPv6Address(sdp.MULTICAST_GROUP).packed + struct.pack("@I", interface.index)
        sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_JOIN_GROUP, group)
    return sock


async def _bind(sock: trio.socket.SocketType, interface: Interface, port: int) -> None:
    try:
        await sock.bind(("::", port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        await sock.bind(("::", port))
        log.warning(
            "another station on this machine listens on UDP port %d of %s, too: a car takes the first answer",
            port,
            interface.name,
        )
    else:  # for the station that comes after
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)


async def answer(
    sock: Datagrams,
    address: IPv6Address,
    endpoints: Mapping[sdp.Security, int],
    *,
    sink: SDPSink | None = None,
) -> None:
    """Answer the requests that arrive at a socket; see `serve`."""
    while True:
        data, sender = await sock.recvfrom(LARGEST_DATAGRAM)
        request = _request(data, sender[0])
        if request is None:
            continue
        response = _response_to(request, address, endpoints)
        if sink is not None:
            sink("evcc->secc", v2gtp.PayloadType.SDP_REQUEST, request.to_bytes())
            sink("secc->evcc", v2gtp.PayloadType.SDP_RESPONSE, response.to_bytes())
        try:
            await sock.sendto(sdp.datagram(response), sender)
        except OSError as error:
            log.warning("SDP: no answer could be sent to %s: %s", sender[0], error)


def reply(
    data: bytes, sender: str, address: IPv6Address, endpoints: Mapping[sdp.Security, int]
) -> bytes | None:
    """The datagram that answers a datagram, None for what is to be ignored: `answer` without a socket."""
    request = _request(data, sender)
    return None if request is None else sdp.datagram(_response_to(request, address, endpoints))


def _response_to(
    request: sdp.Request, address: IPv6Address, endpoints: Mapping[sdp.Security, int]
) -> sdp.Response:
    security = request.security if request.security in endpoints else next(iter(endpoints))
    return sdp.Response(address, endpoints[security], security)


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
    destination = interface.socket_address(IPv6Address(interface.sdp_destination), udp_port)
    with await client_socket(interface) as sock:
        response, number = await ask(
            sock,
            destination,
            security=security,
            timeout=timeout,
            max_requests=max_requests,
            sink=sink,
            where=interface.name,
        )
        return Discovered(response, interface, number)


async def client_socket(interface: Interface) -> trio.socket.SocketType:
    """Where requests are sent from: a dynamic port, multicast through the interface."""
    sock = _socket(interface)
    await _bind_to_dynamic_port(sock)
    if not interface.is_loopback:
        sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_MULTICAST_IF, interface.index)
    return sock


async def ask(
    sock: Datagrams,
    destination: Any,
    *,
    security: sdp.Security = sdp.Security.TLS,
    timeout: float = sdp.REQUEST_TIMEOUT,
    max_requests: int = sdp.MAX_REQUESTS,
    sink: SDPSink | None = None,
    where: str = "this link",
) -> tuple[sdp.Response, int]:
    """Ask through a socket until an SECC answers; its answer and the number of requests. See `discover`."""
    request = sdp.Request(security)
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
            return response, number
    raise DiscoveryError(
        f"no SECC answered {max_requests} SDP requests on {where}; is it on this interface, and ready?"
    )


def check_security(response: sdp.Response, wanted: sdp.Security) -> None:
    """DiscoveryError if the SECC offers another security than was asked for: -20 goes over TLS or, in the
    laboratory, without, but never over what came instead [V2G20-1237].
    """
    if response.security is not wanted:
        offered, asked = ("TLS", "none") if response.security is sdp.Security.TLS else ("no TLS", "TLS")
        raise DiscoveryError(
            f"the SECC at [{response.address}]:{response.port} offers {offered}, and {asked} was asked for"
        )


async def _response(sock: Datagrams) -> sdp.Response:
    while True:
        data, sender = await sock.recvfrom(LARGEST_DATAGRAM)
        found = useful(data, sender[0])
        if found is not None:
            return found


def useful(data: bytes, sender: str) -> sdp.Response | None:
    """The answer in a datagram, if an EVCC can use it: what `ask` takes for one, without a socket."""
    try:
        message = sdp.parse(*v2gtp.unpack(data))
    except (v2gtp.V2GTPError, sdp.SDPError) as error:
        log.warning("SDP: datagram of %d bytes from %s ignored: %s", len(data), sender, error)
        return None
    if isinstance(message, sdp.Response) and message.transport is sdp.Transport.TCP and message.port != 0:
        return message
    log.warning("SDP: useless answer from %s ignored: %s", sender, message)
    return None


async def _bind_to_dynamic_port(sock: trio.socket.SocketType) -> None:
    for _ in range(20):
        try:
            await sock.bind(("::", secrets.choice(sdp.DYNAMIC_PORTS)))
            return
        except OSError:
            continue
    raise DiscoveryError("no free UDP port between 49152 and 65535")
