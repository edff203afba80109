"""What goes wrong in EXI: one error for reading, one for writing, both naming the place."""

from __future__ import annotations

from typing import Any


class EXIError(ValueError):
    """Base of both."""


class EXIDecodeError(EXIError):
    """The octets are not a document of the schema set.

    `bit` is the offset of the first bit that could not be used, counted from the start of the stream;
    `path` names the element, "DC_ChargeLoopReq/Header/SessionID"; `expected` is what could have stood
    there; `partial` is the message as far as it was read (None before the first element): fields that were
    not reached are None or empty.
    """

    def __init__(
        self, reason: str, *, bit: int, path: str = "", expected: str = "", partial: Any = None
    ) -> None:
        self.reason = reason
        self.bit = bit
        self.path = path
        self.expected = expected
        self.partial = partial
        super().__init__(reason)

    def __str__(self) -> str:
        where = f"bit {self.bit}" + (f" in {self.path}" if self.path else "")
        return f"{where}: {self.reason}" + (f", expected {self.expected}" if self.expected else "")


class EXIEncodeError(EXIError):
    """EXI cannot express a message: `path` names the element, `value` is in it, `why` says what is wrong."""

    def __init__(self, path: str, value: Any, why: str) -> None:
        self.path = path
        self.value = value
        self.why = why
        super().__init__(why)

    def __str__(self) -> str:
        shown = repr(self.value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        return f"{self.path}: {self.why}: {shown}"
