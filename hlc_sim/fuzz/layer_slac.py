"""SLAC: frames to an EVSE or an EV in the middle of a matching, from the other host on the powerline."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from iso15118.session.events import Role
from iso15118.slac import BROADCAST
from iso15118.slac import messages as m

from ..powerline.wire import build
from ..scenario.settings import EV, EVSE, RUN_ID, SLAC_MESSAGES
from .octets import Octets, Volley, hexes, mutated

_OTHER = bytes.fromhex("020000000009")
_HEADER = 14 + 5
_LEAST, _MOST = 14, 1514
"""Octets of an Ethernet frame."""
_TYPES = (*range(0x6064, 0x6090), 0xA000, 0xA068, 0x0000, 0xFFFF)
_NAMES = {kind: name for name, kind in SLAC_MESSAGES.items()}


def _of_the_ev() -> list[tuple[bytes, m.SlacMessage]]:
    """What an EV says in a matching, and to whom."""
    sounds = [(BROADCAST, m.MnbcSoundInd(RUN_ID, count, bytes(range(16)))) for count in range(9, -1, -1)]
    return [
        (BROADCAST, m.SlacParmReq(RUN_ID)),
        *[(BROADCAST, m.StartAttenCharInd(RUN_ID, EV))] * 3,
        *sounds,
        (EVSE, m.AttenCharRsp(RUN_ID, EV)),
        (EVSE, m.SlacMatchReq(RUN_ID, EV, EVSE)),
    ]


def _of_the_evse() -> list[tuple[bytes, m.SlacMessage]]:
    return [
        (EV, m.SlacParmCnf(RUN_ID, EV)),
        (EV, m.AttenCharInd(RUN_ID, EV, (20,) * 58, 10)),
        (EV, m.SlacMatchCnf(RUN_ID, EV, EVSE, bytes(7), bytes(range(16)))),
    ]


@dataclass
class Matching(Octets):
    """On a network the device must begin a matching: a station whose control pilot is in state B, or that has
    none.
    """

    layer: str = "slac"
    sound: str = "Matches or not, and the next, undisturbed matching succeeds."

    def _said(self) -> list[tuple[bytes, m.SlacMessage]]:
        return _of_the_ev() if self.tests is Role.SECC else _of_the_evse()

    def correct(self) -> Sequence[bytes]:
        source = EV if self.tests is Role.SECC else EVSE
        return [build(destination, source, message) for destination, message in self._said()]

    def made(self, rng: random.Random, correct: Sequence[bytes], at: int) -> bytes:
        return self._made(rng, correct, at)[:_MOST].ljust(_LEAST, b"\0")

    def _made(self, rng: random.Random, correct: Sequence[bytes], at: int) -> bytes:
        original = bytearray(rng.choice((correct[at], correct[at], rng.choice(correct))))
        match rng.randrange(8):
            case 0:
                pass  # another message at this point, or once more
            case 1:  # from another, for another matching
                original[6:12] = rng.choice((EV, EVSE, _OTHER, BROADCAST, bytes(6)))
            case 2:  # another message type or version
                kind = rng.choice(_TYPES).to_bytes(2, "little")
                original[14:17] = bytes([rng.choice((0, 1, 2, 0xFF))]) + kind
            case 3:  # edges in the body
                body = rng.randrange(_HEADER, len(original))
                original[body] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 4 | 5 | 6:  # the body, under a whole header
                other = rng.choice(correct)
                head, tail = original[:_HEADER], bytes(original[_HEADER:])
                original = bytearray(bytes(head) + mutated(rng, tail, other[_HEADER:]))
            case _:
                return mutated(rng, bytes(original), rng.choice(correct))
        return bytes(original)

    def table(self, volley: Volley) -> str:
        said = [_NAMES[type(message)] for _, message in self._said()[: volley.at + 1]]
        at, occurrence = said[-1], said.count(said[-1])
        step = f'at = "{at}", occurrence = {occurrence}, do = "insert", raw = "{hexes(volley.frames)}"'
        return f"{{ steps = [{{ {step} }}] }}"
