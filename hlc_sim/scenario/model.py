"""What a scenario is: whom we play, where we misbehave, what a sound device does then, and the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from iso15118.messages.app_protocol import AppProtocolResponseCode
from iso15118.messages.common_types import ResponseCode
from iso15118.messages.declare import Node
from iso15118.security.tls_profile import Alert
from iso15118.session.events import Role

from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..transport.link import Link
from . import edit
from .physics import PhysicsSettings
from .settings import Layer, SDPSettings, SLACSettings, SLACStep, TLSSettings


class Do(StrEnum):
    """What a step does in place of sending its message unchanged."""

    REPLACE = "replace"
    """Send it with other fields (`set`, `unset`), as another message (`message`), or with other bytes
    (`payload`, `truncate`, `append`, `flip`, `payload_type`, `length`, `version`).
    """
    INSERT = "insert"
    """Send `message` or `payload` first, then the original, without waiting between them."""
    DROP = "drop"
    """Lose it."""
    DELAY = "delay"
    """Send it `seconds` later."""
    REPEAT = "repeat"
    """Send it `count` times in all, without waiting between them."""
    REORDER = "reorder"
    """Hold it back and send it behind the next outgoing message, at the latest after `seconds`."""
    SILENCE = "silence"
    """Send nothing from here on, and keep the connection open."""
    HALF_OPEN = "half-open"
    """Send it, then close our direction of the connection only."""
    DRIP = "drip"
    """Send it in pieces of `chunk` bytes, `seconds` apart."""
    FLOOD = "flood"
    """Send it `count` times as fast as the connection takes it."""
    RESET = "reset"
    """Break the connection (TCP RST) instead."""
    CLOSE = "close"
    """Close the connection instead."""
    CALL = "call"
    """Python only: await `call(link, payload_type, message)`."""


ANSWER_PATIENCE = 2.0
"""s that the answer to a raw frame is waited for before the next one goes out."""
_NEEDS_MESSAGE = (Do.REPLACE, Do.INSERT)
_KEYS: dict[str, tuple[Do, ...]] = {
    "set": _NEEDS_MESSAGE,
    "unset": (Do.REPLACE,),
    "message": _NEEDS_MESSAGE,
    "payload": _NEEDS_MESSAGE,
    "session_id": _NEEDS_MESSAGE,
    "payload_type": _NEEDS_MESSAGE,
    "truncate": (Do.REPLACE,),
    "append": (Do.REPLACE,),
    "flip": (Do.REPLACE,),
    "length": (Do.REPLACE,),
    "version": (Do.REPLACE,),
    "raw": (Do.REPLACE,),
    "seconds": (Do.DELAY, Do.DRIP, Do.REORDER),
    "count": (Do.REPEAT, Do.FLOOD),
    "chunk": (Do.DRIP,),
    "call": (Do.CALL,),
}
Call = Callable[[Link, int, Node], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Step:
    """One intervention, on the `occurrence`-th outgoing message `at` (0: on each).

    `at` is an element name, with the ChargeProgress of a PowerDeliveryReq if wanted
    ("PowerDeliveryReq(Stop)"), or "*" for any message.
    """

    at: str
    do: Do
    occurrence: int = 1
    set: dict[str, Any] = field(default_factory=dict)
    """New values by path; see `edit`."""
    unset: tuple[str, ...] = ()
    message: str = ""
    """Element name of a whole message, filled with the least it must have and the header of the session."""
    payload: str = ""
    """EXI octets as hex in place of the encoded message."""
    session_id: str = ""
    """Wherever these 8 octets (hex) stand in `payload` or `raw`, at any bit, the session's own id is put."""
    payload_type: int | None = None
    truncate: int = 0
    """Leave out that many bytes at the end of the payload; the header tells the new length."""
    append: str = ""
    """Bytes (hex) behind the payload; the header counts them."""
    flip: tuple[int, ...] = ()
    """Bits of the payload to invert, 0 is the first bit of the first byte."""
    length: int | None = None
    """Difference between the length in the header and the payload's."""
    version: int | None = None
    """First byte of the header; the second stays 0xFE."""
    raw: str = ""
    """Bytes (hex) on the connection in place of the whole frame; several with commas between them, each sent
    when the one before is answered, or after `ANSWER_PATIENCE`.
    """
    seconds: float = 1.0
    count: int = 2
    chunk: int = 1
    call: Call | None = None

    def __post_init__(self) -> None:
        name = self.at.partition("(")[0]
        if name != "*":
            cls = edit.class_named(name)
            if not self.message:
                for path in (*self.set, *self.unset):
                    edit.check_path(cls, path)
        if self.message:
            target = edit.class_named(self.message)
            for path in self.set:
                edit.check_path(target, path)
        for key, users in _KEYS.items():
            default = Step.__dataclass_fields__[key].default
            given = bool(self.set) if key == "set" else getattr(self, key) != default
            if given and self.do not in users:
                allowed = ", ".join(users)
                raise ValueError(f"{key} has no meaning with do = {self.do.value!r}, only with {allowed}")
        for key in ("payload", "session_id", "append", "raw"):
            try:
                bytes.fromhex(getattr(self, key).replace(",", "") if key == "raw" else getattr(self, key))
            except ValueError:
                raise ValueError(f"{key}: {getattr(self, key)!r} is not hex") from None
        if self.occurrence < 0 or self.count < 1 or self.chunk < 1 or self.seconds < 0:
            raise ValueError("occurrence and seconds are at least 0, count and chunk at least 1")
        if self.do is Do.INSERT and not (self.message or self.payload):
            raise ValueError("do = 'insert' needs message or payload")


