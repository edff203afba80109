"""The bit level of EXI and the two loops that run a compiled grammar, written for speed.

The same file runs interpreted and, where a compiler was at hand, compiled natively (`kernel.pxd` gives the C types; it adds
nothing else). `codec` fills the tables below from the grammars; the loops read them: one `Production` per event. Decoding builds
the message objects directly by copying a template and setting fields; nothing is validated but what EXI itself demands.

Positions are bit offsets from the start of the stream. The octets are held with eight zero octets behind them, so that
looking ahead never leaves the buffer; `end` is the offset of the first bit that does not exist.
"""

from __future__ import annotations

from typing import Any

from .errors import EXIDecodeError, EXIEncodeError

COMPILED: bool = not __file__.endswith(".py")

MAX_DEPTH: int = 48
"""Elements nested deeper are refused; the deepest useful message has 12 levels."""
MAX_INTEGER_OCTETS: int = 512
"""Longest unsigned integer read, 3584 bits; the largest serial numbers and keys in integers stay far below."""

# How a simple value is coded (EXI 1.0, 7.1).
BOOLEAN: int = 0
N_BIT: int = 1
UNSIGNED: int = 2
INTEGER: int = 3
ENUMERATION: int = 4
STRING: int = 5
BINARY: int = 6

# What a production does.
END: int = 0
ATTRIBUTE: int = 1
SIMPLE_ELEMENT: int = 2
COMPLEX_ELEMENT: int = 3
ANY_ELEMENT: int = 4
TYPED_TEXT: int = 5
MIXED_TEXT: int = 6


class Simple:
    """How the values of a simple type are coded; `name` is the type's, `base` that of the built-in type."""

    __slots__ = ("base", "codes", "coding", "maximum", "members", "minimum", "name", "width")

    def __init__(
        self,
        coding: int,
        name: str,
        base: str,
        width: int = 0,
        minimum: int = 0,
        maximum: int = 0,
        members: Any = (),
    ) -> None:
        self.coding = coding
        self.name = name
        self.base = base
        self.width = width
        self.minimum = minimum
        self.maximum = maximum
        self.members: list[Any] = list(members)
        self.codes: dict[Any, int] = {member: code for code, member in enumerate(self.members)}


class Type:
    """A complex type: a template of its class, and the states that read it.

    `template` is an instance with None in every field; `lists` names the fields that hold lists. `slots` are the fields in document
    order, for encoding.
    """

    __slots__ = ("cls", "copy", "lists", "qname", "slots", "start", "template")

    def __init__(self, cls: Any, qname: Any, template: Any, lists: list[str]) -> None:
        self.cls = cls
        self.qname = qname
        self.template = template
        self.copy = template.__copy__
        self.lists = lists
        self.slots: list[Slot] = []
        self.start: State = State(0)


class State:
    """A state of a type's automaton: first-level event codes are indices into `productions`.

    `position` is the index of the `grammar.Position`, `content` the state after an escape from before the content.
    """

    __slots__ = ("by_term", "content", "end", "position", "productions", "width")

    def __init__(self, position: int) -> None:
        self.position = position
        self.width = 0
        self.productions: list[Production] = []
        self.by_term: list[Production | None] = []
        self.end: Production | None = None
        self.content: State | None = None


class Production:
    """One event: what to do, which field holds it, and where it leads.

    `count`, `limit` and `full` are those of `grammar.Production`. `wrapper` is the class that holds a simple value, if one does.
    """

    __slots__ = (
        "action",
        "code",
        "count",
        "field",
        "full",
        "is_list",
        "limit",
        "name",
        "qname",
        "simple",
        "target",
        "type",
        "width",
        "wrapper",
    )

    def __init__(self, action: int, code: int, width: int) -> None:
        self.action = action
        self.code = code
        self.width = width
        self.name = ""
        self.qname: Any = None
        self.field = ""
        self.is_list = False
        self.simple: Simple | None = None
        self.type: Type | None = None
        self.wrapper: Any = None
        self.target: State | None = None
        self.full: State | None = None
        self.count = 0
        self.limit = 0


class Slot:
    """A field of a class and the terms of the type's grammar that it may hold.

    `term` is the only one, or -1 where the class of the value decides (`terms`); text in mixed content is `terms[str]`.
    """

    __slots__ = ("field", "is_list", "name", "term", "terms")

    def __init__(self, field: str, name: str, is_list: bool) -> None:
        self.field = field
        self.name = name
        self.is_list = is_list
        self.term = -1
        self.terms: dict[Any, int] = {}


