"""The bit level of EXI and the two loops that run a compiled grammar, written for speed.

The same file runs interpreted and, where a compiler was at hand, compiled natively (`kernel.pxd` gives the
C types; it adds nothing else). `codec` fills the tables below from the grammars; the loops read them: one
`Production` per event. Decoding builds the message objects directly by copying a template and setting
fields; nothing is validated but what EXI itself demands.

Positions are bit offsets from the start of the stream. The octets are held with eight zero octets behind
them, so that looking ahead never leaves the buffer; `end` is the offset of the first bit that does not
exist.

The file is longer than others here because it is one unit to compile: a call from one module to another goes
through Python objects, within one it is a C call.
"""

from __future__ import annotations

from typing import Any

from .codings import (
    ANY_ELEMENT,
    BINARY,
    COMPLEX_ELEMENT,
    END,
    HEADER,
    INTEGER,
    MAX_DEPTH,
    MAX_INTEGER_OCTETS,
    MIXED_TEXT,
    SIMPLE_ELEMENT,
    TABLE,
    UNSIGNED,
)
from .errors import EXIDecodeError, EXIEncodeError

COMPILED: bool = not __file__.endswith(".py")

Octets = bytes | bytearray | memoryview

_PADDING = bytes(8)
_PATH = 12
"""Places in a path at first; no message of ISO 15118 is deeper."""


class Simple:
    """How the values of a simple type are coded; `name` is the type's, `base` that of the built-in type.

    `members` are the values that have codes, in their order; `cls` is what Python holds them as.
    """

    __slots__ = ("base", "cls", "codes", "coding", "frame", "members", "name", "width")

    def __init__(
        self, coding: int, name: str, base: str, cls: Any, width: int = 0, members: Any = ()
    ) -> None:
        self.coding = coding
        self.name = name
        self.base = base
        self.cls = cls
        self.width = width
        self.frame = 2 << width | 1
        self.members: list[Any] = list(members)
        self.codes: dict[Any, int] = {member: code for code, member in enumerate(self.members)}


class Type:
    """A complex type: a template of its class, and the states that read it.

    `template` is an instance with None in every field; `lists` names the fields that hold lists. `slots`
    are the fields in document order, for encoding.
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

    `position` is the index of the `grammar.Position`, `content` the state after an escape from before the
    content.
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

    `count`, `limit` and `full` are those of `grammar.Production`. `wrapper` is the class that holds a
    simple value, if one does.
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

    `term` is the only one, or -1 where the class of the value decides (`terms`); text in mixed content is
    `terms[str]`.
    """

    __slots__ = ("field", "is_list", "name", "term", "terms")

    def __init__(self, field: str, name: str, is_list: bool) -> None:
        self.field = field
        self.name = name
        self.is_list = is_list
        self.term = -1
        self.terms: dict[Any, int] = {}


