"""Captures: of any link layer, in any order of segments, damaged or not."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from OpenSSL import SSL

from hlc_sim.trace import events as ev
from hlc_sim.trace.capture import events_of
from hlc_sim.trace.export import export
from hlc_sim.trace.jsonl import Writer
from hlc_sim.trace.keylog import KeyLog
from hlc_sim.trace.load import open_input
from hlc_sim.trace.packets import ACK, PSH, SYN, Endpoint, tcp, udp
from hlc_sim.trace.pcap import CaptureError, Packet, PcapngWriter
from hlc_sim.trace.pcap import read as read_packets
from hlc_sim.trace.tcp import Reassembly
from iso15118 import v2gtp

from . import recordings as rec
from .tls_pair import Conversation

EVCC, SECC = Endpoint(IPv6Address("fe80::1"), 49200), Endpoint(IPv6Address("fe80::2"), 49300)


def frames(data: bytes, keylog: KeyLog | None = None) -> list[ev.Frame]:
    return [event for event in events_of(io.BytesIO(data), keylog or KeyLog()) if isinstance(event, ev.Frame)]


def packets(shuffle: int | None = None, mss: int = 40) -> list[bytes]:
    """Ethernet frames of a session, cut small, duplicated and in disorder if `shuffle` is a seed."""
    counters = {"EVCC": 1000, "SECC": 0xFFFFFF00}  # one wraps around
    built = [tcp(EVCC, SECC, 999, 0, SYN, b""), tcp(SECC, EVCC, 0xFFFFFEFF, 1000, SYN | ACK, b"")]
    data: list[bytes] = []
    for event in rec.dc_bpt_dynamic().events():
        assert isinstance(event, ev.Frame)
        ends = (EVCC, SECC) if event.sender == "EVCC" else (SECC, EVCC)
        whole = v2gtp.pack(event.payload_type, bytes.fromhex(event.payload))
        pieces = []
        for start in range(0, len(whole), mss):
            part = whole[start : start + mss]
            pieces.append(tcp(*ends, counters[event.sender], 0, ACK | PSH, part))
            counters[event.sender] += len(part)
        if shuffle is not None:
            random.Random(shuffle + len(data)).shuffle(pieces)
            pieces.append(pieces[0])
        data += pieces
    return built + data


def pcap(built: list[bytes], *, link: int = 1, order: str = "<", nano: bool = False, cut: int = 0) -> bytes:
    """A classic pcap file; `cut` bytes of link layer are taken off the front of each packet."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for number, packet in enumerate(built):
        out += (
            struct.pack(order + "IIII", 1_800_000_000, number, len(packet) - cut, len(packet) - cut)
            + packet[cut:]
        )
    return out


def expected() -> list[tuple[str, int, str]]:
    return [
        (e.sender, e.payload_type, e.payload)
        for e in rec.dc_bpt_dynamic().events()
        if isinstance(e, ev.Frame)
    ]


def said(found: list[ev.Frame]) -> list[tuple[str, int, str]]:
    return [(frame.sender, frame.payload_type, frame.payload) for frame in found]


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_segments_in_any_order_make_the_same_frames(seed: int | None) -> None:
    found = frames(pcap(packets(seed)))
    assert said(found) == expected()
    assert found[-1].after == "Closed"


@pytest.mark.parametrize(("order", "nano"), [("<", False), (">", False), ("<", True), (">", True)])
def test_both_byte_orders_and_resolutions(order: str, nano: bool) -> None:
    data = pcap(packets(), order=order, nano=nano)
    found = list(read_packets(io.BytesIO(data)))
    assert isinstance(found[1], Packet)
    assert found[1].time == pytest.approx(1_800_000_000 + (1e-9 if nano else 1e-6))
    assert said(frames(data)) == expected()


def _linux_cooked(packet: bytes) -> bytes:
    return bytes(14) + packet[12:]


def _linux_cooked_2(packet: bytes) -> bytes:
    return packet[12:14] + bytes(18) + packet[14:]


def _vlan(packet: bytes) -> bytes:
    return packet[:12] + b"\x81\x00\x00\x07" + packet[12:]


def _raw(packet: bytes) -> bytes:
    return packet[14:]


def _loopback(packet: bytes) -> bytes:
    return struct.pack("<I", 30) + packet[14:]


@pytest.mark.parametrize(
    ("link", "change"),
    [
        (1, _vlan),
        (113, _linux_cooked),
        (276, _linux_cooked_2),
        (101, _raw),
        (229, _raw),
        (0, _loopback),
        (108, _loopback),
    ],
)
def test_link_layers(link: int, change: object) -> None:
    assert callable(change)
    assert said(frames(pcap([change(packet) for packet in packets()], link=link))) == expected()


def test_an_unknown_link_layer_is_named() -> None:
    notes = [
        event
        for event in events_of(io.BytesIO(pcap(packets(), link=147)), KeyLog())
        if isinstance(event, ev.Note)
    ]
    assert [note.level for note in notes] == ["error"]
    assert "link type 147" in notes[0].text


def test_what_a_capture_missed_is_said_and_the_rest_read() -> None:
    built = packets()
    del built[20]
    events = list(events_of(io.BytesIO(pcap(built)), KeyLog()))
    assert any(isinstance(event, ev.Note) and "lacks 40 bytes" in event.text for event in events)


