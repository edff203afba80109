"""The EVSE's side of the matching (ISO 15118-3), as a pure state machine.

It draws a new network key before every vehicle, serves several EVs at once while unmatched (on a shared line
every station hears every car), lets one of them join, watches the link, and steers the control pilot through
the retries. Once matched it ignores every further request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from .control_pilot import HLC_DUTY, STEADY, CpSignal, CpState
from .keys import Entropy, nid_from_nmk
from .machine import (
    Action,
    Deviation,
    DLink,
    DriveCp,
    Event,
    LinkReady,
    Machine,
    NominalDuty,
    Send,
    SlacMatch,
)
from .messages import (
    AmpMapCnf,
    AmpMapReq,
    AttenCharInd,
    AttenCharRsp,
    AttenProfileInd,
    Mac,
    MnbcSoundInd,
    SlacMatchCnf,
    SlacMatchReq,
    SlacMessage,
    SlacParmCnf,
    SlacParmReq,
    StartAttenCharInd,
    ValidateCnf,
    ValidateReq,
    ValidateResult,
    mac_text,
)
from .timing import Timing


class EvseState(Enum):
    """Where the EVSE's side of the matching is."""

    RESETTING = "setting a new network key"
    IDLE = "no vehicle"
    WAITING = "vehicle plugged, waiting for CM_SLAC_PARM.REQ"
    MATCHING = "matching"
    JOINING = "matched, waiting for the link"
    MATCHED = "link up"
    PAUSED = "paused, still matched"
    WAKING = "waking the link"
    STEP_EF = "control pilot in state E/F"
    STEP_X1 = "control pilot in state X1"
    BASIC = "basic charging with nominal PWM"
    FAILED = "no matching; waiting for the vehicle to go"


class Validation(Enum):
    """How this station answers CM_VALIDATE.REQ."""

    TOGGLES = "count the toggles on the control pilot"
    NOT_REQUIRED = "not required"
    FAILURE = "failure (validation not implemented, as V2G3-A09-51 allows)"


@dataclass(frozen=True, slots=True)
class EvseSlacConfig:
    """mac: the host's address. modem: the modem's; profiles of others are ignored (None: not known).
    attenuation_offset: dB added to every group, for what the coupling adds or takes. synth_attenuation: dB
    reported when the modem's profiles carry no groups (AR7420/QCA7420); None = such sounds do not count.
    answer_unplugged: answer CM_SLAC_PARM.REQ with no vehicle on the control pilot.
    """

    mac: Mac
    modem: Mac | None = None
    validation: Validation = Validation.TOGGLES
    attenuation_offset: float = 0.0
    synth_attenuation: int | None = None
    answer_unplugged: bool = False
    duty: float = HLC_DUTY
    fallback_duty: float | None = None  # after C_sequ_retry: AC at this duty cycle; None = X1 and no charging
    stay_after_loss: bool = False  # link lost: False = through E/F (A), True = stay in X2 and wait (B)
    fault_state: CpState = CpState.F
    amp_map: tuple[int, ...] | None = None
    timing: Timing = field(default_factory=Timing)


class _Step(Enum):
    PARAMETERS = 1
    SOUNDING = 2
    REPORTING = 3
    DECIDING = 4  # the EV's turn: validate, match, or never come back


@dataclass(slots=True)
class _Session:
    """One EV in matching."""

    ev: Mac
    run_id: bytes
    step: _Step = _Step.PARAMETERS
    sounds: int = 0
    profiles: list[tuple[int, ...]] = field(default_factory=list)
    report: AttenCharInd | None = None
    started: float = 0.0
    validation: str = "none"

    @property
    def mean(self) -> tuple[float, ...]:
        return tuple(sum(group) / len(group) for group in zip(*self.profiles, strict=True))


