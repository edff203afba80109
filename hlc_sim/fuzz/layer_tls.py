"""TLS: hellos and records that are not as they should be, to a server (SECC) or a client (EVCC)."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import trio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from trio.testing import MockClock, memory_stream_pair

from iso15118.security.tls_profile import ISO_20, Group
from iso15118.session.events import Role

from ..scenario.targets import NoTarget
from ..transport import tcp
from .octets import Octets, Volley, mutated
from .problem import Problem

if TYPE_CHECKING:
    from ..transport.tls import TLSConfig

_HANDSHAKE, _ALERT, _CHANGE, _DATA = 22, 21, 20, 23
_SESSION_ID = b"\xa5" * 32
"""In a ServerHello it stands for the one of the ClientHello."""
_PATIENCE = 30.0
"""s for a handshake that is not going on."""
_HEALTH_EVERY = 25
"""Cases of which one is followed by a whole handshake."""
_KEEPS = 0.5
"""s that a device is listened to after each frame."""


def record(kind: int, payload: bytes, version: int = 0x0303) -> bytes:
    """A record; of more than 64 KiB the length is wrong."""
    size = (len(payload) & 0xFFFF).to_bytes(2, "big")
    return bytes([kind]) + version.to_bytes(2, "big") + size + payload


def handshake(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def _list(items: Sequence[int], width: int = 2) -> bytes:
    """16-bit numbers with the length of the list in `width` octets before them."""
    data = b"".join(item.to_bytes(2, "big") for item in items)
    return len(data).to_bytes(width, "big") + data


@cache
def _key_share() -> bytes:
    public = ec.derive_private_key(7, ec.SECP521R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return Group.SECP521R1.to_bytes(2, "big") + len(point).to_bytes(2, "big") + point


def _extensions(tests: Role) -> list[tuple[int, bytes]]:
    if tests is Role.EVCC:
        return [(43, b"\x03\x04"), (51, _key_share())]
    share = _key_share()
    return [
        (43, b"\x02\x03\x04"),
        (10, _list(list(ISO_20.groups))),
        (13, _list(list(ISO_20.schemes))),
        (51, len(share).to_bytes(2, "big") + share),
        (5, b"\x01\x00\x00\x00\x00"),
        (45, b"\x01\x01"),
    ]


@dataclass(frozen=True)
class Hello:
    """The fields of a ClientHello or ServerHello, each of which may be wrong."""

    tests: Role
    version: int = 0x0303
    random: bytes = bytes(range(32))
    session_id: bytes = _SESSION_ID
    suites: tuple[int, ...] = (0x1302, 0x1303)
    compression: bytes = b"\x00"
    extensions: tuple[tuple[int, bytes], ...] = ()

    def body(self) -> bytes:
        head = self.version.to_bytes(2, "big") + self.random
        head += (len(self.session_id) & 0xFF).to_bytes(1, "big") + self.session_id
        if self.tests is Role.SECC:
            head += _list(self.suites) + bytes([len(self.compression) & 0xFF]) + self.compression
        else:
            head += (self.suites[0] if self.suites else 0).to_bytes(2, "big") + self.compression[:1]
        data = b"".join(
            kind.to_bytes(2, "big") + (len(value) & 0xFFFF).to_bytes(2, "big") + value
            for kind, value in self.extensions
        )
        return head + (len(data) & 0xFFFF).to_bytes(2, "big") + data

    def message(self) -> bytes:
        return handshake(1 if self.tests is Role.SECC else 2, self.body())


def hello(tests: Role) -> Hello:
    """The one a device of the side under test can use."""
    return Hello(tests, extensions=tuple(_extensions(tests)))


@dataclass
class Records(Octets):
    layer: str = "tls"

    def correct(self) -> Sequence[bytes]:
        """In place of the hello, after it, and within the connection."""
        sealed = record(_DATA, Random(0).randbytes(400))
        first = record(_HANDSHAKE, hello(self.tests).message(), 0x0301)
        return (first, record(_CHANGE, b"\x01") + sealed, sealed)

    def place(self, rng: Random, correct: Sequence[bytes]) -> int:
        return rng.choices(range(3), (70, 26, 4))[0]  # a connection takes two keys

    def made(self, rng: Random, correct: Sequence[bytes], at: int) -> bytes:
        if at == 0 and rng.random() < 0.6:
            return _framed(rng, _wrong_hello(rng, self.tests).message())
        if rng.random() < 0.5:
            return mutated(rng, correct[at], rng.choice(correct))
        kind = rng.choice((_HANDSHAKE, _ALERT, _CHANGE, _DATA, 24, rng.randrange(256)))
        match rng.randrange(6):
            case 0:
                return record(kind, bytes([rng.choice((1, 2, 3)), rng.randrange(256)]))
            case 1:
                return record(kind, b"") * rng.choice((1, 40))
            case 2:
                return record(kind, rng.randbytes(rng.choice((1, 16_384, 16_385, 16_641, 65_535))))
            case 3:
                kinds = (0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 24, 254)
                return record(_HANDSHAKE, handshake(rng.choice(kinds), rng.randbytes(rng.choice((0, 1, 32)))))
            case 4:
                size = rng.choice((0, 1, 2**24 - 1)).to_bytes(3, "big")
                return record(_HANDSHAKE, bytes([rng.choice((1, 2, 11))]) + size + bytes(8))
        return rng.randbytes(rng.choice((1, 5, 100)))

    def own(self, volley: Volley) -> list[Problem]:
        problems = trio.run(_own, self.tests, volley, clock=MockClock(autojump_threshold=0))
        if zlib.crc32(b"".join(volley.frames)) % _HEALTH_EVERY == 0:
            problems += trio.run(_whole, clock=MockClock(autojump_threshold=0))
        return problems


def _wrong_hello(rng: Random, tests: Role) -> Hello:
    good = hello(tests)
    values = {name: getattr(good, name) for name in good.__dataclass_fields__}
    extensions = list(good.extensions)
    for _ in range(rng.choice((1, 1, 2))):
        match rng.randrange(9):
            case 0:
                values["version"] = rng.choice((0x0300, 0x0301, 0x0302, 0x0304, 0x0305, 0, 0xFFFF))
            case 1:
                values["session_id"] = rng.randbytes(rng.choice((0, 1, 31, 33, 255)))
            case 2:
                suites = (
                    (),
                    (0x1301,),
                    (0xC02C,),
                    (0x00FF,),
                    tuple(range(0x1300, 0x1300 + 5000)),
                    (0x1302,) * 2000,
                )
                values["suites"] = rng.choice(suites)
            case 3:
                values["compression"] = rng.choice((b"", b"\x01", b"\x00\x01", bytes(255)))
            case 4 if extensions:
                del extensions[rng.randrange(len(extensions))]
            case 5 if extensions:
                extensions += [rng.choice(extensions)] * rng.choice((1, 2, 100))
            case 6:
                kind = rng.choice(
                    (0, 1, 5, 10, 13, 16, 21, 35, 41, 42, 43, 44, 45, 47, 49, 50, 51, 0x0A0A, 0xFFFF)
                )
                extensions.append((kind, rng.randbytes(rng.choice((0, 1, 2, 50, 2000)))))
                rng.shuffle(extensions)
            case _ if extensions:
                at = rng.randrange(len(extensions))
                kind, value = extensions[at]
                extensions[at] = (kind, mutated(rng, value, rng.choice(extensions)[1]))
    return Hello(**values | {"extensions": tuple(extensions)})


def _framed(rng: Random, message: bytes) -> bytes:
    """In one record, or in many; with a wrong length, or another record between them."""
    match rng.randrange(6):
        case 0:
            size = rng.choice((1, 2, 5, 64, 500))
            parts = [message[start : start + size] for start in range(0, len(message), size)]
            return b"".join(record(_HANDSHAKE, part, 0x0301) for part in parts)
        case 1:
            wrong = rng.choice((0, len(message) - 1, len(message) + 1, 2**16, 2**24 - 1))
            return record(_HANDSHAKE, message[:1] + wrong.to_bytes(3, "big") + message[4:])
        case 2:
            cut = rng.randrange(1, len(message))
            between = rng.choice(
                (record(_ALERT, b"\x01\x00"), record(_CHANGE, b"\x01"), record(_HANDSHAKE, b""))
            )
            return record(_HANDSHAKE, message[:cut]) + between + record(_HANDSHAKE, message[cut:])
        case 3:
            return record(_HANDSHAKE, message, rng.choice((0x0200, 0x0300, 0x0304, 0x7F1C, 0)))
        case 4:
            return record(_HANDSHAKE, message * rng.choice((2, 20)))[: 2**16]
    return record(_HANDSHAKE, message, 0x0301)


# -- our own -------------------------------------------------------------------------------------------------


@cache
def _configs() -> dict[Role, TLSConfig]:
    from pki.hierarchy import Hierarchy

    from ..trust import station_of, vehicle_of

    hierarchy = Hierarchy.mint(seed="fuzz")
    return {Role.SECC: station_of(hierarchy).tls, Role.EVCC: vehicle_of(hierarchy).tls}


async def _own(tests: Role, volley: Volley) -> list[Problem]:
    """Our side of TLS either fails with a TLSError or, which no case can bring about, succeeds."""
    from ..transport.tls import secure

    ours, theirs = memory_stream_pair()
    problems: list[Problem] = []
    ended = trio.Event()

    async def device() -> None:
        try:
            secured = await secure(theirs, _configs()[tests], server_side=tests is Role.SECC)
            while await secured.receive_some():
                pass
            await secured.aclose()
            if volley.at < 2:
                problems.append(Problem("accepted", "tls/accepted", "a handshake without keys succeeded"))
        except trio.BrokenResourceError:
            pass  # TLSError, or the transport that is closed
        ended.set()

    with trio.move_on_after(_PATIENCE) as limit:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(device)
            nursery.start_soon(_play, tests, volley, ours, ended)
            await ended.wait()
            nursery.cancel_scope.cancel()
    if limit.cancelled_caught:
        problems.append(
            Problem("hang", f"tls/hang/{tests.value}", "still in the handshake after the peer has closed")
        )
    return problems


async def _play(tests: Role, volley: Volley, ours: trio.abc.Stream, ended: trio.Event) -> None:
    from ..transport.tls import secure

    try:
        session_id = _SESSION_ID
        if volley.at == 2:
            other = tests.other
            await secure(ours, _configs()[other], server_side=other is Role.SECC)
        elif tests is Role.EVCC:
            got = bytes(await ours.receive_some())
            session_id = got[44 : 44 + got[43]] if len(got) > 43 else b""
        correct = record(_HANDSHAKE, hello(tests).message(), 0x0301)
        for data in (*((correct,) if volley.at == 1 else ()), *volley.frames):
            await ours.send_all(data.replace(_SESSION_ID, session_id) if session_id else data)
            await trio.sleep(0.01)
        await ours.aclose()
    except trio.BrokenResourceError:
        pass  # the device has closed


async def _whole() -> list[Problem]:
    """A handshake as it should be, and an echo."""
    from ..transport.tls import TLSError, secure

    one, two = memory_stream_pair()
    echoed, why = b"", "the next connection does not come about"

    async def serve() -> None:
        stream = await secure(two, _configs()[Role.SECC], server_side=True)
        await stream.send_all(await stream.receive_some())

    try:
        with trio.move_on_after(_PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve)
                stream = await secure(one, _configs()[Role.EVCC], server_side=False)
                await stream.send_all(b"echo")
                echoed = bytes(await stream.receive_some())
    except* TLSError as error:
        why = str(error.exceptions[0])
    if echoed != b"echo":
        return [Problem("no recovery", "tls/no recovery", why)]
    return []


# -- a device ------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """The TLS server of an SECC at an address. A hello as it should be decides whether it is well: it must be
    answered with a ServerHello; no certificate of ours is needed for that.
    """

    address: tuple[str, int] | tuple[str, int, int, int]
    rate: float = 1.0
    recovery: float = 60.0
    _last: float = field(default=0.0, init=False)
    _reached: bool = field(default=False, init=False)

    def __call__(self, volley: Volley) -> list[Problem]:
        time.sleep(max(0.0, self._last + 1 / self.rate - time.monotonic()))
        self._last = time.monotonic()
        return trio.run(self._case, volley)

    async def _case(self, volley: Volley) -> list[Problem]:
        good = record(_HANDSHAKE, hello(Role.SECC).message(), 0x0301)
        if not self._reached:
            if not _is_server_hello(await self._answers((good,))):
                raise NoTarget(
                    f"no TLS 1.3 server with the groups of -20 at {self.address[0]}:{self.address[1]}"
                )
            self._reached = True
        before = () if volley.at == 0 else (good,)
        try:
            answer = await self._answers((*before, *volley.frames))
        except OSError as error:
            answer, self._reached = b"", False
            text = f"no connection: {error}"
        problems = []
        if answer[:2] == b"\x01\xfe":
            problems.append(Problem("wrong answer", "tls/plain", "it answers in plain V2GTP"))
        deadline = trio.current_time() + self.recovery
        while True:
            try:
                if _is_server_hello(await self._answers((good,))):
                    self._reached = True
                    return problems
                text = "a good hello gets no ServerHello"
            except OSError as error:
                text = f"no connection: {error}"
            if trio.current_time() > deadline:
                self._reached = False
                return [*problems, Problem("no recovery", "tls/no recovery", text)]
            await trio.sleep(1)

    async def _answers(self, frames: Sequence[bytes]) -> bytes:
        """What comes back. OSError if there is no connection."""
        received = b""
        stream = await tcp.connect(self.address)
        try:
            for data in frames:
                await stream.send_all(data)
                with trio.move_on_after(_KEEPS):
                    while len(received) < 65536:
                        got = await stream.receive_some(65536)
                        if not got:
                            return received
                        received += got
                        break
        except trio.BrokenResourceError:
            pass  # it closes when it has had enough
        finally:
            await trio.aclose_forcefully(stream)
        return received


def _is_server_hello(data: bytes) -> bool:
    return data[:1] == bytes([_HANDSHAKE]) and data[5:6] == b"\x02"
