"""What sessions with Josev are to show: settings for it, what we report of it, agreement of both sides.

What we report of Josev is pinned: a session with a finding more or less is a finding about us.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .lab import Process

LOOPS = 5
PATIENT = ("--patience", "5")

STATION = """
timers = "relaxed"  # Josev's codec on a busy machine is no finding
[secc.dialect]
discharge_register = false  # Josev names the field otherwise and drops a response that has it
"""

VEHICLE = """
timers = "relaxed"
[evcc]
pre_charge_patience = 1.0  # Josev's SECC reports 1 V for ever
ramp_down_time = 0.0       # ... and 1 A
"""


def findings_about_the_evcc(mode: str, control: str) -> set[str]:
    """What our SECC reports of Josev's EVCC, as patterns."""
    found = {r"EVPowerProfile runs from 0 for \d+ s"}
    if mode.startswith("dc"):
        found.add("EVTargetVoltage 20000 V")
    if mode.endswith("bpt"):
        found.add("BPT_ChannelSelection Charge")  # though the channels are unified
    if control == "scheduled":
        found.add("PowerToleranceConfirmed without PowerTolerance in the schedule")
        # 20 000 V at 200 A; a constant
        found.add("power of 4e[+]06 W" if mode.startswith("dc") else "power of 200000 W")
    elif mode.startswith("ac"):
        found.add("EVMaximumChargePower 300000 W")
    elif mode == "dc_bpt":
        found |= {rf"EV limit max_discharge_{name} 300000 in the loop" for name in ("power", "current")}
    return found


def findings_about_the_secc(mode: str, control: str) -> set[str]:
    """What our EVCC reports of Josev's SECC, as patterns."""
    quirks = [
        "Connector 2 means three phases here"
        if mode.startswith("ac")
        else "EVSENominalVoltage in a parameter set that is not AC"
    ]
    if mode == "ac_bpt":
        quirks.append("DetectionMethodGridCodeIslanding is missing")
    if mode.endswith("bpt"):
        quirks += ["BPTChannel is missing", "GeneratorMode is missing"]
    found = {"; ".join(quirks)}
    if mode.startswith("dc"):
        found.add(r"1 V after 1\.\d s of pre-charge")
    if control == "scheduled":
        found.add("schedule tuple 1 runs from 0 for 3600 s")
    else:
        found.add("the SECC provides mobility needs")
    return found


def check_findings(deviations: Iterable[dict[str, Any]], offender: str, patterns: set[str]) -> None:
    """All but those of speed, which depends on the machine. A finding may come in several messages."""
    found = [item for item in deviations if item["severity"] != "performance"]
    assert {item["offender"] for item in found} <= {offender}, found
    texts = {item["text"] for item in found}
    unexpected = [text for text in texts if not any(re.fullmatch(pattern, text) for pattern in patterns)]
    missed = [pattern for pattern in patterns if not any(re.fullmatch(pattern, text) for text in texts)]
    assert (unexpected, missed) == ([], [])


def written_by(process: Process, path: Path) -> Any:
    """What our command wrote with `--json`."""
    assert path.exists(), f"no result was written\n{process.explain()}"
    return json.loads(path.read_text())


def check_agreement(
    ours: dict[str, Any],
    josevs: dict[str, Any],
    mode: str,
    control: str,
    *,
    auth: str = "EIM",
    tls: str | None = None,
) -> None:
    """Both sides saw the same whole session."""
    assert josevs["outcome"] == "complete"
    assert ours["ok"]
    assert (josevs["service"], josevs["control_mode"]) == (mode.upper(), control)
    assert (josevs["auth"], josevs["tls"]) == (auth, tls)
    assert ours["session_id"] == josevs["session_id"].lower()
    assert ours["messages_by_name"] == josevs["messages"]
    assert josevs["loops"] == LOOPS
