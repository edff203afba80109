"""What a scenario does below the messages: one small table for each layer."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from ipaddress import IPv6Address
from typing import Any

from iso15118.security.tls_profile import CipherSuite, Group, SignatureScheme
from iso15118.slac import messages


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
SUITES = tuple(suite.name for suite in CipherSuite)
GROUPS = tuple(group.name.lower() for group in Group)
SCHEMES = tuple(scheme.name.lower() for scheme in SignatureScheme)
FLIGHT_FAULTS = ("silence", "close", "half", "replace", "abandon", "insert", "repeat", "flip", "drip")
HELLO_ID = b"\xa5" * 32
"""In `TLSSettings.raw`: the session id of the device's ClientHello is put where this stands."""
ENDPOINT = IPv6Address("fe80::5ecc").packed + (60_000).to_bytes(2, "big")
"""In `SDPSettings.answers`: our address and port are put where this stands."""
EV, EVSE = bytes.fromhex("020000000e01"), bytes.fromhex("0200000005e1")
RUN_ID = b"\xa5" * 8
"""In `SLACStep.raw`: the two addresses and the RunID of the matching are put where these stand."""
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
    """"silence", "close" or "replace" (by `raw`) in its place; "abandon": `raw` in its place, then we hang
    up; "half": its first half, then silence; "insert" `raw` before it; "repeat"; "flip" its last bit; "drip":
    byte by byte, `seconds` apart.
    """
    raw: str = ""
    """Bytes (hex); several with commas between them, sent `seconds` apart. 32 octets A5 in them stand for the
    session id of the device's ClientHello.
    """
    seconds: float = 0.01
    pnc: bool = False
    """With Plug & Charge on both sides."""
    contract: str = ""
    """EVCC: a variant of `v2g-pki break --list` in place of our contract."""
    contracts: bool = True
    """EVCC: False has no contract, and asks for one."""
    grammar: str = ""
    """EVCC: the fragment grammar of SignedInfo when signing, "xmldsig" or "iso20_common"."""
    provisioning: str = ""
    """EVCC: a variant of `v2g-pki break --list` in place of our OEM provisioning certificate."""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("versions", self.versions, VERSIONS),
            ("suites", self.suites, SUITES),
            ("groups", self.groups, GROUPS),
            ("schemes", self.schemes, SCHEMES),
            ("check", self.check, TLS_CHECKS),
            ("do", (self.do,) if self.do else (), FLIGHT_FAULTS),
        ):
            for item in value:
                if item not in known:
                    raise ValueError(f"tls.{name}: {item!r} is not one of {', '.join(known)}")
        if bool(self.flight) is not bool(self.do):
            raise ValueError("tls.flight and tls.do come together")
        if self.grammar not in ("", "xmldsig", "iso20_common"):
            raise ValueError(f"tls.grammar: {self.grammar!r} is not one of xmldsig, iso20_common")
        _hex("tls.raw", self.raw.replace(",", ""))
        if self.do in ("replace", "abandon", "insert") and not self.raw:
            raise ValueError(f"tls.do = {self.do!r} needs raw")

    @property
    def bare(self) -> bool:
        """The device sees no certificate of ours."""
        return self.flight == 1 and self.do == "abandon"


_ANSWER = 28
"""Octets of an SDP answer, V2GTP header and all."""


@dataclass(frozen=True, slots=True)
class SDPSettings:
    """What our side does wrong in the discovery.

    As EVCC it sends datagrams. As SECC it answers requests: `times` of them wrongly, the others well.
    """

    send: tuple[str, ...] = ()
    """EVCC: datagrams (hex), V2GTP header and all, one after the other."""
    count: int = 1
    """EVCC: how many times all of that."""
    seconds: float = 0.0
    """EVCC: s between two datagrams. SECC: s by which an answer is late."""
    unicast: bool = False
    """EVCC: to the SECC's own address instead of the group."""
    then_plain: bool = False
    """EVCC: where the SECC offers a port without TLS, ask for -20 there: it must not be served."""
    times: int = 1
    """SECC: so many requests are answered wrongly; 0: all."""
    silent: bool = False
    """SECC: not at all."""
    no_tls: bool = False
    """SECC: with security NONE."""
    port: int | None = None
    """SECC: with this port."""
    fields: dict[str, int] = field(default_factory=dict)
    """SECC: octets of the datagram to replace, by offset: 0 to 7 are the V2GTP header, 8 to 23 the address,
    24 and 25 the port, 26 the security, 27 the transport.
    """
    truncate: int = 0
    """SECC: so many bytes of the datagram are left out at its end."""
    append: str = ""
    """SECC: bytes (hex) behind the datagram."""
    answers: tuple[str, ...] = ()
    """SECC: datagrams (hex) in place of the answer. The address fe80::5ecc and the port 60000 behind it, 18
    octets, stand for ours.
    """
    copies: int = 1
    """SECC: the answer so many times."""
    second: bool = False
    """SECC: a second answer with another port behind the first, as of another station."""

    def __post_init__(self) -> None:
        for datagram in self.send:
            _hex("sdp.send", datagram)
        for datagram in self.answers:
            _hex("sdp.answers", datagram)
        _hex("sdp.append", self.append)
        for offset, octet in self.fields.items():
            if not (offset.isascii() and offset.isdigit() and int(offset) < _ANSWER and 0 <= octet <= 0xFF):
                raise ValueError(f"sdp.fields: {offset} = {octet} is not an octet at an offset up to 27")
        if self.count < 1 or self.copies < 1 or self.times < 0 or self.seconds < 0:
            raise ValueError("sdp: count and copies are at least 1, times and seconds at least 0")


