"""What came of a session, as plain data for `--json` and as a table for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from iso15118.messages import common
from iso15118.session.events import Deviation, Severity

from ..evcc import ChargeReport
from ..secc import ConnectionReport

_STYLE = {Severity.ERROR: "bold red", Severity.PERFORMANCE: "yellow", Severity.NOTE: "cyan"}


def of_charge(report: ChargeReport) -> dict[str, Any]:
    """An EVCC's session: outcome, messages, loops, bytes, energies in Wh, times in s, deviations."""
    session = report.session
    mode = session.mode
    meter = session.meter_info
    return {
        "outcome": session.outcome.value,
        "ok": session.ok,
        "reason": session.reason,
        "response_code": session.response_code.value if session.response_code else None,
        "session_id": session.session_id.hex(),
        "evse_id": session.evse_id,
        "service": mode.service.name if mode else None,
        "control": mode.control.name.lower() if mode else None,
        "parameter_set_id": mode.parameter_set_id if mode else None,
        "resumed": session.resumed,
        "authorization": session.authorization.value if session.authorization else None,
        "authorization_code": session.authorization_code.value if session.authorization_code else None,
        "emaid": report.emaid or None,
        "messages": session.messages,
        "messages_by_name": report.messages,
        "charge_loops": session.charge_loops,
        "bytes_sent": report.bytes_sent,
        "bytes_received": report.bytes_received,
        "seconds": round(report.seconds, 3),
        "simulated_seconds": round(report.simulated_seconds, 1),
        "energy_charged_wh": round(report.charged, 1),
        "energy_discharged_wh": round(report.discharged, 1),
        "soc_start": round(report.soc_start, 1),
        "soc_end": round(report.soc_end, 1),
        "meter_charged_wh": meter.charged_energy_reading_wh if meter else None,
        "meter_discharged_wh": meter.bpt_discharged_energy_reading_wh if meter else None,
        "tls": report.tls,
        "tls_remarks": list(report.tls_remarks),
        "deviations": [of_deviation(item) for item in session.deviations],
    }


def of_connection(report: ConnectionReport) -> dict[str, Any]:
    """An SECC's connection."""
    return {
        "peer": report.peer,
        "ok": report.clean,
        "ended": report.ended,
        "session_id": report.session_id.hex(),
        "frames": report.frames,
        "messages_by_name": report.messages,
        "bytes_sent": report.bytes_sent,
        "bytes_received": report.bytes_received,
        "tls": report.tls,
        "tls_remarks": list(report.tls_remarks),
        "emaid": report.emaid or None,
        "deviations": [of_deviation(item) for item in report.deviations],
    }


def of_deviation(deviation: Deviation) -> dict[str, Any]:
    return {
        "severity": deviation.severity.value,
        "offender": deviation.offender.value,
        "frame": deviation.frame,
        "message": deviation.message,
        "text": deviation.text,
        "expected": deviation.expected,
        "requirement": deviation.requirement,
    }


def write(path: Path, data: object) -> None:
    """As indented JSON into a file, or to standard output for "-"."""
    text = msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n"
    if str(path) == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.flush()
    else:
        path.write_bytes(text)


def show_charge(console: Console, report: ChargeReport, title: str) -> None:
    session = report.session
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    style = "bold green" if session.ok else "bold red"
    outcome = session.outcome.value + (f": {session.reason}" if session.reason else "")
    table.add_row("outcome", Text(outcome, style=style))
    if session.mode is not None:
        table.add_row("service", f"{session.mode.service.name}, {session.mode.control.name.lower()} control")
    table.add_row("authorization", Text(_authorization(report)))
    table.add_row("EVSE", Text(session.evse_id or "-"))
    table.add_row("messages", f"{session.messages}, of them {session.charge_loops} charge loops")
    table.add_row("bytes", f"{report.bytes_sent} sent, {report.bytes_received} received")
    table.add_row("duration", f"{report.seconds:.2f} s ({_span(report.simulated_seconds)} simulated)")
    table.add_row("energy", _energy(report))
    table.add_row("state of charge", f"{report.soc_start:.1f} % to {report.soc_end:.1f} %")
    table.add_row("transport", report.tls or "plain TCP (laboratory)")
    if report.tls:
        table.add_row("certificates", "trusted, but for remarks" if report.tls_remarks else "trusted")
        for remark in report.tls_remarks:
            table.add_row("", Text(remark, style="dim"))
    console.print(table)
    show_deviations(console, session.deviations)


def show_deviations(console: Console, deviations: Iterable[Deviation]) -> None:
    listed = list(deviations)
    if not listed:
        console.print("[dim]deviations[/]       none")
        return
    table = Table(title="deviations", title_justify="left", title_style="dim", box=None, padding=(0, 2, 0, 0))
    for column in ("", "by", "frame", "message", "found", "expected", "rule"):
        table.add_column(column, overflow="fold", no_wrap=column not in ("found", "expected"))
    for item in listed:
        table.add_row(
            f"[{_STYLE[item.severity]}]{item.severity.value}[/]",
            item.offender.value,
            str(item.frame),
            item.message or "",
            Text(item.text),  # what a peer said is no markup
            Text(item.expected),
            item.requirement or "",
        )
    console.print(table)


def _authorization(report: ChargeReport) -> str:
    session = report.session
    if session.authorization is None or session.authorization_code is None:
        return "of the paused session" if session.resumed else "-"
    text = "Plug & Charge" if session.authorization is common.Authorization.PnC else "external means (EIM)"
    if report.emaid:
        text += f", contract {report.emaid}"
    code = session.authorization_code.value
    return text if code == "OK" else f"{text}, {code}"


def _energy(report: ChargeReport) -> str:
    text = f"{report.charged / 1000:.2f} kWh charged"
    if report.discharged:
        text += f", {report.discharged / 1000:.2f} kWh discharged"
    meter = report.session.meter_info
    if meter is not None:
        text += f" (meter: {meter.charged_energy_reading_wh / 1000:.2f} kWh"
        if meter.bpt_discharged_energy_reading_wh:
            text += f", {meter.bpt_discharged_energy_reading_wh / 1000:.2f} kWh back"
        text += ")"
    return text


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
