"""Carries out the steps of a scenario on a link."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from iso15118 import exi, v2gtp
from iso15118.messages.common_types import MessageHeader
from iso15118.messages.declare import Node
from iso15118.session.sequence import kind_of, name_of
from iso15118.session.streams import payload_type_of

from ..transport.link import Link, LinkClosed, Received, Undecodable, UnknownPayload
from . import edit
from .model import ANSWER_PATIENCE, Do, Step

_NO_MESSAGE = (UnknownPayload, Undecodable, v2gtp.V2GTPError)
"""What may come in place of an answer."""


class Done(NamedTuple):
    """A step that was carried out: when (trio's clock, s), and how many frames had crossed before."""

    step: Step
    time: float
    frames: int


@dataclass
class Script:
    """An `Intervention`. `hold` s: after the last step send nothing more, watch what the peer does, and end
    the session of our side as if the connection had closed; None: let the session go on.
    """

    steps: tuple[Step, ...]
    hold: float | None = None
    frames: Callable[[], int] = lambda: 0
    """How many frames have crossed the connection."""
    done: list[Done] = field(default_factory=list)
    """Steps carried out."""
    error: edit.FieldError | None = None
    """What is wrong with a step, found when it was carried out; the session then ends."""
    _seen: Counter[str] = field(default_factory=Counter)
    _held_back: tuple[int, Node] | None = None
    _header: MessageHeader | None = None

    @property
    def missed(self) -> list[Step]:
        """Steps whose message never came."""
        done = [item.step for item in self.done]
        return [step for step in self.steps if step not in done]

    async def outgoing(self, link: Link, payload_type: int, message: Node) -> None:
        self._header = getattr(message, "header", None) or self._header
        step = self._step(message)
        if step is None:
            await link.write(payload_type, exi.encode(message), message)
            await self._release(link)
            return
        self.done.append(Done(step, trio.current_time(), self.frames()))
        try:
            await self._carry_out(step, link, payload_type, message)
        except (edit.FieldError, exi.EXIEncodeError) as error:
            kind = type(error) if isinstance(error, edit.FieldError) else edit.FieldError
            self.error = kind(f"step at {step.at}: {error}")
            raise LinkClosed(str(self.error)) from error
        lasting = step.occurrence == 0  # goes on for ever: there is no last one to hold after
        if step.do is Do.SILENCE or (self.hold is not None and not self.missed and not lasting):
            await self._watch(link, math.inf if self.hold is None else self.hold)

    async def incoming(self, link: Link, received: Received) -> Received | None:
        self._header = getattr(received.message, "header", None) or self._header
        return received

    def _step(self, message: Node) -> Step | None:
        names = {name_of(message), kind_of(message), "*"}
        self._seen.update(names)
        for step in self.steps:
            if step.at in names and step.occurrence in (0, self._seen[step.at]):
                return step
        return None

    async def _carry_out(self, step: Step, link: Link, payload_type: int, message: Node) -> None:
        match step.do:
            case Do.REPLACE:
                await self._replaced(step, link, payload_type, message)
            case Do.INSERT:
                await self._replaced(step, link, payload_type, message)
                await link.write(payload_type, exi.encode(message), message)
            case Do.DROP | Do.SILENCE:
                pass
            case Do.DELAY:
                await trio.sleep(step.seconds)
                await link.write(payload_type, exi.encode(message), message)
            case Do.REPEAT | Do.FLOOD:
                payload = exi.encode(message)
                for _ in range(step.count):
                    await link.write(payload_type, payload, message)
            case Do.REORDER:
                self._held_back = payload_type, message
                await self._wait_for_release(link, step.seconds)
            case Do.HALF_OPEN:
                await link.write(payload_type, exi.encode(message), message)
                await _send_eof(link)
            case Do.DRIP:
                frame = v2gtp.pack(payload_type, exi.encode(message))
                for start in range(0, len(frame), step.chunk):
                    if start:
                        await trio.sleep(step.seconds)
                    await link.write_bytes(frame[start : start + step.chunk])
            case Do.RESET:
                await _reset(link)
                raise LinkClosed("we broke the connection")
            case Do.CLOSE:
                await link.aclose()
                raise LinkClosed("we closed the connection")
            case Do.CALL:
                assert step.call is not None
                await step.call(link, payload_type, message)

    async def _replaced(self, step: Step, link: Link, payload_type: int, message: Node) -> None:
        if step.raw:
            *first, last = (self._own(step, bytes.fromhex(part)) for part in step.raw.split(","))
            for data in first:
                await link.write_bytes(data)
                with trio.move_on_after(ANSWER_PATIENCE), suppress(*_NO_MESSAGE):
                    await link.receive()
            await link.write_bytes(last)
            return
        if step.message:
            header = copy.copy(self._header)
            message = edit.build(step.message, header, step.set)
            payload_type = payload_type_of(message)
        elif step.set or step.unset:
            message = edit.change(message, step.set, step.unset)
        payload = bytes.fromhex(step.payload) if step.payload else exi.encode(message)
        payload = self._own(step, payload)
        payload = _flipped(payload, step.flip)
        payload = payload[: len(payload) - step.truncate] + bytes.fromhex(step.append)
        frame = bytearray(v2gtp.pack(step.payload_type or payload_type, payload))
        if step.length is not None:
            frame[4:8] = ((len(payload) + step.length) % 2**32).to_bytes(4, "big")
        if step.version is not None:
            frame[0] = step.version & 0xFF
        await link.write_bytes(bytes(frame))

    def _own(self, step: Step, data: bytes) -> bytes:
        """`data` under the SessionID of this session, where the step asks for that."""
        if not step.session_id or self._header is None:
            return data
        return put_session_id(data, bytes.fromhex(step.session_id), self._header.session_id)

    async def _release(self, link: Link) -> None:
        if self._held_back is not None:
            (payload_type, message), self._held_back = self._held_back, None
            await link.write(payload_type, exi.encode(message), message)

    async def _wait_for_release(self, link: Link, seconds: float) -> None:
        """In a session of request and response nothing may follow: then it goes after `seconds`."""
        await trio.sleep(seconds)
        await self._release(link)

    async def _watch(self, link: Link, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while True:
                try:
                    await link.receive()
                except (UnknownPayload, Undecodable):
                    continue
                except v2gtp.V2GTPError:
                    break
        raise LinkClosed("watched to the end")


async def _send_eof(link: Link) -> None:
    stream = link.stream
    try:
        if not isinstance(stream, trio.abc.HalfCloseableStream):
            raise trio.ClosedResourceError
        await stream.send_eof()
    except trio.ClosedResourceError as error:  # of `Watched`, too, over what has none
        raise edit.NotInThisSession("this connection has no half to close (TLS)") from error
    except trio.BrokenResourceError as error:
        raise LinkClosed(str(error)) from error


async def _reset(link: Link) -> None:
    """Close with a TCP RST where there is a socket, below TLS too."""
    stream: object = link.stream
    while (below := getattr(stream, "inner", None) or getattr(stream, "transport_stream", None)) is not None:
        stream = below
    if isinstance(stream, trio.SocketStream):
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await trio.aclose_forcefully(link.stream)


def _flipped(payload: bytes, bits: tuple[int, ...]) -> bytes:
    data = bytearray(payload)
    for bit in bits:
        if bit < 8 * len(data):
            data[bit // 8] ^= 0x80 >> bit % 8
    return bytes(data)


def put_session_id(payload: bytes, old: bytes, new: bytes) -> bytes:
    """`payload` with the bits of `old` replaced by those of `new` wherever they stand, at any bit offset."""
    if len(old) != len(new):
        return payload
    text = "".join(f"{byte:08b}" for byte in payload)
    text = text.replace("".join(f"{b:08b}" for b in old), "".join(f"{b:08b}" for b in new))
    return int("1" + text, 2).to_bytes(len(payload) + 1, "big")[1:] if payload else payload
