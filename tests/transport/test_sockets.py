"""SDP and TCP on the loopback interface, over real sockets and free ports."""

from __future__ import annotations

import logging
from ipaddress import IPv6Address

import pytest
import trio

from hlc_sim.transport import interface, sdp, tcp
from iso15118 import sdp as messages
from iso15118.v2gtp import pack

LO = interface.find("lo")


def test_the_loopback_interface_needs_no_link_local_address() -> None:
    assert LO.is_loopback
    assert LO.sdp_destination == "::1"
    assert LO.socket_address(IPv6Address("fe80::1"), 7) == ("fe80::1", 7, 0, LO.index)


def test_an_unknown_interface_is_named_with_those_there_are() -> None:
    with pytest.raises(interface.InterfaceError, match=r"no network interface 'nic9' \(there are: .*lo"):
        interface.find("nic9")


async def test_discovery_finds_port_and_security() -> None:
    frames: list[tuple[str, int, bytes]] = []
    async with trio.open_nursery() as nursery:
        endpoints = {messages.Security.TLS: 50001, messages.Security.NONE: 50002}
        port = await nursery.start(
            lambda task_status: sdp.serve(LO, endpoints, udp_port=0, task_status=task_status)
        )
        plain = await sdp.discover(
            LO, security=messages.Security.NONE, udp_port=port, sink=lambda *frame: frames.append(frame)
        )
        secured = await sdp.discover(LO, udp_port=port)
        nursery.cancel_scope.cancel()
    assert (plain.response.port, plain.response.security) == (50002, messages.Security.NONE)
    assert (secured.response.port, secured.response.security) == (50001, messages.Security.TLS)
    assert plain.socket_address == ("::1", 50002, 0, 0)
    assert frames == [
        ("evcc->secc", 0x9000, b"\x10\x00"),
        ("secc->evcc", 0x9001, IPv6Address("::1").packed + b"\xc3\x52\x10\x00"),
    ]


async def test_a_station_without_the_asked_security_answers_with_what_it_has() -> None:
    async with trio.open_nursery() as nursery:
        endpoints = {messages.Security.NONE: 50002}
        port = await nursery.start(
            lambda task_status: sdp.serve(LO, endpoints, udp_port=0, task_status=task_status)
        )
        found = await sdp.discover(LO, udp_port=port)
        nursery.cancel_scope.cancel()
    assert found.response.security is messages.Security.NONE


async def test_strange_datagrams_are_ignored_and_the_next_ev_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    strange = [
        b"",
        b"garbage",
        pack(0x9000, bytes(64)),  # ESDP: longer than the standard's request
        pack(0x9000, b"\0\x10"),  # transport UDP
        pack(0x9000, b"\0"),
        pack(0x8001, b"\x80\0"),
        pack(0x9002, messages.WirelessRequest(0, 0).to_bytes()),
    ]
    async with trio.open_nursery() as nursery:
        port = await nursery.start(
            lambda task_status: sdp.serve(
                LO, {messages.Security.TLS: 50001}, udp_port=0, task_status=task_status
            )
        )
        with (
            caplog.at_level(logging.WARNING),
            trio.socket.socket(trio.socket.AF_INET6, trio.socket.SOCK_DGRAM) as sock,
        ):
            for datagram in strange:
                await sock.sendto(datagram, ("::1", port))
            found = await sdp.discover(LO, udp_port=port)
            with trio.move_on_after(0.05) as nothing:
                await sock.recvfrom(100)
            assert nothing.cancelled_caught, "a strange datagram was answered"
        nursery.cancel_scope.cancel()
    assert found.requests == 1
    assert len(caplog.records) == 6, (
        "one line each, but for the wireless request, which is only another protocol"
    )


async def test_the_search_gives_up_after_its_attempts() -> None:
    with trio.socket.socket(trio.socket.AF_INET6, trio.socket.SOCK_DGRAM) as silent:
        await silent.bind(("::1", 0))
        port = silent.getsockname()[1]
        with pytest.raises(sdp.DiscoveryError, match="no SECC answered 3 SDP requests on lo"):
            await sdp.discover(LO, udp_port=port, max_requests=3, timeout=0.01)
        received = [await silent.recvfrom(100) for _ in range(3)]
    assert [data.hex() for data, _ in received] == ["01fe9000000000020000"] * 3
    assert all(49152 <= sender[1] <= 65535 for _, sender in received)


async def test_useless_answers_do_not_end_the_search() -> None:
    async with trio.open_nursery() as nursery:
        sock = trio.socket.socket(trio.socket.AF_INET6, trio.socket.SOCK_DGRAM)
        await sock.bind(("::1", 0))

        async def answer() -> None:
            _, sender = await sock.recvfrom(100)
            await sock.sendto(b"\x01\xfe", sender)
            await sock.sendto(messages.datagram(messages.Response(LO.address, 0)), sender)
            await sock.sendto(messages.datagram(messages.Response(LO.address, 50003)), sender)

        nursery.start_soon(answer)
        found = await sdp.discover(LO, udp_port=sock.getsockname()[1], timeout=5)
        sock.close()
    assert found.response.port == 50003


async def test_tcp_listens_in_the_dynamic_range_and_accepts() -> None:
    listener = await tcp.listen(LO)
    address = listener.socket.getsockname()
    assert address[0] == "::1"
    assert 49152 <= address[1] <= 65535
    async with (
        listener,
        await tcp.connect(("::1", address[1], 0, 0)) as client,
        await listener.accept() as server,
    ):
        await client.send_all(b"x")
        assert await server.receive_some(1) == b"x"
    with pytest.raises(OSError, match=r"refused|Connect"):
        await tcp.connect(("::1", address[1], 0, 0))


async def test_a_port_in_use_is_named() -> None:
    async with await tcp.listen(LO) as listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen on \[::1\]:{port}: Address already in use"):
            await tcp.listen(LO, port)


async def test_a_second_station_on_the_sdp_port_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with await sdp.server_socket(LO, 0) as first:
        port = first.getsockname()[1]
        assert not caplog.records
        with await sdp.server_socket(LO, port):
            assert f"another station on this machine listens on UDP port {port} of lo" in caplog.text


async def test_a_refused_connection_says_why_and_where() -> None:
    with trio.socket.socket(trio.socket.AF_INET6) as bound:
        await bound.bind(("::1", 0))
        port = bound.getsockname()[1]
        for address in (("::1", port), ("::1", port, 0, 0)):
            with pytest.raises(
                ConnectionError, match=rf"no connection to \[::1\]:{port}: Connection refused"
            ):
                await tcp.connect(address)
