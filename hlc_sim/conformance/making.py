"""How a generated case is put together from a place on the way, a stimulus and what is expected."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from iso15118.session.events import Role
from iso15118.session.services import Family

from ..charger import Outlet, Site
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..scenario.model import Do, Expect, Outcome, Scenario, Step
from .capabilities import Capabilities
from .elements import Element
from .model import Case, Group
from .way import FAMILIES, Stop, common, own

MODE = {Family.DC: "dc", Family.AC: "ac"}
_TIMERS = {Role.SECC: "strict", Role.EVCC: "relaxed"}
FOREIGN = "0123456789abcdef"
"""A SessionID that is nobody's, in hex."""
NEVER = 1e6
"""s of what does not come to an end."""
POLLS = 0.3
"""s of authorization and planning of the simulated station, so that it says Ongoing and polls can be met."""


def places() -> Iterator[tuple[Family | None, Stop]]:
    """Every place on the way once: the common ones without family, then those of each family."""
    for stop in common():
        yield None, stop
    for family in FAMILIES:
        for stop in own(family):
            yield family, stop


def make(
    tests: Role,
    group: Group,
    name: str,
    title: str,
    sound: str,
    steps: tuple[Step, ...],
    expect: Expect,
    *,
    message: str = "",
    family: Family | None = None,
    mode: str = "",
    control: str | None = None,
    evcc: dict[str, Any] | None = None,
    station: StationConfig | None = None,
    requirements: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    thorough: bool = False,
) -> Case:
    """A case that plays `steps`. Without `mode` and `family` it fits any service."""
    chosen = mode or (MODE[family] if family is not None else "")
    case_id = ".".join(
        part for part in (tests.value, group.value, family.value if family is not None else "", name) if part
    )
    scenario = Scenario(
        name=case_id,
        title=title,
        plays=tests.other,
        sound=sound,
        expect=expect,
        steps=steps,
        requirements=requirements,
        vehicle=VehicleConfig(mode=chosen or "dc", control=control, evcc=evcc or {}),
        # Our own station must not be the one that gives up.
        station=station or polling_station(chosen or "dc", timers=_TIMERS[tests]),
    )
    if chosen:
        needs = (f"service:{chosen}", *needs)
    if control is not None:
        needs = (*needs, f"control:{control}")
    return Case(
        id=case_id,
        title=title,
        tests=tests,
        group=group,
        message=message,
        sound=sound,
        play=scenario,
        requirements=requirements,
        needs=needs,
        any_service=not chosen,
        thorough=thorough,
    )


def polling_station(mode: str, *, timers: str = "strict", **secc: Any) -> StationConfig:
    """A station that lets polls be seen."""
    return StationConfig(
        modes=(mode,),
        timers=timers,
        outlet=Outlet(authorization_time=POLLS),
        site=Site(planning_time=POLLS),
        secc=secc,
    )


def fitted(scenario: Scenario, capabilities: Capabilities) -> Scenario:
    """The same scenario with an energy service that the device has."""
    mode = capabilities.service
    return dataclasses.replace(
        scenario,
        vehicle=dataclasses.replace(scenario.vehicle, mode=mode),
        station=dataclasses.replace(scenario.station, modes=(mode,)),
    )


def replace(at: str, occurrence: int = 1, **what: Any) -> Step:
    return Step(at, Do.REPLACE, occurrence, **what)


def request(kind: str) -> dict[str, Any]:
    """`message` and `set` of a step that sends this kind of request ("PowerDeliveryReq(Stop)")."""
    name, _, progress = kind.rstrip(")").partition("(")
    return {"message": name, "set": {"charge_progress": progress}} if progress else {"message": name}


def values_of(element: Element) -> Iterator[tuple[str, Any, bool]]:
    """Names and values at the bounds of a number; True for those that stand for their class."""
    if element.rational:
        yield "zero", 0, True
        yield "negative", -10, False
        yield "huge", {"exponent": 127, "value": 32767}, True
    elif not element.small:
        yield "zero", 0, False
        yield "huge", 2**32 - 1, True


def refuses(*codes: str, **more: Any) -> Expect:
    return Expect(Outcome.REFUSES, codes, **more)


def ends(**more: Any) -> Expect:
    return Expect(Outcome.ENDS, **more)


CONTINUES = Expect(Outcome.CONTINUES)
SURVIVES = Expect(Outcome.SURVIVES)
ANSWERS = Expect(Outcome.ANSWERS)
