"""Cases that are scenarios of the library, but for those that generated cases go beyond."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import replace

from ..scenario.files import library_files
from ..scenario.model import Scenario
from ..scenario.settings import Layer
from .model import Case, Group

_GROUPS = {
    "exi": Group.FRAMES,
    "failed": Group.CODES,
    "frames": Group.FRAMES,
    "physics": Group.POWER,
    "sdp": Group.SDP,
    "sequence": Group.SEQUENCE,
    "services": Group.SERVICES,
    "session_id": Group.SESSION_ID,
    "silence": Group.SILENCE,
    "slac": Group.SLAC,
    "tls": Group.TLS,
    "tls_chains": Group.TLS,
    "tls_contracts": Group.PNC,
    "values": Group.VALUES,
}
"""Stimulus class of each file of the library; a new file needs its own."""
_GENERATED = (
    "exi-truncated-*",
    "failed-in-*",
    "foreign-session-id-*",
    "late-but-in-time",
    "loop-before-power-*",
    "no-negotiation",
    "ongoing-for-ever-*",
    "out-of-order-*",
    "secc-exi-truncated-*",
    "secc-late-*",
    "secc-silent-*",
    "secc-slow-but-in-time",
    "session-id-one-bit-wrong",
    "setup-inside-the-loop-*",
    "silent-before-*",
    "silent-in-the-loop-*",
    "too-late",
    "wrong-response-*",
    "zero-session-id-*",
)
"""Scenarios that stand among the generated cases, for more messages."""
_NEEDS = {
    "pause-request-not-allowed": ("no:pause",),
    "renegotiation-not-allowed": ("no:service_renegotiation",),
    "pnc-never-offered": ("no:pnc",),
    "pnc-only-and-no-contract": ("no:pnc",),
    "meter-asked-in-every-loop": ("metering",),
    "renegotiates-then-another-session": ("schedule_renegotiation",),
    "sap-ac-only-at-a-dc-station": ("no:service:ac", "no:service:ac_bpt"),
}
_TOUCHES_SERVICE = ("DC_", "AC_", "WPT_", "ACDP_")


def cases() -> Iterator[Case]:
    """All of them, for both sides."""
    for file, scenarios in library_files().items():
        for name, scenario in scenarios.items():
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in _GENERATED):
                yield _case(_GROUPS[file], name, scenario)


def _case(group: Group, name: str, scenario: Scenario) -> Case:
    any_service = _fits_any(group, scenario)
    needs = list(_NEEDS.get(name, ()))
    if scenario.layer is Layer.V2G and not any_service:
        needs.append(f"service:{scenario.vehicle.mode}")
    if scenario.vehicle.control is not None:
        needs.append(f"control:{scenario.vehicle.control}")
    if scenario.layer is not Layer.V2G:
        needs.append(scenario.layer.value)
    if scenario.layer is Layer.SDP:
        needs.append("tls")  # it is asked for, and answered with
    if scenario.tls is not None and scenario.tls.pnc:
        needs.append("pnc")
        if not scenario.tls.contracts or scenario.tls.provisioning:
            needs.append("certificate_installation")
    return Case(
        id=f"{scenario.tests.value}.{group.value}.{name}",
        title=scenario.title,
        tests=scenario.tests,
        group=group,
        message=_message(scenario),
        sound=scenario.sound,
        play=replace(scenario, given=""),  # `needs` says it
        requirements=scenario.requirements,
        needs=tuple(needs),
        any_service=any_service,
    )


def _fits_any(group: Group, scenario: Scenario) -> bool:
    """Whether nothing in it belongs to one energy service."""
    if scenario.layer is not Layer.V2G or group in (Group.SERVICES, Group.POWER):
        return False
    named = [name for step in scenario.steps for name in (step.at, step.message)]
    default = scenario.vehicle.mode == "dc" and scenario.vehicle.control is None
    return default and not any(name.startswith(_TOUCHES_SERVICE) for name in named)


def _message(scenario: Scenario) -> str:
    if not scenario.steps:
        return ""
    name = scenario.steps[0].at.partition("(")[0]
    return "" if name == "*" else name
