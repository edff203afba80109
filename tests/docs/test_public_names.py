"""The packages export what they say, and importing one costs next to nothing until a name is used."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.reference import python

PACKAGES = (
    "iso15118",
    "iso15118.session",
    "hlc_sim",
    "hlc_sim.conformance",
    "hlc_sim.scenario",
    "pki",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_there(package: str) -> None:
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_and_the_interpreter_see_the_same_names(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    seen = {
        alias.name: "." * node.level + str(node.module)
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: home for home, names in module._HOMES.items() for name in names}
    assert sorted(seen) == sorted(module.__all__)


@pytest.mark.parametrize("package", python.PACKAGES)
def test_every_exported_name_is_documented(package: str) -> None:
    module = importlib.import_module(package)
    bare = re.compile(r"\w+\(.*\)")  # what dataclasses say of themselves
    said = {name: python.first_paragraph(getattr(module, name)) for name in module.__all__}
    assert [name for name, text in said.items() if not text or bare.fullmatch(text)] == []


@pytest.mark.parametrize("package", ["iso15118", "hlc_sim", "pki"])
def test_the_packages_are_typed(package: str) -> None:
    assert (Path(str(importlib.import_module(package).__file__)).parent / "py.typed").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = importlib.import_module(package).Nonsense


def test_importing_the_packages_imports_nothing_heavy() -> None:
    script = f"import sys, {', '.join(PACKAGES)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    heavy = {"msgspec", "trio", "cryptography", "lxml", "typer", "scapy", "plotly", "jinja2"}
    assert heavy & {name.partition(".")[0] for name in loaded.split()} == set()
