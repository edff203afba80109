"""Scenarios in the handshake: the list of chains is whole, and unsound devices fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from hlc_sim import secc, trust
from hlc_sim.charger import IsolationMonitor, Outlet
from hlc_sim.config.station import StationConfig
from hlc_sim.scenario import Result, SimulatedEVCC, SimulatedSECC, library
from hlc_sim.transport.tls import TLSConfig
from iso15118.security.tls_profile import LENIENT, Group, TLSVersion
from iso15118.session.secc_config import LinkSecurity
from pki.broken import variants

from .test_library import play

NOT_SENDABLE = {  # OpenSSL cannot present these, or leaves the staple out; tests/security has them
    *(f"vehicle-{name}" for name in ("infinity-key", "off-curve-key", "explicit-curve", "own-generator")),
    *(f"vehicle-{name}" for name in ("curve-mismatch", "no-curve", "cn-integer", "cn-bad-utf8", "truncated")),
    *(f"vehicle-{name}" for name in ("time-no-seconds", "trailing-octet", "not-a-certificate")),
    *(f"staple-{name}" for name in ("other-serial", "swapped", "garbage")),
}
CHANGE_THE_DEVICE = {"vehicle-unknown-root", "vehicle-revoked-crl"}  # other roots, or a list of its own


def unchecked(config: TLSConfig) -> TLSConfig:
    return replace(config, check_peer=False)


def lenient(config: TLSConfig) -> TLSConfig:
    return replace(config, profile=LENIENT)


def backwards(config: TLSConfig) -> TLSConfig:
    mixed = replace(LENIENT, suites=LENIENT.suites[2::-1], groups=LENIENT.groups[::-1])
    return replace(config, profile=mixed)


def test_every_broken_chain_of_the_handshake_has_a_scenario() -> None:
    played = {item.tls.chain for item in library().values() if item.tls is not None}
    wanted = {name for name, variant in variants().items() if variant.role in ("secc", "vehicle")}
    assert wanted - played == NOT_SENDABLE | CHANGE_THE_DEVICE
    assert played - wanted == {""}


def test_the_verdicts_of_the_chains_are_those_of_the_list() -> None:
    for item in library().values():
        if item.tls is None or not item.tls.chain or item.tls.chain == "staple-none":
            continue
        refused = variants()[item.tls.chain].verdict == "reject"
        assert (item.expect.outcome.value == "refuses") is refused, item.name


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("tls-chain-expired", unchecked, "it served the session"),
        ("tls-class-is-contract", unchecked, "it served the session"),
        ("tls-incomplete-chain-leaf-only", unchecked, "it served the session"),
        ("tls-group-x25519-only", lenient, "it served the session"),
        ("tls-aes-128-only", lenient, "it served the session"),
        ("tls-everything-on-offer", backwards, "not in table 6"),
        ("tls-everything-on-offer", backwards, "not in table 7"),
        ("tls-good", lambda config: replace(config, roots=(), check_peer=False), "names no CA"),
        (
            "tls-no-client-certificate",
            lambda config: replace(config, profile=replace(config.profile, request_client_certificate=False)),
            "it served the session",
        ),
        (
            "tls-good",
            lambda config: replace(
                config, credentials=tuple(replace(own, staple=None) for own in config.credentials)
            ),
            "stapled no OCSP response",
        ),
    ],
)
def test_an_unsound_station_fails(name: str, change: Callable[[TLSConfig], TLSConfig], words: str) -> None:
    verdict = play(library()[name], SimulatedSECC(tls=change))
    assert verdict.result is Result.FAIL
    assert any(words in reason for reason in verdict.reasons), verdict.reasons


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("secc-tls-chain-expired", unchecked, "it served the session"),
        ("secc-tls-staple-revoked", unchecked, "it served the session"),
        ("secc-tls-chain-of-another-root", unchecked, "it served the session"),
        ("secc-tls-group-secp256r1-only", lenient, "it served the session"),
        ("secc-tls-good", lenient, "its ClientHello offers"),
    ],
)
def test_an_unsound_vehicle_fails(name: str, change: Callable[[TLSConfig], TLSConfig], words: str) -> None:
    if name == "secc-tls-good":  # 1.3 only, or the lists would belong to a client of two editions
        profile = replace(LENIENT, versions=(TLSVersion.TLS_1_3,))
        verdict = play(library()[name], SimulatedEVCC(tls=lambda config: replace(config, profile=profile)))
    else:
        verdict = play(library()[name], SimulatedEVCC(tls=change))
    assert verdict.result is Result.FAIL
    assert any(words in reason for reason in verdict.reasons), verdict.reasons


def test_a_station_that_carries_20_on_tls_1_2(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = play(library()["tls-1.2-only"], SimulatedSECC(tls=lenient))
    assert sound.result is Result.PASS  # TLS 1.2 is served, -20 on it is not
    monkeypatch.setattr(trust, "link_facts", lambda facts: LinkSecurity(tls=True))
    verdict = play(library()["tls-1.2-only"], SimulatedSECC(tls=lenient))
    assert verdict.result is Result.FAIL
    assert "it served the session: supportedAppProtocolRes OK_SuccessfulNegotiation" in verdict.reasons


def test_a_station_that_waits_for_ever_in_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secc, "_SETUP_TIMEOUT", 1e6)
    for name in ("tls-silent-in-the-handshake-1", "tls-half-a-flight-2"):
        verdict = play(library()[name], SimulatedSECC())
        assert verdict.result is Result.FAIL, name
        assert "still open 62 s later" in verdict.reasons[0]


def test_a_vehicle_that_waits_for_ever_in_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    patient = trust.STRICT.with_values(V2G_EVCC_CommunicationSetup_Timeout=1000)
    monkeypatch.setattr(trust, "STRICT", patient)
    assert play(library()["secc-tls-silent-in-the-handshake"]).result is Result.FAIL


def test_a_station_that_serves_plain_tcp_on_its_tls_port(monkeypatch: pytest.MonkeyPatch) -> None:
    target = SimulatedSECC()

    async def reach(nursery, scenario, hierarchy):  # type: ignore[no-untyped-def]
        return await target.connect(nursery, scenario.vehicle, scenario.station)

    monkeypatch.setattr(target, "reach", reach)
    verdict = play(library()["tls-plain-v2gtp"], target)
    assert verdict.result is Result.FAIL
    assert any("plain V2GTP" in reason for reason in verdict.reasons)


def test_a_station_that_refuses_everybody_is_no_sound_station() -> None:
    """Its refusal of a broken chain says nothing: it refuses a good one as well."""
    verdict = play(library()["tls-chain-forged"], SimulatedSECC(tls=lambda config: replace(config, roots=())))
    assert verdict.result is Result.FAIL
    assert any("correct handshake did not lead to a session" in reason for reason in verdict.reasons)


def test_a_refusal_for_another_reason_is_inconclusive() -> None:
    distracted = SimulatedSECC(tls=lambda config: replace(config, now=clock()))
    assert play(library()["tls-chain-no-cn"], distracted).result is not Result.PASS


def clock() -> Callable[[], float]:
    """Far in the future at the first look, then right."""
    import time

    looks = iter([time.time() + 4e9])
    return lambda: next(looks, time.time())


def test_a_car_that_speaks_another_tls_is_not_judged() -> None:
    def p256(config: TLSConfig) -> TLSConfig:
        return replace(config, profile=replace(LENIENT, groups=(Group.SECP256R1,)))

    car = SimulatedEVCC(name="a car", tls=p256)
    verdict = play(library()["secc-tls-chain-of-another-root"], car)
    assert verdict.result is Result.INCONCLUSIVE
    assert "a correct handshake does not lead to a session" in verdict.reasons[0]


def test_a_station_that_takes_minutes_for_a_session_is_a_sound_one() -> None:
    sound = library()["tls-good"]
    slow = StationConfig(outlet=Outlet(authorization_time=50, isolation=IsolationMonitor(duration=35)))
    verdict = play(replace(sound, station=slow))
    assert (verdict.result, verdict.reasons) == (Result.PASS, [])
    assert verdict.seconds > 80