ALERTS = frozenset(alert.name.lower() for alert in Alert)
"""TLS alerts by the names of RFC 8446."""


class Outcome(StrEnum):
    """What a sound device makes of it."""

    CONTINUES = "continues"
    """It goes on, and the session comes to its proper end."""
    REFUSES = "refuses"
    """SECC: it answers with one of `codes` and ends the session. In the handshake: it breaks off, with an
    alert of `codes` (by default those listed for the broken chain) or without one.
    """
    ANSWERS = "answers"
    """SECC: it answers with one of `codes` (none: with any); whether the session then goes on is its own
    business.
    """
    ENDS = "ends"
    """It ends the session, with a FAILED response or without one, within `within` s, not before `after` s."""
    GIVES_UP = "gives-up"
    """It may go on for a while, and ends the session within `within` s."""
    SURVIVES = "survives"
    """Either; only what the judge says, and that the next session succeeds, counts."""
    IGNORES = "ignores"
    """SDP and SLAC: it gives no answer to it, and goes on."""


OUTCOMES = {
    Layer.V2G: frozenset(Outcome) - {Outcome.IGNORES},
    Layer.TLS: frozenset(Outcome) - {Outcome.IGNORES},
    Layer.SDP: frozenset({Outcome.CONTINUES, Outcome.ENDS, Outcome.IGNORES, Outcome.SURVIVES}),
    Layer.SLAC: frozenset({Outcome.CONTINUES, Outcome.IGNORES, Outcome.SURVIVES}),
}
"""What the player of a layer can judge."""
CODED = (Outcome.REFUSES, Outcome.ANSWERS)
"""Outcomes that name response codes."""


