"""Fuzz cases: made from (seed, index) alone, so that any range of them can be run anywhere, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from random import Random

from iso15118 import exi, v2gtp
from iso15118.messages.common_types import MessageHeader
from iso15118.messages.declare import Node
from iso15118.session.events import Role

from ..scenario import edit
from . import exi_events, mutate
from .seeds import Seeds, none
from .walks import EPOCH, PROFILES, Exchange, Walk, walk


class Kind(StrEnum):
    """How a frame of a case was made."""

    STRUCTURE = "structure"
    BITS = "bits"
    EXI = "exi"
    OVERSIZE = "oversize"
    SEED = "seed"
    FRAME = "frame"
    SEQUENCE = "sequence"
    GENERATED = "generated"
    NATURAL = "natural"


_WEIGHTS = {
    Kind.STRUCTURE: 30,
    Kind.BITS: 15,
    Kind.EXI: 15,
    Kind.OVERSIZE: 2,
    Kind.FRAME: 8,
    Kind.SEQUENCE: 10,
    Kind.GENERATED: 13,
    Kind.NATURAL: 7,
}
_WITH_SEEDS = _WEIGHTS | {Kind.SEED: 40}


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


def case(tests: Role, seed: int, index: int, seeds: Seeds = none) -> Case:
    """The case of this number."""
    weights = _WITH_SEEDS if seeds else _WEIGHTS
    rng = Random(f"{tests.value}/{seed}/{index}")
    path = walk(rng.choice(list(PROFILES)))
    prefix = rng.randrange(len(path.exchanges))
    frames: list[bytes] = []
    kinds: list[Kind] = []
    for number in range(rng.choice((1, 1, 1, 2, 3))):
        following = path.exchanges[min(prefix + number, len(path.exchanges) - 1)]
        kind = rng.choices(list(weights), list(weights.values()))[0]
        frames.append(_frame(rng, kind, tests, path, following, seeds))
        kinds.append(kind)
    return Case(tests, path.profile, prefix, tuple(frames), tuple(kinds))


def _frame(rng: Random, kind: Kind, tests: Role, path: Walk, following: Exchange, seeds: Seeds) -> bytes:
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
            made = v2gtp.pack(payload_type, payload)
        case Kind.EXI:
            made = _packed(payload_type, exi_events.deviating(rng, message))
        case Kind.OVERSIZE:
            made = mutate.oversize(rng, message, payload_type)
        case Kind.SEED:
            made = _seeded(rng, seeds, path, following, natural[8:])
        case Kind.FRAME:
            made = mutate.framed(rng, payload_type, natural[8:])
        case Kind.SEQUENCE:
            made = mutate.pack(other, other_type)
        case Kind.GENERATED:
            header = MessageHeader(session_id=path.session_id, timestamp=int(EPOCH + following.time))
            made = mutate.pack(mutate.generated(rng, header, _names(tests)))
    return made if made is not None else natural


def _seeded(rng: Random, seeds: Seeds, path: Walk, following: Exchange, natural: bytes) -> bytes | None:
    """A seed in the session of the case, as it is or changed; its octets changed where it is no message."""
    chosen = rng.randrange(len(seeds.payloads))
    payload_type, payload = seeds.payloads[chosen]
    message = seeds.messages[chosen]
    if message is None or rng.random() < 0.2:
        return v2gtp.pack(payload_type, mutate.bits(rng, payload, natural))
    times = rng.randrange(3)
    message = mutate.structure(rng, message, times)
    header = getattr(message, "header", None)
    if isinstance(header, MessageHeader) and rng.random() < 0.9:
        header.session_id, header.timestamp = path.session_id, int(EPOCH + following.time)
    if not times and rng.random() < 0.8:
        return _packed(payload_type, exi_events.deviating(rng, message))
    return mutate.pack(message, payload_type)


def _packed(payload_type: int, payload: bytes | None) -> bytes | None:
    return None if payload is None else v2gtp.pack(payload_type, payload)


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
