"""For each rule that the judge knows, a recording spoiled so that this rule fires, and no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hlc_sim.trace import events as ev
from hlc_sim.trace.check import check
from iso15118 import exi
from iso15118.messages.app_protocol import (
    AppProtocol,
    AppProtocolResponseCode,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from iso15118.messages.common_types import EVSENotification, EVSEStatus, RationalNumber
from iso15118.session.judge import RULES
from iso15118.session.judge.timing import NOT_VISIBLE
from iso15118.session.timers import TIMERS

from .mutations import CASES, ac_base, dc_base, pnc_base, wpt_base
from .recordings import Recording, dc_bpt_dynamic

# -- the tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [dc_base, pnc_base, ac_base, wpt_base])
def test_nothing_is_found_in_a_faultless_recording(base: Callable[[], Recording]) -> None:
    recording = base()
    verdict = check(recording.events())
    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.outcomes[1].frames == len(recording.entries)


@pytest.mark.parametrize("rule", CASES)
def test_the_rule_fires_and_no_other(rule: str) -> None:
    base, spoil, with_it = CASES[rule]
    recording = base()
    spoil(recording)
    verdict = check(recording.events())
    assert set(verdict.counts) == {rule, *with_it}, "\n".join(map(str, verdict.findings))
    for finding in verdict.findings:
        if finding.rule.binds is not None:
            assert finding.offender is finding.rule.binds
        if finding.rule.id == rule and finding.requirement is not None and rule != "sequence.order":
            assert finding.requirement in finding.rule.requirements


def test_what_only_some_stacks_accept_may_be_refused() -> None:
    base, spoil, _ = CASES["sequence.tolerated"]
    recording = base()
    spoil(recording)
    recording.fail("SessionStopRes", "FAILED_SequenceError")
    assert set(check(recording.events()).counts) == {"sequence.tolerated"}


def test_a_timer_runs_on_the_clock_of_its_owner() -> None:
    """It began when the EV had read the first Ongoing, which is later than the recording saw it."""
    recording = ac_base()
    recording.repeat("ScheduleExchangeReq", 3, 20.1)
    assert set(check(recording.events()).counts) == {"timer.V2G_SECC_Ongoing_Performance_Time"}


@pytest.mark.parametrize(("watts", "found"), [(3500, set()), (9000, {"power.profile-excess"})])
def test_a_schedule_anchored_at_zero_holds_from_the_beginning_of_the_profile(
    watts: int, found: set[str]
) -> None:
    recording = ac_base()
    offered = recording.message("ScheduleExchangeRes", 1).control_mode.schedule_tuple[0].charging_schedule
    offered.power_schedule.time_anchor = 0
    entries = recording.message("PowerDeliveryReq").ev_power_profile.ev_power_profile_entries
    entries.ev_power_profile_entry[0].power = RationalNumber.of(watts)
    if found:
        recording.fail("PowerDeliveryRes", "FAILED_EVPowerProfileInvalid")
    assert set(check(recording.events()).counts) == found


def test_a_wish_to_end_counts_behind_one_that_leaves_the_loop_running() -> None:
    recording = dc_bpt_dynamic(loops=16)
    for nth, wish in ((1, EVSENotification.ScheduleRenegotiation), (2, EVSENotification.Terminate)):
        status = EVSEStatus(notification_max_delay=0, evse_notification=wish)
        recording.message("DC_ChargeLoopRes", nth).evse_status = status
    assert set(check(recording.events()).counts) == {"loop.notification"}


def test_a_station_that_never_finishes_is_late_once() -> None:
    recording = ac_base()
    recording.repeat("ScheduleExchangeReq", 4, 15.0)
    recording.entries = recording.entries[: recording.index("ScheduleExchangeRes", 4) + 1]  # the EV gave up
    counts = check(recording.events()).counts
    assert counts["timer.V2G_SECC_Ongoing_Performance_Time"] == 1


def test_a_connection_that_takes_the_number_of_another_is_judged_by_itself() -> None:
    """As in traces that were put together: what the first one agreed on is not of the second."""
    din = AppProtocol(
        protocol_namespace="urn:din:70121:2012:MsgDef",
        version_number_major=2,
        version_number_minor=0,
        schema_id=1,
        priority=1,
    )
    agreed = SupportedAppProtocolRes(
        response_code=AppProtocolResponseCode.OK_SuccessfulNegotiation, schema_id=1
    )
    first = [
        ev.Frame(
            time=1.0,
            connection=1,
            number=number,
            sender=sender,
            payload_type=0x8001,
            payload=exi.encode(message).hex(),
        )
        for number, (sender, message) in enumerate(
            [("EVCC", SupportedAppProtocolReq(app_protocol=[din])), ("SECC", agreed)], start=1
        )
    ]
    recording = ac_base()
    both = [*first, ev.Connection(time=2.0, connection=1), *recording.events()]
    assert check(both).counts == check(recording.events()).counts


def test_every_rule_has_a_mutation() -> None:
    assert set(CASES) == set(RULES)


def test_every_timer_is_judged_or_named_as_not_visible() -> None:
    assert {timer.name for timer in TIMERS} == set(NOT_VISIBLE) | {
        rule.removeprefix("timer.") for rule in RULES if rule.startswith("timer.")
    }


def test_what_an_implied_rule_says_is_mutated_by_itself_elsewhere() -> None:
    assert {implied for item in CASES.values() for implied in item.with_it} <= set(CASES)
