"""What the EVCC does when a response is bad, late or missing: the same for every response, so generated from
sessions that hold them all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import msgspec
import pytest

from iso15118.messages import common
from iso15118.messages.app_protocol import SupportedAppProtocolRes
from iso15118.messages.common_types import MessageHeader, RationalNumber, ResponseCode, V2GResponse
from iso15118.messages.declare import Node
from iso15118.session.charger import ControlPilot
from iso15118.session.evcc import EVCC, EVCCConfig, Outcome, ServiceWish, SessionResult, VASWish
from iso15118.session.secc_config import SECCConfig, Trust
from iso15118.session.services import PARKING_STATUS, ControlMode, EnergyMode, ServiceID
from iso15118.session.timers import RELAXED, STRICT, Profile
from iso15118.session.vehicle import Wish

from .pair import BenchCharger, BenchVehicle, Pair

Change = Callable[[Node], Node]
MODES = [
    EnergyMode(service, control, parameter_set_id=3)
    for service in (ServiceID.AC_BPT, ServiceID.DC_BPT)
    for control in ControlMode
]


def session(
    mode: EnergyMode, change: Change = lambda message: message, pair: type[Pair] = Pair, **config: Any
) -> Pair:
    """A session with a renegotiated schedule and a parked vehicle, whose responses pass through `change`."""

    class Changed(EVCC):
        def incoming(self, response: Node) -> Node:
            return change(response)

    vehicle = BenchVehicle(bidirectional=True, loop_time=1.0)
    asked: list[float] = []

    def wish(elapsed: float) -> Wish:
        if elapsed > 0.3 and not asked:
            asked.append(elapsed)
            return Wish.RENEGOTIATE_SCHEDULE
        return Wish.STOP if elapsed > 1 else Wish.CHARGE

    vehicle.wish_at = wish
    return pair(
        SECCConfig(energy=(mode,), vas=(PARKING_STATUS,), timers=RELAXED),
        EVCCConfig(
            services=(ServiceWish(mode.service),),
            vas=(VASWish(66, {"IntendedService": 1}), VASWish(66, {"IntendedService": 2})),
            **config,
        ),
        charger=BenchCharger(),
        vehicle=vehicle,
        trust=Trust(verify_metering=lambda request, contract: True),
        evcc_class=Changed,
    )


def safe(pair: Pair) -> None:
    """Whatever happened, the vehicle is off."""
    assert pair.vehicle.closed is False
    assert pair.vehicle.pilot is ControlPilot.B


def responses() -> Iterator[Any]:
    """Every kind of response in these sessions, with the mode it comes in."""
    for mode in MODES:
        pair = session(mode)
        result = pair.run()
        assert result.outcome is Outcome.TERMINATED, result.reason
        kinds = dict.fromkeys(type(item.message) for item in pair.spoken)
        for kind in kinds:
            if kind.__name__.endswith("Res"):
                yield pytest.param(mode, kind, id=f"{mode.service.name}-{mode.control.name}-{kind.__name__}")


RESPONSES = list(responses())
V2G = [case for case in RESPONSES if issubclass(case.values[1], V2GResponse)]
SIDE = (common.VehicleCheckInRes, common.VehicleCheckOutRes)


def test_the_sessions_hold_every_response_of_ac_and_dc() -> None:
    names = {case.values[1].__name__ for case in RESPONSES}
    assert len(names) == 19, sorted(names)


@pytest.mark.parametrize(("mode", "kind"), V2G)
def test_any_failed_code_ends_the_session_at_once(mode: EnergyMode, kind: type[V2GResponse]) -> None:
    def change(message: Node) -> Node:
        if isinstance(message, kind):
            return msgspec.structs.replace(message, response_code=ResponseCode.FAILED)
        return message

    pair = session(mode, change)
    result = pair.run()
    assert result.outcome is Outcome.FAILED_RESPONSE
    assert result.response_code is ResponseCode.FAILED
    assert kind.__name__ in result.reason
    later = [item for item in pair.spoken if item.time > result.ended]
    assert later == []
    safe(pair)


@pytest.mark.parametrize(
    ("mode", "kind"), [case for case in V2G if case.values[1] is not common.SessionSetupRes]
)
def test_a_foreign_session_id_ends_the_session(mode: EnergyMode, kind: type[V2GResponse]) -> None:
    def change(message: Node) -> Node:
        if isinstance(message, kind):
            header = MessageHeader(session_id=b"\xee" * 8, timestamp=message.header.timestamp)
            return msgspec.structs.replace(message, header=header)
        return message

    pair = session(mode, change)
    result = pair.run()
    assert result.outcome is Outcome.PROTOCOL_ERROR
    assert "eeeeeeeeeeeeeeee" in result.reason
    assert any(item.message == kind.__name__ for item in result.deviations)
    safe(pair)


@pytest.mark.parametrize(("mode", "kind"), RESPONSES)
def test_another_message_in_answer_ends_the_session(mode: EnergyMode, kind: type[Node]) -> None:
    wrong = common.MeteringConfirmationRes(
        header=MessageHeader(session_id=bytes(8), timestamp=0), response_code=ResponseCode.OK
    )
    pair = session(mode, lambda message: wrong if isinstance(message, kind) else message)
    result = pair.run()
    assert result.outcome is Outcome.PROTOCOL_ERROR
    assert "MeteringConfirmationRes" in result.reason
    safe(pair)


class Mute(Pair):
    """The SECC's responses of one kind never arrive."""

    kind: type[Node]

    def _answer(self, response: Node | None, now: float) -> None:
        if not isinstance(response, self.kind):
            super()._answer(response, now)


