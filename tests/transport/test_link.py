"""The message link, over memory streams."""

from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair

from hlc_sim.transport.link import FrameRecord, Link, LinkClosed, Received, Undecodable, UnknownPayload
from iso15118 import exi
from iso15118.messages import common, dc
from iso15118.messages.app_protocol import AppProtocolResponseCode, SupportedAppProtocolRes
from iso15118.messages.common_types import MessageHeader, Processing, RationalNumber, ResponseCode
from iso15118.messages.declare import Node
from iso15118.session.events import Role
from iso15118.v2gtp import PayloadType, V2GTPError, pack

HEADER = MessageHeader(session_id=bytes(8), timestamp=1_725_456_333)
CHECK = dc.DC_CableCheckReq(header=HEADER)
SAP_OK = SupportedAppProtocolRes(response_code=AppProtocolResponseCode.OK_SuccessfulNegotiation, schema_id=1)


def pair(**options: object) -> tuple[Link, Link]:
    here, there = memory_stream_pair()
    return Link(here, Role.EVCC), Link(there, Role.SECC, **options)  # type: ignore[arg-type]


async def test_messages_cross_and_are_counted() -> None:
    ev, se = pair()
    await ev.send(CHECK, PayloadType.DC)
    assert await se.receive() == Received(PayloadType.DC, CHECK, 1)
    assert (ev.frames, se.frames) == (1, 1)
    assert ev.bytes_sent == se.bytes_received == 8 + len(exi.encode(CHECK))


async def test_a_message_is_one_write() -> None:
    writes: list[bytes] = []

    class Recorder(trio.abc.SendStream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            writes.append(bytes(data))

        async def wait_send_all_might_not_block(self) -> None: ...

        async def aclose(self) -> None: ...

    link = Link(trio.StapledStream(Recorder(), trio.testing.MemoryReceiveStream()), Role.EVCC)
    await link.send(CHECK, PayloadType.DC)
    assert writes == [pack(PayloadType.DC, exi.encode(CHECK))]


async def test_the_sink_sees_every_frame_both_ways() -> None:
    seen: list[FrameRecord] = []
    ev, se = pair(sink=seen.append)
    await ev.send(CHECK, PayloadType.DC)
    await se.receive()
    await se.send(SAP_OK, PayloadType.SAP)
    await ev.write(0x8050, b"abc")
    with pytest.raises(UnknownPayload):
        await se.receive()
    assert [(r.number, r.sender, r.payload_type, r.message) for r in seen] == [
        (1, Role.EVCC, PayloadType.DC, CHECK),
        (2, Role.SECC, PayloadType.SAP, SAP_OK),
        (3, Role.EVCC, 0x8050, None),
    ]
    assert seen[2].payload == b"abc"
    assert isinstance(seen[2].error, UnknownPayload)


async def test_an_unknown_payload_type_is_skipped_by_its_length() -> None:
    ev, se = pair()
    await ev.write(0xA001, b"whatever")
    await ev.send(CHECK, PayloadType.DC)
    with pytest.raises(UnknownPayload, match="0xA001 manufacturer specific"):
        await se.receive()
    assert (await se.receive()).message == CHECK


async def test_a_payload_that_is_no_message_names_frame_and_bit() -> None:
    ev, se = pair()
    await ev.write(PayloadType.DC, b"\x80\x2c")
    with pytest.raises(Undecodable, match=r"frame 1 \(0x8004 DC\): bit \d+"):
        await se.receive()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "version is 0x47"),
        (pack(0x8004, b"12345")[:10], "ends after 2 of 5 payload bytes"),
        (pack(0x8004, b"")[:4], "ends after 4 of 8 bytes"),
        (bytes.fromhex("01fe8004ffffffff"), "exceeds the limit"),
    ],
)
async def test_broken_frames_are_refused(data: bytes, words: str) -> None:
    ev, se = pair()
    await ev.write_bytes(data)
    await ev.aclose()
    with pytest.raises(V2GTPError, match=words):
        await se.receive()


async def test_a_clean_end_is_told_from_a_break() -> None:
    ev, se = pair()
    await ev.aclose()
    with pytest.raises(LinkClosed, match="the peer closed the connection"):
        await se.receive()
    with pytest.raises(LinkClosed, match="broke while sending"):
        await se.send(CHECK, PayloadType.DC)


async def test_common_messages_framed_as_sap_are_read_after_sap() -> None:
    ev, se = pair()
    await se.send(SAP_OK, PayloadType.SAP)
    await ev.receive()
    request = common.SessionSetupReq(header=HEADER, evcc_id="WMIV1234567890ABCDEX")
    await ev.send(request, PayloadType.SAP)
    assert await se.receive() == Received(PayloadType.SAP, request, 2)


class Meddler:
    """Replaces a field, repeats, drops; as scenarios will."""

    async def outgoing(self, link: Link, payload_type: int, message: Node) -> None:
        assert isinstance(message, dc.DC_PreChargeRes)
        message.evse_present_voltage = RationalNumber.of(1)
        await link.write(payload_type, exi.encode(message), message)
        await link.write(payload_type, exi.encode(message), message)

    async def incoming(self, link: Link, received: Received) -> Received | None:
        return None if isinstance(received.message, dc.DC_CableCheckReq) else received


async def test_an_intervention_stands_between_behaviour_and_wire() -> None:
    ev, se = pair(intervention=Meddler())
    await ev.send(CHECK, PayloadType.DC)
    welding = dc.DC_WeldingDetectionReq(header=HEADER, ev_processing=Processing.Finished)
    await ev.send(welding, PayloadType.DC)
    assert (await se.receive()).message == welding
    response = dc.DC_PreChargeRes(
        header=HEADER, response_code=ResponseCode.OK, evse_present_voltage=RationalNumber.of(400)
    )
    await se.send(response, PayloadType.DC)
    got = [(await ev.receive()).message for _ in range(2)]
    assert [float(message.evse_present_voltage) for message in got] == [1, 1]  # type: ignore[attr-defined]
