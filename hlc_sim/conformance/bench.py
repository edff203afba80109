"""The device on the bench: sessions with it, and the reference sessions that many cases look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from iso15118.session.evcc_steps import PausedSession
from iso15118.session.events import Role
from iso15118.session.secc_config import SessionStore

from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..scenario.edit import NotInThisSession
from ..scenario.fit import OurSide
from ..scenario.model import Expect, Outcome, Scenario, Step
from ..scenario.runner import Attempt, attempt
from ..scenario.targets import Target
from .capabilities import Capabilities
from .making import polling_station
from .model import Failed, Inconclusive
from .reference import Reference

MakeTarget = Callable[[Role], Target]
"""Gives the device; called anew for each case, so that a simulated one starts fresh."""


class Bench:
    """What a procedure gets: `session` runs one session with the device and keeps what was seen in `log`."""

    def __init__(
        self,
        tests: Role,
        capabilities: Capabilities,
        make_target: MakeTarget,
        shelf: Shelf | None = None,
        ours: OurSide | None = None,
    ) -> None:
        self.tests = tests
        self.capabilities = capabilities
        self.ours = ours or OurSide()
        self.shelf = shelf if shelf is not None else Shelf()
        self.log: list[str] = []
        self.target = make_target(tests)
        self.store = SessionStore()
        """Paused sessions of our SECC."""

    async def session(
        self,
        steps: Sequence[Step] = (),
        *,
        mode: str | None = None,
        control: str | None = None,
        evcc: dict[str, Any] | None = None,
        vehicle: VehicleConfig | None = None,
        station: StationConfig | None = None,
        resume: PausedSession | None = None,
        expect: Expect | None = None,
    ) -> Attempt:
        """One session, disturbed by `steps`; with the device's first energy service unless `mode` names one.

        `expect` only says whether our side holds still after its last step (outcomes "refuses" and "ends").
        Failed if it has no end; Inconclusive if it did not come to a step, or had not what that changes.
        """
        chosen = mode or self.capabilities.service
        scenario = Scenario(
            name="procedure",
            title="",
            plays=self.tests.other,
            sound="",
            expect=expect or Expect(Outcome.SURVIVES),
            steps=tuple(steps),
            vehicle=vehicle or VehicleConfig(mode=chosen, control=control, evcc=evcc or {}),
            station=station or polling_station(chosen),
        )
        try:
            made = await attempt(self.ours.fit(scenario), self.target, resume=resume, store=self.store)
        except NotInThisSession as error:
            raise Inconclusive(str(error)) from None
        self._note(made)
        if made.timed_out or made.hung:
            raise Failed("the session had no end" if made.timed_out else "the device did not come to rest")
        if made.script.missed:
            raise Inconclusive(f"the session never came to {made.script.missed[0].at}: {made.ended}")
        return made

    async def reference(self, reference: Reference) -> Attempt:
        """A reference session, run once for all cases that look at it."""
        known = self.shelf.get(reference.name)
        if known is None:
            known = await attempt(self.ours.fit(reference.scenario(self.tests)), self.target)
            self.shelf[reference.name] = known
        self._note(known)
        return known

    def _note(self, made: Attempt) -> None:
        record = made.record
        self.log += [frame.line(record.opened) for frame in record.seen]
        self.log.append(f"closed by {record.closed_by.value if record.closed_by else 'nobody'}: {made.ended}")


class Shelf(dict[str, Attempt]):
    """Reference sessions of one device, by name."""


def expect(holds: object, complaint: str) -> None:
    """Failed with `complaint` unless `holds`."""
    if not holds:
        raise Failed(complaint)


def codes(made: Attempt, message: str) -> list[str]:
    """The response codes of each `message` in a session."""
    return [frame.code for frame in made.record.seen if frame.name == message]


def names(made: Attempt, sender: Role) -> list[str]:
    """What one side said, in order, by kind ("PowerDeliveryReq(Stop)")."""
    return [frame.name for frame in made.record.seen if frame.sender is sender]


def messages(made: Attempt, name: str) -> list[Any]:
    """The messages of one element name."""
    return [frame.message for frame in made.record.seen if frame.name.partition("(")[0] == name]
