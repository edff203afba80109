"""Traces as JSON lines: a writer that loses at most the last line, and a reader that bears a cut one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from .events import Event, Header

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)
MAX_LINE = 16 * 1024 * 1024
"""Bytes. A longer line is reported and skipped, so that no file can take the memory."""


class Writer:
    """Writes events as they happen, each line flushed to the operating system.

    With `max_bytes`, the trace keeps its latest part: it goes on in FILE.2.jsonl, FILE.3.jsonl, ... each of
    at most half that size and with the header, and all but the last two are deleted.
    """

    def __init__(self, path: Path, header: Header, *, max_bytes: int | None = None) -> None:
        if max_bytes is not None and max_bytes < 64 * 1024:
            raise ValueError(f"max_bytes is {max_bytes}, at least 65536")
        self.paths = [path]
        """Files of the trace that exist, oldest first."""
        self._base = path
        self._header = header
        self._half = None if max_bytes is None else max_bytes // 2
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._size = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open(path)

    def _open(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._size = 0
        self._put(_encoder.encode(self._header) + b"\n")

    def _put(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line)
        self._size += len(line)

    def write(self, event: Event) -> None:
        """Append one event. Does nothing once closed: a late event is no reason to fail a session."""
        line = _encoder.encode(event) + b"\n"
        with self._lock:
            if self._file is None:
                return
            if self._half is not None and self._size + len(line) > self._half:
                self._rotate(event.time)
            self._put(line)

    def _rotate(self, now: float) -> None:
        assert self._file is not None
        self._file.close()
        self._header = msgspec.structs.replace(self._header, part=self._header.part + 1, time=now)
        self.paths.append(self._base.with_suffix(f".{self._header.part}.jsonl"))
        self._open(self.paths[-1])
        while len(self.paths) > 2:
            self.paths.pop(0).unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Reader:
    """Iterates over the events of a trace. `problems` says, after the end, which lines were no events."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Event]:
        for number, line in enumerate(self._lines, start=1):
            if not line.strip():
                continue
            try:
                yield _decoder.decode(line)
            except msgspec.MsgspecError as error:
                cut = not line.endswith(b"\n")
                if len(self.problems) < 100:
                    self.problems.append(
                        f"line {number} is cut off, the rest of it is lost"
                        if cut
                        else f"line {number}: {error}"
                    )


def lines_of(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a stream, each at most MAX_LINE bytes long; a longer one comes in pieces."""
    return iter(lambda: stream.readline(MAX_LINE), b"")


def read(path: Path) -> list[Event]:
    """All events of a file, for tests and small traces."""
    with path.open("rb") as stream:
        return list(Reader(lines_of(stream)))
