"""What both matching machines share: events in, actions out, timers by name, the key, the link.

A machine is driven by two calls, ``handle(event, now)`` and ``tick(now)``; both return the actions to carry
out, in order. ``deadline`` says when ``tick`` is wanted next. Nothing else happens: no clock, no I/O, no
ambient randomness. ``now`` is in seconds on any clock that does not go back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from enum import Enum

from .control_pilot import CpSignal, CpState
from .keys import Entropy
from .messages import AmpMapCnf, AmpMapReq, Mac, SlacMessage, mac_text
from .timing import Timing

# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the powerline, with the sender's address. Profiles come from the own modem."""

    source: Mac
    message: SlacMessage


@dataclass(frozen=True, slots=True)
class CpChanged:
    """What the control pilot shows now."""

    signal: CpSignal


@dataclass(frozen=True, slots=True)
class KeyResult:
    """The driver's answer to SetKey. applied: True = read back and equal, None = the modem answered but it
    cannot be read back, False = silence or another key found."""

    applied: bool | None
    nmk: bytes | None = None
    """Which key this is about; the answer to one that has been replaced meanwhile is dropped."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """The driver's answer to AskLink. up: None = the modem did not answer (it is deaf for seconds after a
    key)."""

    up: bool | None


class DLink(Enum):
    """Primitives of the layer above."""

    TERMINATE = "D-LINK_TERMINATE"
    ERROR = "D-LINK_ERROR"
    PAUSE = "D-LINK_PAUSE"
    RESUME = "wake-up"


@dataclass(frozen=True, slots=True)
class NominalDuty:
    """EVSE only: the layer above wants basic charging at this duty cycle (per cent)."""

    duty: float


Event = Received | CpChanged | KeyResult | LinkStatus | DLink | NominalDuty

# --- actions --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on the powerline."""

    destination: Mac
    message: SlacMessage


@dataclass(frozen=True, slots=True)
class SetKey:
    """Give the own modem this network and key; answer with KeyResult."""

    nid: bytes
    nmk: bytes


@dataclass(frozen=True, slots=True)
class AskLink:
    """Ask the own modem whether it has a link; answer with LinkStatus."""


@dataclass(frozen=True, slots=True)
class LoadCp:
    """EV: show this state on the control pilot."""

    state: CpState


@dataclass(frozen=True, slots=True)
class DriveCp:
    """EVSE: duty cycle in per cent (100 = X1), or state E or F."""

    duty: float
    fault: CpState | None = None


@dataclass(frozen=True, slots=True)
class SlacMatch:
    """The outcome of a matching, the same on both sides. Attenuation: mean dB per station that reported; on
    the EVSE's side only its own. groups: the chosen station's values per carrier group."""

    ev_mac: Mac
    evse_mac: Mac
    run_id: bytes
    nid: bytes
    nmk: bytes = field(repr=False)
    attenuation: dict[Mac, float] = field(default_factory=dict)
    groups: tuple[float, ...] = ()
    validation: str = "none"  # none, toggles, not required
    attempts: int = 1
    started: float = 0.0
    matched: float = 0.0  # CM_SLAC_MATCH.CNF
    linked: float = 0.0  # link up

    def __str__(self) -> str:
        chosen = self.attenuation.get(self.evse_mac)
        value = "" if chosen is None else f", {chosen:.1f} dB"
        return f"EV {mac_text(self.ev_mac)} - EVSE {mac_text(self.evse_mac)}{value}"


@dataclass(frozen=True, slots=True)
class LinkReady:
    """D-LINK_READY to the layer above; established=False when a link ended or no matching succeeded."""

    established: bool
    match: SlacMatch | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AmpMapLimits:
    """The peer asks to send at these reduced amplitudes."""

    carriers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Deviation:
    """The peer did what it should not have. requirement: its id, where one is known."""

    text: str
    requirement: str | None = None
    source: Mac | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """For the log and for tests."""

    before: Enum
    after: Enum
    why: str


Action = Send | SetKey | AskLink | LoadCp | DriveCp | LinkReady | AmpMapLimits | Deviation | StateChange

# --- the machine ----------------------------------------------------------------------------------

Expiry = Callable[[], None]


