"""The pages about commands, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from hlc_sim.cli.app import app as hlc
from hlc_sim.cli.errors import Exit
from hlc_sim.config.keys import field_notes
from pki.cli import Exit as PKIExit
from pki.cli import app as v2g_pki

from .markdown import prose, table


def pages() -> Iterator[tuple[str, str]]:
    yield "hlc.md", f"{_page('hlc', hlc)}\n## Exit codes\n\n{exit_codes()}"
    yield "v2g-pki.md", f"{_page('v2g-pki', v2g_pki)}\n## Exit codes\n\n{exit_codes()}"


def exit_codes() -> str:
    """One table for both commands."""
    mints = field_notes(PKIExit)
    rows = []
    for code in Exit:
        own = mints.get(code.name, "" if code.name in PKIExit.__members__ else "-")
        rows.append((code.value, _line(field_notes(Exit).get(code.name)), _line(own)))
    return table(("Code", "`hlc`", "`v2g-pki`"), rows)


def _line(note: str | None) -> str:
    return " ".join((note or "All well.").split())


def _page(name: str, app: typer.Typer) -> str:
    command = typer.main.get_command(app)
    parts = [f"# {name}", "Generated from the command itself.", prose(command.help)]
    parts += _commands(command, name)
    return "\n\n".join(part for part in parts if part) + "\n"


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
            continue
        context = command.context_class(command, info_name=f"{path} {name}")
        parameters = [parameter for parameter in command.get_params(context) if parameter.name != "help"]
        arguments = [p for p in parameters if p.param_type_name == "argument"]
        usage = " ".join([path, name, "[OPTIONS]", *(p.metavar or f"{{{p.name}}}" for p in arguments)])
        yield f"## {path} {name}\n\n`{usage}`\n\n{prose(command.help)}"
        records = [record for p in parameters if (record := p.get_help_record(context))]
        if records:
            yield table(("Option", ""), ((f"`{names}`", prose(text)) for names, text in records))
