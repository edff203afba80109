"""An EVCC against a scripted SECC: the path of a session, in the order of the sequence diagram."""

from __future__ import annotations

from itertools import groupby

from iso15118.session.evcc import EVCC, EVCCConfig, Outcome

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
