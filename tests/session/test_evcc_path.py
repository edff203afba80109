"""An EVCC against a scripted SECC: the path of a session, in the order of the sequence diagram."""

from __future__ import annotations

from itertools import groupby

import msgspec

from iso15118.messages import common, dc
from iso15118.messages.common_types import MessageHeader
from iso15118.messages.declare import Node
from iso15118.session.evcc import EVCC, Abort, EVCCConfig, Exchange, Outcome, Post, Receive
from iso15118.v2gtp import PayloadType

from .evcc_bench import UNIX, Car, Player, ScriptedSECC


def steps(player: Player) -> list[str]:
    """Names of what was sent, repeats once."""
    return [name.removesuffix("Req") for name, _ in groupby(player.names())]


def test_a_dynamic_dc_session_from_end_to_end() -> None:
    car, player = Car(), Player(ScriptedSECC())
    result = player.play(EVCC(EVCCConfig(), car, unix_offset=UNIX).run())
    assert result.outcome is Outcome.TERMINATED, result.reason
    assert list(result.deviations) == []
    assert steps(player) == [
        "SupportedAppProtocol",
        "SessionSetup",
        "AuthorizationSetup",
        "Authorization",
        "ServiceDiscovery",
        "ServiceDetail",
        "ServiceSelection",
        "DC_ChargeParameterDiscovery",
        "ScheduleExchange",
        "DC_CableCheck",
        "DC_PreCharge",
        "PowerDelivery",
        "DC_ChargeLoop",
        "PowerDelivery",
        "DC_WeldingDetection",
        "SessionStop",
    ]
    assert result.messages == 2 * len(player.log)


# -- scripted sessions: any part alone, replaced, or off the path
# -----------------------------------------------


def test_a_part_of_a_session_runs_alone() -> None:
    secc = ScriptedSECC()
    evcc = EVCC(EVCCConfig(), Car(), unix_offset=UNIX)
    evcc.session_id = secc.session_id
    player = Player(secc)
    mode = player.play(evcc.interleave(evcc.choose_services()))
    assert mode.parameter_set_id == 7
    assert player.names() == ["ServiceDiscoveryReq", "ServiceDetailReq", "ServiceSelectionReq"]
    assert evcc.frame == 6


def test_a_step_can_be_left_out() -> None:
    class Hasty(EVCC):
        def cable_check(self) -> Exchange[None]:
            yield from ()

    player = Player(ScriptedSECC())
    result = player.play(Hasty(EVCCConfig(), Car(), unix_offset=UNIX).run())
    assert result.outcome is Outcome.TERMINATED
    assert "DC_CableCheckReq" not in player.names()


def test_a_session_can_leave_the_path() -> None:
    class Wanderer(EVCC):
        def session(self) -> Exchange[None]:
            yield from self.negotiate()
            yield from self.authorize()

    player = Player(ScriptedSECC())
    evcc = Wanderer(EVCCConfig(), Car(), unix_offset=UNIX)
    evcc.session_id = b"\x01" * 8
    player.play(evcc.run())
    assert player.names() == ["SupportedAppProtocolReq", "AuthorizationSetupReq", "AuthorizationReq"]


def test_a_request_can_be_changed_on_its_way_out() -> None:
    class Liar(EVCC):
        def outgoing(self, request: Node) -> Node:
            if isinstance(request, common.ServiceSelectionReq):
                foreign = MessageHeader(session_id=b"\xff" * 8, timestamp=request.header.timestamp)
                return msgspec.structs.replace(request, header=foreign)
            return request

    player = Player(ScriptedSECC())
    player.play(Liar(EVCCConfig(), Car(), unix_offset=UNIX).run())
    assert player.sent(common.ServiceSelectionReq)[0].header.session_id == b"\xff" * 8
    assert player.sent(common.ServiceDetailReq)[0].header.session_id == b"\x01" * 8


def test_steps_of_ones_own_can_be_yielded() -> None:
    """Two requests at once: the second before the response to the first."""

    class Impatient(EVCC):
        def cable_check(self) -> Exchange[None]:
            request = dc.DC_CableCheckReq(header=self.header())
            yield Post(request, PayloadType.DC)
            yield Post(request, PayloadType.DC)
            for _ in range(2):
                reply = yield Receive(PayloadType.DC, 2.0)
                assert isinstance(reply.message, dc.DC_CableCheckRes)

    player = Player(ScriptedSECC())
    result = player.play(Impatient(EVCCConfig(), Car(), unix_offset=UNIX).run())
    assert result.outcome is Outcome.TERMINATED
    assert result.messages == 2 * len(player.log)


def test_a_part_that_gives_up_still_ends_the_session_in_order() -> None:
    class Careful(EVCC):
        def transfer(self) -> Exchange[common.ChargingSession]:
            yield from self.charge_loop()
            raise Abort("HotInlet", "the inlet is at 95 degrees")

    player = Player(ScriptedSECC())
    car = Car()
    result = player.play(Careful(EVCCConfig(), car, unix_offset=UNIX).run())
    assert (result.outcome, result.reason) == (Outcome.ABORTED, "the inlet is at 95 degrees")
    assert steps(player)[-4:] == ["PowerDelivery", "DC_ChargeLoop", "PowerDelivery", "SessionStop"]
    stop = player.sent(common.SessionStopReq)[0]
    assert (stop.ev_termination_code, stop.charging_session) == ("HotInlet", common.ChargingSession.Terminate)
    assert car.connected is False


def test_frames_are_counted_for_deviations() -> None:
    secc = ScriptedSECC()
    secc.script(
        common.ServiceDetailReq,
        lambda request: msgspec.structs.replace(secc.usual(request), service_id=9),
    )
    player = Player(secc)
    result = player.play(EVCC(EVCCConfig(), Car(), unix_offset=UNIX).run())
    at = player.names().index("ServiceDetailReq")
    assert [item.frame for item in result.deviations] == [2 * at + 2]
