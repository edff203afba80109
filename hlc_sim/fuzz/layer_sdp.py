"""SDP: datagrams to an SECC's server, and answers to an EVCC that searches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from random import Random

import trio

from iso15118.sdp import PORT, Security
from iso15118.session.events import Role

from ..scenario.targets import NoTarget
from ..transport import interface as interfaces
from ..transport import sdp
from .octets import Octets, Volley, mutated
from .problem import Problem

_ADDRESS = IPv6Address("fe80::1")
_PORT = 51_000
_ENDPOINTS = {0x00: _PORT, 0x10: _PORT + 1}
"""TCP port by security."""
_TLS_REQUEST = bytes.fromhex("01fe9000000000020000")
_PLAIN_REQUEST = bytes.fromhex("01fe9000000000021000")
_ANSWER_TIME = 0.25
_TRIES = 8
"""Requests that a sound server may lose one after another."""


def _response(security: int) -> bytes:
    port = _ENDPOINTS[security].to_bytes(2, "big")
    return bytes.fromhex("01fe900100000014") + _ADDRESS.packed + port + bytes([security, 0])


_WIRELESS = bytes.fromhex("01fe90020000003d0000000101") + b"ZZ00000".ljust(20, b"\0") + bytes(36)


@dataclass
class Discovery(Octets):
    layer: str = "sdp"

    def correct(self) -> Sequence[bytes]:
        if self.tests is Role.SECC:
            return (_TLS_REQUEST, _PLAIN_REQUEST)
        return (_response(0x00), _response(0x10))

    def made(self, rng: Random, correct: Sequence[bytes], at: int) -> bytes:
        match rng.randrange(8):
            case 0:
                return correct[at]
            case 1:
                return mutated(rng, _WIRELESS, correct[at])
            case 2:  # another type, or another length with as many octets
                payload = rng.randbytes(rng.choice((0, 1, 2, 3, 20, 61, 2000)))
                kind = rng.choice((0x9000, 0x9001, 0x9002, 0x9003, 0x8001, rng.randrange(65536)))
                return b"\x01\xfe" + kind.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload
            case 3:  # every value of every octet of the payload
                data = bytearray(correct[at])
                data[rng.randrange(8, len(data))] = rng.randrange(256)
                return bytes(data)
        return mutated(rng, correct[at], rng.choice(correct))

    def own(self, volley: Volley) -> list[Problem]:
        return _own_server(volley) if self.tests is Role.SECC else _own_search(volley)


def _own_server(volley: Volley) -> list[Problem]:
    """Every datagram is answered, or not, as its octets say, and the good one after them is."""
    problems = []
    for data in (*volley.frames, _TLS_REQUEST, _PLAIN_REQUEST):
        expected = _response(data[8]) if data in (_TLS_REQUEST, _PLAIN_REQUEST) else None
        given = sdp.reply(data, "fe80::2", _ADDRESS, {Security(s): p for s, p in _ENDPOINTS.items()})
        if given != expected:
            what = "no answer to a request" if given is None else "an answer to what is none"
            if given is not None and expected is not None:
                what = "another answer"
            problems.append(Problem("wrong answer", f"sdp/{what}", f"{what}: {data[:64].hex()}"))
    return problems


def _own_search(volley: Volley) -> list[Problem]:
    """Only what is an answer counts as one; the octets say which."""
    problems = []
    for data in (*volley.frames, _response(0x00), _response(0x10)):
        found = sdp.useful(data, "fe80::2")
        good = len(data) == 28 and data[:8] == _response(0)[:8] and data[26] in (0, 0x10) and data[27] == 0
        good = good and data[24:26] != b"\0\0"
        if (found is not None) is not good:
            what = "an answer is passed over" if good else "taken for an answer"
            problems.append(Problem("wrong answer", f"sdp/{what}", f"{what}: {data[:64].hex()}"))
    return problems


@dataclass
class Server:
    """An SECC's SDP server on a named interface. Nothing is sent to any other."""

    interface: str
    rate: float = 1.0
    udp_port: int = PORT
    _last: float = field(default=0.0, init=False)
    _reached: bool = field(default=False, init=False)

    def __call__(self, volley: Volley) -> list[Problem]:
        time.sleep(max(0.0, self._last + 1 / self.rate - time.monotonic()))
        self._last = time.monotonic()
        return trio.run(self._run, volley)

    async def _run(self, volley: Volley) -> list[Problem]:
        found = interfaces.find(self.interface)
        destination = found.socket_address(IPv6Address(found.sdp_destination), self.udp_port)
        problems = []
        with await sdp.client_socket(found) as sock:
            if not self._reached:
                if await self._ask(sock, destination) is None:
                    raise NoTarget(f"no SECC answers SDP requests on {self.interface}")
                self._reached = True
            for data in volley.frames:
                await sock.sendto(data, destination)
                answer = await _next(sock)
                if answer is not None and data not in (_TLS_REQUEST, _PLAIN_REQUEST):
                    text = f"answered {answer[:40].hex()} to {data[:64].hex()}"
                    problems.append(Problem("wrong answer", "sdp/an answer to what is none", text))
            if await self._ask(sock, destination) is None:
                self._reached = False
                problems.append(Problem("no recovery", "sdp/no recovery", "no request is answered any more"))
        return problems

    async def _ask(
        self, sock: trio.socket.SocketType, destination: tuple[str, int, int, int]
    ) -> bytes | None:
        for _ in range(_TRIES):
            await sock.sendto(_TLS_REQUEST, destination)
            answer = await _next(sock)
            if answer is not None and answer[:4] == b"\x01\xfe\x90\x01":
                return answer
        return None


async def _next(sock: trio.socket.SocketType) -> bytes | None:
    with trio.move_on_after(_ANSWER_TIME):
        data, _ = await sock.recvfrom(4096)
        return bytes(data)
    return None
