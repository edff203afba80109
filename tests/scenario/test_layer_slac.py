"""Scenarios in the matching: every recipe has one, and unsound devices fail."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import trio

pytest.importorskip("scapy")

from hlc_sim.powerline import rawsocket
from hlc_sim.powerline.attacks_matched import ATTACKS
from hlc_sim.scenario import Result, SimulatedEVCC, SimulatedSECC, library
from hlc_sim.scenario.matching import EV
from hlc_sim.scenario.targets import NetworkEVCC, NetworkSECC, NoTarget
from iso15118.session.events import Role
from iso15118.slac import Timing
from iso15118.slac import messages as m
from iso15118.slac.ev import EvSlac
from iso15118.slac.evse import EvseSlac, EvseState

from .test_library import play


def test_every_recipe_is_a_scenario() -> None:
    played = {
        item.slac.attack: item.tests
        for item in library().values()
        if item.slac is not None and item.slac.attack
    }
    assert played == {
        name: Role.SECC if recipe.against == "EVSE" else Role.EVCC for name, recipe in ATTACKS.items()
    }


def plain(message: Any) -> Any:
    """As a device sees it that looks at neither application nor security."""
    return replace(message, application_type=0, security_type=0)


@pytest.mark.parametrize(
    "name",
    ["slac-parm-application-type", "slac-parm-security-type", "slac-sounding-security-type"],
)
def test_a_station_that_takes_every_application(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    received = EvseSlac._received

    def careless(self: EvseSlac, source: bytes, message: Any) -> None:
        received(self, source, plain(message) if hasattr(message, "application_type") else message)

    monkeypatch.setattr(EvseSlac, "_received", careless)
    verdict = play(library()[name])
    assert verdict.result is Result.FAIL
    assert "it matched all the same" in verdict.reasons


@pytest.mark.parametrize("name", ["slac-match-evse-mac", "slac-match-pev-mac", "slac-match-run-id"])
def test_a_station_that_gives_its_key_to_anybody(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    match_req = EvseSlac._match_req

    def careless(self: EvseSlac, source: bytes, request: m.SlacMatchReq) -> None:
        run_id = self.sessions[source].run_id if source in self.sessions else request.run_id
        match_req(self, source, replace(request, run_id=run_id, pev_mac=source, evse_mac=self.mac))

    monkeypatch.setattr(EvseSlac, "_match_req", careless)
    confirm = EvSlac._match_cnf  # our EV, which asked under another RunID, takes the answer to it

    monkeypatch.setattr(
        EvSlac,
        "_match_cnf",
        lambda self, source, cnf: confirm(self, source, replace(cnf, run_id=self._run_id)),
    )
    assert play(library()[name]).result is Result.FAIL


def test_a_station_that_stays_away_after_a_silent_vehicle(monkeypatch: pytest.MonkeyPatch) -> None:
    def sulk(self: EvseSlac, session: Any, why: str) -> None:
        self.sessions.pop(session.ev, None)
        self._timers.clear()
        self._go(EvseState.FAILED, why)

    monkeypatch.setattr(EvseSlac, "_drop", sulk)
    monkeypatch.setattr(EvseSlac, "_cp_changed", lambda self, signal: sulking(self, signal))
    verdict = play(library()["slac-silent-after-parm"])
    assert verdict.result is Result.FAIL
    assert any("undisturbed matching did not succeed" in reason for reason in verdict.reasons)


CP_CHANGED = EvseSlac._cp_changed


def sulking(self: EvseSlac, signal: Any) -> None:
    if self.state is not EvseState.FAILED:
        CP_CHANGED(self, signal)


def test_a_station_that_wants_all_ten_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    end = EvseSlac._end_sounding

    def pedantic(self: EvseSlac, session: Any, why: str) -> None:
        if why != "deadline":
            end(self, session, why)

    monkeypatch.setattr(EvseSlac, "_end_sounding", pedantic)
    assert play(library()["slac-last-sound-lost"]).result is Result.FAIL


@pytest.mark.parametrize(
    ("name", "weak", "words"),
    [
        ("key-hygiene", {"entropy": lambda size: random.Random(3).randbytes(size)}, "the same key twice"),
        ("an-ev-that-takes-its-time", {"timing": Timing(TT_EVSE_match_session=20)}, "10.5 s after"),
        ("key-over-the-line", {"exposed": True}, "replaced from outside"),
        ("remote-management", {"exposed": True}, "readable by anyone"),
    ],
)
def test_a_weak_station_fails_the_recipe(name: str, weak: dict[str, Any], words: str) -> None:
    verdict = play(library()[f"slac-attack-{name}"], SimulatedSECC(slac=weak))
    assert verdict.result is Result.FAIL
    assert any(words in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("name", "handler"),
    [
        ("parm-cnf-run-id", "_parm_cnf"),
        ("parm-cnf-forwarding-sta", "_parm_cnf"),
        ("atten-char-source-address", "_atten_char"),
        ("match-cnf-pev-mac", "_match_cnf"),
        ("match-cnf-evse-mac", "_match_cnf"),
    ],
)
def test_a_vehicle_that_looks_at_nothing(name: str, handler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = getattr(EvSlac, handler)
    right = {
        "run_id": lambda ev, source: ev._run_id,
        "forwarding_sta": lambda ev, source: ev.mac,
        "source_address": lambda ev, source: ev.mac,
        "pev_mac": lambda ev, source: ev.mac,
        "evse_mac": lambda ev, source: source,
    }

    def careless(self: EvSlac, source: bytes, message: Any) -> None:
        known = {field: make(self, source) for field, make in right.items() if hasattr(message, field)}
        sound(self, source, replace(message, **known))

    monkeypatch.setattr(EvSlac, handler, careless)
    verdict = play(library()[f"secc-slac-{name}"])
    assert verdict.result is Result.FAIL
    assert "it matched all the same" in verdict.reasons


def test_a_vehicle_that_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    once = SimulatedEVCC(slac={"survey_requests": 1, "attempts": 1, "timing": Timing(C_EV_match_retry=0)})
    assert play(library()["secc-slac-first-slac-parm-cnf-lost"], once).result is Result.FAIL


def test_a_vehicle_that_matches_at_any_distance() -> None:
    far = SimulatedEVCC(slac={"signalattn_direct": 200.0, "signalattn_indirect": 200.0})
    assert play(library()["secc-slac-attenuation-120-db"], far).result is Result.FAIL
    assert play(library()["secc-slac-validation-failure"], far).result is not Result.PASS


class Silent:
    """An interface without a modem."""

    mac = EV

    def __init__(self, interface: str) -> None:
        pass

    def send(self, frame: bytes) -> None:
        pass

    async def receive(self) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    def close(self) -> None:
        pass


def forbidden(interface: str) -> None:
    raise PermissionError("raw sockets need root")


@pytest.mark.parametrize(
    ("link", "reason"),
    [(Silent, "no Green PHY modem answers on this link"), (forbidden, "raw sockets need root")],
)
@pytest.mark.parametrize(
    ("name", "device"), [("slac-good", NetworkSECC), ("secc-slac-good", NetworkEVCC)], ids=["secc", "evcc"]
)
def test_an_interface_without_a_modem_is_no_fault_of_the_device(
    name: str, device: Any, link: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rawsocket, "RawLink", link)
    verdict = play(library()[name], device(interface="eth1"))
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.unreached
    assert verdict.reasons == [f"eth1: {reason}"]


@pytest.mark.parametrize(
    "name", ["slac-validation", "secc-slac-validation-toggles", "secc-slac-validation-wrong-count"]
)
def test_without_a_control_pilot_no_toggles_are_judged(name: str) -> None:
    """Neither side of a matching on an interface sees them; nothing is sent."""
    scenario = library()[name]

    async def on_an_interface() -> None:
        async with NetworkSECC(interface="nowhere").bench(scenario) as bench:
            await bench.match(scenario.slac, 1)

    with pytest.raises(NoTarget, match="toggles on the control pilot"):
        trio.run(on_an_interface)


@pytest.mark.parametrize("name", ["slac-validation-silent", "secc-slac-validation-not-required"])
def test_validation_without_toggles_needs_no_control_pilot(name: str) -> None:
    settings = library()[name].slac
    assert settings is not None
    assert settings.validate
    assert not settings.counts_toggles
