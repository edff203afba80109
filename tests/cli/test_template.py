"""`--template`: a file with every key, which sets nothing until a # is taken away."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from hlc_sim.cli.app import app
from hlc_sim.config import StationConfig, VehicleConfig, load

BOTH = pytest.mark.parametrize(("command", "kind"), [("secc", StationConfig), ("evcc", VehicleConfig)])


def template(command: str) -> str:
    result = CliRunner().invoke(app, [command, "--template"])
    assert result.exit_code == 0
    return result.stdout


def loaded(kind: type[Any], text: str, directory: Path) -> Any:
    (directory / "f.toml").write_text(text)
    return load(kind, directory / "f.toml")


def settings(config: Any) -> dict[str, Any]:
    """All of it as plain data, the session's settings as the session gets them."""
    values = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    values = {name: value for name, value in values.items() if name not in ("secc", "evcc")}
    return dict(msgspec.to_builtins({**values, "session": config.session()}, enc_hook=repr))


@BOTH
def test_a_template_as_it_is_changes_nothing(command: str, kind: type[Any], tmp_path: Path) -> None:
    assert settings(loaded(kind, template(command), tmp_path)) == settings(kind())


@BOTH
def test_the_defaults_of_a_template_are_those_of_no_file(
    command: str, kind: type[Any], tmp_path: Path
) -> None:
    tables = re.split(r"^(?=#?\[)", template(command), flags=re.MULTILINE)
    text = "".join(part for part in tables if not part.startswith("#["))
    text = re.sub(r"^#(\w+ = [^ ].*)$", r"\1", text, flags=re.MULTILINE)
    assert text.count(" = ") > 30
    assert settings(loaded(kind, text, tmp_path)) == settings(kind())


@BOTH
def test_a_template_names_every_key_that_a_file_may_have(command: str, kind: type[Any]) -> None:
    def keys(value: object) -> Iterator[str]:
        for item in dataclasses.fields(value):  # type: ignore[arg-type]
            if item.init and not isinstance(inner := getattr(value, item.name), dict):
                yield item.name
                if dataclasses.is_dataclass(inner):
                    yield from keys(inner)

    text = template(command)
    named = {match[1] or match[2] for match in re.finditer(r"^#?(?:(\w+) =|\[+.*?(\w+)\]+$)", text, re.M)}
    assert set(keys(kind())) - named == set()
    assert {"[secc.dialect]", "[evcc.dialect]"} & set(text.splitlines())
