"""What the commands of the powerline share: printing, results, errors; quick to import."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ..cli.errors import Exit, stop

if TYPE_CHECKING:
    from rich.console import Console


class Side(StrEnum):
    ev = "ev"
    evse = "evse"


Report = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the result there as JSON ('-': standard output)."),
]


class _Output:
    """Standard output through rich, which is imported with the first line printed."""

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(highlight=False, emoji=False)  # addresses are full of what looks like emoji names

    def print(self, what: Any, **how: Any) -> None:
        self._console.print(what, **how)


out = _Output()


def escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def need_scapy() -> None:
    """End the command with exit code 2 and what to install, if scapy is not there."""
    try:
        import scapy  # noqa: F401
    except ImportError:
        stop("the powerline needs scapy: pip install 'hlc-sim[hpgp]'")


def write_json(target: Path, data: object) -> None:
    if str(target) == "-":
        print(json.dumps(data))
    else:
        target.write_text(json.dumps(data) + "\n", encoding="utf-8")


def no_interface(iface: str | None, error: OSError) -> NoReturn:
    """A socket's error that says which interface it is about."""
    text = str(error.strerror or error)
    stop(text if iface is None or iface in text else f"{iface}: {text}", Exit.NO_CONNECTION)


class pcap_writer:
    """Context manager: a function (time, frame), or None without a path."""

    def __init__(self, path: Path | None) -> None:
        self._writer: Any = None
        if path is not None:
            from scapy.utils import RawPcapWriter

            self._writer = RawPcapWriter(str(path), linktype=1, sync=True)
            self._writer.write_header(None)

    def __enter__(self) -> Any:
        if self._writer is None:
            return None
        return lambda when, frame: self._writer.write_packet(frame, sec=int(when), usec=int(when % 1 * 1e6))

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def action_text(action: Any, verbose: bool) -> str:
    from iso15118.slac import Deviation, DriveCp, LinkReady, LoadCp, StateChange

    match action:
        case StateChange():
            return f"[bold]{action.after.name}[/] {escape(action.why)}"
        case Deviation():
            requirement = f" [{action.requirement}]" if action.requirement else ""
            return f"[yellow]{escape(action.text + requirement)}[/]"
        case LinkReady(established=False):
            return f"[red]no link: {escape(action.reason)}[/]"
        case LoadCp() | DriveCp() if verbose:
            return f"  control pilot: {action}"
    return ""


def match_facts(match: Any) -> dict[str, Any]:
    """A match as plain data: attenuation in dB, times in seconds after the start of its matching."""
    from iso15118.slac import mac_text

    return {
        "ev_mac": mac_text(match.ev_mac),
        "evse_mac": mac_text(match.evse_mac),
        "run_id": match.run_id.hex(),
        "nid": match.nid.hex(),
        "nmk": match.nmk.hex(),
        "attenuation_db": {mac_text(mac): round(value, 2) for mac, value in match.attenuation.items()},
        "groups_db": list(match.groups),
        "validation": match.validation,
        "attempts": match.attempts,
        "matched_after_s": round(match.matched - match.started, 3),
        "linked_after_s": round(match.linked - match.started, 3),
    }


def match_table(match: Any) -> Any:
    """A match as a rich table: addresses, key, attenuation, times."""
    from rich.table import Table

    from iso15118.slac import mac_text, nmk_weaknesses

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("EV", mac_text(match.ev_mac))
    table.add_row("EVSE", mac_text(match.evse_mac))
    table.add_row("NID", match.nid.hex())
    weak = nmk_weaknesses(match.nmk)
    table.add_row("NMK", match.nmk.hex() + (f"  [yellow]weak: {'; '.join(weak)}[/]" if weak else ""))
    for mac, value in sorted(match.attenuation.items(), key=lambda pair: pair[1]):
        chosen = "  (chosen)" if mac == match.evse_mac and len(match.attenuation) > 1 else ""
        table.add_row("attenuation", f"{mac_text(mac)}  {value:.1f} dB{chosen}")
    table.add_row("validation", match.validation)
    table.add_row("matched", f"after {match.matched - match.started:.3f} s, attempt {match.attempts}")
    table.add_row("link up", f"after {match.linked - match.started:.3f} s")
    return table
