"""The EV's side of the matching (ISO 15118-3), as a pure state machine.

Matching begins when the control pilot shows a vehicle state with PWM, and is repeated with a new RunID until
it succeeds, the window closes or the plug is pulled. Afterwards the machine watches the link, validates
wake-ups and leaves the network with a new random key when the layer above is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from .control_pilot import CpSignal, CpState
from .keys import Entropy, nid_from_nmk
from .machine import (
    Deviation,
    DLink,
    LinkReady,
    LoadCp,
    Machine,
    Send,
    SlacMatch,
)
from .messages import (
    BROADCAST,
    AmpMapCnf,
    AmpMapReq,
    AttenCharInd,
    AttenCharRsp,
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


class EvState(Enum):
    """Where the EV's side of the matching is."""

    UNPLUGGED = "no PWM on the control pilot"
    SEARCHING = "asking for stations"
    SOUNDING = "sending sounds"
    COLLECTING = "waiting for attenuation results"
    VALIDATING = "asking a station to validate"
    TOGGLING = "toggling the control pilot"
    MATCHING = "asking the chosen station to match"
    SETTING_KEY = "setting the network key"
    JOINING = "joining the network"
    MATCHED = "link up"
    PAUSED = "paused, still matched"
    WAKING = "waking the link"
    LEAVING = "leaving the network"
    REPEATING = "pause before the next matching"
    RESETUP = "link lost, waiting before the next matching"
    FAILED = "no matching; waiting for the control pilot to change"


@dataclass(frozen=True, slots=True)
class EvSlacConfig:
    """mac: the host's address. The limits of attenuation (mean, dB) are regional parameters of the standard;
    40 and 80 are what implementations use. survey_requests: CM_SLAC_PARM.REQ sent within one
    TT_match_response; one is what the standard asks for, three find a station even when a request or its
    answer is lost.
    """

    mac: Mac
    signalattn_direct: float = 40.0
    signalattn_indirect: float = 80.0
    survey_requests: int = 3
    attempts: int | None = None  # stop after so many matchings instead of the standard's window
    hlc_only: bool = False  # begin at 5 % duty cycle only, not at any PWM
    restart_after_loss: bool = (
        False  # link lost: False = wait for the control pilot (A), True = restart alone (B)
    )
    amp_map: tuple[int, ...] | None = None  # sent once the link is up
    timing: Timing = field(default_factory=Timing)


@dataclass(slots=True)
class _Station:
    """An EVSE that answered CM_SLAC_PARM.REQ."""

    mac: Mac
    cnf: SlacParmCnf
    report: AttenCharInd | None = None
    not_ready: int = 0
    unanswered: int = 0
    validation: str = "none"

    @property
    def attenuation(self) -> float:
        assert self.report is not None
        return sum(self.report.attenuation) / len(self.report.attenuation)


