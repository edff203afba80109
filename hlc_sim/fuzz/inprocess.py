"""Runs cases on our own SECC and EVCC: no socket, no clock, no event loop; and says what went wrong."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from iso15118 import exi, v2gtp
from iso15118.messages.app_protocol import SupportedAppProtocolReq, SupportedAppProtocolRes
from iso15118.messages.common_types import V2GRequest, V2GResponse
from iso15118.messages.declare import Node
from iso15118.messages.validation import validate
from iso15118.session.evcc_steps import (
    ConnectionLost,
    MalformedMessage,
    PeerFault,
    Post,
    Receive,
    Reply,
    Send,
    Wait,
)
from iso15118.session.events import Role, Severity
from iso15118.session.judge import Finding, Judge, LinkFacts, Observed
from iso15118.session.sequence import name_of, stem

from ..trace.frames import describe as described  # what a trace, and a live view, make of each message
from .cases import Case
from .problem import Problem, guarded
from .saved import UNCLEAR
from .walks import Station, new_evcc, walk

T = TypeVar("T")
STEPS = 8000
"""Steps of an EVCC after which it counts as hanging; the longest patience (Ongoing, 60 s) takes some 600."""
_STEP = 0.01


def execute(case: Case) -> list[Problem]:
    """Run one case; empty if the device bore it."""
    return guarded(case.tests.value, lambda: _secc(case) if case.tests is Role.SECC else _evcc(case))


# -- SECC ----------------------------------------------------------------------------------------------------


_MODELS = ("events", "entropy", "store", "charger")
"""What a session changes deep inside."""


class _Findings(list[Finding]):
    def __call__(self, finding: Finding) -> None:
        self.append(finding)


@dataclass
class _Scene:
    """An SECC, and a judge who listens, at some point of a session."""

    station: Station
    judge: Judge
    findings: _Findings
    now: float = 0.0
    frames: int = 0
    models: bytes = b""
    """What `_MODELS` names, pickled; empty until the scene is first copied."""

    def observe(
        self, now: float, sender: Role, payload_type: int, message: Node | None, error: str = ""
    ) -> None:
        self.frames += 1
        self.judge.frame(Observed(self.frames, now, sender, payload_type, message, error))


@cache
def _after(profile: str, prefix: int) -> _Scene:
    """The scene after `prefix` exchanges; to be copied, not used."""
    if prefix == 0:
        findings = _Findings()
        return _Scene(
            Station(profile), Judge(findings, link=LinkFacts(lab_plain_tcp=True), whole=True), findings
        )
    scene = _copied(_after(profile, prefix - 1))
    step = walk(profile).exchanges[prefix - 1]
    response, scene.now = scene.station.answer(step.request, step.time, step.payload_type)
    assert response is not None
    scene.observe(step.time, Role.EVCC, step.payload_type, step.request)
    scene.observe(scene.now, Role.SECC, scene.station.secc.reply_type(response), response)
    return scene


def _copied(scene: _Scene) -> _Scene:
    """A scene to play on, much faster than to play it again: copies what a session changes."""
    station = _twin(scene.station)
    station.secc, context = _twin(station.secc), _twin(station.secc.context)
    station.secc.context = context
    # Several times as fast as deepcopy, and a scene is copied thousands of times.
    scene.models = scene.models or pickle.dumps([getattr(context, name) for name in _MODELS], -1)
    for name, value in zip(_MODELS, pickle.loads(scene.models), strict=True):
        setattr(context, name, value)
    station.charger = context.charger  # type: ignore[assignment]
    findings = _Findings(scene.findings)
    return _Scene(station, _listening(scene.judge, findings), findings, scene.now, scene.frames)


def _listening(judge: Judge, findings: _Findings) -> Judge:
    """A judge who has heard the same, and tells to `findings`."""
    judge = _twin(judge)
    judge.context, judge.outcome, judge._clock = (
        _twin(judge.context),
        _twin(judge.outcome),
        _twin(judge._clock),
    )
    judge._tell, judge._clock.report = findings, judge._late
    return judge


def _twin(thing: T) -> T:
    """A copy with copies of the containers it holds."""
    twin = copy.copy(thing)
    names = getattr(twin, "__dict__", None) or twin.__slots__  # type: ignore[attr-defined]
    for name in list(names):
        value = getattr(twin, name)
        if isinstance(value, dict | set | list):
            setattr(twin, name, value.copy())
    return twin


def _secc(case: Case) -> list[Problem]:
    scene = _copied(_after(case.profile, case.prefix))
    station, findings = scene.station, scene.findings
    secc, now = station.secc, scene.now
    problems: list[Problem] = []
    observe = scene.observe
    answers: set[int] = set()
    parser = v2gtp.FrameParser()
    after_sap, refused = case.prefix > 0, False
    for data in case.frames:
        parser.feed(data)
        now += _STEP
        try:
            frames = list(iter(parser.next_frame, None))
        except v2gtp.V2GTPError:
            break  # the driver closes
        for frame in frames:
            assert frame is not None
            message, error = _decoded(frame, after_sap)
            described(message)
            was_closing = secc.closing
            observe(now, Role.EVCC, frame.payload_type, message, error)
            if message is None:
                if "no known message" in error:
                    secc.unexpected_payload(now, frame.payload_type)
                else:
                    secc.undecodable(now, frame.payload_type, error)
                    if secc.closing is None:
                        problems.append(
                            Problem("answer", "answer/undecodable", "undecodable, and not closed")
                        )
                # An answer to anything after that is looked for all the same: the session is over.
                continue
            response, now = station.answer(message, now, frame.payload_type)
            if response is None:
                if was_closing is None and (secc.closing is None or isinstance(message, _REQUESTS)):
                    name = name_of(message)
                    problems.append(Problem("no answer", f"no answer/{name}", f"no answer to {name}"))
                continue
            if was_closing is not None or refused:
                problems.append(
                    Problem("after close", f"after close/{name_of(response)}", "an answer after the end")
                )
            payload_type = secc.reply_type(response)
            problems += _sound(response, payload_type)
            observe(now, Role.SECC, payload_type, response)
            answers.add(scene.frames)
            after_sap = True
            problems += _answers(case.profile, message, response, secc.session_id)
            refused = refused or _failed(response)
    secc.disconnected(now)
    return problems + _judged(findings, Role.SECC, answers, case.profile)


def _judged(findings: _Findings, offender: Role, frames: set[int], profile: str) -> list[Problem]:
    """What the judge says of these frames of the device."""
    known = _usual_findings(profile)
    kind = "wrong answer" if offender is Role.SECC else "wrong request"
    return [
        Problem(kind, key, str(finding)[:400])
        for finding in findings
        if finding.offender is offender
        and finding.severity is Severity.ERROR
        and finding.frame in frames
        and (key := f"judge/{finding.rule.id}/{finding.message}") not in known
        and finding.rule.id not in _NOT_FOR_FUZZING
        and not any(words in finding.text for words in _READ_OTHERWISE)
    ]


def _decoded(frame: v2gtp.Frame, after_sap: bool) -> tuple[Any, str]:
    name = v2gtp.schema_set_name(frame.payload_type, frame.payload, after_sap=after_sap)
    if name is None:
        return None, "carries no known message"
    try:
        return exi.decode(frame.payload, name), ""
    except exi.EXIDecodeError as error:
        if after_sap and frame.payload_type == v2gtp.PayloadType.SAP:
            try:
                return exi.decode(frame.payload, "sap"), ""
            except exi.EXIDecodeError:
                pass
        return None, str(error)


_known_sound: dict[tuple[int, bytes], Node] = {}
"""Messages by payload type and octets that `_sound` has looked at: the same ones come thousands of times."""
_MOST_KNOWN = 5000


def _sound(message: Node, payload_type: int) -> list[Problem]:
    """A message that a device sends keeps the schema, can be encoded, and reads back as itself."""
    data = exi.encode(message)
    if _known_sound.get((payload_type, data)) == message:
        return []
    faults = validate(message)
    name = name_of(message)
    found = [Problem("schema", f"schema/{fault.path}", str(fault)) for fault in faults[:3]]
    set_name = v2gtp.schema_set_name(payload_type, data, after_sap=not name.startswith("supportedApp"))
    if set_name is None or exi.decode(data, set_name) != message:
        found.append(
            Problem("codec", f"codec/{name}", f"{name} in 0x{payload_type:04X} reads back otherwise")
        )
    if not found:
        if len(_known_sound) >= _MOST_KNOWN:
            _known_sound.clear()
        _known_sound[payload_type, data] = message
    return found


def _answers(profile: str, request: Node, response: Node, session_id: bytes) -> list[Problem]:
    if stem(name_of(request)) != stem(name_of(response)):
        text = f"{name_of(response)} answers {name_of(request)}"
        return [Problem("wrong answer", f"wrong answer/{name_of(response)}", text)]
    if isinstance(response, V2GResponse) and response.header.session_id != session_id:
        return [
            Problem("wrong answer", "wrong answer/session id", f"{name_of(response)} under another SessionID")
        ]
    if isinstance(request, SupportedAppProtocolReq) and isinstance(response, SupportedAppProtocolRes):
        served: Any = walk(profile).exchanges[0].request
        chosen = {offer.schema_id: offer.protocol_namespace for offer in request.app_protocol}
        agreed = chosen.get(response.schema_id) if response.schema_id is not None else None
        if agreed is not None and agreed != served.app_protocol[0].protocol_namespace:
            return [Problem("wrong answer", "wrong answer/protocol", f"agrees on {agreed[:80]!r}")]
    return []


@cache
def _usual_findings(profile: str) -> frozenset[str]:
    """What the judge says of an undisturbed session: for `hlc check`, not for a fuzzer."""
    findings: list[Finding] = []
    judge = Judge(findings.append, link=LinkFacts(lab_plain_tcp=True))
    number = 0
    for step in walk(profile).exchanges:
        for time, sender, kind, message in (
            (step.time, Role.EVCC, step.payload_type, step.request),
            (step.answered, Role.SECC, step.reply_type, step.response),
        ):
            number += 1
            judge.frame(Observed(number, time, sender, kind, message))
    return frozenset(f"judge/{f.rule.id}/{f.message}" for f in findings)


_NOT_FOR_FUZZING = (*UNCLEAR, "loop.ev-limits", "session.id-fresh")
"""Not only the pairing of requests and responses, which `_answers` looks at itself, but what the simulated
power stage delivers, which takes its time to follow a limit, and fresh SessionIDs, which are not to be had
from repeatable entropy.
"""
_READ_OTHERWISE = ("where the schedule allows 0 W", "(OK_OldSessionJoined)")
"""What our EVCC makes of answers without sense: a schedule that is over counts from now on, as some stacks
anchor theirs in 1970, and a session joined that nobody asked for is a new one. The judge takes them
literally.
"""
_REQUESTS = (V2GRequest, SupportedAppProtocolReq)
"""What is always answered, by a refusal if need be, before the connection closes."""
ECHOED = ("SessionID", "ServiceID", "ParameterSetID", "SelectedScheduleTupleID")
"""Elements that an EVCC repeats as the SECC gave them, in the schema's range or not."""


