"""Every timer: its value as the facts have it, and what happens when it runs out, on either side."""

from __future__ import annotations

from typing import Any

import pytest

from iso15118.messages import common
from iso15118.messages.common_types import ResponseCode
from iso15118.messages.declare import Node
from iso15118.session.charger import ControlPilot, Progress, Verdict
from iso15118.session.evcc import EVCCConfig, Outcome, ServiceWish
from iso15118.session.events import Deviation, Role, Severity
from iso15118.session.secc_config import Closing, Installation, SECCConfig, Trust, energy_modes
from iso15118.session.sequence import name_of, stem
from iso15118.session.services import ControlMode, Family, ServiceID
from iso15118.session.timers import BY_NAME, RELAXED, STRICT, TIMERS, Kind, Profile

from .client import Client, Finished, code_of
from .pair import BenchCharger, Pair

# Written down by hand from the timer tables: EVCC message timeout, SECC performance time, SECC sequence
# timeout.
MESSAGES = {
    "supportedAppProtocol": (2, 1.5, 60),
    "SessionSetup": (2, 1.5, 60),
    "AuthorizationSetup": (2, 1.5, 60),
    "Authorization": (2, 1.5, 60),
    "CertificateInstallation": (5, 4.5, 60),
    "ServiceDiscovery": (2, 1.5, 60),
    "ServiceDetail": (5, 4.5, 60),
    "ServiceSelection": (2, 1.5, 60),
    "AC_ChargeParameterDiscovery": (2, 1.5, 60),
    "DC_ChargeParameterDiscovery": (2, 1.5, 60),
    "WPT_ChargeParameterDiscovery": (2, 1.5, 60),
    "ScheduleExchange": (2, 1.5, 60),
    "PowerDelivery": (2, 1.5, 60),
    "DC_CableCheck": (2, 1.5, 60),
    "DC_PreCharge": (2, 1.5, 60),
    "DC_WeldingDetection": (2, 1.5, 60),
    "AC_ChargeLoop": (0.5, 0.25, 0.5),
    "DC_ChargeLoop": (0.5, 0.25, 0.5),
    "WPT_ChargeLoop": (0.5, 0.25, 0.5),
    "MeteringConfirmation": (2, 1.5, 60),
    "SessionStop": (2, 1.5, 60),
    "VehicleCheckIn": (2, 1.5, 60),
    "VehicleCheckOut": (2, 1.5, 60),
}
SINGLE = {
    "V2G_EVCC_CommunicationSetup_Timeout": (20, Kind.ERROR),
    "V2G_SECC_CommunicationSetup_Performance_Time": (18, Kind.PERFORMANCE),
    "V2G_EVCC_Ongoing_Timeout": (60, Kind.ERROR),
    "V2G_SECC_Ongoing_Performance_Time": (55, Kind.PERFORMANCE),
    "V2G_EVCC_CableCheck_Timeout": (40, Kind.ERROR),
    "V2G_EVCC_PreCharge_Timeout": (10, Kind.ERROR),
    "V2G_SECC_TCP_Close": (5, Kind.PERFORMANCE),
    "CP_C_after_Start": (0.25, Kind.PERFORMANCE),
    "SDP_Request_Timeout": (0.25, Kind.ERROR),
}


# -- the table -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_has_its_three_times(message):
    evcc, secc, silence = MESSAGES[message]
    assert STRICT.limit("V2G_EVCC_Msg_Timeout", message) == evcc
    assert STRICT.limit("V2G_SECC_Msg_Performance_Time", message) == secc
    assert STRICT.limit("V2G_SECC_Sequence_Timeout", message) == silence
    assert RELAXED.limit("V2G_SECC_Sequence_Timeout", message) == 60
    assert RELAXED.limit("V2G_SECC_Msg_Performance_Time", message) == secc


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_timer_has_its_value_and_kind(name):
    assert (BY_NAME[name].seconds, BY_NAME[name].kind) == SINGLE[name]


def test_the_next_request_is_due_in_40_s_and_in_the_loop_in_250_ms():
    assert STRICT.limit("V2G_EVCC_Sequence_Performance_Time", "ServiceDetail") == 40
    for family, rule in (("AC", "V2G20-1499"), ("DC", "V2G20-1501"), ("WPT", "V2G20-5069")):
        timer = STRICT.timer("V2G_EVCC_Sequence_Performance_Time", f"{family}_ChargeLoop")
        assert (timer.seconds, timer.requirement, timer.kind) == (0.25, rule, Kind.PERFORMANCE)


def test_error_and_performance_kinds_are_what_their_names_say():
    for timer in TIMERS:
        performance = "Performance" in timer.name or timer.name in ("CP_C_after_Start", "V2G_SECC_TCP_Close")
        assert (timer.kind is Kind.PERFORMANCE) is performance


