"""A trace as a table, a message at a time, or in full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from iso15118 import sdp, v2gtp

from . import events as ev
from .frames import Decoder
from .present import outline

_DETAILS = (
    "ResponseCode",
    "EVSEProcessing",
    "EVProcessing",
    "ChargeProgress",
    "ChargingSession",
    "SchemaID",
    "ServiceID",
)
_ARROWS = {"EVCC": ("EV  →   ", "cyan"), "SECC": ("   ← SE ", "magenta")}


def brief(event: ev.Frame) -> str:
    """The few values of a message that say what it does."""
    if event.message is None:
        return event.error
    found = [
        f"{name} {value}" if isinstance(value, int) else str(value)
        for name in _DETAILS
        if (value := event.message.get(name)) is not None
    ]
    return ", ".join(value for value in found if value != "OK" or len(found) == 1)


def sdp_text(event: ev.SDP) -> str:
    """An SDP datagram in words."""
    try:
        message = sdp.parse(event.payload_type, bytes.fromhex(event.payload))
    except sdp.SDPError as error:
        return str(error)
    if isinstance(message, sdp.Response | sdp.WirelessResponse):
        return f"[{message.address}]:{message.port}, {message.security.name}"
    return f"asks for {message.security.name}"


def rows(events: Iterable[ev.Event]) -> Iterator[tuple[float, str, str, str, str, str]]:
    """Time, number, sender, name, what it says, phase after: for every event that is worth a line."""
    for event in events:
        match event:
            case ev.Frame():
                name = event.name or v2gtp.describe(event.payload_type)
                yield event.time, str(event.number), event.sender, name, brief(event), event.after
            case ev.SDP():
                name = "SDP request" if event.sender == "EVCC" else "SDP response"
                yield event.time, "", event.sender, name, sdp_text(event), ""
            case ev.SLAC():
                yield event.time, "", "", event.name or "SLAC", "", ""
            case ev.TLS():
                text = " ".join(filter(None, (event.suite, event.group, event.alert)))
                yield event.time, "", "", event.version or "TLS", text, ""
            case ev.Connection():
                yield (
                    event.time,
                    "",
                    "",
                    f"connection {event.connection}",
                    f"{event.evcc} to {event.secc}",
                    "",
                )
            case ev.Closed():
                by = f"by the {event.by}" if event.by else ""
                yield (
                    event.time,
                    "",
                    "",
                    f"connection {event.connection} closed",
                    f"{by} {event.reason}".strip(),
                    "",
                )
            case ev.Damage():
                yield event.time, "", event.sender, "no V2GTP frame", event.text, ""
            case ev.Deviation():
                text = f"{event.text}; expected {event.expected}" if event.expected else event.text
                yield event.time, str(event.frame or ""), event.offender, f"{event.severity}", text, ""
            case ev.Note():
                yield event.time, "", "", event.level, event.text, ""
            case _:
                pass


def show_table(console: Console, events: Iterable[ev.Event], *, collapse: bool = True) -> None:
    """One line for each event; with `collapse`, repeated exchanges are counted instead of listed."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=30)
    table.add_column("", overflow="fold")
    table.add_column("phase", overflow="fold")
    start: float | None = None
    for time, number, sender, name, text, phase, times in _collapsed(rows(events), collapse):
        start = time if start is None else start
        arrow, style = _ARROWS.get(sender, ("", "dim"))
        label = Text(name, style="red" if text.startswith("FAILED") or name == "no V2GTP frame" else "")
        if times > 1:
            label.append(f" ×{times}", style="dim")
        table.add_row(
            f"{time - start:.3f}",
            number,
            Text(arrow, style=style),
            label,
            Text(text),
            Text(phase, style="dim"),
        )
    console.print(table)


_Row = tuple[float, str, str, str, str, str]


def _collapsed(lines: Iterable[_Row], collapse: bool) -> Iterator[tuple[float, str, str, str, str, str, int]]:
    """Runs of the same request and response become one pair with a count, the last of the run."""
    pair: list[_Row] = []
    repeated = 1
    held: list[_Row] = []
    for line in lines:
        if not pair and line[2] == "EVCC" and line[1] and collapse:
            pair = [line]
            continue
        if len(pair) == 1 and line[2] == "SECC" and line[1]:
            pair.append(line)
            if [_key(row) for row in held] == [_key(row) for row in pair]:
                repeated += 1
            else:
                yield from ((*row, repeated) for row in held)
                repeated = 1
            held, pair = pair, []
            continue
        yield from ((*row, repeated) for row in held)
        yield from ((*row, 1) for row in (*pair, line))
        held, pair, repeated = [], [], 1
    yield from ((*row, repeated) for row in held)
    yield from ((*row, 1) for row in pair)


def _key(row: _Row) -> tuple[str, ...]:
    return row[2], row[3], row[4]


def show_messages(console: Console, events: Iterable[ev.Event]) -> bool:
    """Every message in full. False if one could not be decoded."""
    decoders: dict[int, Decoder] = {}
    good = True
    for event in events:
        if isinstance(event, ev.Frame):
            good = _show_message(console, event, decoders.setdefault(event.connection, Decoder())) and good
        elif isinstance(event, ev.Damage):
            good = False
            console.print(Text(f"{event.sender or '?'}: no V2GTP frame: {event.text}", style="red"))
        elif isinstance(event, ev.SDP | ev.SLAC | ev.TLS | ev.Note):
            for _, _, sender, name, text, _ in rows([event]):
                console.print(Text(f"{sender} {name} {text}".strip(), style="dim"))
    return good


def _show_message(console: Console, event: ev.Frame, decoder: Decoder) -> bool:
    message, error = decoder.decode(event.payload_type, bytes.fromhex(event.payload))
    size = len(event.payload) // 2
    head = f"#{event.number} {event.sender} {v2gtp.describe(event.payload_type)}, {size} bytes"
    console.print(Text(head, style="bold"))
    if message is None:
        console.print(Text(f"  {event.payload}", style="dim"))
        console.print(Text(f"  not decoded: {error}", style="red"))
        return False
    for item in outline(message):
        value = f": {item.value}" if item.value else ""
        console.print(Text(f"{'  ' * (item.depth + 1)}{item.name}{value}"), soft_wrap=True)
    return True
