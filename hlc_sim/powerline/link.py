"""What carries frames between a host and its modem."""

from __future__ import annotations

from typing import Protocol

from iso15118.slac.messages import Mac


class LinkDown(OSError):
    """The interface is down or gone; it may come back."""


class EthernetLink(Protocol):
    """Whole Ethernet frames without check sequence. ``mac``: the host's address on this link."""

    mac: Mac

    def send(self, frame: bytes) -> None:
        """Now or never: a frame that cannot be sent is lost, as on the wire. LinkDown if there is no link."""

    async def receive(self) -> bytes:
        """The next frame. LinkDown once when the link goes away; calling again waits for it to come back."""

    def close(self) -> None: ...
