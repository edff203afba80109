"""The scapy layers, byte for byte against frames made elsewhere, and against Wireshark's dissector."""

from __future__ import annotations

import json
import random
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scapy")

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Padding, Raw, fuzz
from scapy.utils import PcapWriter

from hlc_sim.powerline.layers import *  # noqa: F403
from hlc_sim.powerline.layers import (
    CM_AMP_MAP_REQ,
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_CHAR_RSP,
    CM_ATTEN_PROFILE_IND,
    CM_GET_KEY_CNF,
    CM_GET_KEY_REQ,
    CM_MNBC_SOUND_IND,
    CM_NW_INFO_CNF,
    CM_NW_STATS_CNF,
    CM_SET_KEY_CNF,
    CM_SET_KEY_REQ,
    CM_SLAC_MATCH_CNF,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_CNF,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    CM_VALIDATE_CNF,
    CM_VALIDATE_REQ,
    EXI,
    LUMISSIL,
    MMTYPES,
    NSCM_GET_VERSION_CNF,
    NSCM_GET_VERSION_REQ,
    QUALCOMM,
    V2GTP,
    VS_ATTENUATION_CHARACTERISTICS_IND,
    VS_MODULE_OPERATION_REQ,
    VS_NW_INFO_CNF,
    VS_NW_INFO_REQ,
    VS_OP_ATTRIBUTES_CNF,
    VS_OP_ATTRIBUTES_REQ,
    VS_PL_LNK_STATUS_CNF,
    VS_SW_VER_CNF,
    VS_SW_VER_REQ,
    HomePlug,
    Network,
    NetworkDetail,
    NetworkStation,
    ReadModuleDataConfirmation,
    ReadModuleDataRequest,
    SDPRequest,
    SDPResponse,
    StationRate,
    bind_v2gtp,
)
from hlc_sim.powerline.wire import build, parse
from iso15118 import exi
from iso15118.slac import messages as m

from .golden import GOLDEN

EV, EVSE, MODEM = "02:00:00:00:0e:01", "02:00:00:00:05:e1", "02:00:00:00:00:99"
ALL = "ff:ff:ff:ff:ff:ff"
LOCAL = "00:b0:52:00:00:01"
RUN = bytes.fromhex("1122334455667788")
AAG = [20 + i % 8 for i in range(58)]
NMK = bytes.fromhex("b59319d7e8157ba001b018669ccee30d")
NID = bytes.fromhex("026bcba5354e08")
RND = bytes(range(0xA0, 0xB0))

