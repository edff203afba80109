"""Every code block of the README and the docs does what it promises; `pages` says what that is."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from hlc_sim.cli.app import app as hlc
from hlc_sim.config import StationConfig, VehicleConfig, load
from pki.cli import app as v2g_pki

from .pages import LANGUAGES, ROOT, Block, blocks, indented_code, pages

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages()]
COMMANDS = {"hlc": typer.main.get_command(hlc), "v2g-pki": typer.main.get_command(v2g_pki)}
FOREIGN = (".", "awk", "cd", "git", "openssl", "pip", "pytest", "python", "python3", "tcpdump", "tshark")
CONFIGURATIONS = {"station.toml": StationConfig, "vehicle.toml": VehicleConfig}


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "example"}
    for block in blocks(page):
        where = f"{page.relative_to(ROOT)}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: a block of {block.language or 'no language'}"
        match block.language:
            case "python":
                exec(compile(block.text, where, "exec"), namespace)
            case "console":
                for command, expected in sessions(block):
                    run(command, expected, block.varies, where)
            case "shell":
                for line in block.text.replace("\\\n", " ").splitlines():
                    parse(shlex.split(line, comments=True), where)
            case "toml":
                configure(block.text, tmp_path, where)


@pytest.mark.parametrize("page", PAGES)
def test_no_code_stands_outside_a_fence(page: Path) -> None:
    assert indented_code(page) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    generated = re.compile(r"(^|/)reference/")
    assert [t for t in local if not generated.search(t) and not (page.parent / t).exists()] == []


def sessions(block: Block) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0], "a console block begins with a command"
    found = []
    for part in parts[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = command[:-1] + more
        found.append((command, output))
    return found


def run(command: str, expected: str, varies: str, where: str) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = {**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment, timeout=60
    )
    printed = done.stdout + done.stderr
    shown = f"{where}: $ {command}\nexit code {done.returncode}\n{printed}"
    if varies == "output varies":
        words = {
            match.group() for line in expected.splitlines() if (match := re.search(r"[^\W\d_]\w*", line))
        }
        assert [word for word in words if word not in printed] == [], shown
        assert done.returncode == 0, shown
        return
    lines = [re.escape(line) for line in tidy(expected, varies)]
    pattern = "\n".join("(.|\n)*" if line == re.escape("...") else line for line in lines)
    assert re.fullmatch(pattern, "\n".join(tidy(printed, varies))), shown
    assert (done.returncode == 0) == (not re.search(r"^\w+: ", done.stderr, re.MULTILINE)), shown


def tidy(text: str, varies: str) -> list[str]:
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    return [re.sub(r"\d+", "0", line) for line in lines] if varies == "numbers vary" else lines


def parse(words: list[str], where: str) -> None:
    """Check a command without running it."""
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if words[:3] == ["ip", "netns", "exec"]:
        words = words[4:]
    if not words:
        return
    name, *arguments = words
    for separator in ("&&", "|", ";", "&", ">"):
        if separator in arguments:
            at = arguments.index(separator)
            if separator != ">":
                parse(arguments[at + 1 :], where)
            arguments = arguments[:at]
    if name in COMMANDS:
        command, context = COMMANDS[name], None
        while True:
            context = command.make_context(name, list(arguments), parent=context)
            if not hasattr(command, "resolve_command"):
                return
            rest = [*context._protected_args, *context.args]
            assert rest, f"{where}: {name} needs a command"
            resolved, command, arguments = command.resolve_command(context, rest)
            assert command is not None, f"{where}: no command {rest[0]}"
            name = str(resolved)
    elif name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert [word for word in arguments if "=" not in word and word not in targets] == [], where
    elif name in ("python", "python3") and arguments[:1] == ["-m"] and arguments[1].startswith("tools"):
        assert importlib.util.find_spec(arguments[1]) is not None, f"{where}: no module {arguments[1]}"
    else:
        assert name in FOREIGN, f"{where}: what is {name}?"


def configure(text: str, directory: Path, where: str) -> None:
    name = text.partition("\n")[0].removeprefix("# ")
    assert name in CONFIGURATIONS, f"{where}: begin with # station.toml or # vehicle.toml"
    (directory / name).write_text(text)
    config: Any = load(CONFIGURATIONS[name], directory / name)
    config.session()