@pytest.mark.parametrize(("mode", "kind"), RESPONSES)
@pytest.mark.parametrize("profile", [STRICT, RELAXED], ids=lambda profile: profile.name)
def test_a_missing_response_ends_the_session_at_its_timeout(
    mode: EnergyMode, kind: type[Node], profile: Profile
) -> None:
    """Each row of V2G_EVCC_Msg_Timeout, by the clock."""
    mute = type("Mute", (Mute,), {"kind": kind})
    pair = session(mode, pair=mute, timers=profile)
    result = pair.run()
    name = kind.__name__.removesuffix("Res")
    if kind in SIDE:
        # A side stream without an answer is reported; the main stream goes on.
        assert result.outcome is Outcome.TERMINATED
        assert any(item.message == kind.__name__ for item in result.deviations)
        return
    asked = [i.time for i in pair.spoken if type(i.message).__name__ == f"{name}Req"]
    limit = 0.5 if name.endswith("ChargeLoop") else 5.0 if name == "ServiceDetail" else 2.0
    if profile is RELAXED:
        limit = 10.0
    assert result.outcome is Outcome.TIMEOUT, result.reason
    assert result.ended - asked[-1] == pytest.approx(limit, abs=0.01)
    safe(pair)


class Cut(Pair):
    """The connection breaks instead of one kind of response."""

    kind: type[Node]

    def _answer(self, response: Node | None, now: float) -> None:
        if isinstance(response, self.kind):
            self.secc.disconnected(now)
            self._closed_at = now
        else:
            super()._answer(response, now)


@pytest.mark.parametrize(("mode", "kind"), RESPONSES)
def test_a_lost_connection_ends_the_session(mode: EnergyMode, kind: type[Node]) -> None:
    pair = session(mode, pair=type("Cut", (Cut,), {"kind": kind}))
    result = pair.run()
    assert result.outcome is Outcome.CONNECTION_LOST, result.reason
    safe(pair)


# -- what a response leaves out
# ---------------------------------------------------------------------------------