class EvseSlac(Machine):
    """See the module. Call ``start(now)`` first. ``match`` is the current match, ``sessions`` the EVs in
    matching."""

    def __init__(self, config: EvseSlacConfig, entropy: Entropy) -> None:
        super().__init__(config.mac, config.timing, entropy, EvseState.RESETTING, config.amp_map)
        self.config = config
        self.sessions: dict[Mac, _Session] = {}
        self.nmk = b""
        self.nid = b""
        self._cp = CpSignal(CpState.A)
        self._confirmed: SlacMatchCnf | None = None
        self._cycles = 0
        self._validating: Mac | None = None
        self._counting = False
        self._toggles = 0

    def start(self, now: float) -> list[Action]:
        """Steady control pilot, new key: the modem is deaf for seconds after one, so before the car comes."""
        self._advance(now)
        self._do(DriveCp(STEADY))
        self._reset("start")
        return self._take()

    @property
    def _peer(self) -> Mac | None:
        return None if self.match is None else self.match.ev_mac

    # --- events -----------------------------------------------------------------------------------

    def _event(self, event: Event) -> None:
        if isinstance(event, NominalDuty):
            self._to_nominal(event.duty)
        else:
            super()._event(event)

    def _received(self, source: Mac, message: SlacMessage) -> None:
        if isinstance(message, AmpMapReq):
            self._amp_map_req(source, message)  # the EV may have seen the link before us
        elif self.state in (EvseState.MATCHED, EvseState.PAUSED, EvseState.WAKING):
            if isinstance(message, AmpMapCnf):
                self._stop("TT_amp_map_exchange")
            elif isinstance(message, SlacParmReq) and self.match and source == self.match.ev_mac:
                self._do(Deviation("CM_SLAC_PARM.REQ of the matched EV ignored", source=source))
            return
        match message:
            case SlacParmReq():
                self._parm_req(source, message)
            case StartAttenCharInd():
                self._start_atten_char(source, message)
            case MnbcSoundInd():
                self._mnbc_sound(source, message)
            case AttenProfileInd():
                self._profile(source, message)
            case AttenCharRsp():
                self._atten_char_rsp(source, message)
            case ValidateReq():
                self._validate_req(source, message)
            case SlacMatchReq():
                self._match_req(source, message)
            case _:
                pass  # what stations say to EVs

    def _cp_changed(self, signal: CpSignal) -> None:
        before, self._cp = self._cp, signal
        if self._counting and before.state is CpState.B and signal.state is CpState.C:
            self._toggles += 1
        if signal.state is CpState.A and before.state is not CpState.A:
            if self.state is EvseState.RESETTING:
                return
            self._do(DriveCp(STEADY))
            self._reset("unplugged")
        elif signal.vehicle and self.state is EvseState.IDLE:
            self._offer("vehicle plugged")
        elif self.state is EvseState.PAUSED and before.state is CpState.B and signal.state is CpState.C:
            self._wake("BCB toggle")

    def _primitive(self, primitive: DLink) -> None:
        linked = self.state in (EvseState.MATCHED, EvseState.PAUSED, EvseState.WAKING)
        if primitive is DLink.PAUSE and self.state is EvseState.MATCHED:
            self._stop("poll_link", "TT_amp_map_exchange")
            self._go(EvseState.PAUSED, primitive.value)
            self._do(DriveCp(STEADY))  # X1, key and network kept [V2G3-M07-20, M07-22]
        elif primitive is DLink.RESUME and self.state is EvseState.PAUSED:
            self._wake(primitive.value)
        elif primitive is DLink.TERMINATE:
            self._do(DriveCp(STEADY))
            self._reset(primitive.value, wait_for_unplug=True)
        elif primitive is DLink.ERROR and (linked or self.state is EvseState.JOINING):
            self._lost(primitive.value)

    # --- reset, offer, retries --------------------------------------------------------------------

    def _reset(self, why: str, wait_for_unplug: bool = False, then: Callable[[], None] | None = None) -> None:
        """Leave any network: new random key, no sessions, parameters at their defaults [V2G3-M09-17]."""
        if self.match is not None and self.match.linked:
            self._do(LinkReady(False, self.match, why))
        self._timers.clear()
        self._forget()
        self._cycles = 0
        self._go(EvseState.RESETTING, why)
        self.nmk = self._random_key()
        self.nid = nid_from_nmk(self.nmk)

        def ready(ok: bool) -> None:
            if not ok:
                self._do(LinkReady(False, reason="the modem did not take a new key"))
                self._reset("the modem did not take a new key", wait_for_unplug, then)
            elif then is not None:
                then()
            elif self._cp.vehicle and wait_for_unplug:
                self._go(EvseState.FAILED, why)
            elif self._cp.vehicle:
                self._offer("vehicle plugged")
            else:
                self._go(EvseState.IDLE, "key set")

        self._set_key(self.nid, self.nmk, ready)

    def _forget(self) -> None:
        self.sessions.clear()
        self.match = self._confirmed = self._validating = None
        self._counting = False

    def _offer(self, why: str) -> None:
        """5 % duty cycle: high-level communication required."""
        self._do(DriveCp(self.config.duty))
        self._wait(why)

    def _wait(self, why: str) -> None:
        self._go(EvseState.WAITING, why)
        self._start("TT_EVSE_SLAC_init", self.timing.TT_EVSE_SLAC_init, self._no_request)

    def _no_request(self) -> None:
        """[V2G3-M06-07]: through E/F and back to 5 %, C_sequ_retry times."""
        if self._cycles < self.timing.C_sequ_retry:
            self._cycles += 1
            self._step_ef("no CM_SLAC_PARM.REQ", lambda: self._offer(f"retry {self._cycles}"))
            return
        why = f"no CM_SLAC_PARM.REQ after {self._cycles} retries"
        self._do(LinkReady(False, reason=why))
        if self.config.fallback_duty is None:
            self._do(DriveCp(STEADY))
            self._go(EvseState.FAILED, why)
        else:
            self._to_nominal(self.config.fallback_duty)

    def _step_ef(self, why: str, then: Callable[[], None]) -> None:
        self._go(EvseState.STEP_EF, why)
        self._do(DriveCp(STEADY, self.config.fault_state))
        self._start("T_step_EF", self.timing.T_step_EF, then)

    def _to_nominal(self, duty: float) -> None:
        """Basic charging: through X1 with communication [V2G3-M06-06], through E/F without [V2G3-M06-05]."""
        if not self._cp.vehicle:
            return

        def basic() -> None:
            self._do(DriveCp(duty))
            self._go(EvseState.BASIC, "nominal PWM")

        communicated = self.match is not None or self.state is EvseState.MATCHING
        self._timers.clear()
        if communicated:

            def step_x1() -> None:
                if not self._cp.vehicle:  # it went while the key was set
                    self._reset("unplugged")
                    return
                self._go(EvseState.STEP_X1, "basic charging")
                self._start("T_step_X1", self.timing.T_step_X1, basic)

            self._do(DriveCp(STEADY))
            self._reset("basic charging", then=step_x1)
        else:
            self._step_ef("basic charging", basic)

    # --- sessions: parameters, sounds, report -----------------------------------------------------

    def _parm_req(self, source: Mac, request: SlacParmReq) -> None:
        if request.application_type or request.security_type:
            self._do(Deviation("CM_SLAC_PARM.REQ for another application or security type", source=source))
            return
        if self.state not in (EvseState.WAITING, EvseState.MATCHING) and not (
            self.state is EvseState.IDLE and self.config.answer_unplugged
        ):
            return
        if source not in self.sessions and len(self.sessions) >= self.timing.C_EVSE_match_parallel:
            # A flood must not lock the real EV out: the oldest session that got nowhere goes.
            idle = [s for s in self.sessions.values() if s.step is _Step.PARAMETERS]
            if not idle:
                self._do(Deviation("CM_SLAC_PARM.REQ ignored: too many matchings at once", source=source))
                return
            self._drop(min(idle, key=lambda s: s.started), "pushed out by a newer EV")
        # A repeated request of a known EV restarts its matching [V2G3-A09-16].
        session = _Session(source, request.run_id, started=self.now)
        self._stop_session(source)
        self.sessions[source] = session
        if self.state is EvseState.WAITING:
            self._stop("TT_EVSE_SLAC_init")
            self._go(EvseState.MATCHING, f"CM_SLAC_PARM.REQ of {mac_text(source)}")
        self._do(
            Send(
                source,
                SlacParmCnf(
                    request.run_id,
                    source,
                    num_sounds=self.timing.C_EV_match_MNBC,
                    time_out=round(self.timing.TT_EVSE_match_MNBC * 10),
                ),
            )
        )
        self._start(
            ("TT_match_sequence", source),
            self.timing.TT_match_sequence,
            lambda: self._drop(session, "no CM_START_ATTEN_CHAR.IND"),
        )

    def _stop_session(self, ev: Mac) -> None:
        for name in [n for n in self._timers if isinstance(n, tuple) and n[1] == ev]:
            self._stop(name)
        if self._validating == ev:
            self._validating, self._counting = None, False

    def _drop(self, session: _Session, why: str) -> None:
        self._stop_session(session.ev)
        self.sessions.pop(session.ev, None)
        if self.state is EvseState.MATCHING and not self.sessions:
            self._wait(f"{mac_text(session.ev)}: {why}")

    def _session_of(self, source: Mac, run_id: bytes, *steps: _Step) -> _Session | None:
        session = self.sessions.get(source)
        if session is None or session.run_id != run_id or session.step not in steps:
            return None
        return session

    def _start_atten_char(self, source: Mac, ind: StartAttenCharInd) -> None:
        session = self._session_of(source, ind.run_id, _Step.PARAMETERS)
        if session is None:
            return  # the second and third of a run end here too
        wrong = None
        if ind.application_type or ind.security_type:
            wrong = f"application type {ind.application_type}, security type {ind.security_type}"
        elif ind.resp_type != 1 or ind.forwarding_sta != source:
            wrong = f"response type {ind.resp_type}, forwarding station {mac_text(ind.forwarding_sta)}"
        if wrong:
            self._do(Deviation(f"CM_START_ATTEN_CHAR.IND ignored: {wrong}", source=source))
        else:
            self._begin_sounding(session)

    def _begin_sounding(self, session: _Session) -> None:
        session.step = _Step.SOUNDING
        self._stop(("TT_match_sequence", session.ev))
        # Both exits matter: a lost sound would otherwise hold the report back until the EV has decided
        # without it.
        self._start(
            ("TT_EVSE_match_MNBC", session.ev),
            self.timing.TT_EVSE_match_MNBC,
            lambda: self._end_sounding(session, "deadline"),
        )

    def _mnbc_sound(self, source: Mac, sound: MnbcSoundInd) -> None:
        session = self._session_of(source, sound.run_id, _Step.PARAMETERS, _Step.SOUNDING)
        if session is None or sound.application_type or sound.security_type:
            return
        if session.step is _Step.PARAMETERS:
            self._begin_sounding(session)  # every CM_START_ATTEN_CHAR.IND was lost
        session.sounds += 1
        self._end_if_complete(session)

    def _profile(self, source: Mac, profile: AttenProfileInd) -> None:
        if self.config.modem not in (None, source):
            self._do(Deviation("attenuation profile ignored: not of the own modem", source=source))
            return
        session = self.sessions.get(profile.pev_mac)
        if session is None or session.step is not _Step.SOUNDING:
            return
        groups = profile.attenuation
        if not groups:
            if self.config.synth_attenuation is None:
                self._do(Deviation("the own modem measures no attenuation (0 groups): set synth_attenuation"))
                return
            groups = (self.config.synth_attenuation,) * 58
        if session.profiles and len(groups) != len(session.profiles[0]):
            self._do(Deviation(f"profile of {len(groups)} groups after one of {len(session.profiles[0])}"))
            return
        session.profiles.append(groups)
        self._end_if_complete(session)

    def _end_if_complete(self, session: _Session) -> None:
        wanted = self.timing.C_EV_match_MNBC
        # The modem's profile follows the sound; the last one may come after it.
        if len(session.profiles) >= wanted and session.sounds >= wanted:
            self._end_sounding(session, "all sounds heard")

    def _end_sounding(self, session: _Session, why: str) -> None:
        self._stop(("TT_EVSE_match_MNBC", session.ev))
        if not session.profiles:
            self._drop(session, f"no attenuation profile ({why})")
            return
        offset = self.config.attenuation_offset
        session.report = AttenCharInd(
            session.run_id,
            session.ev,
            tuple(min(255, max(0, round(value + offset))) for value in session.mean),
            len(session.profiles),
        )
        session.step = _Step.REPORTING
        self._request(
            ("TT_match_response", session.ev),
            session.ev,
            session.report,
            lambda: self._drop(session, "no CM_ATTEN_CHAR.RSP"),
        )

    def _atten_char_rsp(self, source: Mac, response: AttenCharRsp) -> None:
        session = self._session_of(source, response.run_id, _Step.REPORTING)
        if session is None:
            return
        wrong = None
        if response.application_type or response.security_type or response.source_address != source:
            wrong = "application type, security type or source address"
        elif response.result:
            wrong = f"result {response.result}"
        if wrong:
            self._do(Deviation(f"CM_ATTEN_CHAR.RSP ignored: {wrong}", "V2G3-A09-47", source))
            return
        self._decide(session)

    def _decide(self, session: _Session) -> None:
        session.step = _Step.DECIDING
        self._stop(("TT_match_response", session.ev))
        self._start(
            ("TT_EVSE_match_session", session.ev),
            self.timing.TT_EVSE_match_session,
            lambda: self._drop(session, "neither CM_VALIDATE.REQ nor CM_SLAC_MATCH.REQ"),
        )

    # --- validation -------------------------------------------------------------------------------

    def _validate_req(self, source: Mac, request: ValidateReq) -> None:
        session = self.sessions.get(source)
        if session is None or session.step is not _Step.DECIDING or request.signal_type:
            return
        if self.config.validation is not Validation.TOGGLES:
            not_required = self.config.validation is Validation.NOT_REQUIRED
            session.validation = "not required" if not_required else "none"
            result = ValidateResult.NOT_REQUIRED if not_required else ValidateResult.FAILURE
            self._do(Send(source, ValidateCnf(0, result)))
        elif self._counting or (self._validating not in (None, source)):
            if self._validating != source:
                self._do(Send(source, ValidateCnf(0, ValidateResult.NOT_READY)))  # one at a time
        elif not self._cp.vehicle:
            self._do(Send(source, ValidateCnf(0, ValidateResult.FAILURE)))  # not on this station's plug
        elif self._validating is None or request.timer == 0:
            self._validating = source
            # The EV may never start to toggle: the next one in the line must not wait for it for ever.
            self._start(("validation", source), self.timing.TT_EVSE_vald_toggle, self._end_validation)
            self._do(Send(source, ValidateCnf(0, ValidateResult.READY)))
        else:
            self._count_toggles(session, request)

    def _count_toggles(self, session: _Session, request: ValidateReq) -> None:
        window = min((request.timer + 1) / 10, self.timing.TT_EVSE_vald_toggle)
        self._counting, self._toggles = True, 0

        def answer() -> None:
            seen = self._toggles
            self._end_validation()
            if seen:
                session.validation = "toggles"
            result = ValidateResult.SUCCESS if seen else ValidateResult.FAILURE
            self._do(Send(session.ev, ValidateCnf(seen, result)))
            self._decide(session)  # the EV has its whole time again

        self._start(("validation", session.ev), window, answer)

    def _end_validation(self) -> None:
        if self._validating is not None:
            self._stop(("validation", self._validating))
        self._validating, self._counting = None, False

    # --- match and link ---------------------------------------------------------------------------

    def _match_req(self, source: Mac, request: SlacMatchReq) -> None:
        if self.state is EvseState.JOINING:
            if self._confirmed and (source, request.run_id) == (
                self._confirmed.pev_mac,
                self._confirmed.run_id,
            ):
                self._do(Send(source, self._confirmed))  # the first answer was lost
            return
        session = self._session_of(source, request.run_id, _Step.REPORTING, _Step.DECIDING)
        if session is None:
            return
        wrong = None
        if request.application_type or request.security_type:
            wrong = f"application type {request.application_type}, security type {request.security_type}"
        elif request.evse_mac != self.mac or request.pev_mac != source:
            wrong = f"EV {mac_text(request.pev_mac)}, EVSE {mac_text(request.evse_mac)}"
        if wrong:
            self._do(Deviation(f"CM_SLAC_MATCH.REQ ignored: {wrong}", "V2G3-A09-98", source))
            return
        # A session still in REPORTING: the CM_ATTEN_CHAR.RSP was lost, but the EV has clearly heard the
        # report.
        self._confirmed = SlacMatchCnf(
            request.run_id, source, self.mac, self.nid, self.nmk, request.pev_id, request.evse_id
        )
        assert session.report is not None
        groups = tuple(map(float, session.report.attenuation))
        self.match = SlacMatch(
            ev_mac=source,
            evse_mac=self.mac,
            run_id=request.run_id,
            nid=self.nid,
            nmk=self.nmk,
            attenuation={self.mac: sum(groups) / len(groups)},
            groups=groups,
            validation=session.validation,
            started=session.started,
            matched=self.now,
        )
        self.sessions.clear()
        self._timers.clear()
        self._end_validation()
        self._go(EvseState.JOINING, "CM_SLAC_MATCH.REQ")
        self._do(Send(source, self._confirmed))
        self._start("TT_match_join", self.timing.TT_match_join, lambda: self._reset("no link after matching"))
        self._poll_link(self.timing.TT_polling_pause)

    def _link_status(self, up: bool | None) -> None:
        if self.state in (EvseState.JOINING, EvseState.WAKING) and up:
            self._cycles = 0
            self._link_up(EvseState.MATCHED)
        elif self.state is EvseState.MATCHED and up is False:
            self._lost("the link went down")

    def _lost(self, why: str) -> None:
        """Leave the network; then through E/F back to 5 % (A), or wait where we are (B)."""
        if self.config.stay_after_loss:
            self._reset(
                why, then=lambda: self._wait("link lost") if self._cp.vehicle else self._reset("unplugged")
            )
            return

        def back() -> None:
            if self._cp.vehicle or self._cp.state in (CpState.E, CpState.F):
                self._offer("link lost")
            else:
                self._reset("unplugged")

        self._reset(why, then=lambda: self._step_ef(why, back))

    def _wake(self, why: str) -> None:
        self._go(EvseState.WAKING, why)
        self._do(DriveCp(self.config.duty))
        self._wait_for_wake_up()
