"""Every timer and counter of the matching, once: name, value, whose it is, what for.

The names are the standard's. TT_ is a limit on the peer, TP_ a performance limit on oneself, C_ a counter,
T_ a duration. Times are seconds. A bench may set any of them: ``Timing(TT_match_join=20)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple


def _time(seconds: float, side: str, use: str) -> Any:
    return field(default=seconds, metadata={"side": side, "use": use, "unit": "s"})


def _count(times: int, side: str, use: str) -> Any:
    return field(default=times, metadata={"side": side, "use": use, "unit": ""})


@dataclass(frozen=True, slots=True)
class Timing:
    """The values one side runs on."""

    TT_EVSE_SLAC_init: float = _time(
        40.0, "EVSE", "5 % duty cycle to the first CM_SLAC_PARM.REQ (20 to 50 s)"
    )
    TT_match_response: float = _time(0.2, "both", "a request to its confirmation")
    TT_match_sequence: float = _time(
        0.4, "EVSE", "the peer's next step: CM_SLAC_PARM.CNF to CM_START_ATTEN_CHAR.IND"
    )
    C_EV_match_retry: int = _count(2, "both", "repetitions of an unanswered request (three sends in all)")
    C_EV_start_atten_char_inds: int = _count(3, "EV", "CM_START_ATTEN_CHAR.IND sent per run")
    C_EV_match_MNBC: int = _count(10, "EVSE", "sounds asked for in CM_SLAC_PARM.CNF")
    TP_EV_batch_msg_interval: float = _time(0.03, "EV", "between two frames of the sounding (20 to 50 ms)")
    TT_EVSE_match_MNBC: float = _time(0.6, "EVSE", "first CM_START_ATTEN_CHAR.IND to the end of the sounds")
    TT_EV_atten_results: float = _time(
        1.2, "EV", "first CM_START_ATTEN_CHAR.IND to the last result [V2G3-A09-30, A09-31]"
    )
    TT_EVSE_match_session: float = _time(
        10.0, "EVSE", "CM_ATTEN_CHAR.RSP to CM_VALIDATE.REQ or CM_SLAC_MATCH.REQ"
    )
    TT_match_join: float = _time(12.0, "both", "CM_SLAC_MATCH.CNF to the link being up")
    TT_matching_repetition: float = _time(
        10.0, "EV", "window in which failed matchings are repeated [V2G3-A09-125]"
    )
    TT_matching_rate: float = _time(0.4, "EV", "pause before a failed matching is repeated [V2G3-A09-124]")
    C_conn_max_match: int = _count(3, "EV", "matchings tried at the least, however long they take")
    C_sequ_retry: int = _count(2, "EVSE", "cycles through state E/F without CM_SLAC_PARM.REQ [V2G3-M06-07]")
    C_EVSE_match_parallel: int = _count(64, "EVSE", "matchings served at the same time (5 at the least)")
    T_step_EF: float = _time(4.0, "EVSE", "time in state E/F (4 s at the least) [V2G3-M06-05, M06-09]")
    T_step_X1: float = _time(3.0, "EVSE", "time in state X1 (3 s at the least) [V2G3-M06-06]")
    T_conn_max_comm: float = _time(8.0, "both", "wake-up to the link being up")
    T_conn_resetup: float = _time(15.0, "EV", "loss of the link to the next matching, when the EV starts it")
    TT_amp_map_exchange: float = _time(0.2, "both", "CM_AMP_MAP.REQ to CM_AMP_MAP.CNF")
    T_vald_ready_retry: float = _time(0.5, "EV", "'not ready' to the next CM_VALIDATE.REQ")
    C_vald_ready_retry: int = _count(5, "EV", "repetitions after 'not ready', per candidate")
    TP_EV_vald_state_duration: float = _time(0.3, "EV", "each B and C state of a toggle (200 to 400 ms)")
    C_EV_vald_nb_toggles: int = _count(2, "EV", "toggles made (1 to 3)")
    TT_EVSE_vald_toggle: float = _time(3.5, "EVSE", "longest toggling an EVSE watches")
    TT_set_key_response: float = _time(10.0, "both", "a network key handed to the modem driver to its answer")
    C_set_key_retry: int = _count(
        2, "both", "repetitions of setting the network key after silence or mismatch"
    )
    TT_polling_pause: float = _time(0.25, "both", "between two questions after the link while it forms")
    T_link_watch: float = _time(1.0, "both", "between two questions after the link while it is up")


class TimerRow(NamedTuple):
    """A timer or counter of the matching, with the value in use."""

    name: str
    value: float
    unit: str
    side: str
    use: str


def timer_table(timing: Timing | None = None) -> list[TimerRow]:
    """The values in use, as rows for a table."""
    timing = timing or Timing()
    return [
        TimerRow(f.name, getattr(timing, f.name), f.metadata["unit"], f.metadata["side"], f.metadata["use"])
        for f in fields(timing)
    ]
