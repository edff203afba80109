"""SDP payloads, byte for byte; the expected bytes are from recorded sessions of other stacks or counted by
hand.
"""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from iso15118 import sdp
from iso15118.v2gtp import unpack


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ("0000", sdp.Request(sdp.Security.TLS)),
        ("1000", sdp.Request(sdp.Security.NONE)),
    ],
)
def test_request(payload: str, message: sdp.Request) -> None:
    assert message.to_bytes().hex() == payload
    assert sdp.parse(0x9000, bytes.fromhex(payload)) == message


def test_response_of_a_recorded_session() -> None:
    recorded = bytes.fromhex("fe80000000000000dce971fffee74ed4c3501000")
    response = sdp.Response(IPv6Address("fe80::dce9:71ff:fee7:4ed4"), 50000, sdp.Security.NONE)
    assert sdp.parse(0x9001, recorded) == response
    assert response.to_bytes() == recorded


def test_the_datagram_carries_the_v2gtp_header() -> None:
    assert sdp.datagram(sdp.Request()).hex() == "01fe9000000000020000"
    response = sdp.Response(IPv6Address("::1"), 0xC350)
    assert sdp.datagram(response).hex() == "01fe900100000014" + "00" * 15 + "01" + "c3500000"


@pytest.mark.parametrize("length", [0, 1, 3, 27, 64])
def test_a_request_of_another_length_is_not_sdp(length: int) -> None:
    with pytest.raises(sdp.SDPError, match=f"{length} bytes, expected 2"):
        sdp.parse(0x9000, bytes(length))


def test_unknown_security_and_transport_name_the_byte() -> None:
    with pytest.raises(sdp.SDPError, match="security 0x01") as caught:
        sdp.parse(0x9000, b"\x01\x00")
    assert caught.value.offset == 0
    with pytest.raises(sdp.SDPError, match="transport 0x02") as caught:
        sdp.parse(0x9001, bytes(19) + b"\x02")
    assert caught.value.offset == 19
    with pytest.raises(sdp.SDPError, match="0x8002 is not an SDP message"):
        sdp.parse(0x8002, b"")


@pytest.mark.parametrize(("evseid_length", "request_length", "response_length"), [(36, 61, 58), (37, 62, 59)])
def test_wireless_messages_in_both_lengths(
    evseid_length: int, request_length: int, response_length: int
) -> None:
    request = sdp.WirelessRequest(0x0100, 0x01, evseid="DE*ABC*E1", evseid_length=evseid_length)
    raw = request.to_bytes()
    assert len(raw) == request_length
    assert raw[:6] == b"\x00\x00\x01\x00\x01Z"
    assert sdp.parse(0x9002, raw) == request
    response = sdp.WirelessResponse(
        IPv6Address("fe80::1"),
        50000,
        sdp.DiagnosticStatus.ONGOING,
        0x40,
        "DE*ABC*E1",
        evseid_length=evseid_length,
    )
    raw = response.to_bytes()
    assert len(raw) == response_length
    assert raw[20:23] == b"\x00\x40D"
    assert sdp.parse(0x9003, raw) == response


def test_wireless_texts_are_ascii_and_bounded() -> None:
    with pytest.raises(ValueError, match="EVID has 21 characters, at most 20"):
        sdp.WirelessRequest(0, 0, evid="x" * 21).to_bytes()
    raw = bytearray(sdp.WirelessRequest(0, 0).to_bytes())
    raw[7] = 0xE9
    with pytest.raises(sdp.SDPError, match="0xE9 is not an ASCII") as caught:
        sdp.parse(0x9002, bytes(raw))
    assert caught.value.offset == 7


def test_sdp_errors_never_escape_as_others() -> None:
    for payload_type in (0x9000, 0x9001, 0x9002, 0x9003):
        for length in range(70):
            with pytest.raises(sdp.SDPError):
                sdp.parse(payload_type, b"\xff" * length)


def test_recorded_request_unpacks() -> None:
    assert unpack(bytes.fromhex("01fe9000000000021000")) == (0x9000, b"\x10\x00")
