"""The steps an EVCC yields to its driver, what the driver answers, and how a session ends.

An EVCC is a generator (`Exchange`). A driver runs it:

    step = next(exchange)
    while True:
        match step:
            case Send():     write it, then as for Receive
            case Receive():  wait up to `timeout` s for a message on that stream;
                             send Reply(now, message, side)
            case Post():     write it; send Reply(now) at once
            case Wait():     send Reply(now, side=...) after `seconds`, or as soon as any message comes in

and throws `MessageTimeout`, `ConnectionLost` or `MalformedMessage` into it where that happens. Messages that
arrive on another stream than the one waited for are kept and handed over with the next `Reply.side`, in
order. All main-stream payload types (0x8001 to 0x8010) are one stream, each side stream
(`PayloadType.is_side_stream`) is one of its own. The generator returns a `SessionResult`
(StopIteration.value); then the driver closes the connection.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias, TypeVar

from ..messages import common
from ..messages.common_types import MeterInfo, ResponseCode
from ..messages.declare import Node
from ..v2gtp import PayloadType
from .events import Deviations
from .services import EnergyMode

T = TypeVar("T")


class Send(NamedTuple):
    """Write `request` with `payload_type`, then wait `timeout` s for the response on the same stream."""

    request: Node
    payload_type: PayloadType
    timeout: float


class Post(NamedTuple):
    """Write `request` without waiting; `Receive` takes up its response, else it comes in `Reply.side`."""

    request: Node
    payload_type: PayloadType


class Receive(NamedTuple):
    """Wait `timeout` s for a message on the stream of `payload_type`."""

    payload_type: PayloadType
    timeout: float


class Wait(NamedTuple):
    """Do nothing for `seconds`."""

    seconds: float


Step: TypeAlias = Send | Post | Receive | Wait


class Incoming(NamedTuple):
    """A message and the payload type it came with."""

    payload_type: int
    message: Node


class Reply(NamedTuple):
    """What the driver sends back: the time, the message that a `Send` or `Receive` waited for, and what else
    came in.
    """

    now: float
    message: Node | None = None
    side: tuple[Incoming, ...] = ()


Exchange: TypeAlias = Generator[Step, Reply, T]
"""A part of a session that yields steps and returns a T; `yield from` composes them."""


class PeerFault(Exception):
    """Thrown into the generator by its driver; ends the session. `side` is what came on side streams until
    then: it may say why.
    """

    side: tuple[Incoming, ...] = ()


class MessageTimeout(PeerFault):
    """No response within the message timeout [V2G20-436 to 440]."""


class ConnectionLost(PeerFault):
    """The connection closed or broke."""


class MalformedMessage(PeerFault):
    """Bytes came in that are no message: V2GTP or EXI error."""


class Outcome(StrEnum):
    """How a session ended."""

    TERMINATED = "terminated"
    PAUSED = "paused"
    NO_PROTOCOL = "no common protocol"
    FAILED_RESPONSE = "FAILED response"
    ABORTED = "aborted by the EV"
    PROTOCOL_ERROR = "protocol error of the SECC"
    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection lost"


class SessionEnded(Exception):
    """Raised inside the generator to leave it at once, without another message."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class Abort(Exception):
    """Raised inside the generator when the EV gives up on a healthy link: power off, then
    SessionStop(Terminate).

    `code` and `explanation` become EVTerminationCode (80 characters) and EVTerminationExplanation (160).
    """

    def __init__(self, code: str, explanation: str) -> None:
        super().__init__(explanation)
        self.code = code
        self.explanation = explanation


@dataclass(frozen=True, slots=True)
class PausedSession:
    """What an EV keeps of a paused session to resume it: no schedules and no limits, these are exchanged
    anew.
    """

    session_id: bytes
    mode: EnergyMode
    evse_id: str
    vas: tuple[tuple[int, int], ...] = ()
    """Service and parameter set ids."""
    secc_identity: bytes | None = None
    """What tells this SECC from others, as given to the EVCC: a hash of its certificate."""
    service_renegotiation: bool = False
    contract: common.ContractCertificateChain | None = None
    """That was authorized; None with EIM."""


@dataclass(slots=True)
class SessionResult:
    """What came of a session. Energies in Wh as the EVCC integrated them, times in s."""

    outcome: Outcome = Outcome.ABORTED
    reason: str = ""
    response_code: ResponseCode | None = None
    """The FAILED code that ended it."""
    session_id: bytes = bytes(8)
    evse_id: str = ""
    mode: EnergyMode | None = None
    """The chosen energy service and parameter set."""
    resumed: bool = False
    authorization: common.Authorization | None = None
    """By which the SECC granted it, and with which code; None if it did not, or the session was resumed."""
    authorization_code: ResponseCode | None = None
    messages: int = 0
    """Requests and responses."""
    charge_loops: int = 0
    charged_energy: float = 0.0
    discharged_energy: float = 0.0
    meter_info: MeterInfo | None = None
    """The last reading the SECC sent."""
    started: float = 0.0
    ended: float = 0.0
    deviations: Deviations = field(default_factory=Deviations)
    paused: PausedSession | None = None
    """What to resume from, when the outcome is PAUSED."""

    @property
    def ok(self) -> bool:
        """The session came to its proper end."""
        return self.outcome in (Outcome.TERMINATED, Outcome.PAUSED)
