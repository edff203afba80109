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

from hlc_sim.conformance import Capabilities, Shelf, run_case, suite
from hlc_sim.scenario import NetworkEVCC, NetworkSECC, library, run
from hlc_sim.scenario.fit import OurSide
from hlc_sim.scenario.trigger import Trigger
from hlc_sim.trust import station_of, vehicle_of
from iso15118.session.events import Role
from pki.hierarchy import Hierarchy

_PATIENCE = 25.0
"""s until Josev's EVCC, told to plug in, must have connected."""
_PLUG = 'echo "--service $HLC_MODE --control-mode ${HLC_CONTROL:-dynamic} --loops 6 --ongoing 1" > '
"""The command that makes Josev's EVCC run a session."""


class Charger(NetworkSECC):
    """Josev's SECC; `runs` counts the connections, for each of which it reports."""

    runs = 0

    async def connect(self, *arguments: Any) -> trio.abc.Stream:
        stream = await super().connect(*arguments)
        self.runs += 1
        return stream


class Worker:
    def __init__(self, args: argparse.Namespace) -> None:
        self._side, self._iface = args.side, args.iface
        self._ours = OurSide.load(args.vehicle, args.station)
        self._capabilities = Capabilities.load(args.capabilities)
        self._tls, self._pki = None, None
        if args.pki is not None:
            self._pki = Hierarchy.load(args.pki)
            self._tls = (vehicle_of if args.side == "secc" else station_of)(self._pki).tls
            self._capabilities.tls = True
        self._shelf = Shelf()
        self._plug = _PLUG + shlex.quote(str(args.fifo))

    def play(self, name: str) -> dict[str, Any]:
        """One case. `runs`: the sessions of which Josev will report."""
        self._made: list[Charger | Trigger] = []
        try:
            result = self._scenario(name) if name in library() else self._conformance(name)
        except Exception:
            result = {"result": "error", "reasons": [traceback.format_exc()], "log": [], "seconds": 0.0}
        return {**result, "runs": sum(made.runs for made in self._made)}

    def _target(self, _role: Role) -> Charger | NetworkEVCC:
        if self._side == "secc":
            charger = Charger(interface=self._iface, tls=self._tls, pki=self._pki)
            self._made.append(charger)
            return charger
        trigger = Trigger(self._plug)
        self._made.append(trigger)
        return NetworkEVCC(self._iface, self._tls, self._pki, patience=_PATIENCE, trigger=trigger)

    def _scenario(self, name: str) -> dict[str, Any]:
        scenario = library()[name]
        verdict = trio.run(run, self._ours.fit(scenario), self._target(scenario.tests))
        return dataclasses.asdict(verdict)

    def _conformance(self, name: str) -> dict[str, Any]:
        case, ours = suite()[name], self._ours.in_any_service()
        done = trio.run(run_case, case, self._capabilities, self._target, self._shelf, ours)
        told = {name: getattr(done, name) for name in ("result", "reasons", "log", "seconds")}
        return {**told, "group": case.group, "requirements": case.requirements}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iface", required=True)
    parser.add_argument("--side", choices=["secc", "evcc"], required=True, help="the side that Josev is")
    parser.add_argument("--vehicle", type=Path, required=True)
    parser.add_argument("--station", type=Path, required=True)
    parser.add_argument("--capabilities", type=Path, required=True)
    parser.add_argument("--fifo", type=Path, required=True, help="where Josev's EVCC reads what to do")
    parser.add_argument("--pki", type=Path, help="for TLS, as v2g-pki mints it")
    worker = Worker(parser.parse_args())
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(worker.play(line.strip())), flush=True)


if __name__ == "__main__":
    main()
