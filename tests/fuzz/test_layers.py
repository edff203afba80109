"""SDP, SLAC and TLS: our own sides bear it, and planted defects are found."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.fuzz import layer_sdp, layer_tls
from hlc_sim.fuzz.layer_sdp import Discovery
from hlc_sim.fuzz.layer_slac import Matching
from hlc_sim.fuzz.layer_tls import Records
from hlc_sim.fuzz.octets import Octets, Volley
from hlc_sim.transport import interface as interfaces
from hlc_sim.transport import sdp, tcp, tls
from hlc_sim.transport.tls import secure
from iso15118.sdp import Security
from iso15118.session.events import Role
from iso15118.slac import EvseSlac

SUBJECTS = [(Discovery, 300), (Matching, 12), (Records, 25)]


def found(subject: Octets, cases: int, seed: int = 1) -> set[str]:
    """Kinds of what the first case finds that finds something."""
    for number in range(cases):
        problems = subject.run(subject.case(seed, number))
        if problems:
            return {problem.kind for problem in problems}
    return set()


@pytest.mark.parametrize("tests", Role)
@pytest.mark.parametrize(("make", "cases"), SUBJECTS)
def test_our_own_devices_bear_it(make: Callable[[Role], Octets], cases: int, tests: Role) -> None:
    assert found(make(tests), cases, 11) == set()


@pytest.mark.parametrize("tests", Role)
@pytest.mark.parametrize("make", [make for make, _ in SUBJECTS])
def test_a_case_follows_from_seed_and_number(make: Callable[[Role], Octets], tests: Role) -> None:
    subject = make(tests)
    cases = [subject.case(3, number) for number in range(20)]
    assert cases == [make(tests).case(3, number) for number in range(20)]
    assert cases != [subject.case(4, number) for number in range(20)]
    assert all(subject.load(subject.dump(item)) == item for item in cases)
    assert len({item.at for item in cases}) > 1


def test_finds_an_sdp_server_that_answers_what_is_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = sdp.reply

    def planted(data: bytes, *others: Any) -> bytes | None:
        return sound(data[:10], *others)

    monkeypatch.setattr(sdp, "reply", planted)
    assert found(Discovery(Role.SECC), 100) == {"wrong answer"}


def test_finds_an_sdp_server_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdp, "_request", lambda data, sender: [][data[0]])
    assert "crash" in found(Discovery(Role.SECC), 20)


def test_finds_a_station_that_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = EvseSlac._received

    def planted(self: EvseSlac, source: bytes, message: Any) -> None:
        if getattr(message, "count", 0) > 20:  # sounds still to come
            monkeypatch.setattr(EvseSlac, "_received", lambda *_: None)
        sound(self, source, message)

    monkeypatch.setattr(EvseSlac, "_received", planted)
    assert found(Matching(Role.SECC), 150) == {"no recovery"}


def test_finds_a_tls_server_that_lets_an_exception_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(data: bytes) -> Any:
        raise IndexError("planted")

    monkeypatch.setattr(tls, "parse_client_hello", planted)
    assert "crash" in found(Records(Role.SECC), 30)


def test_hellos_are_read_as_they_were_meant() -> None:
    for tests in Role:
        assert trio.run(layer_tls._own, tests, Volley(1, ())) == []
    parsed = tls.parse_client_hello(layer_tls.hello(Role.SECC).message())
    assert parsed.suites == (0x1302, 0x1303)
    assert parsed.offers_tls_1_3


def test_sdp_over_an_interface() -> None:
    """Our own server on loopback answers what it must, and only that."""

    async def main() -> list[list[Any]]:
        loopback = interfaces.find("lo")
        async with trio.open_nursery() as nursery:
            port = await nursery.start(
                lambda task_status: sdp.serve(
                    loopback, {Security.TLS: 5000}, udp_port=0, task_status=task_status
                )
            )
            device = layer_sdp.Server("lo", rate=1000, udp_port=port)
            problems = [
                await device._run(volley)
                for volley in (Volley(0, (b"\x01\xfe\x90\x00\x00\x00\x00\x02\x07\x00",)), Volley(0, (b"",)))
            ]
            nursery.cancel_scope.cancel()
        return problems

    assert trio.run(main) == [[], []]


def test_tls_over_a_connection() -> None:
    async def main() -> list[list[Any]]:
        async with trio.open_nursery() as nursery:
            listener = await tcp.listen(interfaces.find("lo"), None)

            async def serve() -> None:
                while True:
                    stream = await listener.accept()
                    nursery.start_soon(handle, stream)

            async def handle(stream: trio.abc.Stream) -> None:
                with suppress(trio.BrokenResourceError):
                    await secure(stream, layer_tls._configs()[Role.SECC], server_side=True)

            nursery.start_soon(serve)
            address = listener.socket.getsockname()
            device = layer_tls.Server(address, rate=1000)
            subject = Records(Role.SECC)
            problems = [await device._case(subject.case(1, number)) for number in range(3)]
            nursery.cancel_scope.cancel()
        return problems

    assert trio.run(main) == [[], [], []]


def test_a_saved_case_is_played_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdp, "useful", lambda data, sender: None)
    options = ["--layer", "sdp", "--against", "simulator"]
    directory = tmp_path / "findings"
    run = ["--campaign", str(tmp_path / "c.sqlite"), "--cases", "5", "--output", str(directory)]
    result = CliRunner().invoke(app, ["fuzz", "evcc", *options, *run])
    assert result.exit_code == 1
    (file,) = directory.iterdir()
    said = json.loads(file.read_text())
    assert said["layer"] == "sdp"
    assert len(said["frames"]) == 1, "made small"
    again = CliRunner().invoke(app, ["fuzz", "evcc", *options, "--play", str(file)])
    assert again.exit_code == 1
    assert "an answer is passed over" in again.output
    monkeypatch.undo()
    assert CliRunner().invoke(app, ["fuzz", "evcc", *options, "--play", str(file)]).exit_code == 0
    other = CliRunner().invoke(app, ["fuzz", "secc", *options, "--play", str(file)])
    assert "a case for EVCC/sdp, not for SECC/sdp" in other.output
