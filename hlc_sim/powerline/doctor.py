"""The bench's checklist: is this interface, its modem and this machine fit for a session? One row per check,
with what to do about it where it is not.

Nothing is written to the modem except, when asked for, a random network key (which ends any link).
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import trio

from iso15118.slac import BROADCAST, LOCAL_MODEM, mac_text, nid_from_nmk

from . import layers_mme as lm
from . import layers_vendor as lv
from . import netns
from .host import Host
from .interface import Interface, inspect, multicast_loops
from .modems import Modem, Unsupported, detect
from .path import widest
from .rawsocket import RawLink

Role = Literal["ev", "evse"]
EARLIEST = 1767225600.0
"""2026-01-01: a clock before this is not set."""


class Status(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    SKIP = "-"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: Status
    detail: str
    fix: str = ""


@dataclass(slots=True)
class Report:
    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, status: Status, detail: str, fix: str = "") -> None:
        self.checks.append(Check(name, status, detail, fix))

    def judge(self, name: str, good: bool, detail: str, fix: str, *, bad: Status = Status.FAIL) -> bool:
        self.add(name, Status.OK if good else bad, detail, "" if good else fix)
        return good

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.status is Status.FAIL]

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)


async def examine(
    interface: str,
    role: Role,
    *,
    change_key: bool = False,
    namespace: str | None = None,
    now: Callable[[], float] = time.time,
) -> Report:
    """Run all checks. ``change_key``: also set a random key and read it back. ``namespace``: look at an
    interface in another network namespace."""
    report = Report()
    _machine(report, interface, now)
    with netns.inside(namespace) if namespace else nullcontext():
        found = inspect(interface)
        usable = _interface(report, interface, found)
        if found is not None and found.up:
            _ipv6(report, found)
    if found is None or not usable:
        report.add("modem", Status.SKIP, "not looked for")
        return report
    try:
        link = RawLink(interface, namespace=namespace)
    except OSError as error:
        fix = "run as root, or: setcap cap_net_raw,cap_net_admin+ep on the Python interpreter"
        report.add("raw socket", Status.FAIL, str(error), fix)
        report.add("modem", Status.SKIP, "not looked for")
        return report
    report.add("raw socket", Status.OK, "EtherType 0x88E1")
    try:
        async with trio.open_nursery() as nursery:
            host = Host(link)
            nursery.start_soon(host.run)
            await _modem(report, host, found, role, change_key)
            if any(c.name == "link" and c.status is Status.OK for c in report.checks):
                await _path(report, found, namespace)
            nursery.cancel_scope.cancel()
    finally:
        _, dropped = link.statistics()
        fix = "a larger receive buffer, or less on this interface"
        report.judge("drops", dropped == 0, f"{dropped} frames dropped by the kernel", fix, bad=Status.WARN)
        link.close()
    return report


# --- machine and interface ----------------------------------------------------------------------------


def _machine(report: Report, interface: str, now: Callable[[], float]) -> None:
    stamp = now()
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(stamp))
    report.judge(
        "clock",
        stamp > EARLIEST,
        shown,
        "set the clock (NTP): certificates are judged by it, captures are read by it",
    )
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor.exists():
        value = governor.read_text().strip()
        report.judge(
            "cpu governor",
            value != "powersave",
            value,
            "cpupower frequency-set -g performance",
            bad=Status.WARN,
        )
    if shutil.which("nmcli"):
        shown = subprocess.run(
            ["nmcli", "-t", "-f", "GENERAL.STATE", "device", "show", interface],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        managed = bool(shown) and "unmanaged" not in shown
        fix = f"nmcli device set {interface} managed no"
        report.judge("network manager", not managed, shown or "does not know it", fix, bad=Status.WARN)


def _interface(report: Report, name: str, found: Interface | None) -> bool:
    if found is None:
        fix = "ip link: what is its name? dmesg: is its driver there (qcaspi, mse102x), SPI signature valid?"
        report.add("interface", Status.FAIL, f"{name} does not exist", fix)
        return False
    report.add(
        "interface", Status.OK, " ".join(part for part in (name, found.driver, mac_text(found.mac)) if part)
    )
    up = report.judge("up", found.up, "up" if found.up else "down", f"ip link set {name} up")
    if found.up:
        fix = "cable, power of the modem, SPI wiring and interrupt (dmesg)"
        report.judge("carrier", found.carrier, "yes" if found.carrier else "none", fix)
    report.judge("mtu", found.mtu == 1500, str(found.mtu), f"ip link set {name} mtu 1500")
    odd = bool(found.mac[0] & 1) or not any(found.mac)
    fix = f"ip link set {name} address 02:...: a unicast address of its own, the same after every boot"
    report.judge("host address", not odd, mac_text(found.mac), fix)
    report.judge(
        "vlan", not found.is_vlan, "no tags", "use the untagged interface: modems do not answer through tags"
    )
    bad = found.driver == "veth" and "tx checksum" in found.offloads
    fix = f"ethtool -K {name} tx off tso off gso off gro off"
    report.judge("offloads", not bad, ", ".join(found.offloads) or "none", fix)
    return up


def _ipv6(report: Report, found: Interface) -> None:
    name = found.name
    if not report.judge(
        "ipv6", found.ipv6, "on" if found.ipv6 else "off", f"sysctl -w net.ipv6.conf.{name}.disable_ipv6=0"
    ):
        return
    shown = ", ".join(each.address for each in found.link_local) or "none"
    fix = f"ip link set {name} addrgenmode eui64, then down and up; exactly one fe80:: address is wanted"
    one = report.judge("link-local address", len(found.link_local) == 1, shown, fix)
    if one:
        address = found.link_local[0]
        state = "failed" if address.dad_failed else "not finished" if address.tentative else "done"
        fix = (
            "another host has this address (same MAC?)"
            if address.dad_failed
            else "wait a second or two, look again"
        )
        report.judge("duplicate address detection", state == "done", state, fix)
    report.judge(
        "router advertisements",
        not found.accept_ra,
        "accepted" if found.accept_ra else "ignored",
        f"sysctl -w net.ipv6.conf.{name}.accept_ra=0 net.ipv6.conf.{name}.router_solicitations=0",
        bad=Status.WARN,
    )
    if one and not found.link_local[0].tentative:
        reason = multicast_loops(found)
        fix = "firewall: let UDP 15118, ICMPv6 and the TCP port that SDP announces through"
        report.judge("multicast ff02::1", reason is None, reason or "sent and heard", fix)


# --- the modem ----------------------------------------------------------------------------------------


async def _modem(report: Report, host: Host, found: Interface, role: Role, change_key: bool) -> None:
    modem = await detect(host)
    if modem is None:
        fix = (
            "power, wiring; a TP-Link of another make than Qualcomm does not answer; see dmesg for the driver"
        )
        report.add("modem", Status.FAIL, "nothing answers as a Green PHY modem", fix)
        return
    report.add("modem", Status.OK, str(modem.info))
    alone = await _alone(report, host)
    _firmware(report, modem, found, role)
    await _latency(report, host)
    if alone:
        await _role(report, modem, role)
    else:
        report.add("role", Status.SKIP, "the answers may come from either modem")
    if change_key:
        await _key(report, modem)
    else:
        report.add("key", Status.SKIP, "not tried (it would end a link)")
    await _line(report, modem, role)


async def _alone(report: Report, host: Host) -> bool:
    """Two modems on one switch: sounds are heard twice, and the wrong one takes the key."""
    answers = await host.survey(lv.VS_SW_VER_REQ(), to=LOCAL_MODEM, timeout=0.2)
    answers += await host.survey(lm.CM_NW_STATS_REQ(), to=LOCAL_MODEM, timeout=0.2)
    addresses = sorted({answer.src for answer in answers})
    fix = "one modem per interface: take the others off this switch"
    alone = len(addresses) <= 1
    report.judge("one modem only", alone, ", ".join(addresses) or "no answer", fix)
    return alone


def _firmware(report: Report, modem: Modem, found: Interface, role: Role) -> None:
    info = modem.info
    booting = "bootloader" in info.firmware.lower()
    fix = "the modem waits for its firmware and parameters: start plcboot, or flash them"
    report.judge("firmware", not booting, info.firmware or "not told", fix)
    if info.mac is not None:
        default = info.mac == LOCAL_MODEM
        disabled = info.mac == LOCAL_MODEM[:5] + b"\x03"
        same = info.mac == found.mac
        shown = mac_text(info.mac)
        fix = "give the modem an address of its own in its parameter block (modpib -M), and the host another"
        report.judge("modem address", not (default or disabled or same), shown, fix)
    measures_nothing = role == "evse" and "7420" in info.device
    fix = "use it as EV, or give --synth-attenuation as EVSE: it measures no attenuation"
    report.judge("attenuation profiles", not measures_nothing, info.device or "assumed", fix, bad=Status.WARN)


async def _latency(report: Report, host: Host) -> None:
    times = []
    for _ in range(15):
        start = trio.current_time()
        if await host.request(lm.CM_NW_STATS_REQ(), timeout=0.3) is not None:
            times.append(trio.current_time() - start)
    if not times:
        report.add("latency", Status.WARN, "no answers to measure", "see modem")
        return
    median, worst = statistics.median(times) * 1000, max(times) * 1000
    fix = "a faster machine or bus: answers must be out within 100 ms, some cars give up at 50"
    report.judge(
        "latency", median < 20, f"median {median:.1f} ms, worst {worst:.1f} ms to the modem and back", fix
    )


async def _role(report: Report, modem: Modem, role: Role) -> None:
    try:
        facts = await modem.pib()
    except Unsupported as error:
        report.add("role", Status.SKIP, str(error))
        return
    wanted = {"ev": "EV", "evse": "EVSE"}[role]
    good = facts.role == wanted and facts.cco in ({"ev": (0, 1), "evse": (0, 2)}[role])
    coordinator = {0: "auto", 1: "never", 2: "always"}.get(facts.cco, str(facts.cco))
    shown = f"SLAC {facts.role}, coordinator {coordinator}"
    fix = f"write a parameter block made for the {wanted} (modpib, plctool -P); this program does not"
    report.judge("role", good, f"{shown}, {facts.hfid!r}", fix)
    fix = "the parameter block is damaged: write it anew"
    shown = "checksum right" if facts.checksum_ok else "checksum wrong"
    report.judge("parameter block", facts.checksum_ok, shown, fix)


async def _key(report: Report, modem: Modem) -> None:
    nmk = os.urandom(16)
    start = trio.current_time()
    result = await modem.set_key(nid_from_nmk(nmk), nmk)
    took = trio.current_time() - start
    words = {True: "set and read back", None: "confirmed, cannot be read back", False: "not taken"}[result]
    fix = "try again; if it stays so, reset the modem"
    report.judge("key", result is not False, f"{words}, {took:.1f} s", fix)


async def _line(report: Report, modem: Modem, role: Role) -> None:
    """As an EV, ask for stations as a matching would begin, and leave it at that."""
    link = await modem.link_status()
    if role == "ev" and not link:
        request = lm.CM_SLAC_PARM_REQ(run_id=modem.host.entropy(8))
        answers = await modem.host.survey(request, to=BROADCAST, timeout=0.4)
        shown = ", ".join(sorted({answer.src for answer in answers})) or "none answers"
        fix = "is its modem on, is it coordinator, does it see a vehicle; are CP and PE wired and coupled?"
        report.judge("stations", bool(answers), shown, fix, bad=Status.WARN)
    members = await modem.members() if link else []
    shown = ", ".join(map(mac_text, members)) or {True: "up", False: "down", None: "not told"}[link]
    report.add("link", Status.OK if link else Status.SKIP, shown)


async def _path(report: Report, found: Interface, namespace: str | None) -> None:
    """Certificates fill packets: a link that carries SDP may still stop a TLS handshake."""
    try:
        peer, size = await widest(found, (1500, 1280), namespace)
    except OSError as error:
        report.add("path mtu", Status.WARN, error.strerror or str(error), "see mtu and link-local address")
        return
    if not peer:
        report.add("path mtu", Status.SKIP, "no host on the link answers an echo")
        return
    shown = (
        f"{size} bytes to {peer} and back"
        if size
        else f"no packet of 1280 bytes reaches {peer} and comes back"
    )
    fix = "MTU 1500 at both ends, no bridge or tunnel with less between; IPv6 needs 1280 at the least"
    report.judge("path mtu", size == 1500, shown, fix, bad=Status.FAIL if size == 0 else Status.WARN)


def table(report: Report) -> Any:
    """For rich's console."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, show_header=False)
    for column in ("status", "check", "found"):
        shown.add_column(column, no_wrap=column != "found")
    colours = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "bold red", Status.SKIP: "dim"}
    for check in report.checks:
        shown.add_row(f"[{colours[check.status]}]{check.status.value}[/]", check.name, escape(check.detail))
        if check.fix:
            shown.add_row("", "", f"[{colours[check.status]}]{escape(check.fix)}[/]")
    return shown
