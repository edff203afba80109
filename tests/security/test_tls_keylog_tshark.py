"""tshark, given our key log, must find the V2GTP frames inside a recorded session."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import trio
import trio.testing

from hlc_sim.transport.tls import TLSStream, secure

from .conftest import evcc_config, mint, secc_config

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")

PORTS = {"evcc": 49152, "secc": 15118}
FRAME = bytes.fromhex("01fe8002") + len(b"V2GTP inside TLS").to_bytes(4, "big") + b"V2GTP inside TLS"


class Tapped(trio.abc.Stream):
    """A stream that notes what it sends."""

    def __init__(self, stream: trio.abc.Stream, side: str, log: list[tuple[str, bytes]]) -> None:
        self.stream, self.side, self.log = stream, side, log

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.log.append((self.side, bytes(data)))
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


def pcap(log: list[tuple[str, bytes]]) -> bytes:
    """The octets as TCP over IPv6 (link type 101, raw IP), connection set-up included."""
    address = {"evcc": bytes(15) + b"\x01", "secc": bytes(15) + b"\x02"}
    sequence = {"evcc": 1000, "secc": 2000}
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)

    def segment(side: str, flags: int, data: bytes = b"") -> bytes:
        other = "secc" if side == "evcc" else "evcc"
        tcp = struct.pack(
            ">HHIIBBHHH", PORTS[side], PORTS[other], sequence[side], sequence[other], 0x50, flags, 65535, 0, 0
        )
        ip = struct.pack(">IHBB", 0x60000000, 20 + len(data), 6, 64) + address[side] + address[other]
        packet = ip + tcp + data
        sequence[side] += len(data) + (flags & 2) // 2
        return struct.pack("<IIII", 1_700_000_000, 0, len(packet), len(packet)) + packet

    out += segment("evcc", 0x02) + segment("secc", 0x12) + segment("evcc", 0x10)
    for side, data in log:
        for start in range(0, len(data), 1400):
            out += segment(side, 0x18, data[start : start + 1400])
    return out


async def test_tshark_decrypts_with_our_key_log(tmp_path: Path) -> None:
    hierarchy = mint()
    near, far = trio.testing.memory_stream_pair()
    log: list[tuple[str, bytes]] = []
    made: dict[str, TLSStream] = {}
    keys = tmp_path / "keys.log"

    async def serve() -> None:
        stream = Tapped(far, "secc", log)
        made["secc"] = await secure(stream, secc_config(hierarchy, keylog=keys), server_side=True)
        await made["secc"].receive_some()
        await made["secc"].send_all(FRAME)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        stream = await secure(Tapped(near, "evcc", log), evcc_config(hierarchy), server_side=False)
        await stream.send_all(FRAME)
        assert await stream.receive_some() == FRAME
    capture = tmp_path / "session.pcap"
    capture.write_bytes(pcap(log))
    command = ["tshark", "-r", str(capture), "-o", f"tls.keylog_file:{keys}", "-d", "tcp.port==15118,tls"]
    command += ["-T", "fields", "-e", "tcp.srcport", "-e", "tls.app_data_proto", "-e", "data.data"]
    run = await trio.run_process(
        [*command, "-d", "tls.port==15118,data"], capture_stdout=True, stderr=subprocess.DEVNULL
    )
    seen = [line.split("\t") for line in run.stdout.decode().splitlines()]
    for side in ("evcc", "secc"):
        assert any(row[0] == str(PORTS[side]) and FRAME.hex() in row[-1] for row in seen), seen
    certificates = await trio.run_process(
        [*command[:7], "-V", "-Y", "tls.handshake.type == 11"], capture_stdout=True, stderr=subprocess.DEVNULL
    )
    text = certificates.stdout.decode()
    assert "HLC OEM Sub-CA 2" in text  # the vehicle certificates, which TLS 1.3 sends encrypted
