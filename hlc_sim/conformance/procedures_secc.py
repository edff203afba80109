"""Cases for an SECC that take several sessions, or a look at what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio

from iso15118 import exi
from iso15118.messages.declare import Node
from iso15118.session.charger import Verdict
from iso15118.session.evcc_steps import PausedSession
from iso15118.session.events import Role
from iso15118.session.services import Family
from iso15118.session.streams import payload_type_of
from iso15118.session.vehicle import Wish

from ..charger import Outlet
from ..config.station import StationConfig
from ..config.vehicle import VehicleConfig
from ..scenario import edit
from ..scenario.model import Do, Step
from ..scenario.no_target import NoTarget
from ..scenario.runner import Attempt
from ..transport.link import Link
from ..vehicle import Driver
from .bench import Bench, codes, expect, messages, names
from .making import ends, polling_station, refuses, replace
from .model import Failed, Group, Inconclusive
from .procedure import Register

procedure = Register(Role.SECC)
_SESSIONS = 8
"""How many are begun to look at random values."""
_VERDICT = 1.5
"""s in which a rejection is told [V2G20-2230]."""
_WISH = 1.0
"""s after power came on at which the vehicle wants something."""


def _vehicle(bench: Bench, *wishes: Wish, **evcc: object) -> VehicleConfig:
    timed = [(_WISH * (number + 1), wish) for number, wish in enumerate(wishes)]
    driver = Driver(wishes=timed, wishes_from_power=True)
    return VehicleConfig(mode=bench.capabilities.service, driver=driver, evcc=dict(evcc))


def _resuming_station(bench: Bench) -> StationConfig:
    """The simulated station resumes on a plain link, too: there is no vehicle certificate to go by."""
    return polling_station(bench.capabilities.service, resume_without_certificate=True)


# -- pause and resume ----------------------------------------------------------------------------------------


async def _paused(bench: Bench) -> PausedSession:
    made = await bench.session(
        vehicle=_vehicle(bench, Wish.PAUSE, charge_loops=None), station=_resuming_station(bench)
    )
    if made.session is None or made.session.paused is None:
        raise Inconclusive(f"the session was not paused: {made.ended}")
    return made.session.paused


async def _resumed(bench: Bench, paused: PausedSession, steps: Sequence[Step] = (), **how: object) -> Attempt:
    """The session after it, which ends as any other."""
    return await bench.session(
        steps,
        vehicle=_vehicle(bench, charge_loops=3, **how),
        station=_resuming_station(bench),
        resume=paused,
        expect=refuses("FAILED_SequenceError") if steps else None,
    )


@procedure(
    Group.PAUSE,
    "SessionSetupReq",
    requirements=("V2G20-2622", "V2G20-2623", "V2G20-1843", "V2G20-1844"),
    needs=("pause",),
)
async def a_paused_session_is_resumed(bench: Bench) -> None:
    """A session is paused, and the EV comes back with its SessionID.

    Answers OK_OldSessionJoined under the same SessionID, and goes on at ChargeParameterDiscovery without a
    second authorization.
    """
    paused = await _paused(bench)
    made = await _resumed(bench, paused)
    _joined(made, paused)
    expect(made.ok, f"the resumed session did not come to its proper end: {made.ended}")
    expect("AuthorizationReq" not in names(made, Role.EVCC), "the authorization was asked for again")


def _joined(made: Attempt, paused: PausedSession) -> None:
    code = (codes(made, "SessionSetupRes") or ["no answer"])[0]
    expect(code == "OK_OldSessionJoined", f"SessionSetupRes said {code}; expected OK_OldSessionJoined")
    given = messages(made, "SessionSetupRes")[0].header.session_id
    expect(given == paused.session_id, f"joined under SessionID {given.hex()}, not {paused.session_id.hex()}")


def _fresh(made: Attempt, old: bytes) -> None:
    answers = messages(made, "SessionSetupRes")
    expect(answers, "no answer to SessionSetupReq")
    code, given = answers[0].response_code.value, answers[0].header.session_id
    expect(
        code == "OK_NewSessionEstablished",
        f"SessionSetupRes said {code}; expected OK_NewSessionEstablished",
    )
    expect(given not in (old, bytes(8)), f"SessionID {given.hex()} is not a fresh one")


def _only_parameters_after_resume(wrong: str) -> None:
    """A case for each request that an EV must not send after a resume."""

    async def case(bench: Bench) -> None:
        paused = await _paused(bench)
        step = replace(f"{_family(bench)}_ChargeParameterDiscoveryReq", message=wrong)
        made = await _resumed(bench, paused, (step,))
        _joined(made, paused)
        refused = codes(made, wrong.removesuffix("Req") + "Res")
        expect(refused == ["FAILED_SequenceError"], f"{wrong} was answered {refused or 'not at all'}")

    case.__doc__ = f"{wrong} after a session was resumed.\n\nRefuses it with FAILED_SequenceError."
    rules = ("V2G20-1032", "V2G20-459")
    procedure(Group.PAUSE, wrong, requirements=rules, needs=("pause",), name=f"after-resume-{wrong}")(case)


for _wrong in ("AuthorizationSetupReq", "ServiceDiscoveryReq", "ServiceSelectionReq", "ScheduleExchangeReq"):
    _only_parameters_after_resume(_wrong)


@procedure(
    Group.PAUSE,
    "SessionSetupReq",
    requirements=("V2G20-2545", "V2G20-2626", "V2G20-2627"),
    needs=("pause", "no:tls"),
)
async def another_EV_does_not_get_a_paused_session(bench: Bench) -> None:
    """A session is paused, and another EV asks for it by its SessionID.

    Gives a fresh SessionID with OK_NewSessionEstablished: a SessionID alone proves nothing.
    """
    paused = await _paused(bench)
    made = await _resumed(bench, paused, evcc_id="WMIOTHER000000000009")
    _fresh(made, paused.session_id)


@procedure(Group.PAUSE, "SessionSetupReq", requirements=("V2G20-2626", "V2G20-2627"), needs=("pause",))
async def one_bit_more_is_another_session(bench: Bench) -> None:
    """A session is paused, and the EV comes back with one bit of the SessionID inverted.

    Gives a fresh SessionID with OK_NewSessionEstablished.
    """
    paused = await _paused(bench)
    wrong = paused.session_id[:-1] + bytes([paused.session_id[-1] ^ 1])
    made = await bench.session(
        (replace("SessionSetupReq", set={"header.session_id": wrong.hex()}),),
        vehicle=_vehicle(bench, charge_loops=3),
        station=_resuming_station(bench),
    )
    _fresh(made, paused.session_id)
    expect(messages(made, "SessionSetupRes")[0].header.session_id != wrong, "the SessionID was adopted")


@procedure(Group.PAUSE, "SessionSetupReq", requirements=("V2G20-2626", "V2G20-2627"), needs=("pause",))
async def a_session_is_resumed_once(bench: Bench) -> None:
    """A paused session is resumed and terminated, and the EV asks for it once more.

    Gives a fresh SessionID with OK_NewSessionEstablished: what was terminated is over.
    """
    paused = await _paused(bench)
    _joined(await _resumed(bench, paused), paused)
    _fresh(await _resumed(bench, paused), paused.session_id)


@procedure(Group.PAUSE, "SessionSetupReq", requirements=("V2G20-2626", "V2G20-2627"))
async def a_terminated_session_is_not_resumed(bench: Bench) -> None:
    """A session is terminated, and the EV asks for it by its SessionID.

    Gives a fresh SessionID with OK_NewSessionEstablished.
    """
    first = await bench.session(station=_resuming_station(bench))
    expect(first.ok, f"the first session did not come to its proper end: {first.ended}")
    known = messages(first, "SessionSetupRes")[0].header.session_id
    made = await bench.session(
        (replace("SessionSetupReq", set={"header.session_id": known.hex()}),),
        station=_resuming_station(bench),
    )
    _fresh(made, known)


@procedure(Group.PAUSE, "SessionSetupReq", needs=("pause",))
async def a_resumed_session_is_paused_again(bench: Bench) -> None:
    """A session is paused, resumed, paused and resumed.

    Joins it both times.
    """
    paused = await _paused(bench)
    again = await bench.session(
        vehicle=_vehicle(bench, Wish.PAUSE, charge_loops=None),
        station=_resuming_station(bench),
        resume=paused,
    )
    _joined(again, paused)
    if again.session is None or again.session.paused is None:
        raise Inconclusive(f"the session was not paused again: {again.ended}")
    _joined(await _resumed(bench, again.session.paused), paused)


# -- renegotiation and standby -------------------------------------------------------------------------------


@procedure(
    Group.RENEGOTIATION, "SessionStopReq", requirements=("V2G20-1477",), needs=("service_renegotiation",)
)
async def the_service_is_renegotiated(bench: Bench) -> None:
    """SessionStopReq(ServiceRenegotiation) after the energy transfer.

    Answers OK, keeps session and authorization, and serves ServiceDiscovery and all that follows.
    """
    made = await bench.session(vehicle=_vehicle(bench, Wish.RENEGOTIATE_SERVICE, charge_loops=12))
    expect(made.ok, f"the session did not come to its proper end: {made.ended}")
    said = names(made, Role.EVCC)
    if said.count("SessionStopReq") < 2:
        raise Inconclusive("the EV did not come to renegotiate")
    expect(
        codes(made, "SessionStopRes")[0] == "OK", f"SessionStopRes said {codes(made, 'SessionStopRes')[0]}"
    )
    expect(
        said.count("AuthorizationReq") == said[: said.index("SessionStopReq")].count("AuthorizationReq"),
        "the authorization was asked for again",
    )


@procedure(
    Group.RENEGOTIATION,
    "SessionStopReq",
    requirements=("V2G20-1477", "V2G20-459"),
    needs=("service_renegotiation",),
)
async def renegotiation_begins_with_the_services(bench: Bench) -> None:
    """Charge parameters are sent where ServiceDiscoveryReq is due after a service renegotiation.

    Refuses it with FAILED_SequenceError.
    """
    wrong = f"{_family(bench)}_ChargeParameterDiscoveryReq"
    made = await bench.session(
        (replace("ServiceDiscoveryReq", 2, message=wrong),),
        vehicle=_vehicle(bench, Wish.RENEGOTIATE_SERVICE, charge_loops=12),
        expect=refuses("FAILED_SequenceError"),
    )
    _, *again = codes(made, wrong.removesuffix("Req") + "Res")  # the first belongs to the first time
    expect(again == ["FAILED_SequenceError"], f"{wrong} was answered {again or 'not at all'}")


@procedure(Group.RENEGOTIATION, "SessionStopReq", requirements=("V2G20-1477",))
async def no_way_around_the_authorization(bench: Bench) -> None:
    """SessionStopReq(ServiceRenegotiation) before the EV is authorized.

    Ends the session, or refuses what follows: services are for authorized EVs.
    """
    made = await bench.session(
        (
            replace(
                "AuthorizationReq",
                message="SessionStopReq",
                set={"charging_session": "ServiceRenegotiation"},
            ),
        ),
        expect=ends(within=6),
    )
    expect(made.record.closed_by is Role.SECC, "the SECC kept the session of an EV that is not authorized")


@procedure(Group.RENEGOTIATION, "PowerDeliveryReq", needs=("schedule_renegotiation", "control:scheduled"))
async def the_schedule_is_renegotiated(bench: Bench) -> None:
    """PowerDeliveryReq(ScheduleRenegotiation) in the charge loop.

    Answers OK, serves ScheduleExchange, and goes on with the charge loop.
    """
    await _schedule(bench, "main")


@procedure(
    Group.RENEGOTIATION,
    "ScheduleExchangeReq",
    needs=("schedule_renegotiation_beside", "control:scheduled"),
)
async def the_schedule_is_renegotiated_beside_the_loop(bench: Bench) -> None:
    """A schedule is renegotiated on payload type 0x8101 while the charge loop goes on.

    Serves both streams.
    """
    await _schedule(bench, "side")


async def _schedule(bench: Bench, stream: str) -> None:
    vehicle = _vehicle(bench, Wish.RENEGOTIATE_SCHEDULE, charge_loops=12, renegotiation_stream=stream)
    vehicle.control = "scheduled"
    made = await bench.session(vehicle=vehicle)
    expect(made.ok, f"the session did not come to its proper end: {made.ended}")
    exchanges = [frame for frame in made.record.seen if frame.name == "ScheduleExchangeReq"]
    loops = [frame for frame in made.record.seen if frame.name.endswith("ChargeLoopReq")]
    late = [frame for frame in exchanges if loops and frame.time >= loops[0].time]
    if not late:
        raise Inconclusive("the EV did not come to renegotiate")
    expect(loops[-1].time > late[-1].time, "the charge loop did not go on")


@procedure(
    Group.RENEGOTIATION,
    "PowerDeliveryReq",
    requirements=("V2G20-2113", "V2G20-1391", "V2G20-1393"),
    needs=("standby",),
)
async def standby_and_back(bench: Bench) -> None:
    """PowerDeliveryReq(Standby) in the charge loop, then the charge loop again.

    Holds the session, and goes on when the EV does.
    """
    made = await bench.session(vehicle=_vehicle(bench, Wish.STANDBY, Wish.CHARGE, charge_loops=15))
    expect(made.ok, f"the session did not come to its proper end: {made.ended}")
    if "PowerDeliveryReq(Standby)" not in names(made, Role.EVCC):
        raise Inconclusive("the EV did not come to standby")


# -- what sessions have in common ----------------------------------------------------------------------------


@procedure(Group.SESSION_ID, "SessionSetupRes", requirements=("V2G20-2106", "V2G20-2621", "V2G20-835"))
async def session_ids_are_random(bench: Bench) -> None:
    """Eight sessions are begun, and their SessionIDs compared.

    Each is fresh and not zero; nothing in them repeats or counts.
    """
    found: list[bytes] = []
    for _ in range(_SESSIONS):
        made = await bench.session((Step("AuthorizationSetupReq", Do.CLOSE),))
        found += [message.header.session_id for message in messages(made, "SessionSetupRes")]
        await trio.sleep(0.5)
    _random(found, "SessionIDs")


@procedure(
    Group.PNC,
    "AuthorizationSetupRes",
    requirements=("V2G20-697", "V2G20-698", "V2G20-2108", "V2G20-2110", "V2G20-2608"),
    needs=("pnc",),
)
async def challenges_are_random(bench: Bench) -> None:
    """Eight sessions are begun, and their GenChallenges compared.

    Each has 128 bit and is used once; nothing in them repeats or counts.
    """
    found: list[bytes] = []
    for _ in range(_SESSIONS):
        made = await bench.session(
            (Step("AuthorizationReq", Do.CLOSE),),
            station=StationConfig(modes=(bench.capabilities.service,), secc={"pnc": True}),
        )
        for message in messages(made, "AuthorizationSetupRes"):
            challenge = getattr(message.authorization_mode, "gen_challenge", None)
            if challenge is None:
                raise Failed("PnC is stated, and AuthorizationSetupRes has no GenChallenge")
            found.append(challenge)
        await trio.sleep(0.5)
    expect(all(len(item) == 16 for item in found), "a GenChallenge is not of 16 bytes")
    _random(found, "GenChallenges")


def _random(found: list[bytes], what: str) -> None:
    if len(found) < _SESSIONS:
        raise Inconclusive(f"only {len(found)} of {_SESSIONS} sessions came so far")
    shown = ", ".join(item.hex() for item in found[:3])
    expect(len(set(found)) == len(found), f"{what} repeat: {shown} ...")
    expect(bytes(len(found[0])) not in found, f"one of the {what} is zero")
    for position in range(len(found[0])):
        values = {item[position] for item in found}
        expect(len(values) > 1, f"byte {position} is the same in all {what}: {shown} ...")
    digits = all(byte in b"0123456789" for item in found for byte in item)
    expect(not digits, f"{what} are decimal digits: 26 bit, not 64: {shown} ...")


@procedure(Group.SESSION_ID, "SessionSetupReq")
async def two_EVs_at_once(bench: Bench) -> None:
    """A second EV connects while the first one charges.

    Serves both under SessionIDs of their own, or refuses the second; the first is not disturbed.
    """
    made: list[Attempt] = []

    async def second(link: Link, payload_type: int, message: Node) -> None:
        await link.write(payload_type, exi.encode(message), message)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin)

    async def begin() -> None:
        with suppress(NoTarget, Inconclusive):  # refused, at one place or another
            made.append(await bench.session((Step("AuthorizationSetupReq", Do.CLOSE),)))

    step = Step("ServiceDiscoveryReq", Do.CALL, call=second)
    first = await bench.session((step,))
    expect(first.ok, f"the first session was disturbed: {first.ended}")
    ours = messages(first, "SessionSetupRes")[0].header.session_id
    for answer in messages(made[0], "SessionSetupRes") if made else ():
        expect(answer.header.session_id != ours, "the second EV got the SessionID of the first")


@procedure(
    Group.CODES,
    "AuthorizationRes",
    requirements=("V2G20-2219", "V2G20-2230"),
    needs=("eim", "eim_rejection"),
)
async def a_rejected_identification(bench: Bench) -> None:
    """The external identification is rejected.

    Answers WARNING_EIMAuthorizationFailure with EVSEProcessing Finished, and lets the EV ask again.
    """
    station = StationConfig(
        modes=(bench.capabilities.service,), outlet=Outlet(authorization=Verdict.REJECTED)
    )
    made = await bench.session(evcc={"eim_attempts": 2}, station=station)
    answers = messages(made, "AuthorizationRes")
    expect(answers, "no answer to AuthorizationReq")
    final = [a for a in answers if a.evse_processing == "Finished"]
    expect(final, f"{len(answers)} times Ongoing, no verdict")
    code = final[0].response_code.value
    expect(
        code == "WARNING_EIMAuthorizationFailure",
        f"AuthorizationRes said {code}; expected WARNING_EIMAuthorizationFailure",
    )
    expect(len(final) > 1, "a second AuthorizationReq was not answered")
    first = next(frame.time for frame in made.record.seen if frame.name == "AuthorizationReq")
    told = next(frame.time for frame in made.record.seen if frame.message is final[0])
    expect(told - first <= _VERDICT, f"the rejection was told after {told - first:.1f} s")
    expect(
        "ServiceDiscoveryRes" not in names(made, Role.SECC), "services were told to an EV that was rejected"
    )


@procedure(Group.SILENCE, "SessionStopReq", requirements=("V2G20-1643", "V2G20-1633"))
async def the_close_is_left_to_the_EV(bench: Bench) -> None:
    """After SessionStopRes the EV leaves the connection open.

    Waits 5 s for the EV to close, then closes.
    """
    made = await bench.session((Step("SessionStopReq", Do.REPEAT, count=1),), expect=ends(within=8))
    record = made.record
    expect(record.closed_by is Role.SECC and record.closed is not None, "the connection was never closed")
    answered = [frame.time for frame in record.seen if frame.name == "SessionStopRes"]
    expect(answered, "no answer to SessionStopReq")
    assert record.closed is not None
    took = record.closed - answered[-1]
    expect(took > 4.5, f"closed {took:.2f} s after SessionStopRes; the EV has 5 s")


@procedure(Group.RENEGOTIATION, "SessionSetupReq")
async def nothing_is_left_of_a_renegotiation(bench: Bench) -> None:
    """A session with renegotiation of the schedule, and another session after it.

    Serves the second as the first; no state is left behind.
    """
    wish = Wish.RENEGOTIATE_SCHEDULE
    if not bench.capabilities.schedule_renegotiation:
        wish = Wish.CHARGE
    await bench.session(vehicle=_vehicle(bench, wish, charge_loops=12))
    made = await bench.session()
    expect(made.ok, f"the next session did not succeed: {made.ended}")


# -- what belongs to no other place --------------------------------------------------------------------------


def _after_the_stop(name: str, wrong: str) -> None:
    """A case for a request that comes when the session is over."""

    async def case(bench: Bench) -> None:
        async def more(link: Link, payload_type: int, message: Node) -> None:
            await link.write(payload_type, exi.encode(message), message)
            header = message.header  # type: ignore[attr-defined]
            extra = edit.build(wrong, header) if wrong else message
            await link.write(payload_type_of(extra), exi.encode(extra), extra)

        made = await bench.session((Step("SessionStopReq", Do.CALL, call=more),), expect=ends(within=8))
        answers = [f"{frame.name} {frame.code}" for frame in made.record.seen if frame.sender is Role.SECC]
        stopped = next((n for n, answer in enumerate(answers) if answer.startswith("SessionStopRes")), None)
        expect(stopped is not None, "no answer to SessionStopReq")
        assert stopped is not None
        later = [answer for answer in answers[stopped + 1 :] if "FAILED" not in answer]
        expect(not later, f"it answered {', '.join(later)} after SessionStopRes")

    what = wrong or "SessionStopReq once more"
    case.__doc__ = f"{what} after SessionStopReq.\n\nThe session is over: gives no answer, or FAILED."
    procedure(Group.SEQUENCE, wrong or "SessionStopReq", requirements=("V2G20-459",), name=name)(case)


_after_the_stop("after-the-stop-once-more", "")
_after_the_stop("after-the-stop-services", "ServiceDiscoveryReq")
_after_the_stop("after-the-stop-setup", "SessionSetupReq")


@procedure(
    Group.SERVICES,
    "supportedAppProtocolReq",
    requirements=("V2G20-169", "V2G20-167"),
    needs=("service:ac", "service:dc"),
)
async def the_EVs_priority_decides(bench: Bench) -> None:
    """AC and DC are offered, the one with the higher priority at the end of the list.

    Answers with the SchemaID of the entry with the smallest Priority of those that it serves.
    """
    for first, second in (("AC", "DC"), ("DC", "AC")):
        offers = [
            _offer("urn:example:other", 9, 1),
            _offer(Family(second).namespace, 5, 7),
            _offer(Family(first).namespace, 3, 2),
        ]
        step = replace("supportedAppProtocolReq", set={"app_protocol": offers})
        made = await bench.session((step,), station=StationConfig(modes=("ac", "dc")))
        answers = messages(made, "supportedAppProtocolRes")
        expect(answers, "no answer to supportedAppProtocolReq")
        chosen = answers[0].schema_id
        expect(chosen == 3, f"SchemaID {chosen} was chosen; 3 has priority 2, 5 has 7, 9 is not served")


def _offer(namespace: str, schema_id: int, priority: int) -> dict[str, object]:
    return {
        "protocol_namespace": namespace,
        "version_number_major": 1,
        "version_number_minor": 0,
        "schema_id": schema_id,
        "priority": priority,
    }


@procedure(Group.VALUES, "PowerDeliveryReq", needs=("control:scheduled",))
async def a_power_profile_above_the_schedule(bench: Bench) -> None:
    """PowerDeliveryReq(Start) with a power profile of 9 MW.

    Refuses it with a FAILED code, or warns of the violation; does not take it in silence.
    """
    entry = "ev_power_profile.ev_power_profile_entries.ev_power_profile_entry[0].power"
    made = await bench.session(
        (replace("PowerDeliveryReq(Start)", set={entry: 9_000_000}),), control="scheduled"
    )
    said = codes(made, "PowerDeliveryRes") + codes(made, f"{_family(bench)}_ChargeLoopRes")
    expect(
        any(code.startswith(("FAILED", "WARNING_EVPowerProfile")) for code in said),
        f"it was answered {said[0] if said else 'not at all'}, and no warning followed",
    )


def _family(bench: Bench) -> str:
    return "AC" if bench.capabilities.service.startswith("ac") else "DC"