class EvSlac(Machine):
    """See the module. ``match`` is the current match, if any; ``stations`` those of the last survey."""

    def __init__(self, config: EvSlacConfig, entropy: Entropy) -> None:
        super().__init__(config.mac, config.timing, entropy, EvState.UNPLUGGED, config.amp_map)
        self.config = config
        self.stations: dict[Mac, _Station] = {}
        self._cp = CpSignal(CpState.A)
        self._run_id = b""
        self._first = 0.0  # start of the first of these matchings
        self._attempts = 0
        self._sends = 0
        self._candidates: list[_Station] = []
        self._chosen: _Station | None = None
        self._wake = False
        self._offered_again = False

    @property
    def _peer(self) -> Mac | None:
        return None if self.match is None else self.match.evse_mac

    # --- events -----------------------------------------------------------------------------------

    def _received(self, source: Mac, message: SlacMessage) -> None:
        match message:
            case SlacParmCnf():
                self._parm_cnf(source, message)
            case AttenCharInd():
                self._atten_char(source, message)
            case ValidateCnf():
                self._validate_cnf(source, message)
            case SlacMatchCnf():
                self._match_cnf(source, message)
            case AmpMapReq():
                self._amp_map_req(source, message)
            case AmpMapCnf():
                self._stop("TT_amp_map_exchange")
            case _:
                pass  # what EVs say to stations

    def _wants_to_match(self, signal: CpSignal) -> bool:
        return signal.hlc if self.config.hlc_only else signal.pwm

    def _cp_changed(self, signal: CpSignal) -> None:
        before, self._cp = self._cp, signal
        if self.state in (EvState.VALIDATING, EvState.TOGGLING, EvState.WAKING) and signal.vehicle:
            return  # our own toggles
        if self.state is EvState.LEAVING:
            # The same signal once more is neither another offer nor its end.
            wants = self._wants_to_match(signal)
            self._offered_again = wants and (self._offered_again or not self._wants_to_match(before))
        elif not signal.vehicle and self.state is not EvState.UNPLUGGED:
            if signal.state in (CpState.E, CpState.F):
                self._leave(f"control pilot in state {signal.state.value}")
            else:
                self._leave("unplugged")
        elif self.state is EvState.PAUSED and signal.hlc and not before.hlc:
            self._woken("5 % duty cycle came back")
        elif self._wants_to_match(signal) and self.state in (EvState.UNPLUGGED, EvState.FAILED):
            if self.state is EvState.FAILED and self._wants_to_match(before):
                return  # the same offer once more
            self._begin("PWM on the control pilot")

    def _primitive(self, primitive: DLink) -> None:
        if primitive is DLink.PAUSE and self.state is EvState.MATCHED:
            self._stop("poll_link", "TT_amp_map_exchange")
            self._go(EvState.PAUSED, primitive.value)
            self._do(LoadCp(CpState.B))  # [V2G3-M07-19]
        elif primitive is DLink.RESUME and self.state is EvState.PAUSED:
            self._wake = True
            self._go(EvState.WAKING, "BCB toggle")
            self._toggle(1, lambda: self._woken("BCB toggle made"))
        elif primitive is DLink.TERMINATE and self.state is not EvState.UNPLUGGED:
            self._leave(primitive.value)
        elif primitive is DLink.ERROR and self.state is not EvState.UNPLUGGED:
            self._lost(primitive.value)

    # --- beginning, failing, leaving --------------------------------------------------------------

    def _begin(self, why: str) -> None:
        self._first, self._attempts = self.now, 0
        self._survey(why)

    def _survey(self, why: str) -> None:
        self._timers.clear()
        self._attempts += 1
        self._run_id = self._entropy(8)
        self.stations, self._candidates, self._chosen, self.match = {}, [], None, None
        self._go(EvState.SEARCHING, why)
        self._sends = 0
        self._parm_req()

    def _parm_req(self) -> None:
        self._sends += 1
        self._do(Send(BROADCAST, SlacParmReq(self._run_id)))
        requests = self.config.survey_requests
        self._start("TT_match_response", self.timing.TT_match_response / requests, self._parm_timeout)

    def _parm_timeout(self) -> None:
        windows, rest = divmod(self._sends, self.config.survey_requests)
        if rest or (windows <= self.timing.C_EV_match_retry and not self.stations):
            self._parm_req()
        elif self.stations:
            self._sound()
        else:
            self._failed("no station answered CM_SLAC_PARM.REQ")

    def _failed(self, why: str) -> None:
        """This matching came to nothing: try again while the window is open."""
        self._timers.clear()
        if not self._wants_to_match(self._cp):
            self._left(why)
            return
        if self.config.attempts is not None:
            over = self._attempts >= self.config.attempts
        else:
            # the window may be over before long matchings had C_conn_max_match chances
            over = (
                self.now + self.timing.TT_matching_rate - self._first >= self.timing.TT_matching_repetition
                and self._attempts >= self.timing.C_conn_max_match
            )
        if over:
            self._go(EvState.FAILED, why)
            self._do(LinkReady(False, reason=why))
        else:
            self._go(EvState.REPEATING, why)
            self._start("TT_matching_rate", self.timing.TT_matching_rate, lambda: self._survey("repetition"))

    def _leave(self, why: str, after: Callable[[], None] | None = None) -> None:
        """Leave the network with a new random key (what a peer knows of the old one is worthless then)."""
        was_linked = self.state in (EvState.MATCHED, EvState.PAUSED, EvState.WAKING)
        had_key = was_linked or self.state in (EvState.SETTING_KEY, EvState.JOINING)
        self._timers.clear()
        self._chosen = None
        if was_linked:
            self._do(LinkReady(False, self.match, why))
        self.match = None
        if had_key:
            self._go(EvState.LEAVING, why)
            self._offered_again = False
            nmk = self._random_key()
            self._set_key(nid_from_nmk(nmk), nmk, lambda _ok: (after or self._left)())
        else:
            self._left(why)

    def _left(self, why: str = "left the network") -> None:
        # After a terminate with the plug still in, a new matching needs a new offer on the control pilot.
        self._go(EvState.FAILED if self._cp.vehicle else EvState.UNPLUGGED, why)
        if self._offered_again:
            self._offered_again = False
            self._begin("PWM on the control pilot")

    def _lost(self, why: str) -> None:
        if self.config.restart_after_loss:
            self._leave(why, self._resetup)
            if self.state is not EvState.LEAVING:
                self._resetup()
        else:
            self._leave(why)

    def _resetup(self) -> None:
        if not self._wants_to_match(self._cp):
            self._left()
            return
        self._go(EvState.RESETUP, "link lost")
        self._start("T_conn_resetup", self.timing.T_conn_resetup, lambda: self._begin("link lost"))

    # --- survey and sounding ----------------------------------------------------------------------

    def _parm_cnf(self, source: Mac, cnf: SlacParmCnf) -> None:
        if self.state not in (EvState.SEARCHING, EvState.SOUNDING):
            return
        wrong = None
        if cnf.run_id != self._run_id:
            wrong = "another RunID"
        elif cnf.application_type or cnf.security_type:
            wrong = f"application type {cnf.application_type}, security type {cnf.security_type}"
        elif cnf.resp_type != 1 or cnf.forwarding_sta != self.mac:
            wrong = f"response type {cnf.resp_type}, forwarding station {mac_text(cnf.forwarding_sta)}"
        elif cnf.sound_target != BROADCAST:
            wrong = f"sound target {mac_text(cnf.sound_target)}"
        elif not cnf.num_sounds or not cnf.time_out:
            wrong = f"{cnf.num_sounds} sounds in {cnf.time_out} x 100 ms"
        if wrong:
            self._do(Deviation(f"CM_SLAC_PARM.CNF ignored: {wrong}", source=source))
        elif source in self.stations:
            if self.stations[source].cnf != cnf:
                self._do(Deviation("a second CM_SLAC_PARM.CNF differs from the first", source=source))
        else:
            self.stations[source] = _Station(source, cnf)

    def _sound(self) -> None:
        """CM_START_ATTEN_CHAR.IND and CM_MNBC_SOUND.IND, one batch interval apart. Several stations: their
        maxima."""
        num_sounds = max(station.cnf.num_sounds for station in self.stations.values())
        time_out = max(station.cnf.time_out for station in self.stations.values())
        self._go(EvState.SOUNDING, f"{len(self.stations)} station(s) answered")
        start = StartAttenCharInd(self._run_id, self.mac, num_sounds, time_out)
        batch: list[SlacMessage] = [start] * self.timing.C_EV_start_atten_char_inds
        batch += [MnbcSoundInd(self._run_id, left, self._entropy(16)) for left in reversed(range(num_sounds))]
        self._start("TT_EV_atten_results", self.timing.TT_EV_atten_results, self._evaluate)
        self._batch(batch)

    def _batch(self, batch: list[SlacMessage]) -> None:
        self._do(Send(BROADCAST, batch[0]))
        if batch[1:]:
            interval = self.timing.TP_EV_batch_msg_interval
            self._start("TP_EV_batch_msg_interval", interval, lambda: self._batch(batch[1:]))
        else:
            self._go(EvState.COLLECTING, "last sound sent")

    def _atten_char(self, source: Mac, ind: AttenCharInd) -> None:
        if ind.run_id != self._run_id or ind.source_address != self.mac:
            return
        wrong = None
        if source not in self.stations:
            wrong = "its sender did not answer CM_SLAC_PARM.REQ"
        elif ind.application_type or ind.security_type:
            wrong = f"application type {ind.application_type}, security type {ind.security_type}"
        elif self.state in (EvState.SEARCHING, EvState.SOUNDING):
            wrong = "sent before the last sound"
        elif not ind.num_sounds or not ind.attenuation:
            wrong = f"{ind.num_sounds} sounds, {len(ind.attenuation)} groups"
        if wrong:
            self._do(Deviation(f"CM_ATTEN_CHAR.IND ignored: {wrong}", source=source))
            return
        # Losers are answered too, and a repetition again: the station did not hear the first answer.
        self._do(Send(source, AttenCharRsp(self._run_id, self.mac)))
        if self.state is not EvState.COLLECTING:
            return
        station = self.stations[source]
        if station.report is None:
            station.report = ind
        elif station.report.attenuation != ind.attenuation:
            self._do(Deviation("a repeated CM_ATTEN_CHAR.IND differs from the first", source=source))
        if all(each.report for each in self.stations.values()):
            self._stop("TT_EV_atten_results")
            self._evaluate()

    # --- decision and validation ------------------------------------------------------------------

    def _evaluate(self) -> None:
        """Sort the stations that reported. Near enough: match the nearest. Farther: they have to prove
        themselves."""
        self._stop("TP_EV_batch_msg_interval")
        reported = [station for station in self.stations.values() if station.report]
        near_first = sorted(reported, key=lambda station: station.attenuation)
        self._candidates = [s for s in near_first if s.attenuation <= self.config.signalattn_indirect]
        if not reported:
            self._failed("no station reported attenuation")
        elif not self._candidates:
            self._failed(f"EVSE_NOT_FOUND: nearest station at {near_first[0].attenuation:.1f} dB")
        elif self._candidates[0].attenuation <= self.config.signalattn_direct:
            self._match_with(self._candidates[0], "EVSE_FOUND")
        else:
            self._next_candidate("EVSE_POTENTIALLY_FOUND")

    def _next_candidate(self, why: str) -> None:
        if not self._candidates:
            self._failed(f"no candidate left: {why}")
            return
        self._chosen = self._candidates.pop(0)
        self._ask_validation(why)

    def _ask_validation(self, why: str) -> None:
        self._go(EvState.VALIDATING, why)
        self._ask(ValidateReq(timer=0), lambda: self._next_candidate("no CM_VALIDATE.CNF"))

    def _ask(self, request: SlacMessage, give_up: Callable[[], None]) -> None:
        assert self._chosen is not None
        self._request("TT_match_response", self._chosen.mac, request, give_up)

    def _validate_cnf(self, source: Mac, cnf: ValidateCnf) -> None:
        if self._chosen is None or source != self._chosen.mac:
            return
        if self.state is EvState.VALIDATING:
            self._validate_step1(self._chosen, cnf)
        elif self.state is EvState.TOGGLING and "toggle" not in self._timers:
            self._stop("TT_match_response")
            made = self.timing.C_EV_vald_nb_toggles
            if cnf.result == ValidateResult.SUCCESS and cnf.toggle_num == made:
                self._chosen.validation = "toggles"
                self._match_with(self._chosen, "validated by toggles")
            else:
                self._next_candidate(f"result {cnf.result}: {cnf.toggle_num} toggles seen, {made} made")

    def _validate_step1(self, station: _Station, cnf: ValidateCnf) -> None:
        self._stop("TT_match_response")
        if cnf.result == ValidateResult.NOT_REQUIRED:
            station.validation = "not required"
            self._match_with(station, "validation not required")
        elif cnf.result == ValidateResult.READY:
            self._validate_by_toggles()
        elif cnf.result == ValidateResult.NOT_READY and station.not_ready < self.timing.C_vald_ready_retry:
            station.not_ready += 1
            pause = self.timing.T_vald_ready_retry
            self._start("T_vald_ready_retry", pause, lambda: self._ask_validation("not ready"))
        else:
            if cnf.result > ValidateResult.NOT_REQUIRED or cnf.result == ValidateResult.SUCCESS:
                self._do(Deviation(f"CM_VALIDATE.CNF with result {cnf.result} in step 1", source=station.mac))
            self._next_candidate(f"validation result {cnf.result}")

    def _validate_by_toggles(self) -> None:
        assert self._chosen is not None
        toggles = self.timing.C_EV_vald_nb_toggles
        window = (2 * toggles + 1) * self.timing.TP_EV_vald_state_duration
        units = min(round(window * 10), round(self.timing.TT_EVSE_vald_toggle * 10))
        self._go(EvState.TOGGLING, "station ready to count")
        self._do(Send(self._chosen.mac, ValidateReq(timer=units - 1)))
        limit = units / 10 + self.timing.TT_match_response
        self._start("TT_match_response", limit, self._toggles_unanswered)
        # A state's time in B first, so that the station has the request before the first edge.
        first = self.timing.TP_EV_vald_state_duration
        self._start("toggle", first, lambda: self._toggle(toggles, lambda: None))

    def _toggles_unanswered(self) -> None:
        assert self._chosen is not None
        self._chosen.unanswered += 1
        if self._chosen.unanswered > self.timing.C_EV_match_retry:
            self._next_candidate("no CM_VALIDATE.CNF after the toggles")
        else:
            self._ask_validation("no CM_VALIDATE.CNF after the toggles")

    def _toggle(self, times: int, done: Callable[[], None]) -> None:
        """B-C-B, so many times."""

        def open_s2() -> None:
            self._do(LoadCp(CpState.B))
            if times > 1:
                self._start("toggle", duration, lambda: self._toggle(times - 1, done))
            else:
                done()

        duration = self.timing.TP_EV_vald_state_duration
        self._do(LoadCp(CpState.C))
        self._start("toggle", duration, open_s2)

    # --- match, key, link -------------------------------------------------------------------------

    def _match_with(self, station: _Station, why: str) -> None:
        self._chosen = station
        self._go(EvState.MATCHING, why)
        request = SlacMatchReq(self._run_id, self.mac, station.mac)
        self._ask(request, lambda: self._failed("no CM_SLAC_MATCH.CNF"))

    def _match_cnf(self, source: Mac, cnf: SlacMatchCnf) -> None:
        if self.state is not EvState.MATCHING or self._chosen is None or cnf.run_id != self._run_id:
            return
        wrong = None
        if source != self._chosen.mac or cnf.evse_mac != self._chosen.mac:
            wrong = f"from {mac_text(source)} for {mac_text(cnf.evse_mac)}"
        elif cnf.pev_mac != self.mac:
            wrong = f"for EV {mac_text(cnf.pev_mac)}"
        elif cnf.application_type or cnf.security_type:
            wrong = f"application type {cnf.application_type}, security type {cnf.security_type}"
        if wrong:
            self._do(Deviation(f"CM_SLAC_MATCH.CNF ignored: {wrong}", source=source))
            return
        if cnf.nid != nid_from_nmk(cnf.nmk):
            self._do(Deviation("NID is not the one derived from the NMK", source=source))
        self._stop("TT_match_response")
        chosen = self._chosen
        assert chosen.report is not None
        self.match = SlacMatch(
            ev_mac=self.mac,
            evse_mac=chosen.mac,
            run_id=self._run_id,
            nid=cnf.nid,
            nmk=cnf.nmk,
            attenuation={s.mac: s.attenuation for s in self.stations.values() if s.report},
            groups=tuple(map(float, chosen.report.attenuation)),
            validation=chosen.validation,
            attempts=self._attempts,
            started=self._first,
            matched=self.now,
        )
        self._go(EvState.SETTING_KEY, "CM_SLAC_MATCH.CNF")
        # The deadline runs from the confirmation, whatever the modem makes of the key meanwhile.
        self._start("TT_match_join", self.timing.TT_match_join, self._join_timeout)
        # The station's NID as it is: some send one that is not derived, and deriving it anew would miss them.
        self._set_key(cnf.nid, cnf.nmk, self._key_set)

    def _key_set(self, ok: bool) -> None:
        if ok:
            self._go(EvState.JOINING, "key set")
            self._poll_link(self.timing.TT_polling_pause)
        else:
            self._leave(
                "the modem did not take the key", lambda: self._failed("the modem did not take the key")
            )

    def _join_timeout(self) -> None:
        why = f"no link within {self.timing.TT_match_join:g} s"
        self._leave(why, lambda: self._failed(why))

    def _link_status(self, up: bool | None) -> None:
        if self.state in (EvState.JOINING, EvState.WAKING) and up and not self._wake:
            self._link_up(EvState.MATCHED)
        elif self.state is EvState.MATCHED and up is False:
            self._lost("the link went down")

    def _woken(self, why: str) -> None:
        self._wake = False
        self._go(EvState.WAKING, why)
        self._wait_for_wake_up()
