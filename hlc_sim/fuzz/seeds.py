"""Payloads that somebody recorded or made, as a start for cases: vectors, traces, captures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from iso15118 import exi, v2gtp
from iso15118.messages.declare import Node

_LONGEST = 32 * 1024
"""Octets; longer ones make a campaign slow and find the same."""
_MOST = 20_000


class SeedError(ValueError):
    """A file without a payload that can be used; the text names it."""


class Seed(NamedTuple):
    payload_type: int
    payload: bytes


@dataclass(frozen=True)
class Seeds:
    """Payloads in an order that does not depend on that of the files."""

    payloads: tuple[Seed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.payloads)

    @cached_property
    def digest(self) -> str:
        """Names the set: a campaign goes on with the same one only."""
        digest = hashlib.sha256()
        for payload_type, payload in self.payloads:
            digest.update(payload_type.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload)
        return f"{len(self.payloads)} seeds {digest.hexdigest()[:12]}"

    @cached_property
    def messages(self) -> tuple[Node | None, ...]:
        """The message of each payload; None where it is none."""
        return tuple(_message(*seed) for seed in self.payloads)


none = Seeds()


def _message(payload_type: int, payload: bytes) -> Node | None:
    name = v2gtp.schema_set_name(payload_type, payload, after_sap=payload_type != v2gtp.PayloadType.SAP)
    if name is None:
        return None
    try:
        found: Node = exi.decode(payload, name)
    except exi.EXIDecodeError:
        return None
    return found


def load(paths: Sequence[Path]) -> Seeds:
    """From whatever `hlc trace` and `hlc decode` read: JSON lines, captures, hex; directories with all their
    files. SeedError names a file without any.
    """
    from ..trace import events
    from ..trace.load import UnreadableInput, open_input

    found: set[Seed] = set()
    for path in _files(paths):
        before = len(found)
        try:
            with open_input(path) as opened:
                for event in opened:
                    if isinstance(event, events.Frame) and 0 < len(event.payload) // 2 <= _LONGEST:
                        found.add(Seed(event.payload_type, bytes.fromhex(event.payload)))
                    if len(found) >= _MOST:
                        break
        except (UnreadableInput, OSError) as error:
            raise SeedError(f"{path}: {error}") from None
        if len(found) == before and path in paths:
            raise SeedError(
                f"{path}: no payload in it" + (f"; {opened.problems[0]}" if opened.problems else "")
            )
    return Seeds(tuple(sorted(found)))


def _files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(p for p in path.iterdir() if p.suffix in (".jsonl", ".pcap", ".pcapng", ".hex"))
        else:
            files.append(path)
    return files
