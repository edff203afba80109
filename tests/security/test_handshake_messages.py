"""Reading TLS handshake messages: a hello taken apart octet by octet, and input that is none."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso15118.security.handshake_messages import (
    ClientHello,
    HandshakeDecodeError,
    NotTLSError,
    client_hello_message,
    parse_certificate,
    parse_certificate_status,
    parse_client_hello,
    parse_requested_authorities,
)


def vector(size: int, body: bytes) -> bytes:
    return len(body).to_bytes(size, "big") + body


def extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, body)


NAME = bytes.fromhex("3010310e300c06035504030c05563247205221")[:18]
HELLO_BODY = (
    bytes.fromhex("0303") + bytes(range(32)) + vector(1, b"") + vector(2, bytes.fromhex("1a1a13021303"))
    + vector(1, b"\0") + vector(2, b"".join([
        extension(0x2A2A, b""),
        extension(0, b"anything"),
        extension(3, vector(2, b"\1" + bytes(20) + b"\3" + bytes(20) + b"\2" + vector(2, NAME) + b"\0")),
        extension(5, b"\x01\0\0\0\0"),
        extension(10, vector(2, bytes.fromhex("0019001e"))),
        extension(13, vector(2, bytes.fromhex("06030808"))),
        extension(43, vector(1, bytes.fromhex("03040303"))),
        extension(47, vector(2, vector(2, NAME))),
        extension(51, vector(2, b"\0\x19" + vector(2, bytes(133)))),
    ]))
)  # fmt: skip
MESSAGE = b"\x01" + vector(3, HELLO_BODY)


def records(message: bytes, size: int) -> bytes:
    pieces = (message[i : i + size] for i in range(0, len(message), size))
    return b"".join(b"\x16\x03\x01" + vector(2, piece) for piece in pieces)


def test_hello_is_read_whole() -> None:
    hello = parse_client_hello(MESSAGE)
    assert hello == ClientHello(
        random=bytes(range(32)),
        suites=(0x1302, 0x1303),
        extensions=(0, 3, 5, 10, 13, 43, 47, 51),
        versions=(0x0304, 0x0303),
        groups=(0x19, 0x1E),
        schemes=(0x0603, 0x0808),
        key_shares=(0x19,),
        authorities=(NAME,),
        server_name=True,
        status_request=True,
        trusted_ca_keys=((1, bytes(20)), (3, bytes(20)), (2, NAME), (0, b"")),
    )
    assert hello.offers_tls_1_3


@pytest.mark.parametrize("size", [1, 7, 100, 16384])
def test_hello_may_be_spread_over_records(size: int) -> None:
    data = records(MESSAGE, size)
    assert client_hello_message(data) == MESSAGE
    assert client_hello_message(data[:-1]) is None
    assert client_hello_message(b"") is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes.fromhex("01fe8001"), "V2GTP"),
        (b"\x16\x02", "second octet 0x02"),
        (b"\x16\x03\x01\x00\x04\x02\0\0\0", "type 2"),
        (b"\x16\x03\x01\x00\x00", "record of 0 octets"),
        (b"\x16\x03\x01\x40\x01", "record of 16385 octets"),
        (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "of 16777219 octets"),
        (b"\x16\x03\x01\x00\x01\x01\x17\x03\x03\x00\x01\0", "record of type 23"),
    ],
)
def test_what_is_no_hello_is_named(data: bytes, words: str) -> None:
    with pytest.raises(NotTLSError, match=words):
        client_hello_message(data)


@pytest.mark.parametrize("size", range(len(MESSAGE)))
def test_every_truncation_has_an_offset(size: int) -> None:
    with pytest.raises(HandshakeDecodeError) as caught:
        parse_client_hello(MESSAGE[:size])
    assert 0 <= caught.value.offset <= size


def test_authorities_with_a_wrong_inner_length() -> None:
    bad = MESSAGE.replace(vector(2, vector(2, NAME)), vector(2, (len(NAME) + 1).to_bytes(2, "big") + NAME))
    with pytest.raises(HandshakeDecodeError, match="distinguished name"):
        parse_client_hello(bad)


@given(octets=st.binary(max_size=400))
def test_any_octets_end_in_a_value_or_the_error(octets: bytes) -> None:
    for kind, parse in (
        (1, parse_client_hello),
        (11, lambda data: parse_certificate(data, tls_1_3=True)),
        (11, lambda data: parse_certificate(data, tls_1_3=False)),
        (13, parse_requested_authorities),
        (22, parse_certificate_status),
    ):
        for message in (octets, bytes([kind]) + vector(3, octets)):
            with suppress(HandshakeDecodeError):
                parse(message)
    for data in (octets, b"\x16\x03" + octets):
        with suppress(NotTLSError):
            client_hello_message(data)


def test_certificate_message_with_staples() -> None:
    staple = extension(5, b"\x01" + vector(3, b"response"))
    entries = vector(3, b"leaf") + vector(2, staple) + vector(3, b"issuer") + vector(2, b"")
    message = b"\x0b" + vector(3, vector(1, b"") + vector(3, entries))
    assert parse_certificate(message, tls_1_3=True) == ([b"leaf", b"issuer"], [b"response", None])
    older = b"\x0b" + vector(3, vector(3, vector(3, b"leaf")))
    assert parse_certificate(older, tls_1_3=False) == ([b"leaf"], [None])