def test_a_capture_that_breaks_off_is_read_to_there() -> None:
    data = pcap(packets())
    events = list(events_of(io.BytesIO(data[: len(data) // 2]), KeyLog()))
    assert sum(isinstance(event, ev.Frame) for event in events) > 10
    last = [event for event in events if isinstance(event, ev.Note)]
    assert "the file ends within" in last[0].text


@pytest.mark.parametrize(
    "data", [b"GET / HTTP", b"\x0a\x0d\x0d\x0a" + bytes(40), b"\xd4\xc3\xb2\xa1" + bytes(3)]
)
def test_what_is_no_capture_is_refused_with_the_byte(data: bytes) -> None:
    with pytest.raises(CaptureError, match="byte"):
        list(read_packets(io.BytesIO(data)))


def test_sdp_tells_who_is_the_secc() -> None:
    request, response = rec.sdp_exchange(asked=rec.sdp.Security.TLS, given=rec.sdp.Security.TLS)
    assert isinstance(request, ev.SDP)
    assert isinstance(response, ev.SDP)
    built = [
        udp(
            EVCC, Endpoint(IPv6Address("ff02::1"), 15118), v2gtp.pack(0x9000, bytes.fromhex(request.payload))
        ),
        udp(Endpoint(SECC.address, 15118), EVCC, v2gtp.pack(0x9001, bytes.fromhex(response.payload))),
    ]
    found = [event for event in events_of(io.BytesIO(pcap(built)), KeyLog()) if isinstance(event, ev.SDP)]
    assert [(event.sender, event.payload) for event in found] == [
        ("EVCC", request.payload),
        ("SECC", response.payload),
    ]


def test_reassembly_bears_overlaps_and_repeats() -> None:
    data = bytes(range(200))
    rng = random.Random(5)
    for _ in range(50):
        side = Reassembly()
        side.feed(0xFFFFFFF0 - 1, SYN, b"")
        cuts = [(start, start + rng.randint(7, 40)) for start in range(0, 200, 7)]
        rng.shuffle(cuts)
        out = b"".join(
            side.feed((0xFFFFFFF0 + start) & 0xFFFFFFFF, ACK, data[start:end])
            for start, end in cuts
            if start < 200
        )
        assert out + side.end() == data
        assert side.lost == 0


# -- our own captures ----------------------------------------------------------------------------------------


def tls_trace(path: Path) -> list[bytes]:
    """A trace of a TLS 1.3 connection, with ciphertext and secrets; the V2GTP frames that were said."""
    talk = Conversation(version=SSL.TLS1_3_VERSION, suite="TLS_AES_256_GCM_SHA384")
    told = []
    for event in rec.dc_bpt_dynamic().events():
        assert isinstance(event, ev.Frame)
        whole = v2gtp.pack(event.payload_type, bytes.fromhex(event.payload))
        talk.say(event.sender == "EVCC", whole)
        told.append(whole)
    with Writer(path, ev.Header(time=rec.BEGIN, version="1")) as writer:
        writer.write(
            ev.Connection(
                time=rec.BEGIN, connection=1, evcc="[fe80::1]:49200", secc="[fe80::2]:49300", tapped=True
            )
        )
        for number, (from_client, data) in enumerate(talk.wire):
            sender = "EVCC" if from_client else "SECC"
            at = rec.BEGIN + number / 1000
            writer.write(ev.Segment(time=at, connection=1, sender=sender, data=data.hex()))
        for line in talk.keylog:  # they come late in a trace: the export puts them first
            writer.write(ev.Secret(time=rec.BEGIN + 1, line=line))
        writer.write(ev.Closed(time=rec.BEGIN + 9, connection=1, by="EVCC"))
    return told


def test_an_exported_capture_holds_its_secrets_and_reads_back(tmp_path: Path) -> None:
    tls_trace(tmp_path / "a.jsonl")
    export(tmp_path / "a.jsonl", tmp_path / "a.pcapng")
    with open_input(tmp_path / "a.pcapng") as opened:
        events = list(opened)
    assert said([event for event in events if isinstance(event, ev.Frame)]) == expected()
    facts = next(event for event in events if isinstance(event, ev.TLS))
    assert (facts.version, facts.suite, facts.mutual) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384", True)
    assert isinstance(events[-1], ev.Closed)


def test_secrets_disclosed_over_udp_are_used(tmp_path: Path) -> None:
    talk = Conversation(version=SSL.TLS1_3_VERSION, suite="TLS_AES_256_GCM_SHA384")
    for event in rec.dc_bpt_dynamic().events():
        assert isinstance(event, ev.Frame)
        talk.say(event.sender == "EVCC", v2gtp.pack(event.payload_type, bytes.fromhex(event.payload)))
    path = tmp_path / "a.pcapng"
    counters = {True: 0, False: 0}
    with path.open("wb") as stream:
        writer = PcapngWriter(stream, application="test")
        for from_client, data in talk.wire:
            ends = (EVCC, SECC) if from_client else (SECC, EVCC)
            writer.packet(rec.BEGIN, tcp(*ends, counters[from_client], 0, ACK, data))
            counters[from_client] += len(data)
        for line in talk.keylog:
            writer.packet(rec.BEGIN, udp(SECC, Endpoint(IPv6Address("ff02::1"), 9), line.encode() + b"\n"))
    with open_input(path) as opened:
        assert said([event for event in opened if isinstance(event, ev.Frame)]) == expected()


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_decrypts_it_without_further_options(tmp_path: Path) -> None:
    told = tls_trace(tmp_path / "a.jsonl")
    export(tmp_path / "a.jsonl", tmp_path / "a.pcapng")
    command = ["tshark", "-r", str(tmp_path / "a.pcapng"), "-Y", "tls.app_data"]
    fields = ["-T", "fields", "-e", "data.data"]
    result = subprocess.run(command + fields, capture_output=True, text=True, timeout=60, check=True)
    assert [bytes.fromhex(line) for line in result.stdout.split()] == told
    whole = subprocess.run(
        ["tshark", "-r", str(tmp_path / "a.pcapng"), "-q", "-z", "expert"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Malformed" not in whole.stdout
    assert "Errors" not in whole.stdout
