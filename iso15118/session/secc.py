"""The SECC of one connection: requests in, responses out; pure and synchronous."""

from __future__ import annotations

from ..messages._declare import Node
from ..v2gtp import PayloadType
from .charger import Charger
from .events import Deviations
from .secc_config import Closing, Entropy, Link, SECCConfig, SessionStore, Trust


class SECC:
    """Serves one EV over one connection.

    `now` is in s on any clock that does not go back; `unix_offset` is Unix time minus that clock. The caller

    - gives each decoded request to `handle` and sends what it returns, on the payload type `reply_type` says;
    - if `handle` returns None, waits until `deadline` and calls `poll` (the charger is still switching);
    - calls `expire` when `deadline` has passed and no request came;
    - looks at `closing` after each call: not None means close the connection that way, after sending;
    - calls `disconnected` once when the connection is gone, whoever closed it.
    """

    def __init__(
        self,
        config: SECCConfig,
        charger: Charger,
        link: Link,
        *,
        entropy: Entropy,
        store: SessionStore,
        now: float,
        unix_offset: float = 0.0,
        trust: Trust | None = None,
    ) -> None:
        raise NotImplementedError

    closing: Closing | None
    events: Deviations
    session_id: bytes

    def handle(self, request: Node, now: float, payload_type: int = PayloadType.COMMON) -> Node | None:
        """The response to a request that came with this V2GTP payload type; None: not yet, see `poll`."""
        raise NotImplementedError

    def poll(self, now: float) -> Node | None:
        """The response that `handle` left open, once it is there."""
        raise NotImplementedError

    def reply_type(self, response: Node) -> PayloadType:
        """V2GTP payload type of the response that was just returned."""
        raise NotImplementedError

    def deadline(self) -> float | None:
        """When to call `expire` (or `poll`, while a response is open); None: nothing is awaited."""
        raise NotImplementedError

    def expire(self, now: float) -> None:
        """A deadline passed: a sequence timeout ends the session [V2G20-443]."""
        raise NotImplementedError

    def undecodable(self, now: float, payload_type: int, reason: str) -> None:
        """A payload could not be decoded: there is no response to give, the session ends."""
        raise NotImplementedError

    def unexpected_payload(self, now: float, payload_type: int) -> None:
        """A frame of an unknown or reserved payload type: dropped by its length, not answered."""
        raise NotImplementedError

    def disconnected(self, now: float) -> None:
        """The connection is gone: power off, session over unless it is paused."""
        raise NotImplementedError
