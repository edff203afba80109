"""Carrying out an EVCC's steps: pairing by stream, timeouts on virtual time, faults thrown into the
generator.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from hlc_sim.config import VehicleConfig
from hlc_sim.evcc import charge, drive, stream_of
from hlc_sim.transport.link import Link
from iso15118.messages import common, dc
from iso15118.messages.common_types import MessageHeader, Processing, ResponseCode
from iso15118.session.evcc_steps import (
    ConnectionLost,
    MalformedMessage,
    MessageTimeout,
    PeerFault,
    Post,
    Receive,
    Reply,
    Send,
    Step,
    Wait,
)
from iso15118.session.events import Role
from iso15118.v2gtp import PayloadType

HEADER = MessageHeader(session_id=bytes(8), timestamp=1)
CHECK = dc.DC_CableCheckReq(header=HEADER)
CHECKED = dc.DC_CableCheckRes(
    header=HEADER, response_code=ResponseCode.OK, evse_processing=Processing.Finished
)
METERED = common.MeteringConfirmationRes(header=HEADER, response_code=ResponseCode.OK)

Exchange = Generator[Step, Reply, Reply]


@pytest.fixture
def links() -> tuple[Link, Link]:
    here, there = memory_stream_pair()
    return Link(here, Role.EVCC), Link(there, Role.SECC)


def one(step: Step) -> Exchange:
    return (yield step)


def test_main_stream_types_are_one_stream() -> None:
    assert {stream_of(t) for t in (0x8001, 0x8002, 0x8004, 0x8011)} == {0}
    assert len({stream_of(t) for t in (0x8101, 0x8102, 0x8103, 0x8104)}) == 4


async def test_a_response_is_paired_by_stream_and_others_are_kept(links: tuple[Link, Link]) -> None:
    ev, se = links
    async with trio.open_nursery() as nursery:

        async def secc() -> None:
            await se.receive()
            await se.send(METERED, PayloadType.METERING_CONFIRMATION)
            await se.send(CHECKED, PayloadType.DC)

        nursery.start_soon(secc)
        reply = await drive(one(Send(CHECK, PayloadType.DC, 2.0)), ev)
    assert reply.message == CHECKED
    assert reply.side == ((PayloadType.METERING_CONFIRMATION, METERED),)


async def test_a_post_does_not_wait_and_a_wait_ends_with_the_message(
    links: tuple[Link, Link], autojump_clock: MockClock
) -> None:
    ev, se = links

    def exchange() -> Exchange:
        yield Post(CHECK, PayloadType.DC)
        return (yield Wait(30.0))

    async with trio.open_nursery() as nursery:

        async def secc() -> None:
            await se.receive()
            await trio.sleep(3)
            await se.send(CHECKED, PayloadType.DC)

        nursery.start_soon(secc)
        start = trio.current_time()
        reply = await drive(exchange(), ev)
    assert reply.side == ((PayloadType.DC, CHECKED),)
    assert reply.now - start == pytest.approx(3)


async def test_a_posted_request_is_received_later(links: tuple[Link, Link]) -> None:
    ev, se = links

    def exchange() -> Exchange:
        first = yield Post(CHECK, PayloadType.DC)
        assert first.message is None
        return (yield Receive(PayloadType.DC, 2.0))

    async with trio.open_nursery() as nursery:

        async def secc() -> None:
            await se.receive()
            await se.send(CHECKED, PayloadType.DC)

        nursery.start_soon(secc)
        reply = await drive(exchange(), ev)
    assert reply.message == CHECKED


async def test_a_wait_lasts_its_time(links: tuple[Link, Link], autojump_clock: MockClock) -> None:
    start = trio.current_time()
    reply = await drive(one(Wait(7.5)), links[0])
    assert reply.now - start == pytest.approx(7.5)
    assert reply.side == ()


@pytest.mark.parametrize(
    ("answer", "fault", "words"),
    [
        (None, MessageTimeout, "no response to DC_CableCheckReq within 2 s"),
        (b"", ConnectionLost, "the peer closed the connection"),
        (b"\x01\xff", MalformedMessage, "inverse version is 0xFF"),
        (b"\x01\xfe\x80\x04\0\0\0\x02\x80\x2c", MalformedMessage, "0x8004 DC"),
    ],
)
async def test_faults_are_thrown_into_the_generator(
    links: tuple[Link, Link],
    autojump_clock: MockClock,
    answer: bytes | None,
    fault: type[PeerFault],
    words: str,
) -> None:
    ev, se = links
    caught: list[PeerFault] = []

    def exchange() -> Exchange:
        try:
            yield Send(CHECK, PayloadType.DC, 2.0)
        except PeerFault as error:
            caught.append(error)
        return Reply(0.0)

    async with trio.open_nursery() as nursery:

        async def secc() -> None:
            await se.receive()
            if answer:
                await se.write_bytes(answer)
            elif answer is not None:
                await se.aclose()

        nursery.start_soon(secc)
        await drive(exchange(), ev)
    assert type(caught[0]) is fault
    assert words in str(caught[0])


async def test_a_report_says_that_the_station_hung_up(links: tuple[Link, Link]) -> None:
    ev, se = links
    await se.aclose()
    config = VehicleConfig()
    report = await charge(ev, config.session(), config.vehicle())
    assert not report.session.ok
    assert report.closed_by is Role.SECC
