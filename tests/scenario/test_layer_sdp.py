"""Scenarios in the discovery: unsound devices fail."""

from __future__ import annotations

from typing import Any

import pytest

from hlc_sim.scenario import Result, SimulatedEVCC, SimulatedSECC, library
from hlc_sim.transport import sdp
from iso15118 import sdp as messages
from iso15118 import v2gtp

from .test_library import play


@pytest.mark.parametrize(
    "name",
    ["sdp-version-02fe", "sdp-header-of-six-bytes", "sdp-security-01", "sdp-transport-udp", "sdp-jumbo"],
)
def test_a_station_that_answers_anything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdp, "_request", lambda data, sender: messages.Request())
    verdict = play(library()[name])
    assert verdict.result is Result.FAIL
    assert any("it answered" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    "name", ["sdp-empty", "sdp-garbage-00", "sdp-unicast-garbage", "sdp-burst-of-garbage"]
)
def test_a_station_whose_server_ends_at_a_bad_datagram(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fragile(sock: Any, address: Any, endpoints: Any) -> None:
        while True:
            data, sender = await sock.recvfrom(2048)
            try:
                messages.parse(*v2gtp.unpack(data))
            except (v2gtp.V2GTPError, messages.SDPError):
                return
            await sock.sendto(messages.datagram(messages.Response(address, 50000)), sender)

    monkeypatch.setattr(sdp, "answer", fragile)
    verdict = play(library()[name])
    assert verdict.result is Result.FAIL
    assert verdict.reasons == ["the next, correct request was not answered"]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (lambda address: messages.Response(address, 15118), "not of the dynamic range"),
        (lambda address: messages.Response(address, 50000, transport=messages.Transport.UDP), "UDP"),
        (lambda address: messages.Request(), "it is a Request"),
    ],
)
def test_a_station_whose_answer_is_wrong(response: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(sock: Any, address: Any, endpoints: Any) -> None:
        number = 0
        while True:
            _, sender = await sock.recvfrom(2048)
            good = messages.Response(address, 50000)
            number += 1
            await sock.sendto(messages.datagram(response(address) if number == 2 else good), sender)

    monkeypatch.setattr(sdp, "answer", wrong)
    verdict = play(library()["sdp-good"])
    assert verdict.result is Result.FAIL
    assert words in verdict.reasons[0]


def test_a_station_that_answers_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    async def chatty(sock: Any, address: Any, endpoints: Any) -> None:
        while True:
            _, sender = await sock.recvfrom(2048)
            for _ in range(2):
                await sock.sendto(messages.datagram(messages.Response(address, 50000)), sender)

    monkeypatch.setattr(sdp, "answer", chatty)
    verdict = play(library()["sdp-burst"])
    assert verdict.result is Result.FAIL
    assert "answers to 200 datagrams" in verdict.reasons[0]


def test_a_station_that_serves_20_without_tls() -> None:
    endpoints = {messages.Security.TLS: 50000, messages.Security.NONE: 50001}
    verdict = play(library()["sdp-no-tls-asked"], SimulatedSECC(endpoints=endpoints))
    assert verdict.result is Result.FAIL
    assert "it serves -20 without TLS" in verdict.reasons[0]


def test_a_station_that_offers_no_tls() -> None:
    endpoints = {messages.Security.NONE: 50001}
    assert play(library()["sdp-good"], SimulatedSECC(endpoints=endpoints)).result is Result.FAIL


def test_a_station_that_is_not_there_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mute(sock: Any, address: Any, endpoints: Any) -> None:
        return

    monkeypatch.setattr(sdp, "answer", mute)
    assert play(library()["sdp-good"]).result is Result.INCONCLUSIVE


@pytest.mark.parametrize("name", ["secc-sdp-no-tls", "secc-sdp-no-tls-then-tls"])
def test_a_vehicle_that_goes_on_without_tls(name: str) -> None:
    verdict = play(library()[name], SimulatedEVCC(check=lambda response, wanted: None))
    assert verdict.result is Result.FAIL
    assert "it offers -20 on a connection without TLS [V2G20-1237]" in verdict.reasons


@pytest.mark.parametrize(
    "name",
    [
        "secc-sdp-version-2",
        "secc-sdp-payload-type-request",
        "secc-sdp-transport-udp",
        "secc-sdp-trailing-bytes",
    ],
)
def test_a_vehicle_that_takes_any_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(sock: Any) -> messages.Response:
        data, _ = await sock.recvfrom(2048)
        return messages.Response.from_bytes(data[8:24] + data[24:26] + bytes(2))

    monkeypatch.setattr(sdp, "_response", careless)
    verdict = play(library()[name])
    assert verdict.result is Result.FAIL
    assert "it connected on the wrong answer" in verdict.reasons


def test_a_vehicle_that_does_not_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = sdp.ask
    monkeypatch.setattr(sdp, "ask", lambda sock, group: asking(sock, group, max_requests=1))
    assert play(library()["secc-sdp-silent-once"]).result is Result.FAIL
    assert play(library()["secc-sdp-port-0"]).result is Result.FAIL


def test_a_vehicle_that_asks_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = sdp.ask
    monkeypatch.setattr(sdp, "ask", lambda sock, group: asking(sock, group, timeout=0.1, max_requests=90))
    verdict = play(library()["secc-sdp-silent"])
    assert verdict.result is Result.FAIL
    assert any("250 ms at least" in reason for reason in verdict.reasons)
    assert any("50 at most" in reason for reason in verdict.reasons)


def test_a_vehicle_that_ignores_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    from hlc_sim.scenario.discovery import MemoryAnswering

    knock = MemoryAnswering.knock
    monkeypatch.setattr(MemoryAnswering, "knock", lambda self, port: knock(self, port + 1))
    verdict = play(library()["secc-sdp-good"])
    assert verdict.result is Result.FAIL
    assert "the first answer named" in verdict.reasons[0]
