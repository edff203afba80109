"""Coverage-guided fuzzing of the EXI codec with atheris (extra `fuzz`).

    python -m tools.fuzz_exi out/fuzz-exi -max_total_time=1200 -max_len=4096

Seeds are written into the directory first, from the test vectors; libFuzzer's options follow it. The first
octet of an input chooses the schema set and whether a document or a fragment is read. The interpreted
kernel is instrumented; where the compiled one is installed it must do exactly the same. A finding is
anything but a message or an EXIDecodeError, a difference between the kernels, or a message that does not
survive a round trip.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import atheris

from iso15118 import exi
from iso15118.messages.schema_sets import SchemaSet

VECTORS = Path(__file__).parent.parent / "tests" / "data" / "vectors"
SETS = list(SchemaSet)


def write_seeds(directory: Path) -> int:
    """One file per vector of at most 2000 octets; the number of vectors."""
    directory.mkdir(parents=True, exist_ok=True)
    written = 0
    for file in sorted(VECTORS.glob("*.jsonl")):
        for line in map(json.loads, file.read_text().splitlines()):
            if line["schema_set"] not in SETS or not line["exi"]:
                continue
            for key in ("exi", "exi_string_table"):
                octets = bytes.fromhex(line.get(key, ""))
                if not 0 < len(octets) <= 2000:
                    continue
                choice = 2 * SETS.index(line["schema_set"]) + bool(line.get("fragment"))
                seed = bytes([choice]) + octets
                (directory / sha256(seed).hexdigest()[:16]).write_bytes(seed)
                written += 1
    return written


def outcome(module: ModuleType, data: bytes, schema_set: SchemaSet, fragment: bool) -> Any:
    """What a kernel makes of the octets: a value, or where and why it is refused."""
    try:
        return module.decode_fragment(data, schema_set) if fragment else module.decode(data, schema_set)
    except exi.EXIDecodeError as error:
        return (error.bit, str(error), error.partial)


def check(instrumented: ModuleType, data: bytes) -> None:
    if not data:
        return
    schema_set, fragment = SETS[(data[0] >> 1) % len(SETS)], bool(data[0] & 1)
    octets = data[1:]
    read = outcome(instrumented, octets, schema_set, fragment)
    if exi.COMPILED:
        compiled = outcome(exi, octets, schema_set, fragment)
        assert compiled == read, f"compiled {compiled!r}, interpreted {read!r}"
    refused = type(read) is tuple
    tolerant = instrumented.decode_fragment if fragment else instrumented.decode
    try:
        tolerant(octets, schema_set, deviations=[])
    except exi.EXIDecodeError:
        assert refused
    if refused:
        return
    try:
        if fragment:
            again = instrumented.encode_fragment(read.value, read.name, schema_set=schema_set)
        else:
            again = instrumented.encode(read, schema_set)
    except exi.EXIEncodeError:
        return  # a value that came as text and is outside its type's codes
    assert outcome(instrumented, again, schema_set, fragment) == read


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    directory = Path(sys.argv[1])
    print(f"{write_seeds(directory)} seeds in {directory}; compiled kernel: {exi.COMPILED}")
    from tools.exi_kernels import interpreted_exi

    with atheris.instrument_imports(include=["iso15118.exi"]):
        instrumented = interpreted_exi()
    atheris.Setup([sys.argv[0], str(directory), *sys.argv[2:]], lambda data: check(instrumented, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
