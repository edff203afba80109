"""What a device under test supports, as its maker states it: the PICS of a run.

    device = "wallbox 3, firmware 1.4"
    services = ["ac", "dc"]
    control = ["dynamic"]
    pnc = true
    pause = false

    [known]
    "SECC.silence.loop-dc" = "ticket 4711: waits 60 s"

A case that needs what is not stated here is "not applicable"; it is never passed in silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..config.common import MODES, one_of
from ..config.reader import load

CONTROL_MODES = ("scheduled", "dynamic")


@dataclass(slots=True)
class Capabilities:
    """The keys of a capability file. A side that is tested over plain TCP has `tls = false`."""

    device: str = ""
    """Name and version, for the report."""
    services: tuple[str, ...] = ("dc",)
    """Energy services, of "ac", "dc", "ac_bpt", "dc_bpt", "mcs", "mcs_bpt"; where any will do, the first."""
    control: tuple[str, ...] = CONTROL_MODES
    """Control modes, of "scheduled" and "dynamic"."""
    eim: bool = True
    """Authorization by external means."""
    pnc: bool = False
    """Plug & Charge."""
    certificate_installation: bool = False
    prices: bool = False
    """SECC: offers price schedules or levels."""
    metering: bool = False
    """SECC: sends MeterInfo. EVCC: asks for it."""
    pause: bool = False
    """Pauses sessions and resumes them."""
    standby: bool = False
    schedule_renegotiation: bool = False
    schedule_renegotiation_beside: bool = False
    """On the side stream 0x8101."""
    service_renegotiation: bool = False
    notifications: bool = True
    """EVCC: acts on what EVSEStatus asks for."""
    eim_rejection: bool = False
    """SECC: can be made to reject an external identification (only the simulated one by the bench itself)."""
    hardware_faults: bool = False
    """SECC: isolation test and contactor can be made to fail (only simulated ones by the bench itself)."""
    tls: bool = True
    sdp: bool = False
    slac: bool = False
    known: dict[str, str] = field(default_factory=dict)
    """Failures that are known: case id or pattern, and the reason that the report gives."""
    configurable: bool = field(default=False, init=False)
    """The bench configures the device itself: it can also be one that lacks what is stated."""

    def __post_init__(self) -> None:
        for service in self.services:
            one_of("services", service, MODES)
        for control in self.control:
            one_of("control", control, CONTROL_MODES)
        for name, values in (("services", self.services), ("control", self.control)):
            if not values:
                raise ValueError(f"{name}: at least one is needed")
        if not (self.eim or self.pnc):
            raise ValueError("eim, pnc: at least one way of authorization is needed")

    @property
    def service(self) -> str:
        """The service for cases that fit any."""
        return self.services[0]

    def has(self, need: str) -> bool:
        """Whether one need is met: a key of this table, "service:dc", "control:dynamic"; "no:pause" is met by
        a device without it.
        """
        kind, _, value = need.partition(":")
        if kind == "no":
            return self.configurable or not self.has(value)
        if kind == "service":
            return value in self.services
        if kind == "control":
            return value in self.control
        return bool(getattr(self, need))

    def missing(self, needs: Iterable[str]) -> list[str]:
        """Those of `needs` that are not met."""
        return [need for need in needs if not self.has(need)]

    @classmethod
    def load(cls, path: Path) -> Capabilities:
        """From a TOML file. ConfigError names file and key."""
        return load(cls, path)


def of_simulator() -> Capabilities:
    """What the built-in SECC and EVCC support."""
    simulator = Capabilities(
        device="the built-in simulator",
        services=("dc", *(mode for mode in MODES if mode != "dc")),
        pnc=True,
        certificate_installation=True,
        prices=True,
        metering=True,
        pause=True,
        standby=True,
        schedule_renegotiation=True,
        schedule_renegotiation_beside=True,
        service_renegotiation=True,
        eim_rejection=True,
        hardware_faults=True,
        sdp=True,
        slac=True,
    )
    simulator.configurable = True
    return simulator
