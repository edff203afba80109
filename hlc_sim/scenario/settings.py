"""What a scenario does below the messages: one small table for each layer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Layer(StrEnum):
    """Where a scenario misbehaves, and so what plays and judges it."""

    V2G = "v2g"
    """V2GTP, EXI, messages and their sequence: `steps` (module `runner`)."""
    TLS = "tls"
    """The handshake and the certificates, and what travels under it: `tls` (module `layer_tls`)."""
    SDP = "sdp"
    """Discovery: `sdp` (module `layer_sdp`)."""
    SLAC = "slac"
    """The matching on the powerline: `slac` (module `layer_slac`)."""


VERSIONS = ("1.2", "1.3")
FLIGHT_FAULTS = ("silence", "close", "half", "replace", "insert", "repeat", "flip", "drip")
TLS_CHECKS = ("profile", "staple", "authorities", "hello")


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """How our side of the handshake differs from a correct one. Empty lists: as in the profile of -20."""

    versions: tuple[str, ...] = ()
    """Of "1.2" and "1.3"."""
    suites: tuple[str, ...] = ()
    """IANA names."""
    groups: tuple[str, ...] = ()
    """As secp521r1."""
    schemes: tuple[str, ...] = ()
    """As ecdsa_secp256r1_sha256."""
    chain: str = ""
    """A variant of `v2g-pki break --list` in place of our chain."""
    credential: str = ""
    """Another credential of the hierarchy in place of ours; "none": no certificate."""
    request_certificate: bool = True
    """SECC: ask the EV for its certificate."""
    check: tuple[str, ...] = ()
    """What must be in order beside the outcome: "profile" (version, suite and group chosen are of -20),
    "staple" (of the leaf), "authorities" (CA names in the CertificateRequest), "hello" (the ClientHello).
    """
    flight: int = 0
    """The n-th flight of ours to which `do` happens, 1 is the first; 0: none."""
    do: str = ""
    """"silence", "close" or "replace" (by `raw`) in its place; "half": its first half, then silence; "insert"
    `raw` before it; "repeat"; "flip" its last bit; "drip": byte by byte, `seconds` apart.
    """
    raw: str = ""
    """Bytes (hex)."""
    seconds: float = 0.01
    pnc: bool = False
    """With Plug & Charge on both sides."""
    contract: str = ""
    """EVCC: a variant of `v2g-pki break --list` in place of our contract."""
    contracts: bool = True
    """EVCC: False has no contract, and asks for one."""
    provisioning: str = ""
    """EVCC: a variant of `v2g-pki break --list` in place of our OEM provisioning certificate."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("versions", self.versions, VERSIONS),
            ("check", self.check, TLS_CHECKS),
            ("do", (self.do,) if self.do else (), FLIGHT_FAULTS),
        ):
            for item in value:
                if item not in known:
                    raise ValueError(f"tls.{name}: {item!r} is not one of {', '.join(known)}")
        if bool(self.flight) is not bool(self.do):
            raise ValueError("tls.flight and tls.do come together")
        _hex("tls.raw", self.raw)
        if self.do in ("replace", "insert") and not self.raw:
            raise ValueError(f"tls.do = {self.do!r} needs raw")


def _hex(key: str, text: str) -> None:
    try:
        bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{key}: {text!r} is not hex") from None
