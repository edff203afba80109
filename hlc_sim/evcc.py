"""Drives an EVCC over a connection: carries out the steps of its generator, on trio."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import trio

from iso15118 import v2gtp
from iso15118.messages.declare import Node
from iso15118.session.evcc import EVCC
from iso15118.session.evcc_config import EVCCConfig
from iso15118.session.evcc_steps import (
    ConnectionLost,
    Incoming,
    MalformedMessage,
    MessageTimeout,
    PausedSession,
    PeerFault,
    Post,
    Receive,
    Reply,
    Send,
    SessionResult,
    Step,
    Wait,
)
from iso15118.session.events import Role

from .clock import unix_offset
from .transport.link import Link, LinkClosed, Undecodable, UnknownPayload
from .vehicle import SimulatedVehicle

T = TypeVar("T")

_MAIN_STREAM = 0


def stream_of(payload_type: int) -> int:
    """The stream a payload type belongs to: the main stream's types are one, each side stream is its own."""
    return _MAIN_STREAM if payload_type < 0x8100 else payload_type


@dataclass(frozen=True, slots=True)
class ChargeReport:
    """What a session did to a simulated vehicle. Wh at the battery's terminals, s, %."""

    session: SessionResult
    bytes_sent: int
    bytes_received: int
    messages: dict[str, int]
    """How often each message passed, by element name."""
    seconds: float
    simulated_seconds: float
    charged: float
    discharged: float
    soc_start: float
    soc_end: float
    tls: str = ""
    """Version, suite and group; empty without TLS."""
    tls_remarks: tuple[str, ...] = ()
    """What was tolerated in the SECC's certificates."""
    emaid: str = ""
    """Of the contract that the SECC authorized."""
    closed_by: Role = Role.EVCC
    """The side that ended the connection first."""


async def charge(
    link: Link,
    config: EVCCConfig,
    vehicle: SimulatedVehicle,
    *,
    resume: PausedSession | None = None,
    secc_identity: bytes | None = None,
    tls: str = "",
    tls_remarks: tuple[str, ...] = (),
) -> ChargeReport:
    """A whole session over an open link, which it closes."""
    battery = vehicle.battery
    charged, discharged, soc, simulated = battery.charged, battery.discharged, battery.soc, vehicle.elapsed
    started = trio.current_time()
    evcc = EVCC(
        config,
        vehicle,
        resume=resume,
        secc_identity=secc_identity,
        now=started,
        unix_offset=unix_offset(),
    )
    try:
        session = await drive(evcc.run(), link)
    finally:
        await link.aclose()
    return ChargeReport(
        session=session,
        bytes_sent=link.bytes_sent,
        bytes_received=link.bytes_received,
        messages=dict(link.messages),
        seconds=trio.current_time() - started,
        simulated_seconds=vehicle.elapsed - simulated,
        charged=battery.charged - charged,
        discharged=battery.discharged - discharged,
        soc_start=soc,
        soc_end=battery.soc,
        tls=tls,
        tls_remarks=tls_remarks,
        emaid=_emaid_of(evcc),
        closed_by=Role.SECC if link.peer_left else Role.EVCC,
    )


def _emaid_of(evcc: EVCC) -> str:
    if evcc.contract is None:
        return ""
    from .trust import emaid_of

    return emaid_of(evcc.contract)


async def drive(exchange: Generator[Step, Reply, T], link: Link) -> T:
    """Run a session, or any part of one, to its end and return its result. The caller closes the link."""
    return await _Driver(link).run(exchange)


class _Driver:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._side: list[Incoming] = []
        """Received while something else was waited for; handed over with the next reply."""

    async def run(self, exchange: Generator[Step, Reply, T]) -> T:
        try:
            step = next(exchange)
            while True:
                try:
                    reply = await self._carry_out(step)
                except PeerFault as fault:
                    fault.side, self._side = tuple(self._side), []
                    step = exchange.throw(fault)
                else:
                    step = exchange.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            exchange.close()

    async def _carry_out(self, step: Step) -> Reply:
        message: Node | None = None
        if isinstance(step, Send):
            await self._write(step.request, step.payload_type)
            waited_for = f"no response to {type(step.request).__name__}"
            message = await self._message(step.payload_type, step.timeout, waited_for)
        elif isinstance(step, Receive):
            waited_for = f"no message on the stream of {v2gtp.describe(step.payload_type)}"
            message = await self._message(step.payload_type, step.timeout, waited_for)
        elif isinstance(step, Post):
            await self._write(step.request, step.payload_type)
        elif isinstance(step, Wait):
            with trio.move_on_after(step.seconds):
                self._side.append(await self._receive())
        side, self._side = tuple(self._side), []
        return Reply(trio.current_time(), message, side)

    async def _message(self, payload_type: int, timeout: float, waited_for: str) -> Node:
        stream = stream_of(payload_type)
        with trio.move_on_after(timeout):
            while True:
                incoming = await self._receive()
                if stream_of(incoming.payload_type) == stream:
                    return incoming.message
                self._side.append(incoming)
        raise MessageTimeout(f"{waited_for} within {timeout:g} s")

    async def _write(self, request: Node, payload_type: int) -> None:
        try:
            await self._link.send(request, payload_type)
        except LinkClosed as error:
            raise ConnectionLost(str(error)) from error

    async def _receive(self) -> Incoming:
        while True:
            try:
                received = await self._link.receive()
            except UnknownPayload:
                continue  # dropped by its length; the message timeout goes on
            except LinkClosed as error:
                raise ConnectionLost(str(error)) from error
            except (v2gtp.V2GTPError, Undecodable) as error:
                raise MalformedMessage(str(error)) from error
            return Incoming(received.payload_type, received.message)