class Decoder:
    """Reads one stream: header, then `document` or an element at a time."""

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

    def __init__(self, data: Octets, program: Any, deviations: Any = None, tables: Any = None) -> None:
        self.owner = b"".join((data, _PADDING))
        self.octets = self.owner
        self.end = 8 * (len(self.owner) - 8)
        self.pos = 0
        self.program = program
        self.root: Any = None
        self.path: list[Any] = [None] * _PATH
        self.depth = 0
        self.deviations: Any = deviations
        self.tables: Any = tables
        self.second_level: Any = None
        if self.bits(8) != HEADER:
            self.pos = 0
            raise self.error(f"the first octet is {self.octets[0]:#04x}", f"the EXI header {HEADER:#04x}")

    # Bits and numbers

    def bits(self, n: int) -> int:
        """The next `n` bits, at most 16."""
        pos = self.pos
        i = pos >> 3
        word = (self.octets[i] << 16) | (self.octets[i + 1] << 8) | self.octets[i + 2]
        word = (word >> (24 - n - (pos & 7))) & ((1 << n) - 1)
        pos += n
        if pos > self.end:
            raise self.error("the stream ends here")
        self.pos = pos
        return word

    def unsigned(self) -> Any:
        """An Unsigned Integer: groups of seven bits, least significant first."""
        octet = self.bits(8)
        return octet if octet < 128 else self.unsigned_from(octet & 127)

    def unsigned_from(self, value: int) -> Any:
        """The rest of an Unsigned Integer whose first group is `value`."""
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
                raise self.error(f"an integer of more than {7 * (8 + MAX_INTEGER_OCTETS)} bits")
        high: Any = 0
        for group in reversed(groups):
            high = high << 7 | group
        return high << 56 | low

    def length(self, extra: int) -> int:
        """A length in octets or characters, to which the stream adds `extra`; -`extra` or more.

        Each takes an octet at least, so what the stream cannot hold is refused before anything is allocated.
        """
        start = self.pos
        value = self.unsigned()
        if value - extra > (self.end - self.pos) >> 3:
            self.pos = start
            raise self.error(f"a length of {value - extra}, beyond the end of the stream")
        length: int = value
        return length - extra

    def take(self, n: int) -> bytes:
        """The next `n` octets, wherever they start."""
        pos = self.pos
        if n > (self.end - pos) >> 3:
            raise self.error("the stream ends here")
        self.pos = pos + 8 * n
        i = pos >> 3
        left = pos & 7
        if left == 0:
            return self.owner[i : i + n]
        right = 8 - left
        if not COMPILED or n < 2:
            return (int.from_bytes(self.owner[i : i + n + 1]) >> right).to_bytes(n + 1)[1:]
        result = self.owner[i : i + n]
        source = self.octets
        target: Any = result  # in C a pointer into an object that nobody else has seen yet
        for k in range(n):
            target[k] = (source[i + k] << left | source[i + k + 1] >> right) & 255
        return result

    def string(self, n: int) -> str:
        """`n` code points."""
        start = self.pos
        try:
            return self.take(n).decode("ascii")
        except UnicodeDecodeError:
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
        if coding == TABLE:
            code = self.bits(simple.width)
            return self.member(simple, code, self.pos - simple.width)
        if coding == UNSIGNED:
            return self.unsigned()
        if coding == INTEGER:
            negative = self.bits(1)
            magnitude = self.unsigned()
            return -magnitude - 1 if negative else magnitude
        if coding == BINARY:
            return self.take(self.length(0))
        return self.text()

    def member(self, simple: Simple, code: int, start: int) -> Any:
        """The value with a code that was read at `start`."""
        if code >= len(simple.members):
            self.pos = start
            raise self.error(f"{code} is no code of {simple.name}", f"less than {len(simple.members)}")
        return simple.members[code]

    def text(self) -> Any:
        """A string: written out, unless string tables are kept."""
        if self.tables is not None:
            return self.program.tabled_text(self)
        start = self.pos
        n = self.length(2)
        if n < 0:
            self.pos = start
            raise self.program.string_table_hit(self)
        return self.string(n)

    def simple_content(self, simple: Simple) -> Any:
        """CH and EE of an element of simple type, its SE being read.

        Both are a single 0 unless an escape stands there; they are read together with the value where that
        is short.
        """
        start = self.pos
        coding = simple.coding
        if coding == TABLE:
            word = self.bits(simple.width + 2)
            if word & simple.frame == 0:
                return self.member(simple, word >> 1, start + 1)
            self.pos = start
        elif coding == UNSIGNED:
            word = self.bits(9)
            if word < 256:
                value = word if word < 128 else self.unsigned_from(word & 127)
                if self.bits(1):
                    self.program.beyond(self).end(self)
                return value
            self.pos = start
        elif coding == INTEGER:
            word = self.bits(10)
            if word < 512:
                octet = word & 255
                value = octet if octet < 128 else self.unsigned_from(octet & 127)
                if word >= 256:
                    value = -value - 1
                if self.bits(1):
                    self.program.beyond(self).end(self)
                return value
            self.pos = start
        if self.bits(1):
            return self.program.beyond(self).content(self, simple)
        value = self.value(simple)
        if self.bits(1):
            self.program.beyond(self).end(self)
        return value

    # Elements

    def document(self, roots: list[Production], width: int) -> Any:
        """The one element of a document, by its event code among the global elements."""
        code = self.bits(width)
        if code >= len(roots):
            self.pos -= width
            raise self.error(f"no root element has event code {code}", f"less than {len(roots)}")
        return self.element(roots[code], 0)

    def element(self, production: Production, depth: int) -> Any:
        """What follows the SE of an element outside any content model, at `depth` in the path."""
        self.path[depth] = production
        self.depth = depth + 1
        child_type = production.type
        if child_type is not None:
            child = child_type.copy()
            if depth == 0:
                self.root = child
            return self.fill(child, child_type, depth + 1)
        value = self.simple_content(production.simple)  # type: ignore[arg-type]
        return value if production.wrapper is None else production.wrapper(value=value)

    def reserve(self, depth: int) -> None:
        """Make room in the path for an element at `depth` and one inside it."""
        while len(self.path) < depth + 2:
            self.path.append(None)

    def fill(self, obj: Any, type_: Type, depth: int) -> Any:
        """Read attributes, content and EE of an element of `type_` into `obj`.

        The object that holds them is returned: another one if xsi:type named another type.
        """
        if depth >= MAX_DEPTH:
            raise self.error(f"elements nested deeper than {MAX_DEPTH}")
        self.reserve(depth)
        for name in type_.lists:
            setattr(obj, name, [])
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
            if action == SIMPLE_ELEMENT:
                value = self.simple_content(production.simple)  # type: ignore[arg-type]
                if production.wrapper is not None:
                    value = production.wrapper(value=value)
            elif action == COMPLEX_ELEMENT:
                child_type = production.type
                child = child_type.copy()  # type: ignore[union-attr]
                if production.is_list:
                    getattr(obj, production.field).append(child)
                else:
                    setattr(obj, production.field, child)
                value = self.fill(child, child_type, depth + 1)  # type: ignore[arg-type]
                if value is not child and production.is_list:
                    getattr(obj, production.field).pop()
            elif action == MIXED_TEXT:
                value = self.text()
            elif action == ANY_ELEMENT:
                value = self.program.beyond(self).any_element(self, depth + 1)
            else:
                value = self.value(production.simple)  # type: ignore[arg-type]
            if action != COMPLEX_ELEMENT or value is not child:
                if production.is_list:
                    getattr(obj, production.field).append(value)
                else:
                    setattr(obj, production.field, value)
            self.depth = depth
            state = production.target  # type: ignore[assignment]
            if production.count > 0:
                count = production.count
            elif production.count < 0:
                count += 1
                if count == production.limit:
                    state = production.full  # type: ignore[assignment]

    def error(self, reason: str, expected: str = "") -> EXIDecodeError:
        """An error at the present position, with the path and the message so far."""
        path = self.program.path(self)
        return EXIDecodeError(reason, bit=self.pos, path=path, expected=expected, partial=self.root)


