"""Shared by secc.py and evcc.py, which run Josev as a scripted peer.

These scripts run under the interpreter of Josev's own venv: `iso15118` here is the PyPI package of that name,
not ours, and nothing of ours may be imported. Nothing in the installed package is changed; what a test has to
control and Josev has no setting for is done by sub-classing.

A script writes JSON lines to stdout (its reports, see `Observer.report`) and Josev's log to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections import Counter
from typing import Any, NoReturn, TextIO

from iso15118.shared.exificient_exi_codec import ExificientEXICodec

COMPLETE, FAILED, NO_SESSION = "complete", "failed", "no session"
EXIT_CODES = {COMPLETE: 0, FAILED: 1, NO_SESSION: 3}  # 2 is argparse's


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that both roles have."""
    p = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    p.add_argument("--iface", required=True, help="interface with an IPv6 link-local address")
    p.add_argument("--tls", choices=["none", "1.2", "1.3"], default="none")
    p.add_argument("--pki", help="folder that holds iso15118_2/{certs,private_keys}; needed with --tls")
    p.add_argument("--pause", type=float, default=0.0, help="seconds before TCP is closed (Josev's own: 5)")
    p.add_argument("--trace", help="file for every message, as JSON lines")
    p.add_argument("--log-level", default="INFO")
    return p


def configure(args: argparse.Namespace, **settings: str) -> None:
    """Give Josev its settings: it reads them from the environment, or from `.env` in the working folder."""
    os.environ.update(
        NETWORK_INTERFACE=args.iface,
        LOG_LEVEL=args.log_level,
        MESSAGE_LOG_JSON="False",
        MESSAGE_LOG_EXI="False",
        ENABLE_TLS_1_3=str(args.tls == "1.3"),
        **settings,
    )
    if args.pki:
        os.environ["PKI_PATH"] = os.path.abspath(args.pki)
    if args.trace:
        args.trace = os.path.abspath(args.trace)
    os.chdir("/")  # so that no stray .env is found
    global _reports
    _reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Josev logs to stdout; keep that for the reports alone


_reports: TextIO = sys.stdout


def emit(report: dict[str, Any]) -> None:
    _reports.write(json.dumps(report) + "\n")
    _reports.flush()


def leave(code: int) -> NoReturn:
    """End at once: Josev leaves tasks and threads behind, and its java child ends with its stdin."""
    sys.stdout.flush()
    os._exit(code)


class Observer(ExificientEXICodec):  # type: ignore[misc]
    """Josev's codec, looked over the shoulder: all messages pass here, in the order of the wire."""

    def __init__(self, trace: str | None) -> None:
        super().__init__()
        self._trace = open(trace, "w", buffering=1) if trace else None  # noqa: SIM115 - open until the process ends
        self.begin()

    def begin(self) -> None:
        """Forget the session before."""
        self.messages: Counter[str] = Counter()
        self.responses: list[tuple[str, str]] = []
        self.auth: str | None = None
        self.started = self.latest = time.monotonic()

    def encode(self, message: str, namespace: str) -> bytes:
        exi: bytes = super().encode(message, namespace)
        self._note("sent", message, exi, namespace)
        return exi

    def decode(self, stream: bytes, namespace: str) -> str:
        message: str = super().decode(stream, namespace)
        self._note("received", message, stream, namespace)
        return message

    def _note(self, direction: str, text: str, exi: bytes, namespace: str) -> None:
        ((name, body),) = json.loads(text).items()
        self.latest = time.monotonic()
        if name.endswith(("Req", "Res")):  # else a signed fragment
            self.messages[name] += 1
        if name == "AuthorizationReq":
            self.auth = body["SelectedAuthorizationService"]
        if name.endswith("Res"):
            self.responses.append((name, body["ResponseCode"]))
        if self._trace:
            line = {
                "t": round(self.latest - self.started, 4),
                "direction": direction,
                "name": name,
                "namespace": str(getattr(namespace, "value", namespace)),
                "exi": bytes(exi).hex(),
                "body": body,
            }
            self._trace.write(json.dumps(line) + "\n")

    def report(self, session: Any, reason: str, tls: str) -> dict[str, Any]:
        """What became of `session` (Josev's object): the keys are explained in tests/interop/README.md."""
        got = tls_version(session.writer)
        ended = bool(self.responses) and self.responses[-1] == ("SessionStopRes", "OK")
        stop = session.stop_reason
        if tls != "none" and got != f"TLSv{tls}":
            # Without its certificates Josev falls back to plain TCP and goes on
            outcome, reason = (
                FAILED,
                f"TLS {tls} was asked for, the transport was {got or 'plain TCP'}; {reason}",
            )
        else:
            outcome = COMPLETE if ended and stop is not None and stop.successful else FAILED
        service, mode = session.selected_energy_service, session.control_mode
        return {
            "outcome": outcome,
            "reason": reason,
            "state": str(session.current_state),
            "protocol": session.protocol.name,
            "session_id": session.session_id,
            "service": service.service.name if service else None,
            "control_mode": mode.name.lower() if mode else None,
            "auth": self.auth,
            "tls": got,
            "loops": sum(n for name, n in self.messages.items() if name.endswith("ChargeLoopReq")),
            "messages": dict(self.messages),
            "response_codes": dict(Counter(code for _, code in self.responses)),
            "not_ok": [list(r) for r in self.responses if not r[1].startswith("OK")],
            "wall_s": round(self.latest - self.started, 3),
        }

    def no_session(self, reason: str) -> dict[str, Any]:
        return {"outcome": NO_SESSION, "reason": reason, "messages": dict(self.messages), "loops": 0}


def tls_version(writer: Any) -> str | None:
    ssl = writer.get_extra_info("ssl_object")
    return ssl.version() if ssl else None


async def close(writer: Any) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        await writer.wait_closed()
