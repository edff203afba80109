"""SDP: datagrams to an SECC's server, and answers to an EVCC that searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from random import Random

from iso15118 import sdp
from iso15118.session.events import Role
from iso15118.v2gtp import HEADER_SIZE

from ..scenario.model import Outcome
from ..scenario.settings import ENDPOINT
from .octets import Octets, Volley, mutated

_REQUESTS = tuple(sdp.datagram(sdp.Request(security)) for security in sdp.Security)
"""For TLS, and for a port without."""
_ADDRESS, _PORT = IPv6Address(ENDPOINT[:16]), int.from_bytes(ENDPOINT[16:], "big")
_RESPONSES = tuple(sdp.datagram(sdp.Response(_ADDRESS, _PORT, security)) for security in sdp.Security)
_WIRELESS = sdp.datagram(sdp.WirelessRequest(positioning=1, coupling_type=1))
_MIXED = 5
"""Cases of which one may have datagrams of both kinds."""


@dataclass
class Discovery(Octets):
    layer: str = "sdp"
    sound: str = "Takes only what is a request or an answer for one, and the correct one that follows."
    sizes: tuple[int, ...] = (1, 1, 2, 4, 16)
    health_every: int = 10

    def correct(self) -> Sequence[bytes]:
        return _REQUESTS if self.tests is Role.SECC else _RESPONSES

    def place(self, rng: Random, correct: Sequence[bytes]) -> int:
        return 0

    def case(self, seed: int, number: int) -> Volley:
        """A datagram meant for the device hides what it makes of the others: most volleys have none."""
        volley = super().case(seed, number)
        wrong = tuple(frame for frame in volley.frames if not self._meant(frame))
        return replace(volley, frames=wrong) if wrong and number % _MIXED else volley

    def made(self, rng: Random, correct: Sequence[bytes], at: int) -> bytes:
        original = rng.choice(correct)
        match rng.randrange(8):
            case 0:
                return original
            case 1:
                return mutated(rng, _WIRELESS, original)
            case 2:  # another type, or another length with as many octets
                payload = rng.randbytes(rng.choice((0, 1, 2, 3, 20, 61, 2000)))
                kind = rng.choice((0x9000, 0x9001, 0x9002, 0x9003, 0x8001, rng.randrange(65536)))
                return b"\x01\xfe" + kind.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload
            case 3:  # every value of every octet of the payload
                data = bytearray(original)
                data[rng.randrange(8, len(data))] = rng.randrange(256)
                return bytes(data)
        return mutated(rng, original, rng.choice(correct))

    def table(self, volley: Volley) -> str:
        key = "send" if self.tests is Role.SECC else "answers"
        datagrams = ", ".join(f'"{frame.hex()}"' for frame in volley.frames)
        return f"{{ {key} = [{datagrams}] }}"

    def outcome(self, volley: Volley) -> Outcome:
        """What is neither a request nor an answer is ignored; of others the device may make what it likes."""
        return Outcome.SURVIVES if any(map(self._meant, volley.frames)) else Outcome.IGNORES

    def _meant(self, data: bytes) -> bool:
        """The octets say whether it is a request; or an answer: one address, a port, a security, TCP."""
        if self.tests is Role.SECC:
            return data in _REQUESTS
        good = _RESPONSES[0]
        whole = len(data) == len(good) and data[:HEADER_SIZE] == good[:HEADER_SIZE]
        return whole and data[24:26] != b"\0\0" and data[26] in set(sdp.Security) and data[27] == 0
