"""Cases for an SECC whose hardware or backend fails, and what sessions must not know of each other."""

from __future__ import annotations

from typing import Any

from iso15118.session.events import Role
from iso15118.session.timers import STRICT

from ..charger import Contactor, IsolationMonitor, Outlet, Site
from ..config.station import StationConfig
from ..scenario.runner import Attempt
from .bench import Bench, codes, expect, messages
from .making import NEVER
from .model import Failed, Group, Inconclusive
from .procedure import Register

procedure = Register(Role.SECC)
_ONGOING = STRICT.seconds("V2G_SECC_Ongoing_Performance_Time")


async def _with(bench: Bench, mode: str = "dc", **parts: Any) -> Attempt:
    station = StationConfig(modes=(mode,), **parts)
    return await bench.session(mode=mode, station=station, evcc={"charge_loops": 3})


@procedure(Group.POWER, "DC_CableCheckRes", needs=("service:dc", "hardware_faults"))
async def an_isolation_fault(bench: Bench) -> None:
    """The isolation test of cable and inlet fails.

    Answers DC_CableCheckReq with a FAILED code; never goes on to power.
    """
    faulty = Outlet(isolation=IsolationMonitor(resistance=1_000.0))
    made = await _with(bench, outlet=faulty)
    said = codes(made, "DC_CableCheckRes")
    expect(said, f"no answer to DC_CableCheckReq: {made.ended}")
    expect(said[-1].startswith("FAILED"), f"the last DC_CableCheckRes said {said[-1]}")
    expect(not codes(made, "DC_PreChargeRes"), "DC_PreChargeReq was answered after the fault")


def _contactor(mode: str, needs: tuple[str, ...]) -> None:
    async def case(bench: Bench) -> None:
        made = await _with(bench, mode, outlet=Outlet(contactor=Contactor(stuck_open=True)))
        said = codes(made, "PowerDeliveryRes")
        expect(said, f"no answer to PowerDeliveryReq(Start): {made.ended}")
        expect(said[0].startswith("FAILED"), f"PowerDeliveryRes said {said[0]}; the contactor is open")

    case.__doc__ = (
        f"The contactor does not close ({mode}).\n\nAnswers PowerDeliveryReq(Start) with a FAILED code."
    )
    procedure(Group.POWER, "PowerDeliveryRes", needs=needs, name=f"contactor-stuck-{mode}")(case)


for _mode in ("ac", "dc"):
    _contactor(_mode, (f"service:{_mode}", "hardware_faults"))


def _never_ready(what: str, response: str, parts: dict[str, Any], *, mode: str = "dc") -> None:
    async def case(bench: Bench) -> None:
        made = await _with(bench, mode, **parts)
        answers = [frame for frame in made.record.seen if frame.name == response]
        expect(answers, f"no {response}: {made.ended}")
        last = answers[-1]
        finished = getattr(last.message, "evse_processing", None) == "Finished"
        if last.code.startswith("FAILED"):
            return
        if finished:
            expect(last.code.startswith("WARNING"), f"{response} said Finished and {last.code}")
            return
        lasted = last.time - answers[0].time
        if lasted < _ONGOING:
            raise Inconclusive(f"our EV gave up after {lasted:.0f} s: {made.ended}")
        raise Failed(f"{response} still said Ongoing {lasted:.0f} s after it said so first")

    sound = f"Bounds it: a FAILED code, or Finished with a WARNING, before {_ONGOING + 5:g} s are over."
    case.__doc__ = f"{what} never comes to an end.\n\n{sound}"
    procedure(
        Group.SILENCE,
        response,
        requirements=("V2G20-2102",) if response == "AuthorizationRes" else (),
        needs=("hardware_faults", f"service:{mode}"),
        name=f"never-ready-{response}",
    )(case)


_never_ready("The authorization", "AuthorizationRes", {"outlet": Outlet(authorization_time=NEVER)})
_never_ready("The schedule", "ScheduleExchangeRes", {"site": Site(planning_time=NEVER)})


@procedure(Group.SESSION_ID, "SessionSetupReq")
async def nothing_of_another_session(bench: Bench) -> None:
    """Two EVs charge one after another: what the second is told.

    Nothing that only the first one knew: neither its EVCCID nor its SessionID.
    """
    secret = "WMIFIRST0000000000A1"
    first = await bench.session(evcc={"evcc_id": secret})
    known = messages(first, "SessionSetupRes")
    expect(known, f"the first session did not begin: {first.ended}")
    second = await bench.session(evcc={"evcc_id": "WMISECOND000000000B2"})
    if not messages(second, "SessionSetupRes"):
        raise Inconclusive(f"the second session did not begin: {second.ended}")
    for frame in second.record.seen:
        if frame.sender is Role.SECC and frame.message is not None:
            told = repr(frame.message)
            expect(secret not in told, f"{frame.name} has the EVCCID of the EV before")
            expect(repr(known[0].header.session_id) not in told, f"{frame.name} has the SessionID before")