def optional_fields(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths to the optional elements that are there, in the message and in its parts."""
    for item in msgspec.structs.fields(node):
        value = getattr(node, item.name)
        if value is None:
            continue
        if item.default is None:
            yield (*path, item.name)
        if isinstance(value, Node) and item.name != "header":
            yield from optional_fields(value, (*path, item.name))


def without(node: Node, path: tuple[str, ...]) -> Node:
    name, *rest = path
    value = without(getattr(node, name), tuple(rest)) if rest else None
    return msgspec.structs.replace(node, **{name: value})


def omissions() -> Iterator[Any]:
    seen = set()
    for mode in MODES:
        pair = session(mode)
        pair.run()
        for item in pair.spoken:
            message = item.message
            if not type(message).__name__.endswith("Res"):
                continue
            for path in optional_fields(message):
                key = (mode, type(message), path)
                if key not in seen:
                    seen.add(key)
                    yield pytest.param(
                        *key,
                        id=f"{mode.service.name}-{mode.control.name}-{type(message).__name__}-{'.'.join(path)}",
                    )


OMISSIONS = list(omissions())


def test_there_are_optional_elements_to_omit() -> None:
    assert len(OMISSIONS) >= 20


@pytest.mark.parametrize(("mode", "kind", "path"), OMISSIONS)
def test_an_optional_element_may_be_left_out(
    mode: EnergyMode, kind: type[Node], path: tuple[str, ...]
) -> None:
    def change(message: Node) -> Node:
        if not isinstance(message, kind):
            return message
        try:
            return without(message, path)
        except (AttributeError, TypeError):
            return message  # this one has another form

    result = session(mode, change).run()
    assert result.outcome is Outcome.TERMINATED, result.reason
    if kind is SupportedAppProtocolRes:
        assert next(item.requirement for item in result.deviations) == "V2G20-169"


# -- nonsense
# ---------------------------------------------------------------------------------------------------


def scrambled(node: Any, rng: random.Random) -> Any:
    """The same message with one value changed to another that its type can hold."""
    places = list(_places(node, ()))
    path = rng.choice(places)
    return _set(node, path, rng)


def _places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, RationalNumber) or not isinstance(node, Node | list):
        yield path
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _places(item, (*path, index))
    else:
        for item in msgspec.structs.fields(node):
            if item.name != "header" and getattr(node, item.name) is not None:
                yield from _places(getattr(node, item.name), (*path, item.name))


def _set(node: Any, path: tuple[Any, ...], rng: random.Random) -> Any:
    if not path:
        return _other(node, rng)
    first, *rest = path
    if isinstance(node, list):
        return [_set(item, tuple(rest), rng) if index == first else item for index, item in enumerate(node)]
    return msgspec.structs.replace(node, **{first: _set(getattr(node, first), tuple(rest), rng)})


def _other(value: Any, rng: random.Random) -> Any:
    if isinstance(value, RationalNumber):
        return RationalNumber(
            exponent=rng.choice([-128, -3, 0, 3, 127]), value=rng.choice([-32768, -1, 0, 1, 32767])
        )
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice([0, 1, 2, 255, 65535, 2**32 - 1])
    if isinstance(value, bytes):
        return rng.randbytes(len(value))
    if isinstance(value, ResponseCode):
        return rng.choice([code for code in ResponseCode if not code.is_failed])
    if isinstance(value, Enum):
        return rng.choice(list(type(value)))
    return "nonsense"


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: f"{mode.service.name}-{mode.control.name}")
def test_no_answer_makes_the_evcc_fall_over(mode: EnergyMode) -> None:
    """Whatever valid values the responses hold, a session ends with a result and the vehicle off."""
    outcomes: set[Outcome] = set()
    for seed in range(150):
        rng = random.Random(seed)

        def change(message: Node, rng: random.Random = rng) -> Node:
            return scrambled(message, rng) if rng.random() < 0.05 else message

        pair = session(mode, change)
        result: SessionResult = pair.run(20_000)
        outcomes.add(result.outcome)
        safe(pair)
    assert Outcome.TERMINATED in outcomes
    assert len(outcomes) > 2
