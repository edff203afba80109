"""Exit codes of `hlc`, and errors that end a command with a line instead of a traceback."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import typer

from ..groups import sole


class Exit(IntEnum):
    """What a command's end means."""

    OK = 0
    FAILED = 1
    """It ran, and the result is bad: a session without its proper end, a finding, a case that failed, a frame
    that cannot be decoded, recordings that differ, a check of the machine that failed."""
    USAGE = 2
    """The command line, a configuration or an input cannot be used, or an output cannot be written."""
    NO_CONNECTION = 3
    """No such interface, no modem, no peer, no connection, or no right to use them."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM before the end."""


EPILOG = (
    "Exit codes: 0 all well; 1 the result is bad; 2 command line, configuration or file unusable; "
    "3 no interface, modem, peer or connection; 130 interrupted."
)


def complain(message: str) -> None:
    """One line on standard error."""
    typer.secho(f"hlc: {message}", err=True, fg=typer.colors.RED)


def stop(message: str, code: Exit = Exit.USAGE) -> NoReturn:
    """End the command with one line on standard error."""
    complain(message)
    raise typer.Exit(code)


def can_be_written(path: Path | None) -> None:
    """Refuse a file that a long run would fail to write at its end. OSError names it."""
    if path is None or path == Path("-") or (path.exists() and not path.is_file()):
        return
    new = not path.exists()
    path.open("ab").close()
    if new:
        path.unlink()


def _refused_tls() -> tuple[type[Exception], ...]:
    """What a refused handshake raises; without trio, which takes time to import, there was none."""
    trio = sys.modules.get("trio")
    return (trio.BrokenResourceError,) if trio is not None else ()


def _nobody_reads() -> bool:
    """Whether the reader of our output has seen enough, as `head` does; then the rest goes nowhere."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    if not any(events & select.POLLERR for _, events in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


@contextmanager
def readable() -> Iterator[None]:
    """Turn the errors a user can cause into one line and an exit code."""
    from ..config.reader import ConfigError

    try:
        yield
    except ConfigError as error:
        stop(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            raise typer.Exit(Exit.OK) from None
        text = (
            error.strerror if error.strerror and not str(error.strerror).startswith("[Errno") else str(error)
        )
        if error.filename is not None:
            stop(f"{os.fsdecode(error.filename)}: {text}")
        if isinstance(error, FileNotFoundError | FileExistsError | NotADirectoryError | IsADirectoryError):
            stop(text)
        stop(str(text or type(error).__name__), Exit.NO_CONNECTION)
    except _refused_tls() as error:
        stop(str(error) or "the connection broke", Exit.NO_CONNECTION)
    except ValueError as error:
        stop(str(error))
    except KeyboardInterrupt:
        complain("interrupted")
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BaseExceptionGroup as group:
        only = sole(group)
        if isinstance(only, BaseExceptionGroup):
            raise
        with readable():
            raise only from None
