"""The compiled and the interpreted kernel are one: same messages and octets, same errors at the same bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iso15118 import exi
from tools.exi_kernels import interpreted_exi

from ..messages.vectors import SETS, vectors
from .test_malformed import MALFORMED

INTERPRETED = os.environ.get("HLC_EXI_INTERPRETED") == "1"
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.skipif(INTERPRETED, reason="this is the run with the interpreted kernel")
@pytest.mark.skipif(
    not exi.COMPILED, reason="no compiled kernel is installed: the other tests ran interpreted"
)
def test_all_codec_tests_hold_interpreted_too() -> None:
    tests = [str(ROOT / "tests" / "exi")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests],
        env={**os.environ, "HLC_EXI_INTERPRETED": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert " passed" in run.stdout


def test_the_environment_chooses_the_kernel() -> None:
    command = [sys.executable, "-m", "iso15118.exi"]
    environment = {**os.environ, "HLC_EXI_INTERPRETED": "1"}
    said = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("EXI kernel: interpreted")
    assert said.strip().endswith("kernel.py)")


@pytest.mark.skipif(not exi.COMPILED, reason="no compiled kernel is installed")
def test_errors_are_the_same_to_the_bit() -> None:
    other = interpreted_exi()
    assert exi.COMPILED
    assert not other.COMPILED

    def outcome(module: Any, octets: bytes, schema_set: str, fragment: bool) -> Any:
        try:
            return (module.decode_fragment if fragment else module.decode)(octets, schema_set)
        except exi.EXIDecodeError as error:
            return error.bit, str(error), error.partial

    lines = [(bytes.fromhex(v["exi"]), v["schema_set"], v["fragment"]) for v in MALFORMED]
    for schema_set in SETS:
        octets = bytes.fromhex(vectors(f"{schema_set}_dev")[0]["exi"])
        lines += [(octets[:n], schema_set, False) for n in range(len(octets))]
    for line in lines:
        assert outcome(exi, *line) == outcome(other, *line)
