"""Who imports whom: the three packages, their rooms, and nobody another module's private names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("iso15118", "hlc_sim", "pki")
WITHOUT_IO = {"asyncio", "random", "secrets", "select", "socket", "subprocess", "threading", "time", "trio"}
SCAPY = ("hlc_sim/powerline/", "hlc_sim/trace/slac.py", "tools/bench/powerline.py")


class Import(NamedTuple):
    file: str
    line: int
    module: str
    name: str
    """"" where the module itself is imported."""


@cache
def imports() -> tuple[Import, ...]:
    return tuple(
        item
        for room in (*PACKAGES, "tools")
        for path in sorted((ROOT / room).rglob("*.py"))
        for item in _imports(path)
    )


def _imports(path: Path) -> Iterator[Import]:
    file = path.relative_to(ROOT)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(str(file), node.lineno, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            base = file.parent.parts[: len(file.parent.parts) + 1 - node.level] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            for alias in node.names:
                yield Import(str(file), node.lineno, module, alias.name)


def of_package(package: str) -> list[Import]:
    return [item for item in imports() if item.file.startswith(f"{package}/")]


def tops(items: list[Import]) -> set[str]:
    return {item.module.partition(".")[0] for item in items}


@pytest.mark.parametrize(
    ("package", "others"), [("iso15118", {"hlc_sim", "pki"}), ("pki", {"hlc_sim", "iso15118"})]
)
def test_the_standard_and_the_pki_import_nothing_of_ours(package: str, others: set[str]) -> None:
    assert tops(of_package(package)) & others == set()


def test_the_standard_does_no_io() -> None:
    assert tops(of_package("iso15118")) & WITHOUT_IO == set()


@pytest.mark.parametrize(
    ("room", "above"),
    [
        ("exi", ("session", "security", "slac")),
        ("messages", ("session", "security", "slac")),
        ("session", ("exi",)),
    ],
)
def test_rooms_of_the_standard_know_only_what_is_below(room: str, above: tuple[str, ...]) -> None:
    found = [item for item in of_package("iso15118") if item.file.startswith(f"iso15118/{room}/")]
    assert found
    forbidden = tuple(f"iso15118.{name}" for name in above)
    assert [item for item in found if f"{item.module}.{item.name}".startswith(forbidden)] == []


@pytest.mark.parametrize(
    ("room", "beside"),
    [
        ("scenario", ("conformance", "fuzz", "pytest_plugin")),
        ("conformance", ("fuzz", "pytest_plugin")),
        ("fuzz", ("conformance", "pytest_plugin")),
    ],
)
def test_rooms_that_test_a_device_are_independent(room: str, beside: tuple[str, ...]) -> None:
    found = [item for item in of_package("hlc_sim") if item.file.startswith(f"hlc_sim/{room}/")]
    assert found
    forbidden = tuple(f"hlc_sim.{name}" for name in beside)
    assert [item for item in found if f"{item.module}.{item.name}".startswith(forbidden)] == []


def test_scapy_stays_with_the_powerline() -> None:
    users = {item.file for item in imports() if item.module.partition(".")[0] == "scapy"}
    assert users
    assert [file for file in users if not file.startswith(SCAPY)] == []


def test_nobody_imports_private_names() -> None:
    private = [
        f"{item.file}:{item.line} {item.module} {item.name}"
        for item in imports()
        if item.module != "__future__"
        and any(part.startswith("_") for part in (*item.module.split("."), item.name))
    ]
    assert private == []
