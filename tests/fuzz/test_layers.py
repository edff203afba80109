"""SDP, SLAC and TLS: our own sides bear it; planted defects are found, made small, and saved as scenarios
that a defective device fails and a sound one passes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from typer.testing import CliRunner

from hlc_sim import trust
from hlc_sim.cli.app import app
from hlc_sim.fuzz import layer_tls
from hlc_sim.fuzz.campaign import Campaign
from hlc_sim.fuzz.layer_sdp import Discovery
from hlc_sim.fuzz.layer_slac import Matching
from hlc_sim.fuzz.layer_tls import Records
from hlc_sim.fuzz.octets import Octets, Volley
from hlc_sim.fuzz.workers import Batch, Found
from hlc_sim.scenario import Result, Scenario, SimulatedEVCC, SimulatedSECC, Verdict, load_file, run
from hlc_sim.transport import sdp, tls
from iso15118.session.events import Role
from iso15118.slac import EvseSlac, EvSlac
from iso15118.slac import messages as m

SUBJECTS = [(Discovery, 200), (Matching, 8), (Records, 60)]


@pytest.mark.parametrize("tests", Role)
@pytest.mark.parametrize(("make", "cases"), SUBJECTS)
def test_our_own_devices_bear_it(make: Callable[[Role], Octets], cases: int, tests: Role) -> None:
    subject = make(tests)
    assert [p for number in range(cases) for p in subject.run(subject.case(11, number))] == []


@pytest.mark.parametrize("tests", Role)
@pytest.mark.parametrize("make", [make for make, _ in SUBJECTS])
def test_a_case_follows_from_seed_and_number(make: Callable[[Role], Octets], tests: Role) -> None:
    subject = make(tests)
    cases = [subject.case(3, number) for number in range(20)]
    assert cases == [make(tests).case(3, number) for number in range(20)]
    assert cases != [subject.case(4, number) for number in range(20)]
    assert all(subject.load(subject.dump(item)) == item for item in cases)


@pytest.mark.parametrize("tests", Role)
def test_a_scenario_holds_every_octet_of_its_case(tests: Role) -> None:
    for number in range(100):
        case = Discovery(tests).case(1, number)
        settings = Discovery(tests).scenario(case).sdp
        assert settings is not None
        assert tuple(map(bytes.fromhex, settings.send or settings.answers)) == case.frames
        case = Records(tests).case(1, number)
        tls_settings = Records(tests).scenario(case).tls
        assert tls_settings is not None
        raw = tuple(map(bytes.fromhex, tls_settings.raw.split(",")))
        assert raw == ((Records(tests).correct()[0],) if case.at == 1 else ()) + case.frames
        case = Matching(tests).case(1, number)
        slac_settings = Matching(tests).scenario(case).slac
        assert slac_settings is not None
        assert tuple(map(bytes.fromhex, slac_settings.steps[0].raw.split(","))) == case.frames


# -- planted defects -----------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def answers_what_is_no_request(patch: Patch) -> None:
    sound = sdp._request
    patch.setattr(sdp, "_request", lambda data, sender: sound(data[:10], sender))


def sdp_server_dies(patch: Patch) -> None:
    sound = sdp._request

    def planted(data: bytes, sender: str) -> Any:
        assert len(data) < 60
        return sound(data, sender)

    patch.setattr(sdp, "_request", planted)


def takes_any_transport(patch: Patch) -> None:
    sound = sdp.useful
    patch.setattr(sdp, "useful", lambda data, sender: sound(data[:27] + b"\0", sender))


def passes_good_answers_over(patch: Patch) -> None:
    patch.setattr(sdp, "useful", lambda data, sender: None)


def hello_without_suites_crashes(patch: Patch) -> None:
    sound = tls.parse_client_hello

    def planted(data: bytes) -> Any:
        hello = sound(data)
        assert len(hello.suites) < 100
        return hello

    patch.setattr(tls, "parse_client_hello", planted)


def handshake_without_keys(patch: Patch) -> None:
    sound = trust.secure

    async def planted(stream: trio.abc.Stream, config: Any, *, server_side: bool) -> Any:
        try:
            return await sound(stream, config, server_side=server_side)
        except tls.TLSError as error:
            taken, other = memory_stream_pair()
            await other.aclose()
            taken.facts = error.facts  # type: ignore[attr-defined]
            return taken

    patch.setattr(trust, "secure", planted)


def refuses_for_ever_after_an_alert(patch: Patch) -> None:
    sound, sulking = trust.secure, list[Any]()

    async def planted(stream: trio.abc.Stream, config: Any, *, server_side: bool) -> Any:
        if any(one is config for one in sulking):
            await stream.aclose()
            raise tls.TLSError("sulking", None, False, tls.TLSFacts(server_side))
        try:
            return await sound(stream, config, server_side=server_side)
        except tls.TLSError as error:
            if not error.by_peer:
                sulking.append(config)
            raise

    patch.setattr(trust, "secure", planted)


def deaf_after_a_large_count(patch: Patch) -> None:
    sound, deaf = EvseSlac._received, set[EvseSlac]()

    def planted(self: EvseSlac, source: bytes, message: Any) -> None:
        if getattr(message, "count", 0) > 20:  # sounds still to come
            deaf.add(self)
        if self not in deaf:
            sound(self, source, message)

    patch.setattr(EvseSlac, "_received", planted)


def key_that_was_not_asked_for(patch: Patch) -> None:
    sound = EvSlac._received

    def planted(self: EvSlac, source: bytes, message: Any) -> None:
        if isinstance(message, m.SlacMatchCnf) and self.state.name in ("SEARCHING", "SOUNDING", "COLLECTING"):
            raise KeyError("planted")
        sound(self, source, message)

    patch.setattr(EvSlac, "_received", planted)


PLANTED = [
    (Discovery(Role.SECC), answers_what_is_no_request, "wrong answer", "it answered"),
    (Discovery(Role.SECC), sdp_server_dies, "crash", "it crashed with AssertionError in transport/sdp.py"),
    (Discovery(Role.EVCC), takes_any_transport, "wrong answer", "it connected on the wrong answer"),
    (Discovery(Role.EVCC), passes_good_answers_over, "wrong answer", "it did not connect within"),
    (Records(Role.SECC), hello_without_suites_crashes, "crash", "it crashed with AssertionError"),
    (Records(Role.SECC), handshake_without_keys, "wrong answer", "it took octets without keys"),
    (Records(Role.EVCC), handshake_without_keys, "wrong answer", "it took octets without keys"),
    (Records(Role.SECC), refuses_for_ever_after_an_alert, "no recovery", "the next, correct handshake"),
    (Matching(Role.SECC), deaf_after_a_large_count, "no recovery", "the next, undisturbed matching"),
    (Matching(Role.EVCC), key_that_was_not_asked_for, "crash", "it crashed with KeyError"),
]


def judged(scenario: Scenario) -> Verdict:
    target = SimulatedSECC() if scenario.tests is Role.SECC else SimulatedEVCC()
    return trio.run(run, scenario, target, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("subject", "plant", "kind", "words"),
    PLANTED,
    ids=lambda item: getattr(item, "name", None) or getattr(item, "__name__", ""),
)
def test_a_planted_defect_is_found_made_small_and_saved(
    subject: Octets, plant: Callable[[Patch], None], kind: str, words: str, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        number, problem = next(
            (number, problem)
            for number in range(400)
            for problem in subject.run(subject.case(1, number), thorough=True)
            if words in problem.text
        )
        assert problem.kind == kind
        work = Campaign(tmp_path / "c.sqlite", subject, 1)
        batch = Batch(number, 1, 0.0, {problem.key: Found(problem, number, dumped(subject, number), 1)})
        work._write(batch)
        work.write_new()
        smallest = subject.load(work._db.execute("SELECT smallest FROM findings").fetchone()[0])
        assert len(smallest.frames) == 1, "made small"
        (text, *_) = work.scenarios()
    file = tmp_path / "finding.toml"
    file.write_text(text)
    (scenario,) = load_file(file).values()
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        spoilt = judged(scenario)
    assert spoilt.result is Result.FAIL
    assert any(words in reason for reason in spoilt.reasons)
    sound = judged(scenario)
    assert sound.result is Result.PASS, sound.reasons


def dumped(subject: Octets, number: int) -> str:
    return subject.dump(subject.case(1, number))


def test_hellos_are_read_as_they_were_meant() -> None:
    parsed = tls.parse_client_hello(layer_tls.hello(Role.SECC).message())
    assert parsed.suites == (0x1302, 0x1303)
    assert parsed.offers_tls_1_3


@pytest.mark.parametrize("tests", Role)
def test_a_correct_hello_is_answered(tests: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device goes on with it: the fuzzer's wrong ones are near to right."""
    from hlc_sim.scenario import flights

    heard = list[bytes]()
    sound = flights.Flights.receive_some

    async def listening(self: flights.Flights, most: int | None = None) -> bytes:
        data = await sound(self, most)
        heard.append(data)
        return data

    monkeypatch.setattr(flights.Flights, "receive_some", listening)
    subject = Records(tests)
    assert judged(subject.scenario(Volley(1, subject.correct()[1:2]))).result is Result.PASS
    if tests is Role.SECC:
        assert heard[0][5] == 2, "a ServerHello"
    else:
        assert heard[1][0] == 21
        assert heard[1][-1] == 20, "bad_record_mac: it has agreed on keys, and finds that we do not know them"


def test_the_command_saves_a_scenario_that_another_command_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdp, "useful", lambda data, sender: None)
    directory = tmp_path / "findings"
    run = ["--campaign", str(tmp_path / "c.sqlite"), "--cases", "5", "--output", str(directory)]
    fuzz = ["fuzz", "evcc", "--layer", "sdp", "--against", "simulator", *run]
    result = CliRunner().invoke(app, fuzz)
    assert result.exit_code == 1
    file = min(directory.iterdir())
    play = ["scenario", "run", "fuzz-*", "--file", str(file), "--against", "simulator"]
    again = CliRunner().invoke(app, play)
    assert again.exit_code == 1
    assert "connect" in again.output
    monkeypatch.undo()
    assert CliRunner().invoke(app, play).exit_code == 0