class Decoder:
    """Reads one stream."""

    __slots__ = (
        "depth",
        "deviations",
        "end",
        "octets",
        "owner",
        "path",
        "pos",
        "program",
        "root",
        "second_level",
        "tables",
    )

    def __init__(self, data: bytes, program: Any, deviations: Any = None, tables: Any = None) -> None:
        self.owner = data + b"\0\0\0\0\0\0\0\0"
        self.octets = self.owner
        self.end = len(data) * 8
        self.pos = 0
        self.program = program
        self.root: Any = None
        self.path: list[Production] = [program.nowhere] * (MAX_DEPTH + 2)
        self.depth = 0
        self.deviations: Any = deviations
        self.tables: Any = tables
        self.second_level: Any = None

    # Bits and numbers

    def bits(self, n: int) -> int:
        """The next `n` bits, at most 16."""
        pos = self.pos
        i = pos >> 3
        value = (self.octets[i] << 16) | (self.octets[i + 1] << 8) | self.octets[i + 2]
        pos += n
        if pos > self.end:
            raise self.error("the stream ends here")
        self.pos = pos
        return (value >> (24 - n - (pos - n & 7))) & ((1 << n) - 1)

    def unsigned(self) -> Any:
        """An Unsigned Integer: groups of seven bits, least significant first."""
        octet = self.bits(8)
        if octet < 128:
            return octet
        value = octet & 127
        shift = 7
        while shift < 56:
            octet = self.bits(8)
            value |= (octet & 127) << shift
            if octet < 128:
                return value
            shift += 7
        return self.long_unsigned(value)

    def long_unsigned(self, low: Any) -> Any:
        """The rest of an Unsigned Integer whose first eight groups are `low`."""
        groups = bytearray()
        start = self.pos
        while True:
            octet = self.bits(8)
            groups.append(octet & 127)
            if octet < 128:
                break
            if len(groups) >= MAX_INTEGER_OCTETS:
                self.pos = start
                raise self.error(f"an integer of more than {7 * MAX_INTEGER_OCTETS} bits")
        high: Any = 0
        for group in reversed(groups):
            high = high << 7 | group
        return high << 56 | low

    def length(self, unit: int) -> int:
        """A length in characters or octets, of which each takes at least `unit` bits."""
        start = self.pos
        value = self.unsigned()
        if value > (self.end - self.pos) // unit:
            self.pos = start
            raise self.error(f"a length of {value}, beyond the end of the stream")
        length: int = value
        return length

    def take(self, n: int) -> bytes:
        """The next `n` octets, wherever they start."""
        pos = self.pos
        if n > (self.end - pos) >> 3:
            raise self.error("the stream ends here")
        i = pos >> 3
        shift = pos & 7
        self.pos = pos + 8 * n
        if shift == 0:
            return self.owner[i : i + n]
        return (int.from_bytes(self.owner[i : i + n + 1]) >> (8 - shift)).to_bytes(n + 1)[1:]

    def string(self, n: int) -> str:
        """`n` code points."""
        start = self.pos
        octets = self.take(n)
        if octets.isascii():
            return octets.decode("ascii")
        self.pos = start
        characters: list[str] = []
        for _ in range(n):
            at = self.pos
            code = self.unsigned()
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                self.pos = at
                raise self.error(f"{code:#x} is no character")
            characters.append(chr(code))
        return "".join(characters)

    # Values

    def value(self, simple: Simple) -> Any:
        """A value in the coding of its type."""
        coding = simple.coding
        if coding == INTEGER:
            negative = self.bits(1)
            magnitude = self.unsigned()
            return -magnitude - 1 if negative else magnitude
        if coding == UNSIGNED:
            return self.unsigned()
        if coding == N_BIT:
            number = self.bits(simple.width) + simple.minimum
            if number > simple.maximum:
                self.pos -= simple.width
                raise self.error(f"{number} is no {simple.name}", f"at most {simple.maximum}")
            return number
        if coding == ENUMERATION:
            code = self.bits(simple.width)
            if code >= len(simple.members):
                self.pos -= simple.width
                raise self.error(f"{code} is no index of {simple.name}", f"less than {len(simple.members)}")
            return simple.members[code]
        if coding == BOOLEAN:
            return self.bits(1) == 1
        if coding == BINARY:
            return self.take(self.length(8))
        return self.text()

    def text(self) -> Any:
        """A string: written out, unless string tables are kept."""
        if self.tables is not None:
            return self.program.tabled_text(self)
        start = self.pos
        n = self.unsigned()
        if n < 2:
            self.pos = start
            raise self.program.string_table_hit(self)
        n -= 2
        if n > (self.end - self.pos) >> 3:
            self.pos = start
            raise self.error(f"a string of {n} characters, beyond the end of the stream")
        return self.string(n)

    def simple_content(self, simple: Simple) -> Any:
        """CH and EE of an element of simple type, its SE being read."""
        if self.bits(1):
            return self.program.beyond(self).content(self, simple)
        value = self.value(simple)
        if self.bits(1):
            self.program.beyond(self).end(self)
        return value

    # Elements

    def fill(self, obj: Any, type_: Type, depth: int) -> Any:
        """Read attributes, content and EE of an element of `type_` into `obj`.

        The object that holds them is returned: another one if xsi:type named another type.
        """
        if depth >= MAX_DEPTH:
            raise self.error(f"elements nested deeper than {MAX_DEPTH}")
        for name in type_.lists:
            setattr(obj, name, [])
        self.depth = depth
        state = type_.start
        count = 0
        while True:
            code = self.bits(state.width)
            if code >= len(state.productions):
                if code > len(state.productions):
                    self.pos -= state.width
                    raise self.error(f"event code {code}", self.program.expected(state))
                escaped = self.program.beyond(self).escape(self, obj, type_, state, depth)
                if escaped is None:
                    return obj
                if isinstance(escaped, Type):
                    type_ = escaped
                    obj = type_.copy()
                    for name in type_.lists:
                        setattr(obj, name, [])
                    state = type_.start
                else:
                    state = escaped
                continue
            production = state.productions[code]
            action = production.action
            if action == END:
                return obj
            self.path[depth] = production
            self.depth = depth + 1
            if action == COMPLEX_ELEMENT:
                child_type = production.type
                assert child_type is not None
                child = child_type.copy()
                if production.is_list:
                    getattr(obj, production.field).append(child)
                else:
                    setattr(obj, production.field, child)
                filled = self.fill(child, child_type, depth + 1)
                if filled is not child:
                    if production.is_list:
                        getattr(obj, production.field)[-1] = filled
                    else:
                        setattr(obj, production.field, filled)
            else:
                if action == SIMPLE_ELEMENT:
                    value = self.simple_content(production.simple)  # type: ignore[arg-type]
                    if production.wrapper is not None:
                        value = production.wrapper(value=value)
                elif action == MIXED_TEXT:
                    value = self.text()
                elif action == ANY_ELEMENT:
                    value = self.program.beyond(self).any_element(self, depth + 1)
                else:
                    value = self.value(production.simple)  # type: ignore[arg-type]
                if production.is_list:
                    getattr(obj, production.field).append(value)
                else:
                    setattr(obj, production.field, value)
            self.depth = depth
            state = production.target  # type: ignore[assignment]
            if production.count:
                if production.count > 0:
                    count = production.count
                else:
                    count += 1
                    if count == production.limit:
                        state = production.full  # type: ignore[assignment]

    def error(self, reason: str, expected: str = "") -> EXIDecodeError:
        """An error at the present position, with the path and the message so far."""
        return EXIDecodeError(
            reason,
            bit=self.pos,
            path=self.program.path(self),
            expected=expected,
            partial=self.root,
        )


