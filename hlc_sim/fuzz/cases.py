"""Fuzz cases: made from (seed, index) alone, so that any range of them can be run anywhere, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random

from iso15118 import exi
from iso15118.messages.common_types import MessageHeader
from iso15118.messages.declare import Node
from iso15118.session.events import Role

from ..scenario import edit
from . import mutate
from .walks import EPOCH, PROFILES, Exchange, Walk, walk


class Kind(StrEnum):
    """How a frame of a case was made."""

    STRUCTURE = "structure"
    BITS = "bits"
    FRAME = "frame"
    SEQUENCE = "sequence"
    GENERATED = "generated"
    NATURAL = "natural"


_WEIGHTS = {
    Kind.STRUCTURE: 35,
    Kind.BITS: 20,
    Kind.FRAME: 8,
    Kind.SEQUENCE: 12,
    Kind.GENERATED: 15,
    Kind.NATURAL: 10,
}


@dataclass(frozen=True, slots=True)
class Case:
    """After `prefix` correct exchanges of `profile`, `frames` come in place of our next message."""

    tests: Role
    profile: str
    prefix: int
    frames: tuple[bytes, ...]
    kinds: tuple[Kind, ...] = ()

    @property
    def walk(self) -> Walk:
        return walk(self.profile)


def case(tests: Role, seed: int, index: int) -> Case:
    """The case of this number."""
    rng = Random(f"{tests.value}/{seed}/{index}")
    path = walk(rng.choice(list(PROFILES)))
    prefix = rng.randrange(len(path.exchanges))
    frames: list[bytes] = []
    kinds: list[Kind] = []
    for number in range(rng.choice((1, 1, 1, 2, 3))):
        following = path.exchanges[min(prefix + number, len(path.exchanges) - 1)]
        kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        frames.append(_frame(rng, kind, tests, path, following))
        kinds.append(kind)
    return Case(tests, path.profile, prefix, tuple(frames), tuple(kinds))


def _frame(rng: Random, kind: Kind, tests: Role, path: Walk, following: Exchange) -> bytes:
    message, payload_type = _said(following, tests)
    natural = mutate.pack(message, payload_type)
    assert natural is not None
    other, other_type = _said(rng.choice(path.exchanges), tests)
    made: bytes | None = None
    match kind:
        case Kind.STRUCTURE:
            made = mutate.pack(mutate.structure(rng, message, rng.choice((1, 1, 2, 3))), payload_type)
        case Kind.BITS:
            payload = mutate.bits(rng, natural[8:], exi.encode(other))
            made = natural[:4] + len(payload).to_bytes(4, "big") + payload
        case Kind.FRAME:
            made = mutate.framed(rng, payload_type, natural[8:])
        case Kind.SEQUENCE:
            made = mutate.pack(other, other_type)
        case Kind.GENERATED:
            header = MessageHeader(session_id=path.session_id, timestamp=int(EPOCH + following.time))
            made = mutate.pack(mutate.generated(rng, header, _names(tests)))
    return made if made is not None else natural


def _said(exchange: Exchange, tests: Role) -> tuple[Node, int]:
    """What our side said in an exchange."""
    if tests is Role.SECC:
        return exchange.request, exchange.payload_type
    return exchange.response, exchange.reply_type


@cache
def _names(tests: Role) -> list[str]:
    ending = "Req" if tests is Role.SECC else "Res"
    known = list(edit.message_classes())
    return [name for name in known if name.endswith(ending)] * 4 + known