class Machine(ABC):
    """Timers, actions, setting the key and watching the link, which EV and EVSE have in common.

    ``match`` is the current match, if any. amp_map: sent to the peer once the link is up.
    """

    def __init__(
        self, mac: Mac, timing: Timing, entropy: Entropy, initial: Enum, amp_map: tuple[int, ...] | None
    ) -> None:
        if len(mac) != 6:
            raise ValueError(f"mac: 6 bytes expected, got {len(mac)}")
        self.mac = mac
        self.timing = timing
        self.state: Enum = initial
        self.match: SlacMatch | None = None
        self.now = float("-inf")
        self._entropy = entropy
        self._amp_map = amp_map
        self._timers: dict[Hashable, tuple[float, Expiry]] = {}
        self._out: list[Action] = []
        self._key: SetKey | None = None
        self._key_sends = 0
        self._key_done: Callable[[bool], None] | None = None

    @property
    def deadline(self) -> float | None:
        """When ``tick`` is to be called next, or None."""
        return min((when for when, _ in self._timers.values()), default=None)

    @property
    def timers(self) -> dict[Hashable, float]:
        """The running timers and when they expire."""
        return {name: when for name, (when, _) in self._timers.items()}

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take one event; expired timers go first."""
        self._advance(now)
        self._event(event)
        return self._take()

    def tick(self, now: float) -> list[Action]:
        """Let time pass."""
        self._advance(now)
        return self._take()

    def _event(self, event: Event) -> None:
        match event:
            case Received(source, message):
                self._received(source, message)
            case CpChanged(signal):
                self._cp_changed(signal)
            case KeyResult():
                self._key_result(event)
            case LinkStatus(up):
                self._link_status(up)
            case DLink():
                self._primitive(event)
            case _:
                raise TypeError(f"not an event of {type(self).__name__}: {event!r}")

    @abstractmethod
    def _received(self, source: Mac, message: SlacMessage) -> None: ...

    @abstractmethod
    def _cp_changed(self, signal: CpSignal) -> None: ...

    @abstractmethod
    def _link_status(self, up: bool | None) -> None: ...

    @abstractmethod
    def _primitive(self, primitive: DLink) -> None: ...

    @abstractmethod
    def _lost(self, why: str) -> None:
        """The link went down, or never came back."""

    @property
    @abstractmethod
    def _peer(self) -> Mac | None:
        """The other side of the current match."""

    def _take(self) -> list[Action]:
        out, self._out = self._out, []
        return out

    def _advance(self, now: float) -> None:
        while self._timers:
            name = min(self._timers, key=lambda n: self._timers[n][0])
            when, expiry = self._timers[name]
            if when > now:
                break
            del self._timers[name]
            self.now = max(self.now, when)  # steps that were due in the past happen at their own time
            expiry()
        self.now = max(self.now, now)

    def _do(self, *actions: Action) -> None:
        self._out.extend(actions)

    def _start(self, name: Hashable, seconds: float, expiry: Expiry) -> None:
        self._timers[name] = (self.now + seconds, expiry)

    def _stop(self, *names: Hashable) -> None:
        for name in names:
            self._timers.pop(name, None)

    def _go(self, state: Enum, why: str) -> None:
        if state is not self.state:
            self._do(StateChange(self.state, state, why))
            self.state = state

    def _request(
        self, name: Hashable, destination: Mac, message: SlacMessage, give_up: Expiry, sends: int = 1
    ) -> None:
        """Send, and again after each TT_match_response, C_EV_match_retry times, until the timer ``name`` is
        stopped."""
        self._do(Send(destination, message))

        def timeout() -> None:
            if sends <= self.timing.C_EV_match_retry:
                self._request(name, destination, message, give_up, sends + 1)
            else:
                give_up()

        self._start(name, self.timing.TT_match_response, timeout)

    # --- setting the key: verified, repeated ------------------------------------------------------

    def _set_key(self, nid: bytes, nmk: bytes, done: Callable[[bool], None]) -> None:
        """Set the modem's key; ``done(ok)`` after C_set_key_retry repetitions at the most. A newer call
        replaces it."""
        self._key, self._key_done, self._key_sends = SetKey(nid, nmk), done, 0
        self._send_key()

    def _send_key(self) -> None:
        assert self._key is not None
        self._key_sends += 1
        self._do(self._key)
        self._start("set_key", self.timing.TT_set_key_response, lambda: self._key_result(KeyResult(False)))

    def _key_result(self, event: KeyResult) -> None:
        if self._key is None or self._key_done is None:
            return  # an answer that came after its timeout
        if event.nmk not in (None, self._key.nmk):
            return
        if event.applied is False and self._key_sends <= self.timing.C_set_key_retry:
            self._send_key()
            return
        self._stop("set_key")
        done, self._key, self._key_done = self._key_done, None, None
        done(event.applied is not False)

    def _random_key(self) -> bytes:
        return self._entropy(16)

    # --- the link, and the amplitude map ----------------------------------------------------------

    def _poll_link(self, seconds: float) -> None:
        """Ask now, and again until stopped."""
        self._do(AskLink())
        self._start("poll_link", seconds, lambda: self._poll_link(seconds))

    def _wait_for_wake_up(self) -> None:
        self._start(
            "T_conn_max_comm", self.timing.T_conn_max_comm, lambda: self._lost("no link after wake-up")
        )
        self._poll_link(self.timing.TT_polling_pause)

    def _link_up(self, matched: Enum) -> None:
        """The link stands: tell the layer above, and watch it from now on."""
        assert self.match is not None
        self._stop("TT_match_join", "T_conn_max_comm")
        self.match = replace(self.match, linked=self.now)
        self._go(matched, "link up")
        self._poll_link(self.timing.T_link_watch)
        self._do(LinkReady(True, self.match))
        if self._amp_map:
            self._send_amp_map(AmpMapReq(self._amp_map), 1)

    def _send_amp_map(self, request: AmpMapReq, sends: int) -> None:
        assert self._peer is not None
        self._do(Send(self._peer, request))
        if sends <= self.timing.C_EV_match_retry:
            self._start(
                "TT_amp_map_exchange",
                self.timing.TT_amp_map_exchange,
                lambda: self._send_amp_map(request, sends + 1),
            )

    def _amp_map_req(self, source: Mac, request: AmpMapReq) -> None:
        if source != self._peer:
            return
        if not request.carriers:
            self._do(Deviation("CM_AMP_MAP.REQ without carriers ignored", source=source))
            return
        self._do(Send(source, AmpMapCnf()), AmpMapLimits(request.carriers))