SLAC_MESSAGES: dict[str, type[Any]] = {
    "CM_SLAC_PARM.REQ": messages.SlacParmReq,
    "CM_SLAC_PARM.CNF": messages.SlacParmCnf,
    "CM_START_ATTEN_CHAR.IND": messages.StartAttenCharInd,
    "CM_MNBC_SOUND.IND": messages.MnbcSoundInd,
    "CM_ATTEN_CHAR.IND": messages.AttenCharInd,
    "CM_ATTEN_CHAR.RSP": messages.AttenCharRsp,
    "CM_VALIDATE.REQ": messages.ValidateReq,
    "CM_VALIDATE.CNF": messages.ValidateCnf,
    "CM_SLAC_MATCH.REQ": messages.SlacMatchReq,
    "CM_SLAC_MATCH.CNF": messages.SlacMatchCnf,
}
SLAC_DOES = ("drop", "silence", "repeat", "delay", "replace", "insert")


@dataclass(frozen=True, slots=True)
class SLACStep:
    """One intervention, on the `occurrence`-th outgoing message `at` (0: on each)."""

    at: str
    do: str
    """"drop"; "silence" from here on; "repeat" `count` times in all; "delay" by `seconds`; "replace" fields
    (`set`) or leave out bytes at the end (`truncate`); "insert" frames (`raw`) before it.
    """
    occurrence: int = 0
    set: dict[str, Any] = field(default_factory=dict)
    """New values by the names of `iso15118.slac.messages`; octets as hex."""
    truncate: int = 0
    raw: str = ""
    """Whole Ethernet frames (hex) with commas between them. 02:00:00:00:0E:01 in them stands for the address
    of the EV, 02:00:00:00:05:E1 for that of the station, 8 octets A5 for the RunID.
    """
    seconds: float = 1.0
    count: int = 2

    def __post_init__(self) -> None:
        if self.at not in SLAC_MESSAGES:
            raise ValueError(f"at: {self.at!r} is not one of {', '.join(SLAC_MESSAGES)}")
        if self.do not in SLAC_DOES:
            raise ValueError(f"do: {self.do!r} is not one of {', '.join(SLAC_DOES)}")
        if self.do == "replace" and not (self.set or self.truncate):
            raise ValueError("do = 'replace' needs set or truncate")
        if (self.do == "insert") is not bool(self.raw):
            raise ValueError("do = 'insert' and raw come together")
        _hex("raw", self.raw.replace(",", ""))
        self.values()

    def values(self) -> dict[str, Any]:
        """`set` as the fields of the message hold it."""
        known = [item.name for item in fields(SLAC_MESSAGES[self.at])]
        values: dict[str, Any] = {}
        for name, value in self.set.items():
            if name not in known:
                raise ValueError(f"set: {self.at} has no field {name!r} (fields: {', '.join(known)})")
            if isinstance(value, str):
                _hex(f"set.{name}", value)
                values[name] = bytes.fromhex(value)
            else:
                values[name] = tuple(value) if isinstance(value, list) else value
        return values


@dataclass(frozen=True, slots=True)
class SLACSettings:
    """What our side does wrong in the matching: steps of an otherwise correct EV or EVSE, or one of the
    recipes of `hlc_sim.powerline.attacks`.
    """

    steps: tuple[SLACStep, ...] = ()
    attack: str = ""
    validate: bool = False
    """The signal is weak enough for the EV to ask for validation (as EVCC we ask always)."""
    validation: str = ""
    """SECC: how we answer CM_VALIDATE.REQ: "toggles", "not-required" or "failure"."""

    def __post_init__(self) -> None:
        if bool(self.attack) and bool(self.steps):
            raise ValueError("slac: steps and attack exclude each other")
        if self.validation not in ("", "toggles", "not-required", "failure"):
            raise ValueError(f"slac.validation: {self.validation!r} is no way to answer")

    @property
    def counts_toggles(self) -> bool:
        """Whether it comes to what only a control pilot shows."""
        cut = any(step.do == "silence" and step.at.startswith("CM_VALIDATE") for step in self.steps)
        return self.validate and self.validation in ("", "toggles") and not cut


def _hex(key: str, text: str) -> None:
    try:
        bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{key}: {text!r} is not hex") from None