class Encoder:
    """Writes one stream; the header is there from the start.

    `octets` is `buffer` as the kernel writes it: whatever lies beyond `pos` is zero.
    """

    __slots__ = ("buffer", "depth", "limit", "names", "octets", "path", "pos", "program", "undeclared")

    def __init__(self, program: Any) -> None:
        self.program = program
        self.buffer = bytearray(128)
        self.octets = self.buffer
        self.octets[0] = HEADER
        self.pos = 8
        self.limit = 8 * 128
        self.path: list[Any] = [None] * _PATH
        self.depth = 0
        self.names: Any = None
        self.undeclared: Any = None

    # Bits and numbers

    def grow(self, n: int) -> None:
        """Make room for `n` octets more, and as many again as there are."""
        self.buffer.extend(bytes(len(self.buffer) + n))
        self.octets = self.buffer
        self.limit = 8 * len(self.buffer)

    def put(self, value: int, n: int) -> None:
        """`n` bits, at most 16."""
        pos = self.pos
        if pos + 32 > self.limit:
            self.grow(4)
        i = pos >> 3
        word = value << (24 - n - (pos & 7))
        octets = self.octets
        octets[i] |= word >> 16
        octets[i + 1] = (word >> 8) & 255
        octets[i + 2] = word & 255
        self.pos = pos + n

    def unsigned(self, value: Any) -> None:
        """An Unsigned Integer: groups of seven bits, least significant first."""
        while value >> 56:
            self.put(value & 127 | 128, 8)
            value >>= 7
        self.short_unsigned(value)

    def short_unsigned(self, value: int) -> None:
        """An Unsigned Integer of at most 56 bits."""
        while value > 127:
            self.put(value & 127 | 128, 8)
            value >>= 7
        self.put(value, 8)

    def put_octets(self, octets: bytes) -> None:
        """Whole octets, wherever the stream stands."""
        n = len(octets)
        pos = self.pos
        if pos + 8 * n + 32 > self.limit:
            self.grow(n + 4)
        self.pos = pos + 8 * n
        i = pos >> 3
        right = pos & 7
        if right == 0:
            self.buffer[i : i + n] = octets
        elif not COMPILED or n == 0:
            shifted = (int.from_bytes(octets) << (8 - right)).to_bytes(n + 1)
            self.buffer[i] |= shifted[0]
            self.buffer[i + 1 : i + n + 1] = shifted[1:]
        else:
            left = 8 - right
            source = octets
            target = self.octets
            target[i] |= source[0] >> right
            for k in range(1, n):
                target[i + k] = (source[k - 1] << left | source[k] >> right) & 255
            target[i + n] = (source[n - 1] << left) & 255

    def finish(self) -> bytes:
        """The stream, padded with zeros to the octet."""
        return bytes(self.octets[: (self.pos + 7) >> 3])

    # Values

    def text(self, value: str) -> None:
        """A string that no table holds."""
        self.unsigned(len(value) + 2)
        self.code_points(value)

    def code_points(self, value: str) -> None:
        if value.isascii():
            self.put_octets(value.encode("ascii"))
        else:
            for character in value:
                code = ord(character)
                if 0xD800 <= code < 0xE000:
                    raise self.error(value, "holds half of a surrogate pair")
                self.short_unsigned(code)

    def value(self, simple: Simple, value: Any) -> None:
        """A value in the coding of its type."""
        coding = simple.coding
        if not isinstance(value, simple.cls):
            raise self.error(value, f"is not a {simple.cls.__name__}")
        if coding == TABLE:
            code = simple.codes.get(value)
            if code is None:
                raise self.error(value, f"is no value of {simple.name}")
            self.put(code, simple.width)
        elif coding == UNSIGNED:
            if value < 0:
                raise self.error(value, f"is negative, {simple.name} is not")
            self.unsigned(value)
        elif coding == INTEGER:
            if value < 0:
                self.put(1, 1)
                self.unsigned(-value - 1)
            else:
                self.put(0, 1)
                self.unsigned(value)
        elif coding == BINARY:
            self.unsigned(len(value))
            self.put_octets(value)
        else:
            self.text(value)

    # Elements

    def element(self, production: Production, value: Any, depth: int) -> None:
        """What follows the SE of an element outside any content model, at `depth` in the path."""
        self.path[depth] = production
        self.depth = depth + 1
        child_type = production.type
        if child_type is not None:
            if type(value) is not child_type.cls:
                raise self.error(value, f"is not a {child_type.cls.__name__}")
            self.emit(value, child_type, depth + 1)
        else:
            held = value.value if type(value) is production.wrapper else value
            self.put(0, 1)
            self.value(production.simple, held)  # type: ignore[arg-type]
            self.put(0, 1)

    def reserve(self, depth: int) -> None:
        """Make room in the path for an element at `depth` and one inside it."""
        while len(self.path) < depth + 2:
            self.path.append(None)

    def emit(self, obj: Any, type_: Type, depth: int) -> None:
        """Write the attributes and the content of `obj`, and EE."""
        if depth >= MAX_DEPTH:
            raise self.error(obj, f"is nested deeper than {MAX_DEPTH} elements")
        self.reserve(depth)
        state = type_.start
        count = 0
        for slot in type_.slots:
            value = getattr(obj, slot.field)
            if value is None:
                continue
            self.path[depth] = slot
            self.depth = depth + 1
            if not slot.is_list:
                state = self.item(state, slot, value, depth).target  # type: ignore[assignment]
                continue
            for item in value:
                production = self.item(state, slot, item, depth)
                state = production.target  # type: ignore[assignment]
                if production.count > 0:
                    count = production.count
                elif production.count < 0:
                    count += 1
                    if count == production.limit:
                        state = production.full  # type: ignore[assignment]
        self.depth = depth
        end = state.end
        if end is None:
            raise self.program.misplaced(self, state, obj)
        self.put(end.code, end.width)

    def item(self, state: State, slot: Slot, item: Any, depth: int) -> Production:
        """Write one attribute, element or text; the production that did."""
        term = slot.term
        if term < 0:
            term = self.program.term(self, slot, item)
        production = state.by_term[term]
        if production is None:
            raise self.program.misplaced(self, state, item)
        action = production.action
        if action == SIMPLE_ELEMENT:
            self.put(production.code << 1, production.width + 1)
            held = item if production.wrapper is None else item.value
            self.value(production.simple, held)  # type: ignore[arg-type]
            self.put(0, 1)
            return production
        self.put(production.code, production.width)
        if action == COMPLEX_ELEMENT:
            child_type = production.type
            if type(item) is not child_type.cls:  # type: ignore[union-attr]
                raise self.error(item, f"is not a {child_type.cls.__name__}")  # type: ignore[union-attr]
            self.emit(item, child_type, depth + 1)  # type: ignore[arg-type]
            self.depth = depth + 1
        elif action == MIXED_TEXT:
            self.text(item)
        elif action == ANY_ELEMENT:
            self.program.put_any_element(self, item, depth + 1)
        else:
            self.value(production.simple, item)  # type: ignore[arg-type]
        return production

    def error(self, value: Any, why: str) -> EXIEncodeError:
        return EXIEncodeError(self.program.encode_path(self), value, why)
