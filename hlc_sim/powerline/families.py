"""Families of Green PHY modems as their hosts see them: what differs, as data.

Qualcomm rows come from captures of real stations and from Qualcomm's tools; Lumissil and Vertexcom rows from
what other stacks expect of these modems, not from captures. Times are seconds and typical: after a new key
real modems are deaf for 1 to 10 s, which a bench can set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Vendor(Enum):
    QUALCOMM = "Qualcomm"
    LUMISSIL = "Lumissil"
    NONE = "no vendor messages"


@dataclass(frozen=True, slots=True)
class Family:
    """groups: carrier groups in an attenuation profile (0: none are measured). vs_attenuation: OUI of the
    VS_ATTENUATION_CHARACTERISTICS.IND before every profile, None if there is none. set_key_result: what a
    CM_SET_KEY.CNF says of success. loses_first_key: a key set within a second after matching is confirmed but
    not taken. leaks_unicast: SLAC messages for others reach the host. manageable_over_line: key, reset and
    PIB requests are obeyed when they come over the powerline."""

    name: str
    vendor: Vendor = Vendor.NONE
    device_class: int = 0
    firmware: str = ""
    groups: int = 58
    vs_attenuation: int | None = None
    set_key_result: int = 0
    key_readable: bool = True
    deaf_after_key: float = 0.5
    join_time: float = 1.0
    reset_time: float = 3.0
    response_time: float = 0.001
    loses_first_key: bool = False
    leaks_unicast: bool = False
    manageable_over_line: bool = False

    def but(self, **changes: object) -> Family:
        """This family with something changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


_QCA7000 = Family(
    "qca7000",
    Vendor.QUALCOMM,
    device_class=0x22,
    firmware="MAC-QCA7000-1.1.3.1531-00-20150204-CS",
    vs_attenuation=0x00B052,
    set_key_result=1,
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("spec"),
        _QCA7000,
        _QCA7000.but(
            name="qca7005",
            firmware="MAC-QCA7005-1.1.0.730-04-20140815-CS",
            vs_attenuation=0x000000,
            loses_first_key=True,
        ),
        _QCA7000.but(
            name="qca7420",
            device_class=0x20,
            firmware="MAC-QCA7420-1.3.2.2134-00-20150904-CS",
            groups=0,
            vs_attenuation=None,
        ),
        Family("cg5317", Vendor.LUMISSIL, firmware="1.2.0.3", reset_time=10.0),
        Family("mse102x"),
    )
}


def family(name: str) -> Family:
    """A family by name; ValueError with the names there are."""
    try:
        return FAMILIES[name]
    except KeyError:
        raise ValueError(f"modem family {name!r}: one of {', '.join(FAMILIES)} expected") from None
