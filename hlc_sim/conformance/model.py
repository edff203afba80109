"""What a conformance case is: a stimulus or an observation, the requirements it judges, and its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from iso15118.session.events import Role

from ..scenario.model import Scenario

if TYPE_CHECKING:
    from .bench import Bench


class Group(StrEnum):
    """Stimulus classes."""

    FIELDS = "fields"
    """Nothing is disturbed: what the device says in whole sessions is looked at."""
    SEQUENCE = "sequence"
    """Messages out of their order."""
    SESSION_ID = "session-id"
    """Messages under another SessionID."""
    SILENCE = "silence"
    """Nothing more comes, or it comes late: timers."""
    CODES = "codes"
    """Response codes."""
    VALUES = "values"
    """Wrong, extreme or absent values of fields."""
    FRAMES = "frames"
    """V2GTP headers and EXI documents that are broken."""
    SERVICES = "services"
    """Protocols, authorization services, energy services and their parameters."""
    RENEGOTIATION = "renegotiation"
    """Of schedule and service, standby, and what the SECC notifies."""
    PAUSE = "pause"
    """Pause and resume."""
    PNC = "pnc"
    """Plug & Charge and certificate installation."""
    POWER = "power"
    """The physics do not do what the messages say."""
    TLS = "tls"
    SDP = "sdp"
    SLAC = "slac"


class Failed(Exception):
    """A procedure saw the device do what it must not; the text says what."""


class Inconclusive(Exception):
    """A procedure did not come to its point; the text says why."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Looks at undisturbed sessions: none of `rules` (ids of the judge) may be broken by the device in
    `message`, and `message` must have occurred; without one, a session must have come to its proper end.
    Without rules each session has to.
    """

    sessions: tuple[str, ...]
    """Names of reference sessions (`reference`); those that the device supports are looked at."""
    message: str = ""
    rules: tuple[str, ...] = ()


Procedure: TypeAlias = Callable[["Bench"], Awaitable[None]]
"""Drives the device through sessions of its own; raises Failed or Inconclusive."""
Play: TypeAlias = Scenario | Observation | Procedure


@dataclass(frozen=True, slots=True)
class Case:
    """One test case. Ids are stable: side, group, then what is done where."""

    id: str
    title: str
    tests: Role
    """The side under test."""
    group: Group
    message: str
    """The message that is disturbed or judged; empty where it is none in particular."""
    sound: str
    """What a sound device does."""
    play: Play
    requirements: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """What the device must support; see `Capabilities.missing`."""
    any_service: bool = False
    """The scenario fits every energy service: it is played with one that the device has."""
    thorough: bool = False
    """One of many of its kind: run only when asked for."""


class Result(StrEnum):
    """What became of a case."""

    PASS = "pass"
    FAIL = "fail"
    KNOWN = "known failure"
    """It failed, and the capability file says why that is known."""
    INCONCLUSIVE = "inconclusive"
    """The device was not brought to the point."""
    NOT_APPLICABLE = "not applicable"
    """The device does not support what the case is about."""


@dataclass(slots=True)
class CaseResult:
    """`reasons` says why, in words; `log` is what went over the wire, one line per frame."""

    case: Case
    result: Result
    reasons: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0
    unreached: bool = False
    """There was no connection to the device at all."""