@dataclass(frozen=True, slots=True)
class Expect:
    """What a sound device does."""

    outcome: Outcome
    codes: tuple[str, ...] = ()
    """Response codes or TLS alerts (as "unknown_ca"), one of which must answer the intervention."""
    warns: tuple[str, ...] = ()
    """Response codes, one of which must occur in a session that goes on."""
    within: float = 10.0
    """s from the intervention to the end of the connection."""
    after: float = 0.0
    """s that the device must wait before it ends the connection."""
    never: tuple[str, ...] = ()
    """Messages that the device must not send after it, as "PowerDeliveryReq(Start)"."""
    allow: tuple[str, ...] = ()
    """Rules of the judge that the device may break here (ids as in `hlc check`)."""
    health: bool = True
    """A second, undisturbed session must succeed: with an SECC; below the messages also with an EVCC."""

    def __post_init__(self) -> None:
        known = {code.value for kind in (ResponseCode, AppProtocolResponseCode) for code in kind} | ALERTS
        for code in (*self.codes, *self.warns):
            if code not in known:
                raise ValueError(f"{code!r} is no response code, nor a TLS alert")
        for name in self.never:
            edit.class_named(name.partition("(")[0])
        if self.codes and self.outcome not in CODED:
            wanted = "outcome = 'refuses' or 'answers'"
            raise ValueError(f"codes belong to {wanted}; for a session that goes on use warns")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`plays` is the side that we are; the device under test is the other one."""

    name: str
    title: str
    plays: Role
    sound: str
    """What a sound device does, in words."""
    expect: Expect
    steps: tuple[Step, ...] = ()
    origin: tuple[str, ...] = ()
    """Where it was seen: labels of the defects of public stacks."""
    requirements: tuple[str, ...] = ()
    given: str = ""
    """How the device must be set up for this, where its messages do not show it. A simulated one is; of
    another one a failure to behave is inconclusive.
    """
    vehicle: VehicleConfig = field(default_factory=VehicleConfig)
    """The vehicle, ours or the simulated device."""
    station: StationConfig = field(default_factory=StationConfig)
    """The station, ours or the simulated device."""
    usual: dict[str, Any] = field(default_factory=dict)
    """Fields of EVCCConfig for the undisturbed session after, as the device needs them."""
    sessions: int = 1
    """Disturbed sessions one after another."""
    layer: Layer = Layer.V2G
    physics: PhysicsSettings | None = None
    """What is wrong with the hardware of our side, while its messages are correct."""
    tls: TLSSettings | None = None
    sdp: SDPSettings | None = None
    slac: SLACSettings | None = None

    @property
    def tests(self) -> Role:
        """The side under test."""
        return self.plays.other

    def deeds(self) -> list[str]:
        """What our side does wrong, in lines."""
        lines = []
        for step in self.steps:
            which = "each time" if step.occurrence == 0 else f"time {step.occurrence}"
            lines.append(f"at {step.at}, {which}: {step.do.value}")
        table = self.tls or self.sdp or self.slac or self.physics
        if table is not None:
            usual = type(table)()
            given = {item.name: getattr(table, item.name) for item in fields(table)}
            lines += [
                f"{'physics' if table is self.physics else self.layer.value}.{name}: {_words(value)}"
                for name, value in given.items()
                if value != getattr(usual, name)
            ]
        own = self.station if self.plays is Role.SECC else self.vehicle
        if own != type(own)():
            lines.append(
                f"our {type(own).__name__.removesuffix('Config').lower()} as the scenario sets it up"
            )
        return lines or ["nothing: our side is correct"]

    def __post_init__(self) -> None:
        if self.sessions < 1:
            raise ValueError(f"sessions is {self.sessions}, must be at least 1")
        wrong = "Req" if self.plays is Role.SECC else "Res"
        for step in self.steps:
            if step.at.partition("(")[0].endswith(wrong):
                raise ValueError(f"at = {step.at!r}: the {self.plays.value} does not send that")
        self._check_codes()
        if self.expect.outcome not in OUTCOMES[self.layer]:
            raise ValueError(
                f"outcome = {self.expect.outcome.value!r} has no meaning with layer = {self.layer.value!r}"
            )
        if self.steps and self.layer not in (Layer.V2G, Layer.TLS):
            raise ValueError(f"steps have no meaning with layer = {self.layer.value!r}")
        tables = ((Layer.TLS, self.tls), (Layer.SDP, self.sdp), (Layer.SLAC, self.slac))
        for layer, table in tables:
            if (self.layer is layer) is not (table is not None):
                raise ValueError(f"the table {layer.value} and layer = {layer.value!r} come together")

    def _check_codes(self) -> None:
        codes = set(self.expect.codes)
        if codes - ALERTS and self.plays is Role.SECC:
            raise ValueError("expect.codes: an EVCC sends no response codes")
        if codes & ALERTS and self.layer is not Layer.TLS:
            raise ValueError("expect.codes: alerts belong to layer = 'tls'")
        listed = self.tls is not None and self.tls.chain
        if self.expect.outcome is Outcome.REFUSES and not codes and not listed:
            raise ValueError(f"outcome = {self.expect.outcome.value!r} needs codes")


def _words(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], SLACStep):
        return ", ".join(f"{step.do} {step.at}" for step in value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class Result(StrEnum):
    """What became of a scenario or a case."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """The device was not brought to the point, or the answer can be read both ways."""


@dataclass(slots=True)
class Verdict:
    """`reasons` says why, in words; `log` is what went over the wire, one line per frame."""

    scenario: str
    result: Result
    reasons: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    """Errors of the device that the judge found."""
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0
    unreached: bool = False
    """There was no connection to the device at all."""
