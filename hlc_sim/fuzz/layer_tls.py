"""TLS: hellos and records that are not as they should be, to a server (SECC) or a client (EVCC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from iso15118.security.tls_profile import ISO_20, Group
from iso15118.session.events import Role

from ..scenario.settings import HELLO_ID
from .octets import Octets, Volley, hexes, mutated

_HANDSHAKE, _ALERT, _CHANGE, _DATA = 22, 21, 20, 23


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
    session_id: bytes = HELLO_ID
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
    sound: str = "Breaks the handshake or the connection off, and takes the next, correct handshake."
    health_every: int = 25

    def correct(self) -> Sequence[bytes]:
        """In place of the hello, after it, and within the connection."""
        sealed = record(_DATA, Random(0).randbytes(400))
        first = record(_HANDSHAKE, hello(self.tests).message(), 0x0301)
        return (first, record(_CHANGE, b"\x01") + sealed, sealed)

    def place(self, rng: Random, correct: Sequence[bytes]) -> int:
        return rng.choices(range(3), (70, 26, 4))[0]  # a connection takes two keys

    def made(self, rng: Random, correct: Sequence[bytes], at: int) -> bytes:
        return self._made(rng, correct, at) or b"\x16"

    def _made(self, rng: Random, correct: Sequence[bytes], at: int) -> bytes:
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

    def table(self, volley: Volley) -> str:
        frames = (*self.correct()[:1], *volley.frames) if volley.at == 1 else volley.frames
        return f'{{ flight = {self._flight(volley)}, do = "abandon", raw = "{hexes(frames)}" }}'

    def _flight(self, volley: Volley) -> int:
        """The first of ours, or the first within the connection."""
        if volley.at < 2:
            return 1
        return 3 if self.tests is Role.SECC else 2


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