class Encoder:
    """Writes one stream."""

    __slots__ = ("bits_held", "buffer", "depth", "held", "names", "path", "program", "undeclared")

    def __init__(self, program: Any) -> None:
        self.program = program
        self.buffer = bytearray()
        self.held = 0
        self.bits_held = 0
        self.path: list[Any] = [program.nowhere] * (MAX_DEPTH + 2)
        self.depth = 0
        self.names: Any = None
        self.undeclared: Any = None

    def put(self, value: int, n: int) -> None:
        """`n` bits, at most 24."""
        self.held = self.held << n | value
        self.bits_held += n
        while self.bits_held >= 8:
            self.bits_held -= 8
            self.buffer.append(self.held >> self.bits_held)
            self.held &= (1 << self.bits_held) - 1

    def unsigned(self, value: Any) -> None:
        while value > 127:
            self.put(value & 127 | 128, 8)
            value >>= 7
        self.put(value, 8)

    def put_octets(self, octets: bytes) -> None:
        if self.bits_held == 0:
            self.buffer += octets
            return
        n = self.bits_held
        whole = (self.held << 8 * len(octets)) | int.from_bytes(octets)
        self.buffer += (whole >> n).to_bytes(len(octets))
        self.held = whole & ((1 << n) - 1)

    def finish(self) -> bytes:
        """The stream, padded to the octet."""
        if self.bits_held:
            self.put(0, 8 - self.bits_held)
        return bytes(self.buffer)

    def text(self, value: str) -> None:
        """A string that no table holds."""
        self.unsigned(len(value) + 2)
        self.code_points(value)

    def code_points(self, value: str) -> None:
        if value.isascii():
            self.put_octets(value.encode("ascii"))
            return
        for character in value:
            code = ord(character)
            if 0xD800 <= code < 0xE000:
                raise self.error(value, "holds half of a surrogate pair")
            self.unsigned(code)

    def value(self, simple: Simple, value: Any) -> None:
        coding = simple.coding
        if coding == ENUMERATION:
            code = simple.codes.get(value)
            if code is None:
                raise self.error(value, f"is no value of {simple.name}")
            self.put(code, simple.width)
        elif coding == STRING:
            if not isinstance(value, str):
                raise self.error(value, "is not a str")
            self.text(value)
        elif coding == BINARY:
            if not isinstance(value, bytes):
                raise self.error(value, "is not bytes")
            self.unsigned(len(value))
            self.put_octets(value)
        elif coding == BOOLEAN:
            if not isinstance(value, bool):
                raise self.error(value, "is not a bool")
            self.put(1 if value else 0, 1)
        else:
            if not isinstance(value, int) or isinstance(value, bool):
                raise self.error(value, "is not an int")
            if coding == INTEGER:
                if value < 0:
                    self.put(1, 1)
                    value = -value - 1
                else:
                    self.put(0, 1)
                self.unsigned(value)
            elif coding == UNSIGNED:
                if value < 0:
                    raise self.error(value, f"is negative, {simple.name} is not")
                self.unsigned(value)
            else:
                if not simple.minimum <= value <= simple.maximum:
                    raise self.error(
                        value, f"is not within {simple.minimum} to {simple.maximum}, as {simple.name} is"
                    )
                self.put(value - simple.minimum, simple.width)

    def emit(self, obj: Any, type_: Type, depth: int) -> None:
        """Write the attributes and the content of `obj`, and EE."""
        if depth >= MAX_DEPTH:
            raise self.error(obj, f"is nested deeper than {MAX_DEPTH} elements")
        state = type_.start
        count = 0
        for slot in type_.slots:
            value = getattr(obj, slot.field)
            if value is None:
                continue
            self.path[depth] = slot
            self.depth = depth + 1
            for item in value if slot.is_list else (value,):
                term = slot.term
                if term < 0:
                    term = self.program.term(self, slot, item)
                production = state.by_term[term]
                if production is None:
                    raise self.program.misplaced(self, state, item)
                self.put(production.code, production.width)
                action = production.action
                if action == COMPLEX_ELEMENT:
                    child_type = production.type
                    assert child_type is not None
                    if type(item) is not child_type.cls:
                        raise self.error(item, f"is not a {child_type.cls.__name__}")
                    self.emit(item, child_type, depth + 1)
                    self.depth = depth + 1
                elif action == SIMPLE_ELEMENT:
                    self.put(0, 1)
                    self.value(production.simple, item if production.wrapper is None else item.value)  # type: ignore[arg-type]
                    self.put(0, 1)
                elif action == MIXED_TEXT:
                    self.text(item)
                elif action == ANY_ELEMENT:
                    self.program.put_any_element(self, item, depth + 1)
                else:
                    self.value(production.simple, item)  # type: ignore[arg-type]
                state = production.target  # type: ignore[assignment]
                if production.count:
                    if production.count > 0:
                        count = production.count
                    else:
                        count += 1
                        if count == production.limit:
                            state = production.full  # type: ignore[assignment]
        self.depth = depth
        end = state.end
        if end is None:
            raise self.program.misplaced(self, state, obj)
        self.put(end.code, end.width)

    def error(self, value: Any, why: str) -> EXIEncodeError:
        return EXIEncodeError(self.program.encode_path(self), value, why)
