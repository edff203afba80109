"""Network membership key (NMK), network identifier (NID) and device access key (DAK) of HomePlug AV / Green
PHY.

An NMK and a DAK are 16 bytes, a NID is 7 bytes (54 bits used). All three travel as opaque byte strings.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Callable

Entropy = Callable[[int], bytes]

_SALT_NMK = bytes.fromhex("08856DAF7CF58186")
_SALT_DAK = bytes.fromhex("08856DAF7CF58185")


def nid_from_nmk(nmk: bytes, security_level: int = 0) -> bytes:
    """The default NID of a network key: SHA-256 five times, 52 bits kept, security level (0 for SLAC) above
    them."""
    if len(nmk) != 16:
        raise ValueError(f"NMK: 16 bytes expected, got {len(nmk)}")
    if security_level not in (0, 1):
        raise ValueError(f"security_level: 0 or 1 expected, got {security_level}")
    digest = nmk
    for _ in range(5):
        digest = hashlib.sha256(digest).digest()
    return digest[:6] + bytes([security_level << 4 | digest[6] >> 4])


def _pbkdf1(password: str, salt: bytes) -> bytes:
    digest = password.encode("ascii") + salt
    for _ in range(1000):
        digest = hashlib.sha256(digest).digest()
    return digest[:16]


def nmk_from_password(password: str) -> bytes:
    """The NMK of a network password (PBKDF1, SHA-256, 1000 rounds)."""
    return _pbkdf1(password, _SALT_NMK)


def dak_from_password(password: str) -> bytes:
    """The device access key of a device password."""
    return _pbkdf1(password, _SALT_DAK)


def nmk_weaknesses(nmk: bytes) -> list[str]:
    """What speaks against this key being 16 random bytes, in words; empty for a key without visible fault.

    A fair 16-byte key fails any one of these tests with a probability well below one in a million.
    """
    found = []
    if not any(nmk):
        found.append("all zero")
    elif nmk in (nmk_from_password("HomePlugAV"), nmk_from_password("HomePlugAV0123")):
        found.append("key of a well-known default password")
    if all(0x20 <= byte < 0x7F for byte in nmk):
        found.append("printable characters only")
    counts = Counter(nmk)
    bits = -sum(n / len(nmk) * math.log2(n / len(nmk)) for n in counts.values())
    if len(counts) < 9:
        found.append(f"only {len(counts)} different byte values ({bits:.1f} bits of byte entropy)")
    steps = {(b - a) % 256 for a, b in itertools.pairwise(nmk)}
    if len(steps) == 1 and len(counts) > 1:
        found.append("constant step between bytes")
    return found
