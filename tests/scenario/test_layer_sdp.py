"""Scenarios in the discovery: unsound devices fail."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from hlc_sim import trust
from hlc_sim.scenario import Result, SimulatedEVCC, SimulatedSECC, library, run
from hlc_sim.scenario.discovery import InterfaceAnswering, MemoryAnswering, MemoryAsking
from hlc_sim.scenario.targets import NetworkEVCC
from hlc_sim.transport import sdp
from iso15118 import sdp as messages
from iso15118 import v2gtp

from .streams import Wrapped
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
    knock = MemoryAnswering.knock
    monkeypatch.setattr(MemoryAnswering, "knock", lambda self, port: knock(self, port + 1))
    verdict = play(library()["secc-sdp-good"])
    assert verdict.result is Result.FAIL
    assert "the first answer named" in verdict.reasons[0]


def knocking(monkeypatch: pytest.MonkeyPatch, change: Callable[[trio.abc.Stream], trio.abc.Stream]) -> None:
    """Our station gets the vehicle's connections changed."""

    def knock(self: MemoryAnswering, port: int) -> trio.abc.Stream:
        here, there = memory_stream_pair()
        self.ports[port](change(there))
        return here

    monkeypatch.setattr(MemoryAnswering, "knock", knock)


def test_a_vehicle_that_breaks_its_connection_has_connected_and_said_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(Wrapped):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            raise trio.BrokenResourceError("Connection reset by peer")

    knocking(monkeypatch, Broken)
    verdict = play(library()["secc-sdp-good"])
    assert verdict.reasons == ["it did not begin with a ClientHello but with nothing"]


def test_an_offer_in_pieces_is_an_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Drop(Wrapped):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            return bytes(await self.inner.receive_some(5))

    knocking(monkeypatch, Drop)
    verdict = play(library()["secc-sdp-no-tls"], SimulatedEVCC(check=lambda response, wanted: None))
    assert "it offers -20 on a connection without TLS [V2G20-1237]" in verdict.reasons


def test_a_vehicle_that_connects_late_has_time_to_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    asking, connecting = sdp.ask, trust.connecting

    async def late(*arguments: Any) -> Any:
        answer = await asking(*arguments)
        await trio.sleep(library()["secc-sdp-good"].expect.within - 0.5)
        return answer

    async def slow(*arguments: Any) -> Any:
        await trio.sleep(1.0)
        return await connecting(*arguments)

    monkeypatch.setattr(sdp, "ask", late)
    monkeypatch.setattr(trust, "connecting", slow)
    assert play(library()["secc-sdp-good"]).result is Result.PASS


def test_a_station_that_refuses_connections_without_tls_serves_nothing_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(self: MemoryAsking, response: messages.Response) -> trio.abc.Stream:
        raise ConnectionRefusedError

    monkeypatch.setattr(MemoryAsking, "connect", refuse)
    endpoints = {messages.Security.TLS: 50000, messages.Security.NONE: 50001}
    assert play(library()["sdp-no-tls-asked"], SimulatedSECC(endpoints=endpoints)).result is Result.PASS


def test_the_sockets_of_a_vehicles_discovery_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[InterfaceAnswering] = []
    listening = InterfaceAnswering.listen

    async def listen(self: InterfaceAnswering) -> Any:
        opened.append(self)
        return await listening(self)

    monkeypatch.setattr(InterfaceAnswering, "listen", listen)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
        free.bind(("::", 0))
        port = free.getsockname()[1]
    device = NetworkEVCC("lo", sdp_port=port, patience=0.01)
    verdict = trio.run(run, library()["secc-sdp-good"], device)
    assert verdict.unreached
    assert verdict.reasons == ["EVCC on lo: no SDP request within 0.01 s"]
    sockets = [opened[0].datagrams, *(listener.socket for listener in opened[0].listeners)]
    assert [item.fileno() for item in sockets] == [-1, -1, -1]
