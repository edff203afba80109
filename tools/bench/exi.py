"""How long EXI takes: twelve messages, decoded and encoded, by the compiled and by the interpreted kernel.

    python -m tools.bench.exi                  medians in microseconds
    python -m tools.bench.exi --josev PYTHON   beside Josev's codec; PYTHON: of a venv with iso15118==0.31.2
    python -m tools.bench.exi --least          the least of the rounds, for a busy machine
    python -m tools.bench.exi --markdown       the table as it stands in docs/benchmarks-exi.md

Every figure is the median of rounds in which the codecs take turns, so that a slow moment of the machine
falls on all alike. What counts is the ratio within one run. Decoding gives message objects, encoding starts
from them.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from iso15118 import exi
from iso15118.messages.schema_sets import SchemaSet

from ..exi_kernels import interpreted_exi

MESSAGES = Path(__file__).parent.parent.parent / "tests" / "data" / "vectors" / "bench_messages.jsonl"
NAMESPACES = {
    "sap": "urn:iso:15118:2:2010:AppProtocol",
    "iso20_common": "urn:iso:std:iso:15118:-20:CommonMessages",
    "iso20_dc": "urn:iso:std:iso:15118:-20:DC",
}
"""The names by which Josev's codec knows the schema sets of the messages."""

JOSEV = """
import json, logging, sys, time
logging.disable(logging.CRITICAL)
from iso15118.shared.exi_codec import EXI
from iso15118.shared.exificient_exi_codec import ExificientEXICodec
from iso15118.shared.settings import load_shared_settings
load_shared_settings()
from iso15118.shared.settings import shared_settings, SettingKey
for key in (SettingKey.MESSAGE_LOG_JSON, SettingKey.MESSAGE_LOG_EXI):
    shared_settings[key] = False
EXI().set_exi_codec(ExificientEXICodec())
codec = EXI()
clock = time.perf_counter_ns
lines = [json.loads(line) for line in sys.stdin]
for line in 5 * lines:
    codec.to_exi(codec.from_exi(bytes.fromhex(line["exi"]), line["namespace"]), line["namespace"])
for line in lines:
    octets, namespace = bytes.fromhex(line["exi"]), line["namespace"]
    decoding, encoding = [], []
    for _ in range(line["rounds"]):
        started = clock()
        message = codec.from_exi(octets, namespace)
        decoding.append(clock() - started)
        started = clock()
        again = codec.to_exi(message, namespace)
        encoding.append(clock() - started)
    print(json.dumps([decoding, encoding, bytes(again).hex() == line["exi"]]), flush=True)
"""

Statistic = Callable[[list[float]], float]


class Row(NamedTuple):
    """Microseconds: decode, encode."""

    name: str
    octets: int
    compiled: tuple[float, float] | None
    interpreted: tuple[float, float]
    josev: tuple[float, float] | None


def per_call(call: Callable[[], Any], calls: int) -> float:
    """Microseconds per call of one round."""
    started = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - started) / calls / 1000


def calls_in(call: Callable[[], Any], seconds: float) -> int:
    once = max(min(per_call(call, 1) for _ in range(3)), 0.1)
    return max(1, int(seconds * 1e6 / once))


def measure(
    line: dict[str, Any], kernels: dict[str, Any], rounds: int, of_rounds: Statistic
) -> dict[str, tuple[float, float]]:
    """Decode and encode by kernel."""
    octets, schema_set = bytes.fromhex(line["exi"]), SchemaSet(line["schema_set"])
    calls: dict[tuple[str, int], tuple[Callable[[], Any], int]] = {}
    for name, module in kernels.items():
        message = module.decode(octets, schema_set)
        assert module.encode(message, schema_set) == octets
        both: list[Callable[[], Any]] = [
            partial(module.decode, octets, schema_set),
            partial(module.encode, message, schema_set),
        ]
        for index, call in enumerate(both):
            calls[name, index] = call, calls_in(call, 0.01)
    times: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
    for _ in range(rounds):
        for key, (call, count) in calls.items():
            times[key].append(per_call(call, count))
    return {name: (of_rounds(times[name, 0]), of_rounds(times[name, 1])) for name in kernels}


def measure_josev(
    python: str, lines: list[dict[str, Any]], rounds: int, of_rounds: Statistic
) -> list[tuple[float, float]]:
    requests = [
        {"exi": line["exi"], "namespace": NAMESPACES[line["schema_set"]], "rounds": rounds} for line in lines
    ]
    run = subprocess.run(
        [python, "-c", JOSEV],
        input="".join(json.dumps(r) + "\n" for r in requests),
        capture_output=True,
        text=True,
        cwd=Path(python).parent,
        check=False,
    )
    if run.returncode:
        raise SystemExit(f"Josev's codec did not run:\n{run.stderr[-2000:]}")
    answers = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[[")]
    for line, (_, _, same) in zip(lines, answers, strict=True):
        if not same:
            raise SystemExit(f"Josev's codec writes other octets for {line['name']}")
    return [(of_rounds(decoding) / 1000, of_rounds(encoding) / 1000) for decoding, encoding, _ in answers]


def table(rows: list[Row]) -> list[list[str]]:
    """Header and cells."""
    josev = any(row.josev for row in rows)
    header = ["message", "octets", "compiled dec", "enc", "interpreted dec", "enc", "ratio dec", "enc"]
    if josev:
        header += ["Josev dec", "enc", "ratio to compiled dec", "enc"]
    cells = [header]
    for row in rows:
        line = [row.name, str(row.octets)]
        for pair in (row.compiled, row.interpreted):
            line += [f"{value:.1f}" for value in pair] if pair else ["-", "-"]
        line += ratios(row.interpreted, row.compiled)
        if josev:
            line += [f"{value:.0f}" for value in row.josev] if row.josev else ["-", "-"]
            line += ratios(row.josev, row.compiled or row.interpreted)
        cells.append(line)
    return cells


def ratios(slow: tuple[float, float] | None, quick: tuple[float, float] | None) -> list[str]:
    if slow is None or quick is None:
        return ["-", "-"]
    return [f"{a / b:.0f}x" for a, b in zip(slow, quick, strict=True)]


def show(cells: list[list[str]], markdown: bool) -> None:
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    between = " | " if markdown else "  "
    for number, line in enumerate(cells):
        text = between.join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print(f"| {text} |" if markdown else text)
        if markdown and number == 0:
            print("|" + "|".join("---" if i == 0 else "---:" for i in range(len(widths))) + "|")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=21, help="rounds per message and codec (21)")
    parser.add_argument("--josev", metavar="PYTHON", help="interpreter of a venv with Josev's iso15118")
    parser.add_argument("--least", action="store_true", help="the least of the rounds, not their median")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    lines = [json.loads(line) for line in MESSAGES.read_text().splitlines()]
    kernels: dict[str, Any] = {"interpreted": interpreted_exi()}
    if exi.COMPILED:
        kernels["compiled"] = exi
    of_rounds: Statistic = min if options.least else median
    josev: list[tuple[float, float] | None] = [None] * len(lines)
    if options.josev:
        josev = [*measure_josev(options.josev, lines, options.rounds, of_rounds)]
    rows = []
    gc.collect()
    for line, beside in zip(lines, josev, strict=True):
        medians = measure(line, kernels, options.rounds, of_rounds)
        octets = len(line["exi"]) // 2
        rows.append(Row(line["name"], octets, medians.get("compiled"), medians["interpreted"], beside))
    show(table(rows), options.markdown)


if __name__ == "__main__":
    main()
