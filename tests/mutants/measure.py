"""Measures which planted defects the suites find: `python -m tests.mutants.measure --suite fuzz`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from .conforming import conform
from .fuzzing import CASES, Found, fuzz
from .table import MUTANTS, Mutant

Suite = Callable[[Mutant], Found | None]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.measure", description=__doc__)
    parser.add_argument("--suite", choices=("conformance", "fuzz"), required=True)
    parser.add_argument(
        "--only", metavar="PATTERN", nargs="+", default=["*"], help="Defects with such a name, as 'evcc-*'."
    )
    parser.add_argument(
        "--cases", type=int, default=CASES, help="Fuzz cases for each defect. [default: %(default)s]"
    )
    parser.add_argument(
        "--all", action="store_true", help="Fuzz also for the defects that a fuzzer cannot see."
    )
    options = parser.parse_args()
    chosen = [
        mutant for mutant in MUTANTS if any(fnmatchcase(mutant.name, pattern) for pattern in options.only)
    ]
    if options.suite == "fuzz":
        chosen = [mutant for mutant in chosen if mutant.fuzz or options.all]
        rows = _measured(chosen, lambda mutant: fuzz(mutant, options.cases))
    else:
        rows = _measured(chosen, conform)
    started = time.perf_counter()
    found = [_line(mutant, result) for mutant, result in rows]
    print(f"\n{sum(found)} of {len(found)} found in {time.perf_counter() - started:.0f} s")


def _measured(chosen: list[Mutant], suite: Suite) -> Iterator[tuple[Mutant, Found | None]]:
    for mutant in chosen:
        yield mutant, suite(mutant)


def _line(mutant: Mutant, found: Found | None) -> bool:
    if found is None:
        print(f"{mutant.name:36} NOT FOUND: {mutant.title} ({mutant.why})", flush=True)
    else:
        print(f"{mutant.name:36} {found.cases:5} cases {found.seconds:6.1f} s  {found.by}", flush=True)
    return found is not None


if __name__ == "__main__":
    main()
