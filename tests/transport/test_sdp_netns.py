"""`hlc evcc` finds `hlc secc` by multicast over a cable of two namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("ip") is None,
        reason="needs Linux, root and ip(8)",
    ),
]

PREFIX = f"hlcs{os.getpid() % 10000}"
HLC = [sys.executable, "-c", "from hlc_sim.cli import main; main()"]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[tuple[str, str]]:
    """Names of two namespaces; in each, an interface `cable` with a link-local address."""
    station, vehicle = f"{PREFIX}se", f"{PREFIX}ev"
    try:
        for namespace in (station, vehicle):
            ip("netns", "add", namespace)
        ip(
            "link",
            "add",
            "cable",
            "netns",
            station,
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            vehicle,
        )
        for namespace in (station, vehicle):
            inside = ["ip", "netns", "exec", namespace]
            subprocess.run([*inside, "sysctl", "-qw", "net.ipv6.conf.cable.accept_dad=0"], check=True)
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", "cable", "up")
        yield station, vehicle
    finally:
        for namespace in (station, vehicle):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


def start(namespace: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            "ip",
            "netns",
            "exec",
            namespace,
            *HLC,
            *arguments,
            "--lab-plain-tcp",
            "--iface",
            "cable",
            "--speed",
            "2000",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_addresses(*namespaces: str) -> None:
    for namespace in namespaces:
        for _ in range(200):
            shown = subprocess.run(
                ["ip", "-n", namespace, "-6", "addr", "show", "dev", "cable", "scope", "link"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            if "inet6 fe80" in shown and "tentative" not in shown:
                break
            time.sleep(0.01)


def test_two_vehicles_in_a_row_find_the_station(cable: tuple[str, str]) -> None:
    station, vehicle = cable
    wait_for_addresses(station, vehicle)
    secc = start(station, "secc", "--sessions", "2")
    evcc = start(vehicle, "evcc", "--sessions", "2", "--json", "-")
    out, err = evcc.communicate(timeout=60)
    _, log = secc.communicate(timeout=20)
    assert evcc.returncode == 0, err
    assert secc.returncode == 0, log
    assert "SECC found at [fe80:" in err
    assert [session["outcome"] for session in json.loads(out)] == ["terminated", "terminated"]
    assert log.count("session over") == 2
