"""Executions of the fuzzer per second: in-process at each layer and side, and over TCP loopback.

    python -m tools.bench.fuzz [--cases N] [--network N]

Over TCP each case is a session with `hlc secc` in a process of its own, and sessions take the time that the
standard's polling and the models of the hardware need; the rate there is that of sessions, not of the fuzzer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from typing import Any

from hlc_sim.fuzz.device import Device
from hlc_sim.fuzz.layer_sdp import Discovery
from hlc_sim.fuzz.layer_slac import Matching
from hlc_sim.fuzz.layer_tls import Records
from hlc_sim.fuzz.subject import Messages, Subject
from hlc_sim.scenario.targets import NetworkSECC
from iso15118.session.events import Role

_WARM = 200


def in_process(subject: Subject[Any], cases: int) -> tuple[float, int]:
    """Executions per CPU second, and findings."""
    for number in range(min(_WARM, cases)):
        subject.run(subject.case(2, number))
    started, found = time.process_time(), 0
    for number in range(cases):
        found += len(subject.run(subject.case(1, number)))
    return cases / (time.process_time() - started), found


def over_tcp(cases: int) -> tuple[float, int]:
    """Executions per second of real time, with all services on offer, and findings."""
    modes = [part for mode in ("ac", "dc", "ac_bpt", "dc_bpt") for part in ("--mode", mode)]
    command = ["from hlc_sim.cli import main; main()", "secc", "--iface", "lo", "--lab-plain-tcp", "--no-sdp"]
    server = subprocess.Popen(
        [sys.executable, "-c", *command, "--speed", "100", *modes], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        ready = server.stderr.readline()
        threading.Thread(target=server.stderr.read, daemon=True).start()  # it says a line for each session
        port = int(ready.partition("]:")[2].partition(",")[0])
        device = Device(lambda: NetworkSECC(("::1", port)), rate=1e9)
        subject = Messages(Role.SECC, device=device)
        started, found = time.monotonic(), 0
        for number in range(cases):
            found += len(subject.run(subject.case(1, number)))
        return cases / (time.monotonic() - started), found
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cases", type=int, default=3000, help="of messages, in-process; fewer of slow layers"
    )
    parser.add_argument("--network", type=int, default=30, help="cases over TCP; 0: none")
    options = parser.parse_args()
    subjects: list[tuple[Subject[Any], int]] = []
    for tests in Role:
        subjects += [
            (Messages(tests), options.cases),
            (Discovery(tests), options.cases),
            (Matching(tests), options.cases // 20),
            (Records(tests), options.cases // 20),
        ]
    for subject, cases in subjects:
        rate, found = in_process(subject, max(1, cases))
        print(f"{subject.name:<10} {rate:8.0f} executions per CPU s in-process, {found} findings", flush=True)
    if options.network:
        rate, found = over_tcp(options.network)
        print(f"{'SECC':<10} {rate:8.2f} executions per s over TCP loopback, {found} findings")


if __name__ == "__main__":
    main()
