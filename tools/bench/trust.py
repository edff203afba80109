"""What trust costs: handshakes, chain checks, signatures, wrapped keys, whole Plug & Charge sessions.

    python -m tools.bench.trust                  a table of figures
    python -m tools.bench.trust --json FILE      and the figures as JSON
    python -m tools.bench.trust --seconds 5      longer, steadier

Everything runs on one core, both sides in one process, over memory streams: a figure is the cost of EVCC and
SECC together. Sessions run on virtual time, so that only computing counts, and end after three charge loops.
"""

from __future__ import annotations

import argparse
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import trio
from trio.testing import MockClock, memory_stream_pair

from hlc_sim.clock import unix_offset
from hlc_sim.config import StationConfig, VehicleConfig
from hlc_sim.cps import ProvisioningService
from hlc_sim.evcc import charge
from hlc_sim.secc import Station
from hlc_sim.transport.link import Link
from hlc_sim.transport.tls import secure
from hlc_sim.trust import StationTrust, VehicleTrust, securing, station_of, vehicle_of
from hlc_sim.vehicle import Battery, Driver
from iso15118.messages.common_types import MessageHeader
from iso15118.security.chain import Role, check_chain
from iso15118.security.evcc_trust import ContractCredential, Installer, ProvisioningCredential, Wallet
from iso15118.security.secc_trust import ContractJudge
from iso15118.session.events import Role as Side
from pki.hierarchy import Hierarchy
from pki.profiles import Edition, Family

LOOPS = 3


def rate(action: Callable[[], object], seconds: float) -> float:
    """How often per second of CPU time."""
    action()
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        action()
        done += 1
    return done / spent


def trio_rate(action: Callable[[], Awaitable[None]], seconds: float) -> float:
    """The same of something asynchronous, on virtual time."""

    async def main() -> float:
        await action()
        done, started = 0, time.process_time()
        while (spent := time.process_time() - started) < seconds:
            await action()
            done += 1
        return done / spent

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def handshake(station: StationTrust, vehicle: VehicleTrust) -> Callable[[], Awaitable[None]]:
    """Mutual TLS 1.3 with both chains and the staple checked."""

    async def run() -> None:
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(securing(station.tls), far)
            await secure(near, vehicle.tls, server_side=False)

    return run


def session(station: StationTrust, vehicle: VehicleTrust | None) -> Callable[[], Awaitable[None]]:
    """From the first octet to the close; without `vehicle` over plain TCP and with EIM, to compare."""
    config = StationConfig(speed=240.0)
    offers = station.offers if vehicle else {}
    shared = Station(
        replace(config.session(), **offers),
        lambda: config.charger(unix_offset()),
        secure=securing(station.tls) if vehicle else None,
        trust=station.trust if vehicle else None,
    )
    wishes = VehicleConfig(
        speed=240.0,
        battery=Battery(soc=40),
        driver=Driver(),
        evcc={"charge_loops": LOOPS, "meter_interval": 1},
    )
    settings = replace(wishes.session(), **(vehicle.settings if vehicle else {}))

    async def run() -> None:
        near, far = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shared.handle, far)
            stream: trio.abc.Stream = near
            if vehicle:
                stream = await secure(near, vehicle.tls, server_side=False)
            report = await charge(Link(stream, Side.EVCC), settings, wishes.vehicle())
            if not report.session.ok:
                raise SystemExit(f"the session failed: {report.session.reason}")

    return run


def figures(family: Family, seconds: float) -> dict[str, float]:
    """Per second, each with the certificates of one key family."""
    hierarchy = Hierarchy.mint(Edition.ISO_20, family)
    station, vehicle = station_of(hierarchy), vehicle_of(hierarchy)
    now = time.time()
    roots = [hierarchy[name].certificate for name in ("mo_root", "v2g_root", "oem_root")]
    own = hierarchy["contract"]
    chain = own.chain_der
    contract = ContractCredential(tuple(chain), own.key)  # type: ignore[arg-type]
    header = MessageHeader(session_id=bytes(8), timestamp=int(now))
    signed = contract(header, bytes(16), ())
    assert signed is not None
    judge = ContractJudge(roots)
    oem = hierarchy["oem_provisioning"]
    service = ProvisioningService.of_hierarchy(hierarchy)
    credential = ProvisioningCredential(tuple(oem.chain_der), oem.key, oem.agreement_key)  # type: ignore[arg-type]
    installer = Installer(credential, [hierarchy["v2g_root"].certificate], Wallet())
    request = installer.request(header)
    response = service(request, now)
    assert response.data is not None
    return {
        "chains checked": rate(lambda: check_chain(chain, Role.CONTRACT, roots=roots, now=now), seconds),
        "AuthorizationReq signed": rate(lambda: contract(header, secrets.token_bytes(16), ()), seconds),
        "AuthorizationReq judged": rate(lambda: judge.authorize(signed, now), seconds),
        "contracts given out": rate(lambda: service(request, now), seconds),
        "TLS 1.3 handshakes": trio_rate(handshake(station, vehicle), seconds),
        "Plug & Charge sessions": trio_rate(session(station, vehicle), seconds),
        "plain EIM sessions": trio_rate(session(station, None), seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="What trust costs, per second on one core.")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time per figure")
    options = parser.parse_args()
    found = {family.value: figures(family, options.seconds) for family in (Family.P521, Family.ED448)}
    print(f"{'per second, one core, both sides':34}" + "".join(f"{name:>10}" for name in found))
    for what in found["p521"]:
        print(f"{what:34}" + "".join(f"{values[what]:10.1f}" for values in found.values()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
