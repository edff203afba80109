"""Network namespaces and TAP or veth interfaces in them: the kernel side of the powerline lab. Linux, root.

A namespace holds one host of the lab. ``setns`` is per thread: inside ``inside(name)`` create sockets and
nothing else, without awaiting; they stay in their namespace for life.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iso15118.slac.messages import Mac, mac_text

_RUN = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x17, 0x1F, 0x24, 0x2C)  # set tx checksum, TSO, GSO, GRO


class NoNamespaces(RuntimeError):
    """What is missing to make namespaces, and what to do about it."""


def available() -> str | None:
    """None if namespaces can be made here, otherwise the reason."""
    if shutil.which("ip") is None:
        return "the command 'ip' is missing (Debian: apt install iproute2)"
    if os.geteuid() != 0:
        return (
            "network namespaces need root, or a user namespace (unshare --user --map-root-user --net --mount)"
        )
    try:
        _RUN.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{_RUN}: {error.strerror}"
    return None


def _ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise NoNamespaces(f"ip {' '.join(arguments)}: {result.stderr.strip()}")


class NameTaken(NoNamespaces):
    """A namespace of this name is there already."""


def must_be_free(name: str) -> None:
    if (_RUN / name).exists():
        raise NameTaken(f"namespace {name} exists: is another lab running? Otherwise: ip netns del {name}")


def create(name: str) -> None:
    _ip("netns", "add", name)
    _ip("-n", name, "link", "set", "lo", "up")


def delete(name: str) -> None:
    """Also when it is gone already."""
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread in that namespace. Do not await inside."""
    libc = ctypes.CDLL(None, use_errno=True)

    def enter(descriptor: int) -> None:
        if libc.setns(descriptor, _CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, f"setns {name}: {os.strerror(code)}")

    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(_RUN / name, os.O_RDONLY)
        try:
            enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            enter(home)
    finally:
        os.close(home)


def _settle(name: str, interface: str) -> None:
    """A link-local address at once, and no chatter of the kernel that no modem would hear."""
    with inside(name):
        for key, value in (
            ("accept_dad", 0),
            ("accept_ra", 0),
            ("router_solicitations", 0),
            ("disable_ipv6", 0),
        ):
            path = Path(f"/proc/sys/net/ipv6/conf/{interface}/{key}")
            try:
                path.write_text(str(value))
            except OSError:
                continue  # read-only in some containers: the address then takes a second or two


def create_tap(name: str, interface: str, mac: Mac) -> int:
    """A TAP interface inside the namespace, up; the descriptor that carries its frames, non-blocking."""
    with inside(name):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            request = struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI)
            fcntl.ioctl(descriptor, _TUNSETIFF, request)
        except OSError:
            os.close(descriptor)
            raise
    try:
        _settle(name, interface)
        _ip("-n", name, "link", "set", interface, "address", mac_text(mac), "up")
    except NoNamespaces:
        os.close(descriptor)
        raise
    return descriptor


def create_veth(name: str, interface: str, mac: Mac, outside: str) -> None:
    """A veth pair: ``interface`` inside the namespace, ``outside`` here, both up.

    Offloads off: frames that leave through a packet socket would otherwise carry unfinished checksums, and
    the other side would drop every UDP datagram.
    """
    _ip("link", "add", outside, "type", "veth", "peer", "name", interface, "netns", name)
    Path(f"/proc/sys/net/ipv6/conf/{outside}/disable_ipv6").write_text("1")
    _settle(name, interface)
    _ip("-n", name, "link", "set", interface, "address", mac_text(mac), "up")
    _ip("link", "set", outside, "up")
    set_offloads(outside, False)
    with inside(name):
        set_offloads(interface, False)


def delete_link(interface: str) -> None:
    subprocess.run(["ip", "link", "del", interface], capture_output=True, check=False)


def set_offloads(interface: str, on: bool) -> None:
    """Off: checksums finished, no segmentation offload, so that frames are as they would be on a wire."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, on))
            request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, _SIOCETHTOOL, request.ljust(40, b"\0"))
            except OSError:
                continue  # what a driver cannot do it does not do


def link_local(mac: Mac) -> str:
    """The address the kernel derives from a MAC."""
    half = bytes([mac[0] ^ 2, *mac[1:3], 0xFF, 0xFE, *mac[3:6]])
    return socket.inet_ntop(socket.AF_INET6, b"\xfe\x80" + bytes(6) + half)
