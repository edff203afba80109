"""NSS key log: the secrets of TLS connections, by ClientRandom."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LINE = re.compile(r"([A-Z][A-Z0-9_]*) ([0-9A-Fa-f]{64}) ([0-9A-Fa-f]{2,})")


class KeyLog:
    """Secrets by (label, ClientRandom). Lines that are none are skipped, as the format asks."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._secrets: dict[tuple[str, bytes], bytes] = {}
        self.add(lines)

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            match = _LINE.fullmatch(line.strip())
            if match is not None and len(match[3]) % 2 == 0:
                self._secrets[match[1], bytes.fromhex(match[2])] = bytes.fromhex(match[3])

    def get(self, label: str, client_random: bytes) -> bytes | None:
        return self._secrets.get((label, client_random))

    def __len__(self) -> int:
        return len(self._secrets)
