"""Scenarios in the handshake: as EVCC against an SECC's TLS port, as SECC against an EVCC's TLS client.

Only our side is wrong, by `TLSSettings`; it accepts whatever the device presents, so that the device alone
decides. What it decided is read from its alert, from its close, and from whether a session came about. A
good handshake before (SECC) and after tells a device that refuses the fault from one that refuses everybody.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import trio

from iso15118.messages import common
from iso15118.messages.common_types import MessageHeader
from iso15118.security.chain import Policy
from iso15118.security.evcc_trust import ContractCredential, Installer, ProvisioningCredential, Wallet
from iso15118.security.tls_profile import (
    ISO_20,
    LENIENT,
    Alert,
    CipherSuite,
    Group,
    SignatureScheme,
    TLSVersion,
)
from iso15118.security.xmlsig import Grammar, sign_message
from iso15118.session.events import Role
from pki.broken import Broken, break_chain, variants

from ..clock import unix_offset
from ..evcc import charge
from ..secc import ConnectionReport, Station
from ..transport.link import Link
from ..transport.tls import TLSConfig, TLSCredential, TLSError, TLSFacts, TLSStream, secure
from ..trust import describe, link_facts, secc_identity, station_of, vehicle_of, wallet_settings
from .flights import Flights
from .model import Do, Outcome, Result, Scenario, Step, Verdict
from .runner import LONGEST, MARGIN, NEXT_SESSION, Attempt, fail, judge, out_of_nurseries
from .runner import vehicle_of as settings_of
from .script import Script
from .settings import TLSSettings
from .targets import NoTarget, Target, minted
from .watch import Watched

if TYPE_CHECKING:
    from iso15118.security.tls_profile import TLSProfile
    from pki.hierarchy import Hierarchy

_PATIENCE = 70.0
"""s for a handshake that nothing in the scenario bounds."""
_BY_OUR_SIDE = frozenset({Alert.HANDSHAKE_FAILURE, Alert.CERTIFICATE_REQUIRED})
"""Alerts where no credential of ours fits the device's signature schemes: it is then not even presented."""
_GREETING = {
    Role.EVCC: Step("AuthorizationSetupReq", Do.CLOSE),
    Role.SECC: Step("AuthorizationSetupRes", Do.CLOSE),
}
"""Where an undisturbed session may end: it was served."""


@dataclass
class Meeting:
    """A handshake, and the session if one came about. `facts` are of our side."""

    flights: Flights
    started: float
    facts: TLSFacts = field(default_factory=lambda: TLSFacts(False))
    completed: bool = False
    error: str = ""
    hung: bool = False
    """A simulated device had not come to rest long after."""
    attempt: Attempt | None = None

    @property
    def refused(self) -> int | None:
        """The alert of the device."""
        alert = self.facts.alert_received if self.facts.alert_received is not None else self.flights.alert
        return None if alert == Alert.CLOSE_NOTIFY else alert

    @property
    def served(self) -> list[str]:
        """Messages of the device that carry a session on."""
        if self.attempt is None:
            return []
        record = self.attempt.record
        return [
            f"{seen.name} {seen.code}".strip()
            for seen in record.seen
            if seen.sender is not record.ours and not seen.code.lower().startswith("failed")
        ]


