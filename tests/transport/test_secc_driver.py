"""One station, many peers: whole sessions, and peers that break something; the next EV is always served."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from hlc_sim.config import StationConfig
from hlc_sim.secc import ConnectionReport, Station
from iso15118 import exi
from iso15118.messages.app_protocol import AppProtocol, SupportedAppProtocolReq
from iso15118.session.evcc_steps import Outcome
from iso15118.session.events import Role
from iso15118.session.services import Family
from iso15118.v2gtp import PayloadType, pack

from .conftest import Bench

SAP = pack(
    PayloadType.SAP,
    exi.encode(
        SupportedAppProtocolReq(
            app_protocol=[
                AppProtocol(
                    protocol_namespace=Family.DC.namespace,
                    version_number_major=1,
                    version_number_minor=0,
                    schema_id=1,
                    priority=1,
                )
            ]
        )
    ),
)


@pytest.mark.parametrize("mode", ["dc", "ac", "dc_bpt"])
@pytest.mark.parametrize("control", ["scheduled", "dynamic"])
async def test_a_whole_session(bench: Bench, autojump_clock: MockClock, mode: str, control: str) -> None:
    report = await bench.charge(mode, control, soc=79)
    await bench.settled(1)
    assert report.session.outcome is Outcome.TERMINATED
    assert report.soc_end >= 80
    assert report.session.mode is not None
    assert report.session.mode.control.name.lower() == control
    (seen,) = bench.reports
    assert seen.clean
    assert seen.ended == "session over"
    assert seen.session_id == report.session.session_id
    assert (seen.bytes_received, seen.bytes_sent) == (report.bytes_sent, report.bytes_received)
    assert seen.frames == report.session.messages


async def test_the_meters_of_both_sides_agree(bench: Bench, autojump_clock: MockClock) -> None:
    report = await bench.charge(soc=50)
    meter = report.session.meter_info
    assert meter is not None
    assert report.charged > 15_000
    assert meter.charged_energy_reading_wh == pytest.approx(report.charged, rel=0.1)


@pytest.mark.parametrize(
    ("sent", "hang_up", "line"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False, "broken V2GTP frame, connection closed: V2GTP version is 0x47"),
        (SAP[:20], True, "broken V2GTP frame, connection closed: the stream ends after 12 of"),
        (
            SAP[:5],
            True,
            "broken V2GTP frame, connection closed: the stream ends after 5 of 8 bytes of a V2GTP header",
        ),
        (b"\x01\xfe\x80\x01\xff\xff\xff\xff", False, "connection closed: payload length 4294967295"),
        (
            b"\x01\xfe\x80\x01\x00\x00\x00\x03\x80\x00\xf3",
            False,
            "undecodable message, connection closed: frame 1",
        ),
        (
            SAP + b"\x01\xfe\x80\x02\x00\x00\x00\x02\x80\xff",
            False,
            "undecodable message, connection closed: frame 3",
        ),
        (b"", True, "the peer closed the connection"),
        (SAP, True, "the connection broke while sending"),
    ],
)
async def test_a_broken_peer_costs_one_line_and_its_connection(
    bench: Bench,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    hang_up: bool,
    line: str,
) -> None:
    stream = bench.plug()
    with caplog.at_level(logging.INFO):
        if sent:
            await stream.send_all(sent)
        if hang_up:
            await stream.aclose()
        await bench.settled(1)
    assert len(caplog.records) == 1
    assert line in caplog.records[0].getMessage()
    assert caplog.records[0].levelno == logging.WARNING
    assert not bench.reports[0].clean
    assert bench.station.connections == 0
    if not hang_up:
        while await stream.receive_some(100):
            pass  # the answer to SAP, then the end of the stream: the station has closed
    assert (await bench.charge(soc=79)).session.ok


async def test_a_silent_peer_is_let_go(
    bench: Bench, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stream = bench.plug()
    start = trio.current_time()
    with caplog.at_level(logging.WARNING):
        assert await stream.receive_some(1) == b""
        await bench.settled(1)
    assert trio.current_time() - start <= 61
    assert "timeout: no request for" in caplog.records[0].getMessage()
    assert (await bench.charge(soc=79)).session.ok


async def test_a_report_says_who_ended_the_connection(bench: Bench, autojump_clock: MockClock) -> None:
    await bench.charge(soc=79)
    gone = bench.plug()
    await gone.send_all(SAP[:20])
    await gone.aclose()
    bench.plug()  # silent
    await bench.settled(3)
    assert [report.closed_by for report in bench.reports] == [Role.EVCC, Role.EVCC, Role.SECC]


async def test_a_peer_that_falls_silent_in_the_session_hits_the_sequence_timeout(
    bench: Bench, autojump_clock: MockClock
) -> None:
    stream = bench.plug()
    await stream.send_all(SAP)
    assert await stream.receive_some(100)
    start = trio.current_time()
    assert await stream.receive_some(1) == b""
    assert trio.current_time() - start == pytest.approx(60, abs=0.1)
    await bench.settled(1)
    assert "timeout: no request for 60.0 s" in bench.reports[0].ended
    assert any(item.requirement == "V2G20-443" for item in bench.reports[0].deviations)


async def test_a_trickle_of_bytes_does_not_keep_a_connection_alive(
    bench: Bench, autojump_clock: MockClock
) -> None:
    stream = bench.plug()
    await stream.send_all(SAP)
    await stream.receive_some(100)
    start = trio.current_time()

    async def trickle() -> None:
        for byte in b"\x01\xfe\x80\x02\x00\x00\x00\xff" + bytes(200):
            await stream.send_all(bytes([byte]))
            await trio.sleep(1)

    with pytest.raises(trio.BrokenResourceError):
        await trickle()
    assert trio.current_time() - start < 62
    await bench.settled(1)
    assert "timeout" in bench.reports[0].ended


async def test_a_peer_that_does_not_read_is_let_go(autojump_clock: MockClock) -> None:
    class Deaf(trio.abc.HalfCloseableStream):
        """Delivers one request; nothing sent to it ever arrives."""

        def __init__(self) -> None:
            self.pending = SAP

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await trio.sleep_forever()

        async def wait_send_all_might_not_block(self) -> None: ...

        async def send_eof(self) -> None: ...

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            data, self.pending = self.pending, b""
            if not data:
                await trio.sleep_forever()
            return data

        async def aclose(self) -> None: ...

    config = StationConfig()
    reports: list[ConnectionReport] = []
    await Station(config.session(), config.charger, finished=reports.append).handle(Deaf())
    assert reports[0].ended == "timeout: the peer takes no response, connection closed"
    assert trio.current_time() == pytest.approx(60, abs=2)


async def test_unknown_payload_types_are_skipped_and_reported(
    bench: Bench, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stream = bench.plug()
    await stream.send_all(pack(0xA001, b"vendor") + SAP)
    answer = await stream.receive_some(100)
    assert bytes(answer[8:]).hex() == "80400040"
    await stream.aclose()
    await bench.settled(1)
    assert "0xA001 manufacturer specific" in caplog.text
    assert bench.reports[0].frames == 3


async def test_no_common_protocol_is_answered_then_closed(bench: Bench, autojump_clock: MockClock) -> None:
    offer = AppProtocol(
        protocol_namespace="urn:iso:15118:2:2013:MsgDef",
        version_number_major=2,
        version_number_minor=0,
        schema_id=1,
        priority=1,
    )
    stream = bench.plug()
    await stream.send_all(pack(PayloadType.SAP, exi.encode(SupportedAppProtocolReq(app_protocol=[offer]))))
    answer = await stream.receive_some(100)
    assert "Failed_NoNegotiation" in repr(exi.decode(bytes(answer[8:]), "sap"))
    assert await stream.receive_some(1) == b""


async def test_a_fault_in_one_session_never_touches_another(bench: Bench, autojump_clock: MockClock) -> None:
    good = 5
    results: list[bool] = []

    async def drive() -> None:
        results.append((await bench.charge(soc=79)).session.ok)

    async with trio.open_nursery() as nursery:
        for index in range(good):
            nursery.start_soon(drive)
            stream = bench.plug()
            await stream.send_all(SAP + b"\xff" * index)
            await stream.aclose()
    await bench.settled(2 * good)
    assert results == [True] * good
    assert bench.station.connections == 0


async def test_more_connections_than_allowed_are_refused(
    bench: Bench, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    bench.station.max_connections = 2
    streams = [bench.plug() for _ in range(3)]
    assert await streams[2].receive_some(1) == b""
    assert "refused, 2 connections are open" in caplog.text
    await streams[0].aclose()
    await bench.settled(1)
    again = bench.plug()
    await again.send_all(SAP)
    assert await again.receive_some(100)


async def test_an_internal_error_ends_one_connection_only(
    bench: Bench, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = bench.station.charger
    calls = 0

    def broken_once() -> object:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("no such outlet")
        return make()

    bench.station.charger = broken_once  # type: ignore[assignment]
    stream = bench.plug()
    await bench.settled(1)
    assert bench.reports[0].ended == "internal error"
    assert "no such outlet" in caplog.text
    await stream.aclose()
    assert (await bench.charge(soc=79)).session.ok


async def test_two_hundred_vehicles_at_once(bench: Bench, autojump_clock: MockClock) -> None:
    reports = []

    async def drive(mode: str, control: str) -> None:
        reports.append(await bench.charge(mode, control, soc=79.5))

    async with trio.open_nursery() as nursery:
        for index in range(200):
            nursery.start_soon(drive, ("dc", "dc_bpt")[index % 2], ("scheduled", "dynamic")[index // 2 % 2])
    await bench.settled(200)
    assert all(report.session.ok for report in reports)
    assert len({report.session.session_id for report in reports}) == 200
    assert all(report.clean for report in bench.reports)
    assert bench.station.connections == 0
    assert not bench.station.store
