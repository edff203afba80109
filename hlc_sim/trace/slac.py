"""Names and fields of HomePlug Green PHY management messages, for traces; fields only where scapy is
installed.
"""

from __future__ import annotations

from typing import Any

_NAMES = {
    0x6008: "CM_SET_KEY",
    0x601C: "CM_AMP_MAP",
    0x6064: "CM_SLAC_PARM",
    0x6068: "CM_START_ATTEN_CHAR",
    0x606C: "CM_ATTEN_CHAR",
    0x6074: "CM_MNBC_SOUND",
    0x6078: "CM_VALIDATE",
    0x607C: "CM_SLAC_MATCH",
    0x6084: "CM_ATTEN_PROFILE",
}
_KINDS = ("REQ", "CNF", "IND", "RSP")


def describe_mme(frame: bytes) -> tuple[str, dict[str, Any]]:
    """Name and fields of the management message in an Ethernet frame."""
    if len(frame) < 17:
        return "", {}
    mmtype = int.from_bytes(frame[15:17], "little")
    base = _NAMES.get(mmtype & ~3)
    name = f"{base}.{_KINDS[mmtype & 3]}" if base else f"MMTYPE 0x{mmtype:04X}"
    try:
        from scapy.layers.l2 import Ether

        from ..powerline import layers_mme
    except ImportError:
        return name, {}
    try:
        body = Ether(frame)[layers_mme.Mme]
    except (IndexError, ValueError):
        return name, {}
    return name, {key: _simple(value) for key, value in body.fields.items()}


def _simple(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int | str | float | bool) else str(value)