async def play(scenario: Scenario, target: Target, verdict: Verdict) -> None:
    """Play and judge a scenario of layer TLS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the libraries warn of certificates that are broken on purpose
        await _play(scenario, target, verdict)


async def _play(scenario: Scenario, target: Target, verdict: Verdict) -> None:
    settings = scenario.tls
    assert settings is not None
    scenario = replace(scenario, vehicle=settings_of(scenario.vehicle))
    hierarchy, greeted = _known(scenario, target)
    if not target.name.startswith("simulated") and not target.well:
        before = await _meet(scenario, target, hierarchy, disturbed=False)
        if not greeted(before):
            raise NoTarget(f"a correct handshake does not lead to a session: {_told(before)}")
        await trio.sleep(NEXT_SESSION)
    target.well, taken = False, target.handshakes
    meeting = await _meet(scenario, target, hierarchy)
    if settings.bare and target.handshakes != taken:
        fail(verdict, "it took octets without keys for a whole handshake")
    usual: set[tuple[str, str]] = set()
    if scenario.expect.health:
        await trio.sleep(NEXT_SESSION)
        try:
            after = await _meet(scenario, target, hierarchy, disturbed=False, whole=bool(scenario.steps))
        except NoTarget as error:
            if target.role is Role.SECC:  # it was there before
                fail(verdict, f"there was no next connection: {error}")
            else:
                verdict.result = Result.INCONCLUSIVE
                verdict.reasons.append(f"whether it takes a correct handshake is not known: {error}")
        else:
            target.well = greeted(after)
            if not target.well:
                fail(verdict, f"the next, correct handshake did not lead to a session: {_told(after)}")
            usual = _broken_rules(after, scenario)
    _judge(scenario, meeting, usual, verdict)


def _known(scenario: Scenario, target: Target) -> tuple[Hierarchy, Callable[[Meeting], bool]]:
    """The certificates on both sides, and what a correct handshake comes to. Where none is shown to the
    device they need not be known: then it comes to a hello of the device.
    """
    settings = scenario.tls
    assert settings is not None
    broken = settings.chain or settings.contract or settings.provisioning
    if broken and broken not in variants():
        raise ValueError(f"{scenario.name}: no variant is called {broken!r} (v2g-pki break --list)")
    try:
        return target.hierarchy(variants()[broken].editions if broken else ()), _greeted
    except NoTarget:
        if not settings.bare:
            raise
        return minted(), _hello


def _broken_rules(meeting: Meeting | None, scenario: Scenario) -> set[tuple[str, str]]:
    """What the device breaks, by rule and message."""
    if meeting is None or meeting.attempt is None:
        return set()
    return {(found.rule.id, found.message) for found in meeting.attempt.record.errors_of(scenario.tests)}


# -- meeting -------------------------------------------------------------------------------------------------


async def _meet(
    scenario: Scenario,
    target: Target,
    hierarchy: Hierarchy,
    *,
    disturbed: bool = True,
    whole: bool = False,
) -> Meeting:
    """One handshake and session; undisturbed, it ends when it was served, unless `whole`."""
    settings = scenario.tls if disturbed and scenario.tls is not None else TLSSettings(pnc=_pnc(scenario))
    steps = scenario.steps if disturbed else () if whole else (_GREETING[scenario.plays],)
    holds = scenario.steps and scenario.expect.outcome in (Outcome.REFUSES, Outcome.ENDS)
    script = Script(steps, hold=scenario.expect.within + MARGIN if holds and disturbed else None)
    ours = _OurSide(scenario, settings, hierarchy, script)
    with out_of_nurseries():
        async with trio.open_nursery() as nursery:
            raw = await target.reach(nursery, scenario, hierarchy)
            meeting = Meeting(Flights(raw, settings), trio.current_time())
            with trio.move_on_after(_PATIENCE + scenario.expect.within + LONGEST) as limit:
                await ours.meet(meeting)
            if meeting.attempt is not None:
                meeting.attempt.timed_out = limit.cancelled_caught
            await trio.aclose_forcefully(raw)
            if target.name.startswith("simulated"):
                nursery.cancel_scope.deadline = trio.current_time() + LONGEST
            else:
                nursery.cancel_scope.cancel()
    meeting.hung = target.name.startswith("simulated") and nursery.cancel_scope.cancelled_caught
    if script.error is not None:
        raise script.error
    return meeting


def _pnc(scenario: Scenario) -> bool:
    return scenario.tls is not None and scenario.tls.pnc


@dataclass(frozen=True)
class _Signer(ContractCredential):
    """A contract that signs with SignedInfo in a grammar of its choice."""

    grammar: str = ""

    def __call__(
        self, header: MessageHeader, challenge: bytes, providers: tuple[str, ...]
    ) -> common.AuthorizationReq | None:
        request = super().__call__(header, challenge, providers)
        return None if request is None else sign_message(request, self.key, grammar=Grammar(self.grammar))


@dataclass
class _OurSide:
    scenario: Scenario
    settings: TLSSettings
    hierarchy: Hierarchy
    script: Script

    async def meet(self, meeting: Meeting) -> None:
        scenario = self.scenario
        server = scenario.plays is Role.SECC
        config = self._config()
        try:
            with trio.fail_after(_PATIENCE + scenario.expect.within):
                secured = await secure(meeting.flights, config, server_side=server)
        except trio.TooSlowError:
            return
        except TLSError as error:
            meeting.facts, meeting.error = error.facts, str(error)
            return
        except trio.BrokenResourceError as error:
            meeting.error = str(error)
            return
        meeting.facts, meeting.completed = secured.facts, True
        if meeting.flights.silent:
            await meeting.flights.until_closed(scenario.expect.within + MARGIN)
            return
        watched = Watched(secured, scenario.plays, lab=False)
        attempt = meeting.attempt = Attempt(watched.record, self.script)
        self.script.frames = lambda: len(watched.record.seen)
        if server:
            await self._be_secc(watched, secured, attempt)
        else:
            await self._be_evcc(watched, secured, attempt)
        await watched.aclose()

    async def _be_evcc(self, stream: Watched, secured: TLSStream, attempt: Attempt) -> None:
        settings = self.settings
        trust = vehicle_of(
            self.hierarchy,
            plug_and_charge=settings.pnc,
            contracts=None if settings.contracts else (),
        )
        fields = dict(trust.settings)
        if settings.contract:
            broken = self._broken(settings.contract)
            wallet = Wallet([ContractCredential(tuple(broken.chain), broken.key)])  # type: ignore[arg-type]
            fields |= wallet_settings(wallet)
        if settings.grammar:
            assert trust.wallet is not None
            wallet = Wallet([_Signer(own.chain, own.key, settings.grammar) for own in trust.wallet.contracts])
            fields |= wallet_settings(wallet)
        if settings.provisioning:
            fields["certificate_installation"] = self._installer().hooks()
        config = self.scenario.vehicle
        report = await charge(
            Link(stream, Role.EVCC, intervention=self.script),
            replace(config.session(), **fields),
            config.vehicle(),
            secc_identity=secc_identity(secured),
            tls=describe(secured.facts),
        )
        attempt.ok = report.session.ok
        attempt.ended = report.session.reason or report.session.outcome.value

    async def _be_secc(self, stream: Watched, secured: TLSStream, attempt: Attempt) -> None:
        trust = station_of(self.hierarchy, plug_and_charge=self.settings.pnc)
        config = self.scenario.station
        reports: list[ConnectionReport] = []

        async def secured_already(transport: trio.abc.Stream) -> tuple[trio.abc.Stream, Any]:
            return transport, link_facts(secured.facts)

        station = Station(
            replace(config.session(), **trust.offers),
            lambda: config.charger(unix_offset()),
            secure=secured_already,
            trust=trust.trust,
            intervention=lambda: self.script,
            finished=reports.append,
        )
        await station.handle(stream)
        attempt.ok, attempt.ended = reports[0].clean, reports[0].ended

    # What we present and offer.

    def _installer(self) -> Installer:
        broken = self._broken(self.settings.provisioning)
        own = ProvisioningCredential(tuple(broken.chain), broken.key)  # type: ignore[arg-type]
        return Installer(own, [self.hierarchy["v2g_root"].certificate], Wallet())

    def _config(self) -> TLSConfig:
        credentials = self._credentials()
        roots = self.hierarchy["v2g_root"].certificate, self.hierarchy["oem_root"].certificate
        server = self.scenario.plays is Role.SECC
        return TLSConfig(
            credentials,
            roots if server else (),
            _profile(self.settings),
            policy=Policy(),
            check_peer=False,
        )

    def _credentials(self) -> tuple[TLSCredential, ...]:
        settings = self.settings
        if settings.credential == "none":
            return ()
        if settings.chain:
            broken = self._broken(settings.chain)
            staple = broken.staples[0] if broken.staples else None
            return (TLSCredential(tuple(broken.chain), broken.key, staple),)
        server = self.scenario.plays is Role.SECC
        made = station_of(self.hierarchy) if server else vehicle_of(self.hierarchy)
        if settings.credential:
            own = self.hierarchy.credentials.get(settings.credential)
            if own is None:
                raise NoTarget(f"this hierarchy has no certificate {settings.credential!r}")
            return (TLSCredential(tuple(own.chain_der), own.key),)
        return made.tls.credentials

    def _broken(self, name: str) -> Broken:
        try:
            return break_chain(self.hierarchy, name)
        except ValueError as error:
            raise NoTarget(f"this hierarchy has no such chain: {error}") from None


def _profile(settings: TLSSettings) -> TLSProfile:
    """The profile of -20 with the lists of the settings; where a chain is broken, one that offers anything,
    so that only the certificate decides.
    """
    profile = replace(LENIENT, versions=(TLSVersion.TLS_1_3,)) if settings.chain else ISO_20
    given: dict[str, Any] = {
        "versions": tuple(TLSVersion[f"TLS_{item.replace('.', '_')}"] for item in settings.versions),
        "suites": tuple(CipherSuite[item] for item in settings.suites),
        "groups": tuple(Group[item.upper()] for item in settings.groups),
        "schemes": tuple(SignatureScheme[item.upper()] for item in settings.schemes),
    }
    given = {name: value for name, value in given.items() if value}
    return replace(profile, request_client_certificate=settings.request_certificate, **given)


# -- verdict -------------------------------------------------------------------------------------------------


def _greeted(meeting: Meeting) -> bool:
    """The undisturbed session was served, up to the greeting or to its end."""
    attempt = meeting.attempt
    return attempt is not None and not attempt.script.missed and (bool(attempt.script.steps) or attempt.ok)


def _hello(meeting: Meeting) -> bool:
    """The device answered our hello, or came with one."""
    return meeting.flights.first[:1] == b"\x16" and meeting.flights.first[5:6] in (b"\x01", b"\x02")


def _told(meeting: Meeting) -> str:
    if meeting.error:
        return meeting.error
    if meeting.refused is not None:
        return f"alert {_alert(meeting.refused)}"
    return meeting.attempt.ended if meeting.attempt is not None else "no answer"


def _judge(scenario: Scenario, meeting: Meeting, usual: set[tuple[str, str]], verdict: Verdict) -> None:
    expect, settings = scenario.expect, scenario.tls
    assert settings is not None
    verdict.log.append(f"handshake: {_told(meeting)} {describe(meeting.facts)}".strip())
    if meeting.hung:
        fail(verdict, f"the device had not come to rest {LONGEST:g} s after the session")
    if meeting.flights.first[:2] == b"\x01\xfe":
        fail(verdict, "it answered in plain V2GTP on a port that is to speak TLS")
        return
    if meeting.completed:
        _check(scenario, settings, meeting, verdict)
    if scenario.steps or expect.outcome is Outcome.CONTINUES:
        if meeting.attempt is None or not meeting.completed:
            fail(verdict, f"no session came about: {_told(meeting)}")
        else:
            # Beside a handshake, what it breaks in the session is for `hlc check` to say.
            known = usual if scenario.steps else _broken_rules(meeting, scenario)
            judge(scenario, meeting.attempt, known, verdict)
        return
    match expect.outcome:
        case Outcome.REFUSES:
            _refused(scenario, meeting, verdict)
        case Outcome.ENDS | Outcome.GIVES_UP:
            _ended(scenario, meeting, verdict)


def _refused(scenario: Scenario, meeting: Meeting, verdict: Verdict) -> None:
    allowed = _allowed(scenario)
    if meeting.served:
        fail(verdict, f"it served the session: {meeting.served[0]}")
    elif meeting.refused is not None:
        if _alert(meeting.refused) not in allowed and verdict.result is Result.PASS:
            verdict.result = Result.INCONCLUSIVE
            verdict.reasons.append(
                f"it refused, but with alert {_alert(meeting.refused)}, not {' or '.join(sorted(allowed))}: "
                "for another reason?"
            )
    elif codes := [seen.code for seen in _answers(meeting)]:
        if codes[0] not in allowed:
            fail(verdict, f"it answered {codes[0]}; expected {' or '.join(sorted(allowed))}")
    elif meeting.facts.alert_sent not in (None, Alert.CLOSE_NOTIFY):
        verdict.findings.append("the device offers nothing that our side could take: no handshake came about")
    elif meeting.flights.closed_at is not None:
        verdict.findings.append("it closed without an alert [RFC 8446 section 6.2]")
    else:
        fail(verdict, f"it neither refused nor closed: {_told(meeting)}")


def _answers(meeting: Meeting) -> list[Any]:
    record = meeting.attempt.record if meeting.attempt is not None else None
    return [seen for seen in record.seen if seen.sender is not record.ours] if record else []


def _allowed(scenario: Scenario) -> set[str]:
    settings = scenario.tls
    assert settings is not None
    if scenario.expect.codes or not settings.chain:
        return set(scenario.expect.codes)
    variant = variants()[settings.chain]
    extra = _BY_OUR_SIDE if variant.rule in ("key-family", "key-encoding", "malformed") else frozenset()
    return {_alert(code) for code in variant.alerts | extra}


def _ended(scenario: Scenario, meeting: Meeting, verdict: Verdict) -> None:
    since = meeting.flights.faulted if meeting.flights.faulted is not None else meeting.started
    expect, closed = scenario.expect, meeting.flights.closed_at
    if meeting.served and expect.outcome is Outcome.ENDS:
        fail(verdict, f"it went on with {meeting.served[0]}")
    elif closed is None and meeting.refused is None:
        if scenario.tls is None or scenario.tls.do != "close":
            fail(verdict, f"the connection was still open {expect.within:g} s later")
    elif closed is not None and closed - since > expect.within + MARGIN / 2:
        fail(verdict, f"closed only after {closed - since:.1f} s; expected within {expect.within:g} s")


def _check(scenario: Scenario, settings: TLSSettings, meeting: Meeting, verdict: Verdict) -> None:
    """What must hold of a handshake that came about, beside the outcome."""
    facts, checks = meeting.facts, settings.check
    if "profile" in checks:
        if facts.version is not TLSVersion.TLS_1_3:
            fail(verdict, f"it took {describe(facts)}, not TLS 1.3 [V2G20-1264]")
        if facts.suite not in {suite.name for suite in ISO_20.suites}:
            fail(verdict, f"it took {facts.suite}, which is not in table 6 [V2G20-1856]")
        if facts.group.lower() not in {group.name.lower() for group in ISO_20.groups}:
            fail(verdict, f"it took the group {facts.group}, which is not in table 7 [V2G20-1634]")
    if "staple" in checks:
        stapled = [item is not None for item in facts.peer_staples]
        if not any(stapled[:1]):
            fail(verdict, "it stapled no OCSP response for its certificate [V2G20-2388]")
        elif not all(stapled):
            verdict.findings.append("note: no staples for the certificates above the leaf [V2G20-2388]")
    if "authorities" in checks and not facts.authorities:
        what = "it asks for no certificate [V2G20-2400], or names no CA for it"
        fail(verdict, f"{what}; its roots belong there [V2G20-2401, V2G20-2404]")
    if "hello" in checks:
        _check_hello(facts, verdict)


def _check_hello(facts: TLSFacts, verdict: Verdict) -> None:
    hello = facts.client_hello
    if hello is None:
        fail(verdict, "its ClientHello cannot be read")
        return
    for got, table, what in (
        (hello.suites, ISO_20.suites, "cipher suites [V2G20-1858, V2G20-2459]"),
        (hello.groups, ISO_20.groups, "groups [V2G20-1637]"),
        (hello.schemes, ISO_20.schemes, "signature schemes [V2G20-1668]"),
    ):
        if TLSVersion.TLS_1_2 not in hello.versions and tuple(got) != tuple(table):
            fail(verdict, f"its ClientHello offers {', '.join(f'0x{code:04X}' for code in got)} as {what}")
    if TLSVersion.TLS_1_3 not in hello.versions:
        fail(verdict, "its ClientHello does not offer TLS 1.3 [V2G20-2365]")
    if not hello.status_request:
        fail(verdict, "its ClientHello asks for no OCSP staples [V2G20-2372]")
    if not hello.authorities:
        verdict.findings.append("note: its ClientHello names no CA [V2G20-1006]")


def _alert(code: int) -> str:
    try:
        return Alert(code).name.lower()
    except ValueError:
        return str(code)


__all__ = ["Meeting", "play"]
