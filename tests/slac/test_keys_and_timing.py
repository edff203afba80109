"""Keys against vectors computed elsewhere; the timer table; the control pilot line."""

from __future__ import annotations

import random

import pytest

from iso15118.slac import (
    CpSignal,
    CpState,
    EvSlac,
    EvSlacConfig,
    NominalDuty,
    SimulatedLine,
    Timing,
    dak_from_password,
    nid_from_nmk,
    nmk_from_password,
    nmk_weaknesses,
    timer_table,
)


@pytest.mark.parametrize(
    ("password", "nmk", "nid"),
    [
        ("HomePlugAV0123", "B59319D7E8157BA001B018669CCEE30D", "026BCBA5354E08"),
        ("HomePlugAV", "50D3E4933F855B7040784DF815AA8DB7", "B0F2E695666B03"),
    ],
)
def test_nmk_and_nid(password, nmk, nid):
    assert nmk_from_password(password) == bytes.fromhex(nmk)
    assert nid_from_nmk(bytes.fromhex(nmk)) == bytes.fromhex(nid)


def test_dak():
    assert dak_from_password("HomePlugAV") == bytes.fromhex("689F074B8B0275A2710B0B5779AD1630")


def test_nmk_of_wrong_length():
    with pytest.raises(ValueError, match="NMK: 16 bytes expected, got 15"):
        nid_from_nmk(bytes(15))


@pytest.mark.parametrize(
    ("nmk", "word"),
    [
        (bytes(16), "all zero"),
        (b"0A1B2C3D4E5F6G7H", "printable"),
        (b"\x77" * 12 + b"\x01\x02\x03\x04", "different byte values"),
        (bytes(range(16)), "constant step"),
        (nmk_from_password("HomePlugAV"), "default password"),
    ],
)
def test_weak_keys_are_named(nmk, word):
    assert any(word in weakness for weakness in nmk_weaknesses(nmk))


def test_random_keys_pass():
    source = random.Random(7)
    assert [key for key in (source.randbytes(16) for _ in range(500)) if nmk_weaknesses(key)] == []


def test_the_timer_table_has_every_timer_with_its_value_and_use():
    rows = {row.name: row for row in timer_table(Timing(TT_match_join=20.0))}
    assert rows["TT_match_join"].value == 20.0
    assert rows["TT_match_response"].value == 0.2
    assert rows["C_EV_match_retry"] == ("C_EV_match_retry", 2, "", "both", rows["C_EV_match_retry"].use)
    assert all(row.use and row.side in ("EV", "EVSE", "both") for row in rows.values())


def test_the_line_shows_what_both_ends_make_of_it():
    line = SimulatedLine()
    seen: list[CpSignal] = []
    line.ev.listen(seen.append)
    line.evse.drive(5.0)
    line.plug()
    line.ev.load(CpState.C)
    line.evse.drive(100.0, CpState.F)
    line.ev.load(CpState.B)  # hidden behind -12 V
    line.evse.drive(100.0)
    assert [(s.state.value, s.duty) for s in seen] == [
        ("A", 5.0), ("B", 5.0), ("C", 5.0), ("F", 100.0), ("B", 100.0)
    ]  # fmt: skip
    assert line.evse.read() == line.ev.read() == CpSignal(CpState.B, 100.0)


@pytest.mark.parametrize(
    ("duty", "hlc", "pwm"), [(5.0, True, True), (26.0, False, True), (100.0, False, False)]
)
def test_what_a_duty_cycle_offers(duty, hlc, pwm):
    signal = CpSignal(CpState.B, duty)
    assert (signal.hlc, signal.pwm) == (hlc, pwm)
    assert not CpSignal(CpState.A, duty).pwm


def test_wrong_use_is_named():
    line = SimulatedLine()
    with pytest.raises(ValueError, match="a vehicle cannot show state F"):
        line.ev.load(CpState.F)
    with pytest.raises(ValueError, match="duty: over 0 up to 100"):
        line.evse.drive(0.0)
    with pytest.raises(ValueError, match="mac: 6 bytes expected, got 5"):
        EvSlac(EvSlacConfig(bytes(5)), bytes)
    with pytest.raises(TypeError, match="not an event of EvSlac"):
        EvSlac(EvSlacConfig(bytes(6)), bytes).handle(NominalDuty(16.0), 0.0)
