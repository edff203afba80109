"""ISO 15118-3 matching (SLAC): an EV and an EVSE as two pure state machines, with their timers, keys and
control pilot.

    ev = EvSlac(EvSlacConfig(mac), os.urandom)
    for action in ev.handle(CpChanged(CpSignal(CpState.B, 5.0)), now): ...

They know no bytes: messages are typed parameters (``messages``), and what moves them is
``hlc_sim.powerline``.
"""

from .control_pilot import (
    HLC_DUTY,
    STEADY,
    CpSignal,
    CpState,
    EvControlPilot,
    EvseControlPilot,
    SimulatedLine,
    plugged_line,
)
from .ev import EvSlac, EvSlacConfig, EvState
from .evse import EvseSlac, EvseSlacConfig, EvseState, Validation
from .keys import dak_from_password, nid_from_nmk, nmk_from_password, nmk_weaknesses
from .machine import (
    Action,
    AmpMapLimits,
    AskLink,
    CpChanged,
    Deviation,
    DLink,
    DriveCp,
    Event,
    KeyResult,
    LinkReady,
    LinkStatus,
    LoadCp,
    NominalDuty,
    Received,
    Send,
    SetKey,
    SlacMatch,
    StateChange,
)
from .messages import BROADCAST, LOCAL_MODEM, Mac, SlacMessage, ValidateResult, mac_text
from .timing import TimerRow, Timing, timer_table

__all__ = [
    "BROADCAST",
    "HLC_DUTY",
    "LOCAL_MODEM",
    "STEADY",
    "Action",
    "AmpMapLimits",
    "AskLink",
    "CpChanged",
    "CpSignal",
    "CpState",
    "DLink",
    "Deviation",
    "DriveCp",
    "EvControlPilot",
    "EvSlac",
    "EvSlacConfig",
    "EvState",
    "Event",
    "EvseControlPilot",
    "EvseSlac",
    "EvseSlacConfig",
    "EvseState",
    "KeyResult",
    "LinkReady",
    "LinkStatus",
    "LoadCp",
    "Mac",
    "NominalDuty",
    "Received",
    "Send",
    "SetKey",
    "SimulatedLine",
    "SlacMatch",
    "SlacMessage",
    "StateChange",
    "TimerRow",
    "Timing",
    "ValidateResult",
    "Validation",
    "dak_from_password",
    "mac_text",
    "nid_from_nmk",
    "nmk_from_password",
    "nmk_weaknesses",
    "plugged_line",
    "timer_table",
]