# -- EVCC ----------------------------------------------------------------------------------------------------


@cache
def _heard(profile: str, prefix: int) -> Judge:
    """A judge who has heard that many exchanges; to be copied, not used."""
    if prefix == 0:
        return Judge(_Findings(), link=LinkFacts(lab_plain_tcp=True), whole=True)
    judge = _listening(_heard(profile, prefix - 1), _Findings())
    step = walk(profile).exchanges[prefix - 1]
    judge.frame(Observed(2 * prefix - 1, step.time, Role.EVCC, step.payload_type, step.request))
    judge.frame(Observed(2 * prefix, step.answered, Role.SECC, step.reply_type, step.response))
    return judge


def _evcc(case: Case) -> list[Problem]:
    generator = new_evcc(case.profile).run()
    exchanges = case.walk.exchanges
    findings = _Findings()
    judge = _listening(_heard(case.profile, case.prefix), findings)
    frame, requests = 2 * case.prefix, set[int]()
    later = {name_of(step.request): step for step in exchanges}
    parser = v2gtp.FrameParser()
    problems: list[Problem] = []
    injected = list(case.frames)
    now, said, over = 0.0, 0, ""
    step = next(generator)
    try:
        for _ in range(STEPS):
            fault: PeerFault | None = None
            reply = Reply(now)
            if isinstance(step, Send | Post):
                request = step.request
                if said >= case.prefix:
                    frame += 1
                    judge.frame(Observed(frame, now, Role.EVCC, step.payload_type, request))
                if said > case.prefix:
                    requests.add(frame)
                    problems += [
                        problem
                        for problem in _sound(request, step.payload_type)
                        if not problem.key.endswith(ECHOED)
                    ]
                if over and name_of(request) not in _ENDING:
                    key = f"after close/{name_of(request)}"
                    problems.append(Problem("after close", key, f"{name_of(request)} after {over}"))
                if said < case.prefix:
                    now = max(now, exchanges[said].answered)
                    reply = Reply(now, exchanges[said].response)
                elif injected:
                    now += _STEP
                    reply, fault, over = _injected(parser, injected.pop(0), now, over)
                else:
                    now += _STEP
                    known = later.get(name_of(request))
                    if known is None:
                        fault = ConnectionLost("the fuzzer has no answer")
                    else:
                        reply = Reply(now, known.response)
                if said >= case.prefix and reply.message is not None:
                    frame += 1
                    judge.frame(Observed(frame, now, Role.SECC, step.payload_type, reply.message))
                    over = over or _ending(request, reply.message)
                said += 1
            elif isinstance(step, Receive):
                fault = ConnectionLost("nothing on this stream")
            elif isinstance(step, Wait):
                now += step.seconds
                reply = Reply(now)
            step = generator.send(reply) if fault is None else generator.throw(fault)
    except StopIteration:
        return problems + _judged(findings, Role.EVCC, requests, case.profile)
    generator.close()
    return [*problems, Problem("hang", f"hang/EVCC/{type(step).__name__}", f"no end after {STEPS} steps")]