def test_overrides_name_existing_timers():
    with pytest.raises(ValueError, match="no such timer: V2G_Nothing"):
        Profile("mine", overrides={"V2G_Nothing": 1.0})
    assert STRICT.with_values(V2G_EVCC_Ongoing_Timeout=5).seconds("V2G_EVCC_Ongoing_Timeout") == 5
    changed = STRICT.with_values(V2G_SECC_Sequence_Timeout__DC_loop=3)
    assert changed.limit("V2G_SECC_Sequence_Timeout", "DC_ChargeLoop") == 3
    assert changed.limit("V2G_SECC_Sequence_Timeout", "AC_ChargeLoop") == 0.5


# -- SECC: silence -------------------------------------------------------------------------------------------


def reach(message: str) -> Client:
    """A session whose last response was of this message."""
    family = Family.AC if message.startswith("AC_") else Family.DC
    client = Client(SECCConfig(energy=energy_modes(ServiceID[family.value])), family=family)
    order = [
        "supportedAppProtocolReq",
        "SessionSetupReq",
        "AuthorizationSetupReq",
        "AuthorizationReq",
        "ServiceDiscoveryReq",
        "ServiceDetailReq",
        "ServiceSelectionReq",
        f"{family.value}_ChargeParameterDiscoveryReq",
        "ScheduleExchangeReq",
        *(["DC_CableCheckReq", "DC_PreChargeReq"] if family is Family.DC else []),
        "PowerDeliveryReq(Start)",
        client.loop,
        "PowerDeliveryReq(Stop)",
        *(["DC_WeldingDetectionReq"] if family is Family.DC else []),
    ]
    for kind in order:
        client.send_all([kind])
        if stem(kind.partition("(")[0]) == message:
            return client
    raise AssertionError(message)


SILENT = [
    name
    for name in MESSAGES
    if name
    not in (
        "CertificateInstallation",
        "WPT_ChargeParameterDiscovery",
        "WPT_ChargeLoop",
        "MeteringConfirmation",
        "SessionStop",
        "VehicleCheckIn",
        "VehicleCheckOut",
    )
]


@pytest.mark.parametrize("message", SILENT)
def test_an_ev_that_falls_silent_loses_its_session_in_time(message):
    limit = MESSAGES[message][2]
    client = reach(message)
    due = client.secc.deadline()
    assert due == pytest.approx(client.now + limit)
    client.secc.expire(due - 0.001)
    assert client.secc.closing is None
    client.secc.expire(due)
    assert client.secc.closing is Closing.NOW
    assert not client.charger.on
    event = client.secc.events[-1]
    assert event.severity is Severity.ERROR
    loop = {"AC_ChargeLoop": "V2G20-1500", "DC_ChargeLoop": "V2G20-1502"}
    assert event.requirement == loop.get(message, "V2G20-443")


@pytest.mark.parametrize("message", SILENT)
def test_a_request_after_the_sequence_timeout_is_not_answered(message):
    client = reach(message)
    late = client.build("SessionStopReq")
    assert client.secc.handle(late, client.now + MESSAGES[message][2] + 0.01) is None
    assert client.secc.closing is Closing.NOW


def test_relaxed_waits_60_s_in_the_loop_and_still_reports_each_gap():
    client = Client(SECCConfig(timers=RELAXED)).to_loop()
    client.now += 0.6
    assert code_of(client.send(client.loop)) is ResponseCode.OK
    found = {(event.severity, event.requirement) for event in client.secc.events}
    assert found == {(Severity.PERFORMANCE, "V2G20-1501"), (Severity.ERROR, "V2G20-1502")}
    assert client.secc.deadline() == pytest.approx(client.now + 60)


def test_a_connection_that_says_nothing_is_closed_after_18_s():
    client = Client()
    assert client.secc.deadline() == 18.0
    client.secc.expire(18.0)
    assert client.secc.closing is Closing.NOW


def test_side_streams_do_not_feed_the_main_sequence_timer():
    client = Client(SECCConfig(timers=RELAXED)).to_loop()
    due = client.secc.deadline()
    client.now += 5
    client.send("MeteringConfirmationReq")
    assert client.secc.closing is None
    assert client.secc.deadline() == due


def test_each_response_restarts_the_sequence_timer():
    client = Client().to_session()
    for _ in range(3):
        client.now += 30
        client.charger.verdicts = [Verdict.REJECTED]
        client.send("AuthorizationSetupReq" if client.state.phase == "New session" else "AuthorizationReq")
        assert client.secc.deadline() == pytest.approx(client.now + 60)


