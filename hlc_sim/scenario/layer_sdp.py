"""Scenarios in the discovery: as EVCC that asks wrongly, as SECC that answers wrongly.

An SECC is judged by what it answers, and by whether it answers a correct request afterwards. An EVCC is
judged by whether it connects, to which port, and what it offers there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field

import trio

from iso15118 import exi, sdp, v2gtp
from iso15118.messages import app_protocol
from iso15118.session.events import Role

from ..transport.link import Link, LinkClosed, Undecodable, UnknownPayload
from ..transport.sdp import LARGEST_DATAGRAM
from . import edit
from .discovery import Answering, Asking
from .model import Outcome, Result, Scenario, Verdict
from .no_target import Unreached
from .runner import NEXT_SESSION, fail, out_of_nurseries
from .settings import ENDPOINT, SDPSettings
from .targets import NoTarget, Target

_WAIT = 1.0
"""s to wait for answers: four times the repetition time of a request [V2G2-159]."""
_ATTEMPTS = 3
_NAMESPACE = "urn:iso:std:iso:15118:-20"
_HELLO = 2.0
"""s for the first bytes of an EVCC that has connected."""


async def play(scenario: Scenario, target: Target, verdict: Verdict) -> None:
    """Play and judge a scenario of layer SDP."""
    if target.role is Role.SECC:
        await _play_evcc(scenario, target, verdict)
    else:
        await _play_secc(scenario, target, verdict)


# -- against an SECC -----------------------------------------------------------------------------------------


async def _play_evcc(scenario: Scenario, target: Target, verdict: Verdict) -> None:
    async with trio.open_nursery() as nursery:
        try:
            line = await target.asking(nursery, scenario)
        except OSError as error:
            raise Unreached(f"{target.name}: {error}") from error
        with closing(line):
            await _ask(scenario, target, line, verdict)
        nursery.cancel_scope.cancel()


async def _ask(scenario: Scenario, target: Target, line: Asking, verdict: Verdict) -> None:
    settings = scenario.sdp
    assert settings is not None
    before = await _good(line)
    if before is None:
        raise NoTarget(f"{target.name} answers no correct SDP request")
    to = (before[1][0], *line.group[1:]) if settings.unicast else line.group
    sent = 0
    for _ in range(settings.count):
        for datagram in settings.send:
            if sent and settings.seconds:
                await trio.sleep(settings.seconds)
            await line.datagrams.sendto(bytes.fromhex(datagram), to)
            sent += 1
    answers = await _answers(line)
    verdict.log += [f"sent {sent} datagrams", *(f"answer {answer.hex()}" for answer in answers[:20])]
    _judge_answers(scenario, sent, answers, verdict)
    if settings.then_plain:
        await _offered_without_tls(line, answers, verdict)
    if await _good(line) is None:
        fail(verdict, "the next, correct request was not answered")


async def _good(line: Asking) -> tuple[sdp.Response, tuple[str, int]] | None:
    """The answer to a correct request, and its sender."""
    for _ in range(_ATTEMPTS):
        await line.datagrams.sendto(sdp.datagram(sdp.Request()), line.group)
        with trio.move_on_after(2 * sdp.REQUEST_TIMEOUT):
            while True:
                data, sender = await line.datagrams.recvfrom(LARGEST_DATAGRAM)
                response = _response(data)
                if not isinstance(response, str):
                    return response, sender
    return None


async def _answers(line: Asking) -> list[bytes]:
    found = []
    with trio.move_on_after(_WAIT):
        while True:
            data, _ = await line.datagrams.recvfrom(LARGEST_DATAGRAM)
            found.append(data)
    return found


def _response(data: bytes) -> sdp.Response | str:
    """The response in a datagram, or what is wrong with it."""
    try:
        message = sdp.parse(*v2gtp.unpack(data))
    except (v2gtp.V2GTPError, sdp.SDPError) as error:
        return str(error)
    if not isinstance(message, sdp.Response):
        return f"it is a {type(message).__name__}"
    if message.transport is not sdp.Transport.TCP:
        return "its transport is UDP"
    if message.port not in sdp.DYNAMIC_PORTS:
        return f"its port {message.port} is not of the dynamic range"
    return message


def _judge_answers(scenario: Scenario, sent: int, answers: list[bytes], verdict: Verdict) -> None:
    settings = scenario.sdp
    assert settings is not None
    if len(answers) > sent:
        fail(verdict, f"{len(answers)} answers to {sent} datagrams")
    if scenario.expect.outcome is Outcome.IGNORES:
        if answers:
            fail(verdict, f"it answered: {answers[0].hex()}")
        return
    if scenario.expect.outcome is Outcome.CONTINUES and not answers:
        fail(verdict, f"no answer within {_WAIT:g} s")
    for answer in answers:
        response = _response(answer)
        if isinstance(response, str):
            fail(verdict, f"its answer is wrong: {response}")
        elif response.security is not sdp.Security.TLS and not settings.then_plain:
            fail(verdict, "it offers a port without TLS to a request for TLS [V2G20-1238]")


async def _offered_without_tls(line: Asking, answers: list[bytes], verdict: Verdict) -> None:
    """A port without TLS may be there for other protocols; -20 must not be served on it."""
    for answer in answers:
        response = _response(answer)
        if isinstance(response, str) or response.security is sdp.Security.TLS:
            continue
        try:
            stream = await line.connect(response)
        except OSError:
            continue  # nothing is served there
        link = Link(stream, Role.EVCC)
        try:
            await link.write(v2gtp.PayloadType.SAP, exi.encode(_offer()))
            with trio.move_on_after(_HELLO):
                answered = await link.receive()
                code = str(getattr(answered.message, "response_code", ""))
                if code.startswith("OK"):
                    fail(verdict, f"it serves -20 without TLS: {code} [V2G20-2356]")
        except (LinkClosed, UnknownPayload, Undecodable, v2gtp.V2GTPError):
            pass
        finally:
            await link.aclose()


def _offer() -> app_protocol.SupportedAppProtocolReq:
    entries = [
        {
            "protocol_namespace": f"{_NAMESPACE}:{mode}",
            "version_number_major": 1,
            "version_number_minor": 0,
            "schema_id": number,
            "priority": number,
        }
        for number, mode in enumerate(("DC", "AC"), start=1)
    ]
    made = edit.build("supportedAppProtocolReq", None, {"app_protocol": entries})
    assert isinstance(made, app_protocol.SupportedAppProtocolReq)
    return made


# -- against an EVCC -----------------------------------------------------------------------------------------


@dataclass
class _Seen:
    """What an EVCC did. Times of trio's clock."""

    requests: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Requests that are none."""
    answered: float | None = None
    """When the first answer went out."""
    corrected: float | None = None
    """When the first correct answer went out."""
    connected: float | None = None
    port: int = 0
    offers: str = ""
    """What it said first."""
    asked: trio.Event = field(default_factory=trio.Event)
    came: trio.Event = field(default_factory=trio.Event)


async def _play_secc(scenario: Scenario, target: Target, verdict: Verdict) -> None:
    assert scenario.sdp is not None
    seen, port = await _meet(scenario, scenario.sdp, target)
    verdict.log.append(
        f"{len(seen.requests)} requests, connected to port {seen.port or '-'}, said {seen.offers or '-'}"
    )
    if seen.wrong:
        fail(verdict, f"its request is wrong: {seen.wrong[0]}")
    _judge_connection(scenario, seen, port, verdict)
    # Where it may have given up, only the next search tells whether it is well.
    if scenario.expect.outcome is Outcome.SURVIVES and scenario.expect.health:
        await trio.sleep(NEXT_SESSION)
        try:
            after, _ = await _meet(scenario, SDPSettings(), target)
        except NoTarget as error:
            verdict.result = Result.INCONCLUSIVE if verdict.result is Result.PASS else verdict.result
            verdict.reasons.append(f"whether it takes a correct answer is not known: {error}")
            return
        if after.connected is None:
            fail(
                verdict, f"the next, correct answer led to no connection within {scenario.expect.within:g} s"
            )


async def _meet(scenario: Scenario, settings: SDPSettings, target: Target) -> tuple[_Seen, int]:
    """One search of the vehicle for us; what it did, and the port it should have come to."""
    seen = _Seen()
    with out_of_nurseries():
        async with trio.open_nursery() as nursery:
            try:
                line = await target.answering(nursery, scenario)
            except OSError as error:
                raise Unreached(f"{target.name}: {error}") from error
            with closing(line):
                port = await _be_asked(scenario, settings, target, line, seen)
            nursery.cancel_scope.cancel()
    return seen, port


async def _be_asked(
    scenario: Scenario, settings: SDPSettings, target: Target, line: Answering, seen: _Seen
) -> int:
    """Answer, and see what the EVCC does; the port that our first answer names."""
    port, accept = await line.listen()
    second, accept_second = await line.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_accept, seen, port, accept)
        nursery.start_soon(_accept, seen, second, accept_second)
        nursery.start_soon(_serve, settings, line, port, second, seen)
        with trio.move_on_after(target.patience):
            await seen.asked.wait()
        if not seen.requests:
            raise Unreached(f"{target.name}: no SDP request within {target.patience:g} s")
        with trio.move_on_after(scenario.expect.within):
            await seen.came.wait()
        if seen.connected is not None:
            await trio.sleep(_HELLO)  # in full, also for one that connects late
        nursery.cancel_scope.cancel()
    return port


async def _accept(seen: _Seen, port: int, accept: Callable[[], Awaitable[trio.abc.Stream]]) -> None:
    stream = await accept()
    if seen.connected is None:
        seen.connected, seen.port = trio.current_time(), port
        seen.came.set()
    data = b""
    try:
        with trio.move_on_after(_HELLO), suppress(trio.BrokenResourceError):
            while not _said_something(data) and (more := await stream.receive_some(LARGEST_DATAGRAM)):
                data += more
        seen.offers = _first_words(data)
    finally:
        await trio.aclose_forcefully(stream)


def _said_something(data: bytes) -> bool:
    """TLS shows in its first byte; a V2GTP frame may come in pieces."""
    if data[:1] == b"\x16" or len(data) > LARGEST_DATAGRAM:
        return True
    return len(data) >= v2gtp.HEADER_SIZE + int.from_bytes(data[4 : v2gtp.HEADER_SIZE], "big")


def _first_words(data: bytes) -> str:
    if data[:1] == b"\x16":
        return "ClientHello"
    try:
        payload_type, payload = v2gtp.unpack(data)
        message = exi.decode(payload, "sap") if payload_type == v2gtp.PayloadType.SAP else None
    except (v2gtp.V2GTPError, exi.EXIDecodeError):
        message = None
    if isinstance(message, app_protocol.SupportedAppProtocolReq):
        return " ".join(entry.protocol_namespace for entry in message.app_protocol)
    return data[:8].hex()


async def _serve(settings: SDPSettings, line: Answering, port: int, second: int, seen: _Seen) -> None:
    async with trio.open_nursery() as nursery:
        while True:
            data, sender = await line.datagrams.recvfrom(LARGEST_DATAGRAM)
            seen.requests.append(trio.current_time())
            seen.asked.set()
            try:
                asked = sdp.parse(*v2gtp.unpack(data))
            except (v2gtp.V2GTPError, sdp.SDPError) as error:
                seen.wrong.append(str(error))
                continue
            if not isinstance(asked, sdp.Request):
                seen.wrong.append(f"it is a {type(asked).__name__}")
                continue
            wrong = settings.times == 0 or len(seen.requests) <= settings.times
            if wrong and settings.silent:
                continue
            answers = _wrong_answers(settings, line, port, second) if wrong else [_answer(line, port)]
            nursery.start_soon(_send, settings.seconds if wrong else 0.0, line, answers, sender, seen, wrong)


async def _send(
    late: float, line: Answering, answers: list[bytes], sender: object, seen: _Seen, wrong: bool
) -> None:
    await trio.sleep(late)
    for answer in answers:
        await line.datagrams.sendto(answer, sender)
    now = trio.current_time()
    seen.answered = now if seen.answered is None else seen.answered
    if not wrong and seen.corrected is None:
        seen.corrected = now


def _answer(line: Answering, port: int, security: sdp.Security = sdp.Security.TLS) -> bytes:
    return sdp.datagram(sdp.Response(line.address, port, security))


def _wrong_answers(settings: SDPSettings, line: Answering, port: int, second: int) -> list[bytes]:
    if settings.answers:
        own = line.address.packed + port.to_bytes(2, "big")
        return [bytes.fromhex(answer).replace(ENDPOINT, own) for answer in settings.answers]
    security = sdp.Security.NONE if settings.no_tls else sdp.Security.TLS
    answer = bytearray(_answer(line, port if settings.port is None else settings.port, security))
    for offset, octet in settings.fields.items():
        answer[int(offset)] = octet
    spoilt = bytes(answer[: len(answer) - settings.truncate]) + bytes.fromhex(settings.append)
    return [spoilt] * settings.copies + ([_answer(line, second)] if settings.second else [])


def _judge_connection(scenario: Scenario, seen: _Seen, port: int, verdict: Verdict) -> None:
    settings, expect = scenario.sdp, scenario.expect
    assert settings is not None
    plain = settings.no_tls and seen.connected is not None and seen.corrected is None
    if plain and _NAMESPACE in seen.offers:
        fail(verdict, "it offers -20 on a connection without TLS [V2G20-1237]")
    match expect.outcome:
        case Outcome.CONTINUES:
            if seen.connected is None:
                fail(verdict, f"it did not connect within {expect.within:g} s")
            elif seen.port != port:
                fail(verdict, f"it connected to port {seen.port}; the first answer named {port}")
            elif seen.offers != "ClientHello":
                fail(verdict, f"it did not begin with a ClientHello but {seen.offers or 'with nothing'}")
        case Outcome.IGNORES:
            if seen.connected is None:
                fail(
                    verdict,
                    f"it did not connect within {expect.within:g} s, though answered well",
                )
            elif seen.corrected is None or seen.connected < seen.corrected:
                fail(verdict, "it connected on the wrong answer")
        case Outcome.ENDS:
            if seen.connected is not None and not plain:
                fail(verdict, f"it connected to port {seen.port}")
    if settings.silent:
        _judge_repetition(seen, verdict)


def _judge_repetition(seen: _Seen, verdict: Verdict) -> None:
    """Repeats wait at least 250 ms [V2G2-159], and there are 50 at most [V2G2-161]."""
    gaps = [after - before for before, after in zip(seen.requests[:-1], seen.requests[1:], strict=True)]
    if gaps and min(gaps) < sdp.REQUEST_TIMEOUT - 0.02:
        fail(verdict, f"it asked again after {min(gaps) * 1000:.0f} ms; 250 ms at least [V2G2-159]")
    if len(seen.requests) > sdp.MAX_REQUESTS:
        fail(verdict, f"it asked {len(seen.requests)} times; {sdp.MAX_REQUESTS} at most [V2G2-161]")


__all__ = ["play"]
