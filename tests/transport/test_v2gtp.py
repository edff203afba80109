"""V2GTP framing: what a stream of bytes is cut into, and what is said of broken ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iso15118.v2gtp import (
    Frame,
    FrameParser,
    PayloadType,
    V2GTPError,
    describe,
    pack,
    schema_set_name,
    unpack,
)


def parse_all(parser: FrameParser) -> list[Frame]:
    frames = []
    while (frame := parser.next_frame()) is not None:
        frames.append(frame)
    return frames


def test_header_is_the_eight_bytes_of_the_standard() -> None:
    assert pack(PayloadType.DC, b"\x80\x2c").hex() == "01fe800400000002802c"


def test_an_empty_payload_is_a_frame() -> None:
    assert unpack(bytes.fromhex("01fe900000000000")) == Frame(0x9000, b"")


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=80)), max_size=6),
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_frames_survive_any_segmentation(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(pack(*frame) for frame in frames)
    parser = FrameParser()
    got: list[Frame] = []
    position = 0
    for index in range(len(stream)):
        size = cuts[index % len(cuts)]
        parser.feed(stream[position : position + size])
        got += parse_all(parser)
        position += size
        if position >= len(stream):
            break
    parser.end()
    assert got == frames


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        ("02", 0, "version is 0x02, expected 0x01"),
        ("01fd", 1, "inverse version is 0xFD, expected 0xFE"),
        ("01fe800400100000", 4, "payload length 1048576 in the V2GTP header exceeds the limit of 4096 bytes"),
        ("01fe800400000000" + "00", 8, "version is 0x00"),
    ],
)
def test_a_broken_header_is_refused_at_its_byte(data: str, offset: int, words: str) -> None:
    parser = FrameParser(max_payload=4096)
    parser.feed(bytes.fromhex(data))
    with pytest.raises(V2GTPError, match=words) as caught:
        parse_all(parser)
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("01fe80", "ends after 3 of 8 bytes of a V2GTP header"),
        ("01fe8004000000050102", r"ends after 2 of 5 payload bytes \(type 0x8004 DC\)"),
    ],
)
def test_a_stream_that_ends_inside_a_frame_is_reported(data: str, words: str) -> None:
    parser = FrameParser()
    parser.feed(bytes.fromhex(data))
    assert parser.next_frame() is None
    with pytest.raises(V2GTPError, match=words):
        parser.end()


def test_an_oversized_claim_takes_no_memory() -> None:
    parser = FrameParser(max_payload=1000)
    parser.feed(bytes.fromhex("01fe8002ffffffff"))
    with pytest.raises(V2GTPError, match="4294967295"):
        parser.next_frame()


def test_a_datagram_holds_exactly_one_frame() -> None:
    with pytest.raises(V2GTPError, match="2 bytes follow the frame"):
        unpack(pack(0x9000, b"\0\0") + b"\1\xfe")
    with pytest.raises(V2GTPError, match="empty"):
        unpack(b"")


# The 6-bit root codes are those of independent encoders; the bytes are 0x80, then the code in the upper bits.
@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x0F, "iso20_dc"),
        (0x10, "iso20_dc"),
        (0x04, "iso20_ac"),
        (0x05, "iso20_ac"),
        (0x1D, "iso20_wpt"),
        (0x1B, "iso20_common"),
        (0x1C, "iso20_common"),
        (0x15, "iso20_common"),
        (0x16, "iso20_common"),
        (0x00, None),
    ],
)
def test_the_renegotiation_stream_tells_schemas_by_root_code(code: int, name: str | None) -> None:
    assert schema_set_name(0x8101, bytes((0x80, code << 2 | 3))) == name


def test_schema_sets_of_the_main_stream() -> None:
    names = [schema_set_name(t, b"\x80\0") for t in (0x8001, 0x8002, 0x8003, 0x8004, 0x8005, 0x8006)]
    assert names == ["sap", "iso20_common", "iso20_ac", "iso20_dc", "iso20_acdp", "iso20_wpt"]
    assert [schema_set_name(t, b"\x80\0") for t in (0x8102, 0x8103, 0x8104)] == [
        "iso20_common",
        "iso20_acdp",
        "iso20_common",
    ]
    assert schema_set_name(0x8001, b"\x80\0", after_sap=True) == "iso20_common"
    assert schema_set_name(0x8050, b"\x80\0") is None
    assert schema_set_name(0x8101, b"\x80") is None


def test_payload_types_in_words() -> None:
    assert [describe(t) for t in (0x8004, 0x8050, 0xA001)] == [
        "0x8004 DC",
        "0x8050 reserved",
        "0xA001 manufacturer specific",
    ]