# -- SECC: performance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap", "found"), [(0.2, None), (0.3, "V2G20-1501")], ids=["in time", "late"])
def test_the_pace_of_the_loop_is_reported_and_nobody_aborts(gap, found):
    client = Client().to_loop()
    client.now += gap - client.step
    assert code_of(client.send(client.loop)) is ResponseCode.OK
    assert [event.requirement for event in client.secc.events] == ([found] if found else [])
    assert all(event.severity is Severity.PERFORMANCE for event in client.secc.events)


def test_a_request_after_more_than_40_s_is_reported():
    client = Client().to_session()
    client.now += 41
    client.send("AuthorizationSetupReq")
    assert [event.severity for event in client.secc.events] == [Severity.PERFORMANCE]


def test_leaving_the_loop_is_not_bound_by_the_pace_of_the_loop():
    client = Client().to_loop()
    client.now += 0.4
    client.send("PowerDeliveryReq(Stop)")
    assert not client.secc.events


def test_an_slow_contactor_is_our_own_performance_deviation():
    client = Client(SECCConfig(contactor_time=3.0), BenchCharger(start_delays=90)).to_prepared()
    assert code_of(client.send("PowerDeliveryReq(Start)")) is ResponseCode.OK
    event = client.secc.events[-1]
    assert (event.severity, event.offender) == (Severity.PERFORMANCE, Role.SECC)
    assert "V2G_SECC_Msg_Performance_Time 1.5 s" in event.expected


def test_a_slow_communication_setup_is_our_own_performance_deviation():
    client = Client()
    client.now = 10
    client.send("supportedAppProtocolReq")
    client.now = 19
    client.send("SessionSetupReq")
    assert "CommunicationSetup" in client.secc.events[-1].expected


@pytest.mark.parametrize("verdict", [Verdict.PENDING, Verdict.WAITING_FOR_CUSTOMER])
def test_authorization_is_not_left_open_for_more_than_55_s(verdict):
    charger = BenchCharger(verdicts=[verdict] * 1000)
    client = Client(charger=charger).to_session()
    client.send("AuthorizationSetupReq")
    response = client.send("AuthorizationReq")
    began = client.now
    while response.evse_processing != Finished:
        client.now += 0.9
        response = client.send("AuthorizationReq")
    assert 55 <= client.now - began < 56
    assert code_of(response) is ResponseCode.WARNING_EIMAuthorizationFailure
    assert client.secc.closing is None


def test_each_attempt_at_authorization_has_its_full_time():
    waiting = [Verdict.PENDING]
    client = Client(charger=BenchCharger(verdicts=[*waiting, Verdict.REJECTED, *waiting * 3])).to_session()
    client.send_all(["AuthorizationSetupReq", "AuthorizationReq"])
    client.now += 50
    assert code_of(client.send("AuthorizationReq")) is ResponseCode.WARNING_EIMAuthorizationFailure
    for _ in range(2):
        client.now += 25
        assert client.send("AuthorizationReq").evse_processing == "Ongoing"


def test_certificate_installation_has_the_long_times():
    trust = Trust(install_certificate=lambda request, now: Installation(pending=True))
    client = Client(SECCConfig(certificate_installation=True), trust=trust).to_session()
    client.send_all(["AuthorizationSetupReq", "CertificateInstallationReq"])
    assert client.secc.deadline() == pytest.approx(client.now + 60)
    assert MESSAGES["CertificateInstallation"][:2] == (5, 4.5)


@pytest.mark.parametrize("kind", ["ScheduleExchangeReq", "DC_CableCheckReq"])
def test_other_ongoing_loops_fail_after_55_s(kind):
    client = Client(charger=BenchCharger(schedule_delays=1000, cable_check_result=Progress.ONGOING))
    client.to_selected().send_all(["DC_ChargeParameterDiscoveryReq"])
    if kind == "DC_CableCheckReq":
        client.charger.schedule_delays = 0
        client.send_all(["ScheduleExchangeReq"])
    response = client.send(kind)
    began = client.now
    while response.evse_processing != Finished:
        client.now += 0.9
        response = client.send(kind)
    assert 55 <= client.now - began < 56
    assert code_of(response) is ResponseCode.FAILED
    assert client.secc.events[-1].offender is Role.SECC


@pytest.mark.parametrize(
    ("pilot", "found"), [(ControlPilot.C, []), (ControlPilot.B, ["V2G20-847"])], ids=["C", "still B"]
)
def test_the_control_pilot_must_follow_start_within_250_ms(pilot, found):
    client = Client(SECCConfig(energy=energy_modes(ServiceID.AC), timers=RELAXED), family=Family.AC)
    client.charger.pilot = lambda: pilot if client.charger.on else ControlPilot.B
    client.to_prepared().send_all(["PowerDeliveryReq(Start)"])
    client.now += 0.2
    client.send(client.loop)
    assert not [event for event in client.secc.events if event.requirement == "V2G20-847"]
    client.now += 0.2
    client.send(client.loop)
    assert [event.requirement for event in client.secc.events if event.requirement == "V2G20-847"] == found


