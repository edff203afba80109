"""Below the messages on a named device: over loopback, with a car that a command plugs in, on a powerline."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from hlc_sim import trust
from hlc_sim.config.station import StationConfig
from hlc_sim.fuzz.layer_sdp import Discovery
from hlc_sim.fuzz.layer_tls import Records
from hlc_sim.fuzz.lower import Named
from hlc_sim.fuzz.octets import Octets, Volley
from hlc_sim.powerline import netns
from hlc_sim.scenario import NetworkEVCC, NetworkSECC, NoTarget, Result, SimulatedSECC, Target, Verdict, run
from hlc_sim.scenario.discovery import Asking
from hlc_sim.scenario.targets import minted
from hlc_sim.scenario.trigger import Trigger
from hlc_sim.secc import Station
from hlc_sim.transport import interface as interfaces
from hlc_sim.transport import sdp, tcp
from iso15118.sdp import Security
from iso15118.session.events import Role

BIN = Path(sys.executable).parent
GARBAGE = Volley(0, (b"\x01\xfe\x90\x00\x00\x00\x00\x02\x07\x00",))
NO_HELLO = Volley(0, (b"\x16\x03\x01\x00\x02\xff\xff",))


class Mortal(SimulatedSECC):
    """Dies of a scenario, for as many attempts to reach it as `away` says."""

    away = 0
    ill = False

    async def asking(self, nursery: trio.Nursery, scenario: Any) -> Asking:
        if self.away:
            self.away -= 1
            raise NoTarget("nobody answers")
        if self.ill:
            self.ill, self.away = False, 10**9
            raise NoTarget("nobody answers")
        return await super().asking(nursery, scenario)


def on(target: Target) -> Discovery:
    return Discovery(Role.SECC, Named(target, rate=1e9, clock=lambda: MockClock(autojump_threshold=0)))


def test_a_device_that_dies_is_a_finding_and_the_end() -> None:
    target = Mortal()
    subject = on(target)
    assert subject.run(GARBAGE) == []
    target.ill = True
    (problem,) = subject.run(GARBAGE)
    assert (problem.kind, problem.key) == ("no recovery", "sdp/no recovery")
    with pytest.raises(NoTarget, match="does not come back after a case of sdp, after 0 correct: 10 octets"):
        subject.run(GARBAGE)


def test_no_device_is_no_finding() -> None:
    target = Mortal()
    target.away = 10**9
    with pytest.raises(NoTarget, match="nobody answers"):
        on(target).run(GARBAGE)


def test_a_case_that_did_not_come_about_is_no_finding() -> None:
    target = Mortal()
    subject = on(target)
    assert subject.run(GARBAGE) == []
    target.away = 1
    assert subject.run(GARBAGE) == []
    assert isinstance(subject.device, Named)
    assert subject.device.passed == 1


# -- over loopback -------------------------------------------------------------------------------------------


def verdicts(
    serve: Callable[[trio.Nursery], Awaitable[Target]], subject: Octets, *cases: Volley
) -> list[Verdict]:
    async def main() -> list[Verdict]:
        async with trio.open_nursery() as nursery:
            target = await serve(nursery)
            made = [await run(subject.scenario(case), target) for case in cases]
            nursery.cancel_scope.cancel()
        return made

    return trio.run(main)


async def sdp_server(nursery: trio.Nursery) -> NetworkSECC:
    loopback = interfaces.find("lo")
    port: int = await nursery.start(
        lambda task_status: sdp.serve(loopback, {Security.TLS: 50_000}, udp_port=0, task_status=task_status)
    )
    return NetworkSECC(interface="lo", sdp_port=port)


def test_an_sdp_server_that_bears_it_and_one_that_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Discovery(Role.SECC)
    (sound,) = verdicts(sdp_server, subject, GARBAGE)
    assert sound.result is Result.PASS, sound.reasons
    parse = sdp._request
    monkeypatch.setattr(sdp, "_request", lambda data, sender: parse(data[:8] + b"\0\0", sender))
    (spoilt,) = verdicts(sdp_server, subject, GARBAGE)
    assert spoilt.reasons[0].startswith("it answered: 01fe9001")


def tls_server(*, pki: bool, dies: bool) -> Callable[[trio.Nursery], Awaitable[Target]]:
    async def serve(nursery: trio.Nursery) -> NetworkSECC:
        listener = await tcp.listen(interfaces.find("lo"), None)
        config = StationConfig()
        secure = trust.securing(trust.station_of(minted()).tls)
        station = Station(config.session(), lambda: config.charger(0.0), secure=secure)

        async def accept() -> None:
            async with trio.open_nursery() as connections:
                with suppress(trio.ClosedResourceError):
                    while True:
                        connections.start_soon(handle, await listener.accept())

        async def handle(stream: trio.SocketStream) -> None:
            await station.handle(stream)
            if dies and station.served == 2:  # the disturbed one, after the correct one
                await listener.aclose()

        nursery.start_soon(accept)
        return NetworkSECC(listener.socket.getsockname(), pki=minted() if pki else None)

    return serve


@pytest.mark.parametrize("pki", [False, True])
def test_a_tls_server_that_bears_it_and_one_that_dies(pki: bool) -> None:
    """Without certificates a ServerHello is the correct answer, and a case within a connection cannot be."""
    subject = Records(Role.SECC)
    within = Volley(2, (b"\x17\x03\x03\x00\x01\x00",))
    sound, inside = verdicts(tls_server(pki=pki, dies=False), subject, NO_HELLO, within)
    assert sound.result is Result.PASS, sound.reasons
    assert inside.result is (Result.PASS if pki else Result.INCONCLUSIVE)
    (spoilt,) = verdicts(tls_server(pki=pki, dies=True), subject, NO_HELLO)
    assert spoilt.result is Result.FAIL
    assert any("there was no next connection" in reason for reason in spoilt.reasons)


@pytest.mark.slow
@pytest.mark.parametrize("subject", [Discovery(Role.EVCC), Records(Role.EVCC)], ids=lambda item: item.layer)
def test_a_car_that_a_command_plugs_in(subject: Octets, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
        free.bind(("::", 0))
        port = free.getsockname()[1]
    pki = tmp_path / "pki"
    subprocess.run([BIN / "v2g-pki", "mint", "--out", pki], check=True, capture_output=True)
    plug_in = f"{shlex.quote(str(BIN / 'hlc'))} evcc --iface lo --sdp-port {port} --pki {pki}"

    def car(command: str) -> Named:
        return Named(
            NetworkEVCC("lo", port=0, sdp_port=port, patience=5, trigger=Trigger(command)),
            rate=1e9,
            recovery=0,
        )

    subject.device = car(plug_in)
    case = Volley(0, (subject.correct()[0][:-1] + b"\x07",))
    assert subject.run(case) == []
    # This one has a fault that keeps it from coming again.
    mark = tmp_path / "ran"
    runs = {"sdp": 2, "tls": 4}[subject.layer]  # of which 2 and 3 for the harmless case at the beginning
    subject.device = car(f"echo >> {mark}; test $(wc -l < {mark}) -gt {runs} || exec {plug_in}")
    assert {problem.kind for problem in subject.run(case)} >= {"no recovery"}


@pytest.mark.netns
@pytest.mark.slow
@pytest.mark.skipif(netns.available() is not None, reason=str(netns.available()))
def test_a_station_on_a_powerline_without_control_pilot(tmp_path: Path) -> None:
    prefix = f"f{os.getpid() % 10000}"
    script = tmp_path / "fuzz.sh"
    station = f"{BIN}/hlc secc --powerline --iface plc0 --lab-plain-tcp"
    fuzz = (
        f"{BIN}/hlc fuzz secc --iface plc0 --layer slac --cases 1 --rate 100 --campaign {tmp_path}/c.sqlite"
    )
    script.write_text(
        f"ip netns exec {prefix}-evse timeout 170 {station} 2> {tmp_path}/secc.log & secc=$!\n"
        f"ip netns exec {prefix}-ev timeout 160 {fuzz}; code=$?; kill $secc; wait $secc; exit $code\n"
    )
    command = [BIN / "hlc", "powerline", "--prefix", prefix, "--run", f"sh {script}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stdout + result.stderr + (tmp_path / "secc.log").read_text()
    assert "1 cases, 0 findings" in result.stdout
    assert "needs its control pilot in state B" in result.stderr
