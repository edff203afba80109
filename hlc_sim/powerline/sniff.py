"""Listening to an interface or reading a capture, frame by frame, in words."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from scapy.error import Scapy_Exception
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader

from iso15118.slac import messages as m
from iso15118.slac.keys import nmk_weaknesses

from . import layers  # noqa: F401  (binds the layers)
from .layers_mme import HomePlug
from .layers_v2gtp import EXI, SDPRequest, SDPResponse
from .rawsocket import RawLink
from .wire import MalformedMme, mmtype_of, parse


async def frames(link: RawLink) -> AsyncIterator[tuple[float, bytes]]:
    """(time of day, frame) for ever."""
    while True:
        frame = await link.receive()
        yield time.time(), frame


def frames_of(path: Path) -> Iterator[tuple[float, bytes]]:
    """The same from a pcap or pcapng file."""
    try:
        with PcapReader(str(path)) as reader:
            for packet in reader:
                yield float(packet.time), bytes(packet)
    except Scapy_Exception as error:
        raise ValueError(f"{path}: neither pcap nor pcapng ({error})") from None


def describe(frame: bytes) -> str:
    """One line: who to whom, what, the parameters that matter."""
    source, destination = m.mac_text(frame[6:12]), m.mac_text(frame[:6])
    return f"{source} > {destination}  {_content(frame)}"


def dissect(frame: bytes) -> str:
    """Every field, as scapy shows it; EXI decoded."""
    return str(Ether(frame).show(dump=True))


def _content(frame: bytes) -> str:
    if mmtype_of(frame) is None:
        return _data(frame)
    try:
        parsed = parse(frame)
    except MalformedMme as error:
        return f"malformed: {error}"
    packet = Ether(frame)
    name = (
        str(packet[HomePlug].mysummary()) if HomePlug in packet else f"EtherType 0x88e1, {len(frame)} bytes"
    )
    return f"{name} {_parameters(parsed[1])}".rstrip() if parsed else name


def _parameters(message: Any) -> str:
    match message:
        case m.SlacParmReq():
            return f"run {message.run_id.hex()}"
        case m.SlacParmCnf():
            return f"run {message.run_id.hex()}, {message.num_sounds} sounds in {message.time_out * 100} ms"
        case m.StartAttenCharInd():
            return f"run {message.run_id.hex()}, {message.num_sounds} sounds"
        case m.MnbcSoundInd():
            return f"{message.count} to come"
        case m.AttenProfileInd() | m.AttenCharInd():
            groups = message.attenuation
            mean = f", mean {sum(groups) / len(groups):.1f} dB" if groups else ""
            return f"{len(groups)} groups{mean}"
        case m.ValidateReq():
            return "step 1" if message.timer == 0 else f"step 2, {message.timer + 1} x 100 ms"
        case m.ValidateCnf():
            words = {int(each): each.name.lower().replace("_", " ") for each in m.ValidateResult}
            return f"{words.get(message.result, message.result)}, {message.toggle_num} toggles"
        case m.SlacMatchCnf():
            weak = nmk_weaknesses(message.nmk)
            warning = f" (weak key: {'; '.join(weak)})" if weak else ""
            return f"NID {message.nid.hex()}, NMK {message.nmk.hex()}{warning}"
        case m.AmpMapReq():
            return f"{len(message.carriers)} carriers"
    return ""


def _data(frame: bytes) -> str:
    packet = Ether(frame)
    if EXI in packet:
        return f"EXI {packet[EXI].mysummary()}"
    if SDPRequest in packet:
        return f"SDP request, {packet[SDPRequest].sprintf('%security%, %transport%')}"
    if SDPResponse in packet:
        answer = packet[SDPResponse]
        return f"SDP response, [{answer.address}]:{answer.port}, {answer.sprintf('%security%')}"
    return str(packet[IPv6].summary() if IPv6 in packet else packet.summary())