# -- EVCC ----------------------------------------------------------------------------------------------------


class Mute(Pair):
    """The SECC's answers to one message are lost."""

    lost = ""

    def _answer(self, response: Node | None, now: float) -> None:
        if response is not None and stem(name_of(response)) == self.lost:
            self.lost_at = now
            return
        super()._answer(response, now)


EVCC_MESSAGES = [name for name in SILENT if name != "supportedAppProtocol"]


@pytest.mark.parametrize("message", ["supportedAppProtocol", *EVCC_MESSAGES, "SessionStop"])
def test_the_evcc_gives_up_a_missing_response_in_time(message):
    family = Family.AC if message.startswith("AC_") else Family.DC
    service = ServiceID[family.value]
    pair = Mute(SECCConfig(energy=energy_modes(service)), EVCCConfig(services=(ServiceWish(service),)))
    pair.lost = message
    result = pair.run()
    assert result.outcome is Outcome.TIMEOUT
    sent = next(item for item in reversed(pair.spoken) if stem(name_of(item.message)) == message).time
    assert result.ended - sent == pytest.approx(MESSAGES[message][0], abs=0.01)


def ongoing_pair(evcc: EVCCConfig | None = None, **charger: Any) -> Pair:
    """A charger that never finishes, and an SECC that has all the time in the world."""
    patient = STRICT.with_values(V2G_SECC_Ongoing_Performance_Time=1000.0)
    return Pair(SECCConfig(timers=patient), evcc, charger=BenchCharger(**charger))


@pytest.mark.parametrize(
    ("charger", "limit", "timer"),
    [
        ({"verdicts": [Verdict.PENDING] * 10_000}, 60, "V2G_EVCC_Ongoing_Timeout"),
        ({"schedule_delays": 10_000}, 60, "V2G_EVCC_Ongoing_Timeout"),
        ({"cable_checks": 10_000}, 40, "V2G_EVCC_CableCheck_Timeout"),
    ],
    ids=["authorization", "schedule", "cable check"],
)
def test_the_evcc_ends_an_endless_ongoing_loop(charger, limit, timer):
    assert BY_NAME[timer].seconds == limit
    pair = ongoing_pair(**charger)
    result = pair.run()
    assert result.outcome is not Outcome.TERMINATED
    repeated = [
        item for item in pair.spoken if getattr(item.message, "evse_processing", Finished) != Finished
    ]
    assert repeated[-1].time - repeated[0].time == pytest.approx(limit, abs=0.5)


def test_a_strict_evcc_ends_an_endless_precharge():
    class Dead(BenchCharger):
        def precharge(self, now: float, target_voltage: float) -> float:
            return 0.0

    pair = Pair(evcc=EVCCConfig(strict=True, pre_charge_patience=60.0), charger=Dead())
    result = pair.run()
    assert result.outcome is not Outcome.TERMINATED
    tries = [item.time for item in pair.spoken if name_of(item.message) == "DC_PreChargeReq"]
    assert tries[-1] - tries[0] == pytest.approx(10, abs=0.5)


def test_the_evcc_gives_up_a_setup_that_takes_20_s():
    class Slow(Pair):
        """Each answer is there just before its own timeout, and setup takes many of them."""

        def _answer(self, response: Node | None, now: float) -> None:
            super()._answer(response, now + 1.99 if response is not None else now)

    pair = Slow(evcc=EVCCConfig(timers=STRICT.with_values(V2G_EVCC_CommunicationSetup_Timeout=3.0)))
    result = pair.run()
    assert result.outcome is Outcome.TIMEOUT
    assert "CommunicationSetup" in result.reason
    assert result.ended == pytest.approx(3.98, abs=1.0)


def test_the_evcc_reports_a_slow_secc():
    class Slow(Pair):
        def _answer(self, response: Node | None, now: float) -> None:
            slow = isinstance(response, common.ServiceDiscoveryRes)
            super()._answer(response, now + 1.7 if slow else now)

    pair = Slow()
    assert pair.run().outcome is Outcome.TERMINATED
    found: list[Deviation] = [item for item in pair.evcc.deviations if item.severity is Severity.PERFORMANCE]
    assert [item.message for item in found] == ["ServiceDiscoveryRes"]


def test_the_evcc_reports_its_own_slow_loop():
    pair = Pair(
        SECCConfig(timers=RELAXED),
        EVCCConfig(loop_interval=0.4, services=(ServiceWish(ServiceID.DC, control=(ControlMode.DYNAMIC,)),)),
    )
    assert pair.run().outcome is Outcome.TERMINATED
    assert "V2G20-1501" in {item.requirement for item in pair.secc.events}
