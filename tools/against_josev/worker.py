"""Runs cases at our end of the cable: names on stdin, a JSON line for each on stdout.

`against_josev` starts it inside a network namespace.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

import trio

from hlc_sim.config.vehicle import VehicleConfig
from hlc_sim.scenario import NetworkEVCC, NetworkSECC, Target, library, run
from hlc_sim.scenario.cli import fitted
from hlc_sim.scenario.trigger import Trigger

_PATIENCE = 25.0
"""s until Josev's EVCC, told to plug in, must have connected."""


def plug(fifo: Path, vehicle: VehicleConfig) -> str:
    """The command that makes Josev's EVCC charge as this vehicle would."""
    loops = vehicle.evcc.get("charge_loops", 3)
    options = [
        *("--service", vehicle.mode.upper(), "--control-mode", vehicle.control or "dynamic"),
        *("--loops", str(loops), "--ongoing", "1"),
    ]
    return f"echo {shlex.quote(shlex.join(options))} > {shlex.quote(str(fifo))}"


class Charger(NetworkSECC):
    """Josev's SECC; `runs` counts the connections, for each of which it reports."""

    runs = 0

    async def connect(self, *arguments: Any) -> trio.abc.Stream:
        stream = await super().connect(*arguments)
        self.runs += 1
        return stream


def scenario_case(name: str, args: argparse.Namespace) -> dict[str, Any]:
    scenario = fitted(library()[name], args.vehicle, args.station)
    target: Target
    if args.side == "secc":
        counted: Charger | Trigger = Charger(interface=args.iface)
        target = counted
    else:
        counted = Trigger(plug(args.fifo, scenario.vehicle))
        target = NetworkEVCC(args.iface, patience=_PATIENCE, trigger=counted)
    verdict = trio.run(run, scenario, target)
    return {**dataclasses.asdict(verdict), "result": verdict.result.value, "runs": counted.runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iface", required=True)
    parser.add_argument("--side", choices=["secc", "evcc"], required=True, help="the side that Josev is")
    parser.add_argument("--what", choices=["scenario"], required=True)
    parser.add_argument("--vehicle", type=Path, required=True)
    parser.add_argument("--station", type=Path, required=True)
    parser.add_argument("--fifo", type=Path, help="where Josev's EVCC reads what to do")
    args = parser.parse_args()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        (name,) = shlex.split(line)
        try:
            done = scenario_case(name, args)
        except Exception:
            done = {
                "result": "error",
                "reasons": [traceback.format_exc()],
                "log": [],
                "seconds": 0.0,
                "runs": 0,
            }
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
