"""TCP over IPv6 on trio: a listener on one interface in the port range of the standard, and a connector."""

from __future__ import annotations

import os
import secrets
import socket

import trio

from iso15118 import sdp

from .interface import Interface


async def listen(interface: Interface, port: int | None = None) -> trio.SocketListener:
    """A listener on the interface's address; on a free port of the dynamic range unless `port` is given (0:
    any).
    """
    attempts = 1 if port is not None else 50
    for attempt in range(attempts):
        number = secrets.choice(sdp.DYNAMIC_PORTS) if port is None else port
        sock = trio.socket.socket(trio.socket.AF_INET6, trio.socket.SOCK_STREAM)
        try:
            sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, 1)
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
            await sock.bind(interface.socket_address(interface.address, number))
            sock.listen(1024)
        except OSError as error:
            sock.close()
            if attempt + 1 < attempts:
                continue
            raise OSError(
                error.errno, f"cannot listen on [{interface.address}]:{number}: {error.strerror}"
            ) from None
        except BaseException:
            sock.close()
            raise
        return trio.SocketListener(sock)
    raise AssertionError("unreachable")


async def connect(
    address: tuple[str, int, int, int] | tuple[str, int], *, timeout: float = 5.0
) -> trio.SocketStream:
    """A connection to a socket address (IPv6, as `Discovered.socket_address`) or a (host, port) pair of any
    kind. OSError says why there is none.
    """
    host, port = address[:2]
    try:
        with trio.fail_after(timeout):
            if len(address) == 2:
                return await trio.open_tcp_stream(host, port)
            sock = trio.socket.socket(trio.socket.AF_INET6, trio.socket.SOCK_STREAM)
            try:
                await sock.connect(address)
            except BaseException:
                sock.close()
                raise
            return trio.SocketStream(sock)
    except socket.gaierror as error:
        raise OSError(f"{host}: {error.strerror}") from None
    except OSError as error:
        reason: BaseException = (
            error.__cause__ or error
        )  # trio's own text says no reason, or the address again
        while isinstance(reason, BaseExceptionGroup):
            reason = reason.exceptions[0]
        text = getattr(reason, "strerror", None) or str(reason)
        if isinstance(reason, OSError) and reason.errno is not None and reason.errno > 0:
            text = os.strerror(reason.errno)
        raise ConnectionError(f"no connection to [{host}]:{port}: {text}") from error
    except trio.TooSlowError:
        raise TimeoutError(f"[{host}]:{port} did not accept the connection within {timeout:g} s") from None
