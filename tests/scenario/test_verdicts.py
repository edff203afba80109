"""A verdict that cannot fail says nothing: devices with a planted defect fail the scenario made for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from hlc_sim.config.station import StationConfig
from hlc_sim.config.vehicle import VehicleConfig
from hlc_sim.evcc import charge
from hlc_sim.groups import sole
from hlc_sim.scenario import (
    Do,
    Expect,
    Outcome,
    Result,
    Scenario,
    SimulatedEVCC,
    SimulatedSECC,
    Step,
    edit,
    library,
    load_file,
    targets,
)
from hlc_sim.scenario.script import Script
from hlc_sim.scenario.settings import TLSSettings
from hlc_sim.secc import Station
from hlc_sim.trace.recorder import Tap
from hlc_sim.transport import interface, tcp
from hlc_sim.transport.link import Link, LinkClosed
from iso15118.messages import common
from iso15118.messages.common_types import ResponseCode
from iso15118.messages.declare import Node
from iso15118.session.events import Role
from iso15118.session.secc import HANDLERS, SECC
from iso15118.v2gtp import Frame

from .streams import Wrapped
from .test_library import play

if TYPE_CHECKING:
    from hlc_sim.trace.recorder import ConnectionRecorder


def relaxed(config: StationConfig) -> Station:
    patient = replace(config, timers="relaxed")  # the library's own stays as it is
    return Station(patient.session(), lambda: patient.charger(0.0))


def test_a_station_that_waits_sixty_seconds_in_the_loop() -> None:
    verdict = play(library()["silent-in-the-loop-dc"], SimulatedSECC(make=relaxed))
    assert verdict.result is Result.FAIL
    assert "still open 1 s later" in verdict.reasons[0]


@pytest.mark.parametrize(
    "name",
    [
        "foreign-session-id-ServiceDiscoveryReq",
        "zero-session-id-DC_ChargeLoopReq",
        "session-id-one-bit-wrong",
    ],
)
def test_a_station_that_ignores_the_session_id(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SECC, "_check_session", lambda self, request: None)
    verdict = play(library()[name])
    assert verdict.result is Result.FAIL
    assert any("FAILED_UnknownSession" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    "name", ["out-of-order-AuthorizationReq", "setup-inside-the-loop-AuthorizationSetupReq"]
)
def test_a_station_without_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SECC, "_check_order", lambda self, request, stream: None)
    assert play(library()[name]).result is Result.FAIL


def test_a_station_that_refuses_with_the_payload_type_of_the_last_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = SECC.reply_type

    def planted(self: SECC, response: Any) -> Any:
        return 0x8002 if response.response_code.startswith("FAILED") else sound(self, response)

    monkeypatch.setattr(SECC, "reply_type", planted)
    verdict = play(library()["foreign-session-id-DC_CableCheckReq"])
    assert verdict.result is Result.FAIL


def test_a_station_that_dies_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setitem(HANDLERS, common.ServiceDetailReq, dies)
    verdict = play(library()["service-never-offered"])
    assert verdict.result is Result.FAIL
    assert any("the next session did not succeed" in reason for reason in verdict.reasons)


def test_a_station_that_answers_after_its_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(self: SECC, request: Any, refusal: Any, now: float, stream: Any) -> Any:
        return HANDLERS[common.AuthorizationSetupReq](self.context, request, now)

    monkeypatch.setattr(SECC, "_refuse", generous)
    assert play(library()["out-of-order-ServiceSelectionReq"]).result is Result.FAIL


def test_an_ev_that_does_not_look_at_response_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResponseCode, "is_failed", property(lambda self: False))
    verdict = play(library()["failed-in-DC_CableCheckRes"])
    assert verdict.result is Result.FAIL
    assert any("went on" in reason for reason in verdict.reasons)


def test_a_car_that_charges_on_and_on_is_told_to_end_sooner() -> None:
    sound = library()["failed-in-DC_WeldingDetectionRes"]
    verdict = play(replace(sound, vehicle=replace(sound.vehicle, evcc={"charge_loops": 100_000})))
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons == [
        "the session never came to DC_WeldingDetectionRes: it went on for 600 s; a car under test should end "
        "its charging after some loops"
    ]


def test_what_never_happened_is_inconclusive() -> None:
    scenario = Scenario(
        "metering",
        "a message that this session does not have",
        Role.EVCC,
        "",
        Expect(Outcome.ENDS),
        steps=(Step("MeteringConfirmationReq", Do.DROP),),
    )
    verdict = play(scenario)
    assert verdict.result is Result.INCONCLUSIVE
    assert "never came to MeteringConfirmationReq" in verdict.reasons[0]


def test_a_scenario_in_python() -> None:
    async def call(link: Link, payload_type: int, message: Node) -> None:
        await trio.sleep(0.1)
        await link.aclose()

    scenario = Scenario(
        "own",
        "hang up from Python",
        Role.EVCC,
        "",
        Expect(Outcome.SURVIVES),
        steps=(Step("ServiceDetailReq", Do.CALL, call=call),),
    )
    assert play(scenario).result is Result.PASS


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('title = "x"', "title: a scenario is a table"),
        ("[x]\nplays = 'EVCC'", "x.title: is missing"),
        ("[x", "not TOML"),
    ]
    + [
        (f"[x]\ntitle='t'\nsound='s'\nplays='EVCC'\nexpect={{outcome='ends'}}\nsteps=[{step}]", complaint)
        for step, complaint in [
            ("{at='ServiceDiscoverReq', do='drop'}", "did you mean 'ServiceDiscoveryReq'?"),
            ("{at='ServiceDiscoveryReq', do='dorp'}", "x.steps[0].do: 'dorp' is not one of"),
            ("{at='ServiceDiscoveryReq', do='drop', truncate=1}", "truncate has no meaning with do = 'drop'"),
            ("{at='SessionSetupReq', do='replace', set={evccid='x'}}", "did you mean 'evcc_id'?"),
            (
                "{at='SessionSetupReq', do='replace', set={'header.sessionid'='x'}}",
                "did you mean 'session_id'?",
            ),
            ("{at='SessionSetupReq', do='replace', raw='0g'}", "raw: '0g' is not hex"),
            ("{at='SessionSetupRes', do='drop'}", "the EVCC does not send that"),
            ("{at='SessionSetupReq', do='drop', colour=1}", "x.steps[0].colour: unknown key"),
        ]
    ],
)
def test_errors_name_file_and_key(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"own\.toml") as caught:
        load_file(file)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("layer='sdp'", "the table sdp and layer = 'sdp' come together"),
        ("sdp={}", "the table sdp and layer = 'sdp' come together"),
        ("layer='tls'\ntls={groups=['x25519'], do='flip'}", "tls.flight and tls.do come together"),
        ("layer='tls'\ntls={check=['everything']}", "'everything' is not one of profile"),
        ("layer='tls'\ntls={flight=1, do='replace'}", "tls.do = 'replace' needs raw"),
        ("layer='tls'\ntls={suites=['AES']}", "tls.suites: 'AES' is not one of TLS_AES_128_GCM_SHA256"),
        ("layer='tls'\ntls={groups=['x25518']}", "tls.groups: 'x25518' is not one of"),
        ("layer='tls'\ntls={schemes=['ed449']}", "tls.schemes: 'ed449' is not one of"),
        ("layer='sdp'\nsdp={fields={28=0}}", "sdp.fields: 28 = 0 is not an octet at an offset up to 27"),
        ("layer='sdp'\nsdp={fields={2=256}}", "sdp.fields: 2 = 256 is not an octet"),
        ("layer='sdp'\nsdp={send=['0g']}", "sdp.send: '0g' is not hex"),
        ("layer='slac'\nslac={steps=[{at='CM_SLAC_PARM', do='drop'}]}", "at: 'CM_SLAC_PARM' is not one of"),
        (
            "layer='slac'\nslac={steps=[{at='CM_SLAC_PARM.REQ', do='replace', set={runid='00'}}]}",
            "CM_SLAC_PARM.REQ has no field 'runid' (fields: run_id",
        ),
        ("layer='slac'\nslac={attack='key hygiene', steps=[{at='CM_SLAC_PARM.REQ', do='drop'}]}", "exclude"),
        ("physics={meter='explodes'}", "physics.meter: 'explodes' is not one of"),
        ("layer='sdp'\nsdp={colour=1}", "unknown key"),
        ("layer='sdp'\nsdp={answers=['0g']}", "sdp.answers: '0g' is not hex"),
        ("layer='tls'\ntls={flight=1, do='abandon'}", "tls.do = 'abandon' needs raw"),
        ("layer='tls'\ntls={flight=1, do='abandon', raw='16,0'}", "tls.raw: '160' is not hex"),
        ("layer='slac'\nslac={steps=[{at='CM_SLAC_PARM.REQ', do='insert'}]}", "'insert' and raw come"),
        (
            "layer='slac'\nslac={steps=[{at='CM_SLAC_PARM.REQ', do='drop', raw='00'}]}",
            "'insert' and raw come",
        ),
        ("layer='slac'\nslac={steps=[{at='CM_SLAC_PARM.REQ', do='insert', raw='0'}]}", "raw: '0' is not hex"),
    ],
)
def test_errors_below_the_messages_name_file_and_key(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f"[x]\ntitle='t'\nsound='s'\nplays='EVCC'\nexpect={{outcome='continues'}}\n{text}")
    with pytest.raises(ValueError, match=r"own\.toml") as caught:
        load_file(file)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("expect", "text", "complaint"),
    [
        ("{outcome='refuses', codes=['unknown_ca']}", "", "alerts belong to layer = 'tls'"),
        ("{outcome='refuses'}", "layer='tls'\ntls={}", "outcome = 'refuses' needs codes"),
        ("{outcome='ignores'}", "", "outcome = 'ignores' has no meaning with layer = 'v2g'"),
        ("{outcome='ends'}", "layer='slac'\nslac={}", "outcome = 'ends' has no meaning with layer = 'slac'"),
        ("{outcome='survives', never=['PowerReq(Start)']}", "", "no message is called 'PowerReq'"),
    ],
)
def test_an_outcome_that_nothing_judges_is_refused(
    expect: str, text: str, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f"[x]\ntitle='t'\nsound='s'\nplays='EVCC'\nexpect={expect}\n{text}")
    with pytest.raises(ValueError, match=r"own\.toml") as caught:
        load_file(file)
    assert complaint in str(caught.value)


def test_a_value_that_cannot_be_meant_is_an_error_of_the_scenario(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        "[x]\ntitle='t'\nsound='s'\nplays='EVCC'\nexpect={outcome='ends'}\n"
        "steps=[{at='AuthorizationReq', do='replace', set={selected_authorization_service='Cash'}}]"
    )
    with pytest.raises(ValueError, match="selected_authorization_service: 'Cash' is not one of EIM, PnC"):
        play(load_file(file)["x"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("layer='tls'\ntls={chain='expird'}", "x: no variant is called 'expird' (v2g-pki break --list)"),
        ("layer='slac'\nslac={attack='flood'}", "x: no recipe is called 'flood' (hlc attack --list)"),
    ],
)
def test_a_name_that_is_known_when_it_is_played_only_is_an_error_then(
    text: str, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f"[x]\ntitle='t'\nsound='s'\nplays='EVCC'\nexpect={{outcome='continues'}}\n{text}")
    with pytest.raises((ValueError, ExceptionGroup)) as caught:
        play(load_file(file)["x"])
    assert str(sole(caught.value)) == complaint


def test_a_credential_that_a_hierarchy_lacks_is_inconclusive() -> None:
    good = library()["tls-good"]
    verdict = play(replace(good, tls=TLSSettings(credential="secc_c")))
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons == ["this hierarchy has no certificate 'secc_c'"]


def test_what_the_session_has_not_is_no_error_of_the_scenario() -> None:
    """A car that can do both takes dynamic control, and then there is no schedule to change."""
    path = "control_mode.schedule_tuple[0].schedule_tuple_id"
    scenario = Scenario(
        "own",
        "another tuple",
        Role.SECC,
        "",
        Expect(Outcome.SURVIVES),
        steps=(Step("ScheduleExchangeRes", Do.REPLACE, set={path: 4077}),),
        vehicle=VehicleConfig(control="dynamic"),
    )
    verdict = play(scenario)
    assert verdict.result is Result.INCONCLUSIVE
    assert "Dynamic_SEResControlMode has no field 'schedule_tuple'" in verdict.reasons[0]


class OverTLS(SimulatedSECC):
    """Its connections are, as those of TLS, none that can be closed by half."""

    async def connect(self, *arguments: Any) -> trio.abc.Stream:
        return Wrapped(await super().connect(*arguments))


def test_a_connection_without_halves_cannot_be_half_open() -> None:
    verdict = play(library()["half-open-after-ServiceDiscoveryReq"], OverTLS())
    assert verdict.result is Result.INCONCLUSIVE
    assert "has no half to close (TLS)" in verdict.reasons[0]


def test_a_connection_is_reset_below_tls() -> None:
    async def main() -> None:
        listener = await tcp.listen(interface.find("lo"), 0)
        ours = await tcp.connect(("::1", listener.socket.getsockname()[1]))
        theirs = await listener.accept()
        nothing_recorded = cast("ConnectionRecorder", None)
        over = Tap(ours, nothing_recorded, Role.EVCC)
        link = Link(over, Role.EVCC, intervention=Script((Step("*", Do.RESET),)))
        with pytest.raises(LinkClosed):
            await link.send(edit.build("SessionSetupReq", None), 0x8002)
        with pytest.raises(trio.BrokenResourceError):
            await theirs.receive_some(1)
        await theirs.aclose()
        await listener.aclose()

    trio.run(main)


def test_an_ev_that_asks_for_longer_than_it_may() -> None:
    station = StationConfig()
    station.outlet.authorization_time = 1000
    scenario = Scenario(
        "own",
        "the authorization is never there",
        Role.SECC,
        "",
        Expect(Outcome.GIVES_UP, within=10),  # our EVCC asks for 60 s
        steps=(Step("AuthorizationRes", Do.REPLACE, occurrence=0, set={"evse_processing": "Ongoing"}),),
        station=station,
    )
    verdict = play(scenario)
    assert verdict.result is Result.FAIL
    assert "closed only after 60" in verdict.reasons[0]
    assert play(library()["ongoing-for-ever-AuthorizationRes"]).result is Result.PASS


def test_a_station_that_reads_what_the_judge_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the version in the EXI header for what it is not, and the scenario leaves that open."""
    sound = Link._decode

    def lenient(self: Link, frame: Frame) -> Node:
        first = bytes([frame.payload[0] & 0xFE])
        return sound(self, Frame(frame.payload_type, first + frame.payload[1:]))

    monkeypatch.setattr(Link, "_decode", lenient)
    scenario = replace(library()["exi-bit-7"], expect=Expect(Outcome.SURVIVES))
    assert play(scenario).reasons == []