_ENDING = ("SessionStopReq", "PowerDeliveryReq", "DC_WeldingDetectionReq")


def _injected(
    parser: v2gtp.FrameParser, data: bytes, now: float, over: str
) -> tuple[Reply, PeerFault | None, str]:
    """What the EVCC gets of these bytes, as its driver would give it."""
    parser.feed(data)
    try:
        frame = parser.next_frame()
    except v2gtp.V2GTPError as error:
        return Reply(now), MalformedMessage(str(error)), "a broken frame"
    if frame is None:
        return Reply(now), ConnectionLost("the frame never ends"), "a frame without end"
    message, why = _decoded(frame, True)
    described(message)
    if message is None:
        if "no known message" in why:
            return Reply(now), ConnectionLost("only a frame of an unknown type came"), over
        return Reply(now), MalformedMessage(why), "an undecodable message"
    return Reply(now, message), None, over


def _ending(request: Node, response: Node) -> str:
    """What in a response ends the session for every EVCC; empty if nothing does."""
    name = name_of(response)
    if _failed(response):
        return f"FAILED {name}"
    if stem(name) != stem(name_of(request)) or isinstance(response, _REQUESTS):
        return f"{name} in answer to {name_of(request)}"
    if isinstance(request, SupportedAppProtocolReq) and isinstance(response, SupportedAppProtocolRes):
        offered = [offer.schema_id for offer in request.app_protocol]
        if response.schema_id is not None and response.schema_id not in offered:
            return f"SchemaID {response.schema_id} of {offered}"
    return ""


def _failed(response: Node) -> bool:
    return str(getattr(response, "response_code", "")).casefold().startswith("failed")
