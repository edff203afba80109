"""The doctor in the lab: a healthy bench, then one fault at a time. Needs root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import trio

pytest.importorskip("scapy")

from rich.console import Console

from hlc_sim.powerline import netns
from hlc_sim.powerline.doctor import Status, examine, table
from hlc_sim.powerline.families import family
from hlc_sim.powerline.lab import powerline_lab
from hlc_sim.powerline.matching import ev_slac, evse_slac
from hlc_sim.powerline.simulated import Powerline

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(netns.available() is not None, reason=str(netns.available())),
]

PREFIX = f"d{os.getpid() % 10000}"
NAMESPACE = f"{PREFIX}-ev"


def bench() -> Powerline:
    powerline = Powerline(seed=2)
    powerline.add("ev", "qca7000", "EV")
    powerline.add("evse", "qca7000", "EVSE")
    return powerline


async def check(powerline, role="ev", prepare=None, attachment="tap", **options):
    async with powerline_lab(powerline, prefix=PREFIX, attachment=attachment) as lab:
        if prepare:
            prepare(lab)
        with trio.fail_after(30):
            return await examine("plc0", role, namespace=NAMESPACE, **options)


def ip(*arguments: str):
    return lambda _lab: subprocess.run(["ip", "-n", NAMESPACE, *arguments], check=True)


def sysctl(key: str, value: str):
    def write(_lab) -> None:
        with netns.inside(NAMESPACE):
            Path(f"/proc/sys/net/ipv6/conf/plc0/{key}").write_text(value)

    return write


def shown(report) -> str:
    console = Console(width=160, file=open(os.devnull, "w"), record=True)  # noqa: SIM115
    console.print(table(report))
    return console.export_text()


async def test_a_healthy_bench():
    powerline = bench()
    async with powerline_lab(powerline, prefix=PREFIX) as lab, evse_slac(lab.link("evse")) as station:
        while station.machine.state.name != "WAITING":
            await trio.sleep(0.05)
        report = await examine("plc0", "ev", namespace=NAMESPACE, change_key=True)
        assert [c for c in report.checks if c.status in (Status.FAIL, Status.WARN)] == []
        assert "QCA7000" in report["modem"].detail
        assert report["stations"].detail == "02:48:4c:43:00:02"
        assert report["key"].detail.startswith("set and read back")
        assert "ok  clock" in shown(report)


FAULTS = {
    "interface": (ip("link", "set", "plc0", "name", "eth9"), "does not exist"),
    "up": (ip("link", "set", "plc0", "down"), "down"),
    "mtu": (ip("link", "set", "plc0", "mtu", "1400"), "1400"),
    "ipv6": (sysctl("disable_ipv6", "1"), "off"),
    "link-local address": (ip("addr", "flush", "dev", "plc0"), "none"),
    "router advertisements": (sysctl("accept_ra", "1"), "accepted"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_faults_of_the_interface_are_found(name):
    prepare, detail = FAULTS[name]
    report = await check(bench(), prepare=prepare)
    assert report[name].status in (Status.FAIL, Status.WARN)
    assert detail in report[name].detail
    assert report[name].fix
    others = [c.name for c in report.failed if c.name != name]
    assert others == []


async def test_two_link_local_addresses():
    report = await check(bench(), prepare=ip("addr", "add", "fe80::77/64", "dev", "plc0", "nodad"))
    assert [c.name for c in report.failed] == ["link-local address"]
    assert "fe80::77" in report["link-local address"].detail


async def test_unfinished_duplicate_address_detection():
    def prepare(lab) -> None:
        ip("link", "set", "plc0", "down")(lab)
        sysctl("accept_dad", "1")(lab)
        sysctl("dad_transmits", "20")(lab)
        ip("link", "set", "plc0", "up")(lab)

    report = await check(bench(), prepare=prepare)
    assert [c.name for c in report.failed] == ["duplicate address detection"]
    assert report["duplicate address detection"].detail == "not finished"


async def test_offloads_of_veth():
    def prepare(_lab) -> None:
        with netns.inside(NAMESPACE):
            netns.set_offloads("plc0", True)

    report = await check(bench(), prepare=prepare, attachment="veth")
    assert [c.name for c in report.failed] == ["offloads"]


def no_modem(powerline, _lab) -> None:
    powerline.modems["ev"].powered = False


def bootloader(powerline, _lab) -> None:
    modem = powerline.modems["ev"]
    modem.family = modem.family.but(firmware="BootLoader-QCA7000")


def default_pib(powerline, _lab) -> None:
    powerline.modems["ev"].mac = bytes.fromhex("00b052000001")


def same_address(powerline, lab) -> None:
    powerline.modems["ev"].mac = lab.hosts["ev"].mac


def wrong_role(powerline, _lab) -> None:
    powerline.modems["ev"].role = "EVSE"


def refused_key(powerline, _lab) -> None:
    powerline.modems["ev"].refuse_keys = 1


def slow(powerline, _lab) -> None:
    modem = powerline.modems["ev"]
    modem.family = modem.family.but(response_time=0.05)


def two_modems(powerline, lab) -> None:
    other = powerline.add("other", "qca7000", "EV")
    lab.running.attach(other, lab.ports["ev"])
    lab.ports["ev"].modems.append(other)


MODEM_FAULTS = {
    "modem": no_modem,
    "firmware": bootloader,
    "modem address": default_pib,
    "role": wrong_role,
    "key": refused_key,
    "latency": slow,
    "one modem only": two_modems,
}


@pytest.mark.parametrize("name", MODEM_FAULTS)
async def test_faults_of_the_modem_are_found(name):
    powerline = bench()
    report = await check(powerline, prepare=lambda lab: MODEM_FAULTS[name](powerline, lab), change_key=True)
    assert [c.name for c in report.failed] == [name]
    assert report[name].fix[:40] in shown(report)


async def test_host_and_modem_with_the_same_address():
    powerline = bench()
    report = await check(powerline, prepare=lambda lab: same_address(powerline, lab))
    assert report["modem address"].status is Status.FAIL


async def test_a_modem_that_measures_nothing():
    powerline = bench()
    powerline.modems["ev"].family = family("qca7420")
    report = await check(powerline, role="evse")
    assert report["attenuation profiles"].status is Status.WARN
    assert "--synth-attenuation" in report["attenuation profiles"].fix
    assert (await check(powerline))["attenuation profiles"].status is Status.OK


async def test_no_station():
    report = await check(bench())
    assert report["stations"].status is Status.WARN
    assert report["key"].status is Status.SKIP
    assert report.failed == []


@pytest.mark.parametrize(
    ("passes", "status", "words"),
    [
        (2000, Status.OK, "1500 bytes to fe80::48:4cff:fe43:2 and back"),
        (1400, Status.WARN, "1280 bytes to"),
        (1000, Status.FAIL, "no packet of 1280 bytes"),
    ],
)
async def test_packets_too_large_for_the_link(passes, status, words):
    async with powerline_lab(bench(), prefix=PREFIX) as lab:
        port = lab.ports["evse"]
        deliver = port.deliver
        port.deliver = lambda frame: deliver(frame) if len(frame) < passes else None
        async with evse_slac(lab.link("evse")), ev_slac(lab.link("ev")) as car:
            await car.matched()
            await trio.sleep(1)
            report = await examine("plc0", "ev", namespace=NAMESPACE)
    assert report["path mtu"].status is status
    assert words in report["path mtu"].detail


async def test_a_clock_that_is_not_set():
    report = await check(bench(), now=lambda: 0.0)
    assert [c.name for c in report.failed] == ["clock"]
    assert "1970-01-01" in report["clock"].detail