def test_what_the_device_is_set_to_is_not_known_of_a_foreign_one() -> None:
    scenario = library()["pause-request-not-allowed"]
    pausing = StationConfig()
    device = SimulatedSECC(make=lambda _: Station(pausing.session(), lambda: pausing.charger(0.0)))
    assert play(scenario, device).result is Result.FAIL
    device.name = "a charger"
    verdict = play(scenario, device)
    assert verdict.result is Result.INCONCLUSIVE
    assert verdict.reasons[-1] == "this counts only where the station does not allow pauses"


def test_an_ev_that_does_not_come_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    charging = targets.charge

    async def for_ever(*arguments: Any, **options: Any) -> Any:
        await charging(*arguments, **options)
        await trio.sleep_forever()

    monkeypatch.setattr(targets, "charge", for_ever)
    verdict = play(library()["secc-hangs-up-at-DC_ChargeLoopRes"])
    assert verdict.result is Result.FAIL
    assert "had not come to rest" in verdict.reasons[0]


def test_an_ev_that_closes_its_contactors_on_ten_volts() -> None:
    sound = library()["voltage-never-matches"]
    assert play(sound).result is Result.PASS
    verdict = play(replace(sound, vehicle=replace(sound.vehicle, evcc={"pre_charge_patience": 2})))
    assert verdict.result is Result.FAIL
    assert "it sent PowerDeliveryReq(Start), which it must not after that" in verdict.reasons


def test_a_station_that_answers_with_another_code_than_it_may() -> None:
    known = library()["filter-that-fits-nothing"]
    verdict = play(replace(known, expect=replace(known.expect, codes=("FAILED",))))
    assert verdict.result is Result.FAIL
    assert verdict.reasons == ["answered ServiceDiscoveryRes OK; expected FAILED"]


def test_what_a_car_breaks_in_every_session_is_not_held_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    change = {"control_mode.ev_maximum_charge_power.exponent": 5}
    raised = Step("DC_ChargeLoopReq", Do.REPLACE, occurrence=0, set=change)

    async def noisy(link: Link, *arguments: Any, **more: Any) -> Any:
        return await charge(Link(link.stream, Role.EVCC, intervention=Script((raised,))), *arguments, **more)

    monkeypatch.setattr(targets, "charge", noisy)
    scenario = library()["warning-WARNING_WPT-in-the-loop"]
    assert play(scenario, SimulatedEVCC(name="a car")).reasons == []
    assert play(scenario, SimulatedEVCC()).result is Result.FAIL