BUILT = {
    "CM_SLAC_PARM_REQ": (ALL, EV, CM_SLAC_PARM_REQ(run_id=RUN)),
    "CM_SLAC_PARM_CNF": (EV, EVSE, CM_SLAC_PARM_CNF(forwarding_sta=EV, run_id=RUN)),
    "CM_START_ATTEN_CHAR_IND": (ALL, EV, CM_START_ATTEN_CHAR_IND(forwarding_sta=EV, run_id=RUN)),
    "CM_MNBC_SOUND_IND": (ALL, EV, CM_MNBC_SOUND_IND(count=9, run_id=RUN, random=RND)),
    "CM_ATTEN_PROFILE_IND": (ALL, MODEM, CM_ATTEN_PROFILE_IND(pev_mac=EV, attenuation=AAG)),
    "VS_ATTENUATION_CHARACTERISTICS_IND": (
        ALL,
        MODEM,
        VS_ATTENUATION_CHARACTERISTICS_IND(pev_mac=EV, attenuation=AAG),
    ),
    "CM_ATTEN_CHAR_IND": (EV, EVSE, CM_ATTEN_CHAR_IND(source_address=EV, run_id=RUN, attenuation=AAG)),
    "CM_ATTEN_CHAR_RSP": (EVSE, EV, CM_ATTEN_CHAR_RSP(source_address=EV, run_id=RUN)),
    "CM_VALIDATE_REQ": (EVSE, EV, CM_VALIDATE_REQ()),
    "CM_VALIDATE_CNF": (EV, EVSE, CM_VALIDATE_CNF()),
    "CM_SLAC_MATCH_REQ": (EVSE, EV, CM_SLAC_MATCH_REQ(pev_mac=EV, evse_mac=EVSE, run_id=RUN)),
    "CM_SLAC_MATCH_CNF": (
        EV,
        EVSE,
        CM_SLAC_MATCH_CNF(pev_mac=EV, evse_mac=EVSE, run_id=RUN, nid=NID, nmk=NMK),
    ),
    "CM_SET_KEY_REQ": (LOCAL, EV, CM_SET_KEY_REQ(nid=NID, nmk=NMK)),
    "CM_SET_KEY_CNF": (EV, MODEM, CM_SET_KEY_CNF(my_nonce=bytes.fromhex("a0a1a2a3"))),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_built_byte_for_byte(name):
    dst, src, body = BUILT[name]
    assert bytes(Ether(dst=dst, src=src) / HomePlug() / body).hex() == GOLDEN[name]


@pytest.mark.parametrize("name", GOLDEN)
def test_dissected_and_rebuilt(name):
    frame = Ether(bytes.fromhex(GOLDEN[name]))
    body = frame[HomePlug].payload
    assert type(body).__name__ == name
    _, _, wanted = BUILT[name]
    for field, value in wanted.fields.items():
        assert (
            body.getfieldval(field)
            == wanted.getfieldval(field)
            == (bytes(value) if isinstance(value, list) else value)
        )
    assert body.payload.__class__ in (Padding, type(Raw().payload))
    for layer in (frame, frame.payload, body):
        layer.raw_packet_cache = None
    assert bytes(frame).hex() == GOLDEN[name]


def test_names_are_shown():
    shown = Ether(bytes.fromhex(GOLDEN["CM_SLAC_MATCH_CNF"])).show(dump=True)
    assert "0x607d CM_SLAC_MATCH_CNF" in shown
    assert NMK.hex() in shown
    shown = Ether(bytes.fromhex(GOLDEN["CM_ATTEN_CHAR_IND"])).show(dump=True)
    assert "mean 23.4 dB" in shown
    assert HomePlug(mmtype="CM_VALIDATE_REQ").mmtype == 0x6078


def test_the_long_report_of_other_stacks_is_read():
    """326 bytes: the group array at its full size of 255, 58 of them used."""
    frame = bytes.fromhex(GOLDEN["CM_ATTEN_CHAR_IND"]) + bytes(197)
    assert len(frame) == 326
    assert list(Ether(frame)[CM_ATTEN_CHAR_IND].attenuation) == AAG


def test_a_profile_without_groups_is_60_bytes():
    frame = bytes(Ether(dst=ALL, src=MODEM) / HomePlug() / CM_ATTEN_PROFILE_IND(pev_mac=EV))
    assert len(frame) == 60
    assert Ether(frame)[CM_ATTEN_PROFILE_IND].attenuation == b""


def test_the_oui_bug_of_some_firmware_is_read():
    golden = bytearray.fromhex(GOLDEN["VS_ATTENUATION_CHARACTERISTICS_IND"])
    golden[17:20] = bytes(3)
    assert list(Ether(bytes(golden))[VS_ATTENUATION_CHARACTERISTICS_IND].attenuation) == AAG


def test_versions_put_the_body_where_it_belongs():
    """Offsets: MMV 0 vendor body at 20; MMV 1 vendor body at 22; MMV 1 body at 19; MMV 0 body at 17."""

    def at(header, body):
        return bytes(Ether(dst=ALL, src=EV) / header / body)

    assert at(HomePlug(), VS_OP_ATTRIBUTES_REQ(cookie=0x44332211))[20:24].hex() == "11223344"
    assert at(HomePlug(mmv=1), VS_OP_ATTRIBUTES_REQ(cookie=0x44332211))[22:26].hex() == "11223344"
    assert at(HomePlug(mmv=1), VS_OP_ATTRIBUTES_REQ())[17:22].hex() == "000000b052"
    assert at(HomePlug(mmv=2), CM_SLAC_PARM_REQ(run_id=RUN))[21:29] == RUN
    assert at(HomePlug(mmv=0), CM_SLAC_PARM_REQ(run_id=RUN))[19:27] == RUN


def test_software_version():
    request = Ether(dst=LOCAL, src=EV) / HomePlug() / VS_SW_VER_REQ()
    assert bytes(request)[14:20].hex() == "0000a000b052"
    text = b"MAC-QCA7000-1.1.3.1531-00-20150204-CS"
    answer = HomePlug() / VS_SW_VER_CNF(device_class=0x22, version=text)
    frame = bytes(Ether(dst=EV, src=MODEM) / answer)
    assert frame[14:23].hex() == "0001a000b0520022" + f"{len(text):02x}"
    assert Ether(frame)[VS_SW_VER_CNF].version == text
    assert Ether(frame).answers(request)


def test_scapys_own_layers_lie_below_ours_where_they_are_right():
    answer = ReadModuleDataConfirmation(ModuleID=2, DataLen=4, Offset=0x10, ModuleData=b"\x01\x02\x03\x04")
    frame = bytes(Ether(dst=EV, src=MODEM) / HomePlug() / answer)
    # status, reserved[3], module, reserved, length, offset, complement of the XOR of the words, data
    assert frame[20:40].hex() == "000000000200040010000000fefdfcfb01020304"
    assert Ether(frame)[ReadModuleDataConfirmation].ModuleData == b"\x01\x02\x03\x04"
    assert Ether(frame).answers(Ether(dst=LOCAL, src=EV) / HomePlug() / ReadModuleDataRequest())


def test_network_info_of_both_versions():
    stations = [NetworkStation(mac=EVSE, tei=2, tx=120, rx=118), NetworkStation(mac=EV, tei=3)]
    networks = [NetworkDetail(nid=NID, tei=1, role=2, cco_mac=MODEM, stations=stations), NetworkDetail()]
    frame = bytes(Ether(dst=EV, src=MODEM) / HomePlug(mmv=1) / VS_NW_INFO_CNF(networks=networks))
    assert frame[27] == 2  # NumAVLN
    assert frame[28:35] == NID
    assert len(frame) == 28 + 2 * 32 + 2 * 24  # networks of 32 bytes, the stations inside the first
    body = Ether(frame)[VS_NW_INFO_CNF]
    assert [station.mac for station in body.networks[0].stations] == [EVSE, EV]
    assert body.networks[0].stations[0].tx == 120
    assert body.networks[1].stations == []
    assert VS_NW_INFO_REQ in Ether(bytes(Ether(dst=LOCAL, src=EV) / HomePlug(mmv=1) / VS_NW_INFO_REQ()))


def test_standard_network_messages():
    info = CM_NW_INFO_CNF(networks=[Network(nid=NID, snid=5, tei=2, role=0, cco_mac=MODEM)])
    frame = bytes(Ether(dst=EV, src=MODEM) / HomePlug() / info)
    assert frame[19] == 1
    assert frame[20:30].hex() == NID.hex() + "050200"
    assert Ether(frame)[CM_NW_INFO_CNF].networks[0].cco_mac == MODEM
    stats = CM_NW_STATS_CNF(stations=[StationRate(mac=EVSE, tx=9, rx=8)])
    frame = bytes(Ether(dst=EV, src=MODEM) / HomePlug() / stats)
    assert frame[19:28].hex() == "01" + EVSE.replace(":", "") + "0908"


def test_module_operation_packs_lengths_little_endian():
    """What modems answer to; scapy's own packs them the other way."""
    body = bytes(VS_MODULE_OPERATION_REQ(sub_id=0, data_length=1400, offset=0x1653))
    assert body.hex() == "0000000001000012000000000002700000780553160000"


def test_amplitude_map_of_917_carriers():
    carriers = [i % 16 for i in range(917)]
    frame = bytes(Ether(dst=EV, src=EVSE) / HomePlug() / CM_AMP_MAP_REQ(num_carriers=917, carriers=carriers))
    assert len(frame) == 19 + 2 + 459
    assert frame[19:24].hex() == "9503103254"
    assert len(Ether(frame)[CM_AMP_MAP_REQ].carriers) == 459


# --- messages of the state machines, there and back ---------------------------------------------------

MAC = st.binary(min_size=6, max_size=6)
BYTE = st.integers(0, 255)
GROUPS = st.lists(BYTE, max_size=255).map(tuple)


def octets(size: int):
    return st.binary(min_size=size, max_size=size)


MESSAGES = st.one_of(
    st.builds(m.SlacParmReq, octets(8), BYTE, BYTE),
    st.builds(m.SlacParmCnf, octets(8), MAC, BYTE, BYTE, BYTE, MAC, BYTE, BYTE),
    st.builds(m.StartAttenCharInd, octets(8), MAC, BYTE, BYTE, BYTE, BYTE, BYTE),
    st.builds(m.MnbcSoundInd, octets(8), BYTE, octets(16), octets(17), BYTE, BYTE),
    st.builds(m.AttenProfileInd, MAC, GROUPS),
    st.builds(m.AttenCharInd, octets(8), MAC, GROUPS, BYTE, octets(17), octets(17), BYTE, BYTE),
    st.builds(m.AttenCharRsp, octets(8), MAC, BYTE, octets(17), octets(17), BYTE, BYTE),
    st.builds(m.ValidateReq, BYTE, BYTE, BYTE),
    st.builds(m.ValidateCnf, BYTE, BYTE, BYTE),
    st.builds(m.SlacMatchReq, octets(8), MAC, MAC, octets(17), octets(17), BYTE, BYTE),
    st.builds(m.SlacMatchCnf, octets(8), MAC, MAC, octets(7), octets(16), octets(17), octets(17), BYTE, BYTE),
    st.builds(m.AmpMapReq, st.lists(st.integers(0, 15), max_size=917).map(tuple)),
    st.builds(m.AmpMapCnf, BYTE),
)


@settings(max_examples=150, deadline=None)
@given(MESSAGES, MAC, MAC, st.sampled_from([None, 1, 2]), st.integers(0, 40))
def test_every_message_there_and_back(message, destination, source, mmv, padding):
    frame = build(destination, source, message, mmv)
    assert len(frame) >= 60
    assert frame[:12] == destination + source
    assert parse(frame + bytes(padding)) == (source, message)


# --- answers ----------------------------------------------------------------------------------------


def test_answers_only_what_was_asked():
    def frame(body, **header):
        return Ether(bytes(Ether(dst=ALL, src=EV) / HomePlug(**header) / body))

    asked = frame(CM_SLAC_PARM_REQ(run_id=RUN))
    assert frame(CM_SLAC_PARM_CNF(run_id=RUN)).answers(asked)
    assert not frame(CM_SLAC_PARM_CNF(run_id=bytes(8))).answers(asked)
    assert not asked.answers(asked)
    assert not frame(CM_SLAC_MATCH_CNF(run_id=RUN)).answers(asked)
    assert frame(CM_ATTEN_CHAR_RSP(run_id=RUN)).answers(frame(CM_ATTEN_CHAR_IND(run_id=RUN)))
    assert frame(CM_VALIDATE_CNF()).answers(frame(CM_VALIDATE_REQ()))

    nonce = b"\x01\x02\x03\x04"
    key = frame(CM_SET_KEY_REQ(my_nonce=nonce))
    assert frame(CM_SET_KEY_CNF(your_nonce=nonce)).answers(key)
    assert not frame(CM_SET_KEY_CNF()).answers(key)
    get = frame(CM_GET_KEY_REQ(my_nonce=nonce))
    assert frame(CM_GET_KEY_CNF(your_nonce=nonce)).answers(get)

    probe = frame(VS_OP_ATTRIBUTES_REQ(cookie=7))
    assert frame(VS_OP_ATTRIBUTES_CNF(cookie=7)).answers(probe)
    assert not frame(VS_OP_ATTRIBUTES_CNF(cookie=8)).answers(probe)
    lumissil = frame(NSCM_GET_VERSION_REQ(request_id=3))
    assert frame(NSCM_GET_VERSION_CNF(request_id=3)).answers(lumissil)
    assert not frame(NSCM_GET_VERSION_CNF(request_id=4)).answers(lumissil)
    assert (lumissil.oui, probe.oui) == (LUMISSIL, QUALCOMM)
    assert not frame(VS_PL_LNK_STATUS_CNF()).answers(probe)


def test_fuzz_of_scapy_works_on_every_body():
    random.seed(5)
    for name, (dst, src, body) in BUILT.items():
        frame = bytes(Ether(dst=dst, src=src) / HomePlug() / fuzz(type(body)()))
        assert len(frame) >= 60, name
        assert type(Ether(frame)[HomePlug].payload).__name__ == name


def test_no_frame_makes_the_dissector_raise():
    source = random.Random(3)
    for _ in range(300):
        name = source.choice(list(GOLDEN))
        frame = bytearray.fromhex(GOLDEN[name])
        for _ in range(source.randint(1, 6)):
            frame[source.randrange(14, len(frame))] = source.randrange(256)
        del frame[source.randrange(14, len(frame)) :]
        Ether(bytes(frame)).show(dump=True)


# --- V2GTP and SDP ----------------------------------------------------------------------------------


def test_sdp_on_its_port():
    request = IPv6(dst="ff02::1") / UDP(sport=50001, dport=15118) / V2GTP() / SDPRequest(security="NONE")
    frame = bytes(request)
    assert frame[48:].hex() == "01fe9000000000021000"
    assert IPv6(frame)[SDPRequest].security == 0x10
    response = IPv6() / UDP(sport=15118) / V2GTP() / SDPResponse(address="fe80::1", port=50000)
    read = IPv6(bytes(response))
    assert bytes(response)[48:].hex() == "01fe900100000014fe80" + "00" * 13 + "01c3500000"
    assert (read[SDPResponse].address, read[SDPResponse].port) == ("fe80::1", 50000)
    assert read[V2GTP].answers(IPv6(frame)[V2GTP])


def test_exi_is_shown_decoded():
    bind_v2gtp(50000)
    # supportedAppProtocolRes: OK_SuccessfulNegotiation, SchemaID 1 (the EXI of every trace there is)
    payload = bytes.fromhex("80400040")
    segment = bytes(IP() / TCP(dport=50000) / V2GTP(payload_type=0x8001) / EXI(exi=payload))
    packet = IP(segment)
    message = packet[EXI].message
    assert type(message) is type(exi.decode(payload, exi.SchemaSet.SAP))
    assert type(message).__name__ in packet.show(dump=True)


def test_exi_that_cannot_be_decoded_is_shown_with_the_reason():
    shown = V2GTP(bytes(V2GTP(payload_type=0x8004) / EXI(exi=b"\xff\xff"))).show(dump=True)
    assert "ffff (not decoded: " in shown
    assert V2GTP(bytes.fromhex("01fe8004000000020102") + b"more")[Padding].load == b"more"


# --- an independent reader ----------------------------------------------------------------------------

TSHARK = shutil.which("tshark")


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
def test_wireshark_reads_every_frame_the_same(tmp_path):
    known = [name for name in BUILT if not name.startswith("VS_")]
    path = tmp_path / "frames.pcap"
    with PcapWriter(str(path)) as writer:
        for name in known:
            dst, src, body = BUILT[name]
            writer.write(Ether(dst=dst, src=src) / HomePlug() / body)
    result = subprocess.run(
        [TSHARK, "-r", str(path), "-T", "json", "--no-duplicate-keys"], capture_output=True, check=True
    )
    packets = [entry["_source"]["layers"] for entry in json.loads(result.stdout)]
    assert len(packets) == len(known)
    for name, layers in zip(known, packets, strict=True):
        text = json.dumps(layers["homeplug-av"])
        number = next(number for number, known_name in MMTYPES.items() if known_name == name)
        assert f"0x{number:08x}" in text or f"0x{number:04x}" in text, (name, text)
        assert "_ws.malformed" not in json.dumps(layers), name
        _, _, body = BUILT[name]
        for field, value in body.fields.items():
            if field == "attenuation":
                groups = [f'"{each}"' for each in value]
                assert ", ".join(groups) in text, name
            elif isinstance(value, bytes):
                # nonces are numbers to Wireshark, little endian
                shown = (value.hex(":"), value.hex(), f"0x{value.hex()}", f"0x{value[::-1].hex()}")
                assert any(form in text for form in shown), (name, field, text)
            elif isinstance(value, str):
                assert value in text, (name, field, text)
