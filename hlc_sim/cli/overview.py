"""`hlc --help` on one screen: the commands by group, one line each, without boxes."""

from __future__ import annotations

import textwrap
from typing import Any

import typer
from typer.core import TyperGroup

_WIDTH = 80


class Overview(TyperGroup):
    """A group whose help lists its commands by `rich_help_panel`, in the order of their registration."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def format_help(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            what = command.get_short_help_str(limit=_WIDTH - 14)
            groups.setdefault(command.rich_help_panel or "Commands", []).append((name, what))
        lines = [f"Usage: {ctx.command_path} COMMAND [OPTIONS]", "", self.help or ""]
        for title, commands in groups.items():
            lines.append(typer.style(title, bold=True))
            for name, what in commands:
                lines.append(f"  {typer.style(f'{name:11}', fg=typer.colors.CYAN)} {what}")
        lines.append(typer.style("Options", bold=True))
        options = [opt for item in self.get_params(ctx) for opt in item.opts]
        lines.append(f"  {'  '.join(options)}")
        lines.append(f"{ctx.command_path} COMMAND --help says the rest.")
        lines += textwrap.wrap(self.epilog or "", _WIDTH)
        formatter.write("\n".join(lines) + "\n")
