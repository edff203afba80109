"""What the kernel says of a network interface: by ioctl and /proc of this thread, so that it is true inside a
namespace too (``/sys`` is not). Linux only."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from iso15118.slac.messages import Mac

_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCETHTOOL = 0x8913, 0x8921, 0x8927, 0x8946
_UP, _RUNNING = 0x1, 0x40
_OFFLOADS = {"tx checksum": 0x16, "tso": 0x1E, "gso": 0x23, "gro": 0x2B}
_DRIVER_INFO = 0x03
_TENTATIVE, _DAD_FAILED, _LINK_SCOPE = 0x40, 0x08, 0x20


@dataclass(frozen=True, slots=True)
class LinkLocal:
    address: str
    tentative: bool
    dad_failed: bool


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    index: int
    up: bool
    carrier: bool
    mtu: int
    mac: Mac
    driver: str
    offloads: tuple[str, ...]
    ipv6: bool
    link_local: tuple[LinkLocal, ...]
    accept_ra: bool
    router_solicitations: bool
    is_vlan: bool


@contextmanager
def _control() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        yield control


def _ioctl(control: socket.socket, request: int, name: str) -> bytes:
    return fcntl.ioctl(control, request, struct.pack("16s24x", name.encode()))[16:]


def _ethtool(control: socket.socket, name: str, command: int) -> int | None:
    value = ctypes.create_string_buffer(struct.pack("II", command, 0))
    try:
        fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(value)))
    except OSError:
        return None
    return int(struct.unpack("II", value.raw[:8])[1])


def _driver(control: socket.socket, name: str) -> str:
    info = ctypes.create_string_buffer(struct.pack("I", _DRIVER_INFO), 256)
    try:
        fcntl.ioctl(control, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(info)))
    except OSError:
        return ""
    return info.raw[4:36].split(b"\0")[0].decode("ascii", "replace")


def _setting(name: str, key: str) -> str:
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{name}/{key}").read_text().strip()
    except OSError:
        return ""


def _link_local(name: str) -> Iterator[LinkLocal]:
    try:
        lines = Path("/proc/thread-self/net/if_inet6").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        address, _index, _length, scope, flags, device = line.split()
        if device == name and int(scope, 16) == _LINK_SCOPE:
            bits = int(flags, 16)
            text = str(IPv6Address(bytes.fromhex(address)))
            yield LinkLocal(text, bool(bits & _TENTATIVE), bool(bits & _DAD_FAILED))


def inspect(name: str) -> Interface | None:
    """The interface in this thread's namespace; None if there is none of that name."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return None
    with _control() as control:
        flags = struct.unpack_from("H", _ioctl(control, _SIOCGIFFLAGS, name))[0]
        return Interface(
            name=name,
            index=index,
            up=bool(flags & _UP),
            carrier=bool(flags & _RUNNING),
            mtu=struct.unpack_from("i", _ioctl(control, _SIOCGIFMTU, name))[0],
            mac=_ioctl(control, _SIOCGIFHWADDR, name)[2:8],
            driver=_driver(control, name),
            offloads=tuple(what for what, code in _OFFLOADS.items() if _ethtool(control, name, code)),
            ipv6=_setting(name, "disable_ipv6") == "0",
            link_local=tuple(_link_local(name)),
            accept_ra=_setting(name, "accept_ra") not in ("", "0"),
            router_solicitations=_setting(name, "router_solicitations") not in ("", "0"),
            is_vlan=Path(f"/proc/thread-self/net/vlan/{name}").exists() or "." in name,
        )


def multicast_loops(interface: Interface, group: str = "ff02::1", timeout: float = 0.5) -> str | None:
    """Send a datagram to the group through the interface and hear it oneself. None if that works, else why
    not."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.settimeout(timeout)
            member = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", interface.index)
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
            probe.bind(("::", 0))
            port = probe.getsockname()[1]
            probe.sendto(b"hlc doctor", (group, port, 0, interface.index))
            data, _ = probe.recvfrom(64)
            return None if data == b"hlc doctor" else "another datagram came back"
    except TimeoutError:
        return "sent, but not heard (firewall?)"
    except OSError as error:
        return error.strerror or str(error)
