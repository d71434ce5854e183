"""Interprets the opcodes of a pickle without calling anything that the file names.

A pickle is a program for a small stack machine: most of its opcodes put plain values on the stack and together, and
a few have a function or class called that the file names. Here the former build plain values, and what the latter
name is looked up among makers, functions of our own that are given the arguments as plain values; there is no way
from the file to any other code. The memo is a dict, so that no place in it costs memory, and whatever has a length
is a slice of the file.
"""

from __future__ import annotations

import abc
import codecs
import dataclasses
import struct
from collections.abc import Callable
from typing import Any

_HIGHEST_PROTOCOL = 5


class Refused(Exception):
    """A class or function that is not data; the message is its full name."""


class Damaged(ValueError):
    """Something that no writer of pickles would write."""


@dataclasses.dataclass(frozen=True)
class Maker:
    """What stands in for a class or function.

    Attributes:
        name: of what it stands in for.
        make: is given the arguments and returns the value, or an Object that is given its state later.
    """

    name: str
    make: Callable[..., Any]


class Object(abc.ABC):
    """A value that takes its state after it was made, which in a pickle a class would do."""

    @abc.abstractmethod
    def restore(self, state: Any) -> None:
        """Takes the state; raises Damaged if it is not what it must be."""


class OrderedItems(dict):
    """An OrderedDict: a dict to which a pickle may add attributes, which mean nothing here."""


class PickleMachine:
    """Runs pickles that lie in some bytes.

    Args:
        content: the bytes.
        find: returns what a module and a name stand for: a Maker, or another value that can only be passed on. It
            raises Refused.
        find_persistent: returns what a persistent id stands for; None refuses them.
        position: where the pickle begins.

    Attributes:
        position: the place behind what was read.
    """

    def __init__(
        self,
        content: bytes,
        find: Callable[[str, str], Any],
        *,
        find_persistent: Callable[[Any], Any] | None = None,
        position: int = 0,
    ):
        self.position = position
        self._content = content
        self._find = find
        self._find_persistent = find_persistent
        self._stack: list = []
        self._marks: list[list] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Runs one pickle to its end and returns what is on the stack.

        Raises:
            Refused: if it names something that is not data.
            Damaged, or anything else: if it is none.
        """
        self._stack, self._marks, self._memo = [], [], {}
        content = self._content
        while True:
            code = content[self.position]
            self.position += 1
            if code == _STOP:
                return self._stack.pop()
            operation = _OPERATIONS[code]
            if operation is None:
                raise Damaged(f"opcode {code} at byte {self.position - 1} is not known")
            operation(self)

    # Arguments that stand behind an opcode.

    def _take(self, count: int) -> bytes:
        if count < 0 or self.position + count > len(self._content):
            raise Damaged("it ends within a value")
        self.position += count
        return self._content[self.position - count : self.position]

    def _line(self) -> bytes:
        end = self._content.find(b"\n", self.position)
        if end < 0:
            raise Damaged("it ends within a line")
        start, self.position = self.position, end + 1
        return self._content[start:end]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _counted(self, form: str) -> bytes:
        return self._take(self._number(form))

    # The stack.

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _top(self, kind: type) -> Any:
        value = self._stack[-1]
        if not isinstance(value, kind):
            raise Damaged(f"items are put into something of type {type(value).__name__}")
        return value

    def _store(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _recall(self, place: int) -> None:
        self._push(self._memo[place])

    # Collections.

    def _extend(self, items: list) -> None:
        self._top(list).extend(items)

    def _update(self, items: list) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise Damaged("a key has no value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def _make_dict(self) -> None:
        items = self._since_mark()
        self._push({})
        self._update(items)

    def _append(self) -> None:
        value = self._stack.pop()
        self._extend([value])

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _tuple_of(self, count: int) -> None:
        if len(self._stack) < count:
            raise Damaged("a tuple has too few items")
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        self._push(tuple(items))

    # What would be calls.

    def _global(self) -> None:
        module, name = self._line().decode("utf-8"), self._line().decode("utf-8")
        self._push(self._find(module, name))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Damaged("a name is no text")
        self._push(self._find(module, name))

    def _call(self, maker: Any, arguments: Any) -> None:
        if not isinstance(maker, Maker) or not isinstance(arguments, tuple):
            raise Damaged("something is called that is no function")
        try:
            self._push(maker.make(*arguments))
        except TypeError as error:
            raise Damaged(f"{maker.name} is given arguments that no writer gives it") from error

    def _reduce(self) -> None:
        arguments, maker = self._stack.pop(), self._stack.pop()
        self._call(maker, arguments)

    def _new_object_with_options(self) -> None:
        options, arguments, maker = self._stack.pop(), self._stack.pop(), self._stack.pop()
        if options:
            raise Damaged("an object is made with named arguments")
        self._call(maker, arguments)

    def _instance(self) -> None:
        items = self._since_mark()
        module, name = self._line().decode("utf-8"), self._line().decode("utf-8")
        self._call(self._find(module, name), tuple(items))

    def _object(self) -> None:
        maker, *items = self._since_mark()
        self._call(maker, tuple(items))

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Object):
            target.restore(state)
        elif not isinstance(target, OrderedItems):
            raise Damaged(f"a value of type {type(target).__name__} is given a state")

    def _persistent(self, key: Any) -> None:
        if self._find_persistent is None:
            raise Damaged("it refers to something outside of it")
        self._push(self._find_persistent(key))


def checked_key(key: Any) -> Any:
    """Returns a key of a dict or an element of a set; Damaged if it is no text, number or tuple of them.

    A class as a key, as Lightning has those of its callbacks, is its name.
    """
    if isinstance(key, Maker):
        return key.name
    if isinstance(key, tuple):
        for part in key:
            checked_key(part)
    elif key is not None and type(key) not in (str, bytes, bool, int, float):
        raise Damaged(f"a key is of type {type(key).__name__}")
    elif type(key) is int and key.bit_length() > 60:
        raise Damaged("a key is a number of more than 60 bits")
    return key


def _short_number(line: bytes) -> Any:
    return {b"00": False, b"01": True}.get(line) if line in (b"00", b"01") else int(line)


def _quoted(line: bytes) -> str:
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise Damaged("a text has no quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")


def _protocol(machine: PickleMachine) -> None:
    if machine._number("<B") > _HIGHEST_PROTOCOL:
        raise Damaged("it is of an unknown protocol")


def _frozen(machine: PickleMachine) -> None:
    machine._push({checked_key(item) for item in machine._since_mark()})


def _add(machine: PickleMachine) -> None:
    items = machine._since_mark()
    machine._top(set).update(map(checked_key, items))


_STOP = ord(".")

# Names of opcodes are those of the standard library's pickletools; texts of Python 2 are read as Latin-1.
_BY_CODE: dict[bytes, Callable[[PickleMachine], Any]] = {
    b"(": PickleMachine._mark,
    b"0": PickleMachine._pop,
    b"1": PickleMachine._since_mark,
    b"2": lambda m: m._push(m._stack[-1]),
    # numbers
    b"F": lambda m: m._push(float(m._line())),
    b"I": lambda m: m._push(_short_number(m._line().strip())),
    b"J": lambda m: m._push(m._number("<i")),
    b"K": lambda m: m._push(m._number("<B")),
    b"M": lambda m: m._push(m._number("<H")),
    b"L": lambda m: m._push(int(m._line().strip().removesuffix(b"L"))),
    b"G": lambda m: m._push(m._number(">d")),
    b"\x8a": lambda m: m._push(int.from_bytes(m._counted("<B"), "little", signed=True)),
    b"\x8b": lambda m: m._push(int.from_bytes(m._counted("<i"), "little", signed=True)),
    b"N": lambda m: m._push(None),
    b"\x88": lambda m: m._push(True),
    b"\x89": lambda m: m._push(False),
    # texts and bytes
    b"S": lambda m: m._push(_quoted(m._line())),
    b"T": lambda m: m._push(m._counted("<i").decode("latin-1")),
    b"U": lambda m: m._push(m._counted("<B").decode("latin-1")),
    b"V": lambda m: m._push(m._line().decode("raw-unicode-escape")),
    b"X": lambda m: m._push(m._counted("<I").decode("utf-8", "surrogatepass")),
    b"\x8c": lambda m: m._push(m._counted("<B").decode("utf-8", "surrogatepass")),
    b"\x8d": lambda m: m._push(m._counted("<Q").decode("utf-8", "surrogatepass")),
    b"B": lambda m: m._push(m._counted("<I")),
    b"C": lambda m: m._push(m._counted("<B")),
    b"\x8e": lambda m: m._push(m._counted("<Q")),
    b"\x96": lambda m: m._push(m._counted("<Q")),
    # collections
    b"]": lambda m: m._push([]),
    b"}": lambda m: m._push({}),
    b")": lambda m: m._push(()),
    b"\x8f": lambda m: m._push(set()),
    b"l": lambda m: m._push(m._since_mark()),
    b"d": PickleMachine._make_dict,
    b"t": lambda m: m._push(tuple(m._since_mark())),
    b"\x85": lambda m: m._tuple_of(1),
    b"\x86": lambda m: m._tuple_of(2),
    b"\x87": lambda m: m._tuple_of(3),
    b"\x91": _frozen,
    b"a": PickleMachine._append,
    b"e": lambda m: m._extend(m._since_mark()),
    b"s": PickleMachine._set_item,
    b"u": lambda m: m._update(m._since_mark()),
    b"\x90": _add,
    # the memo
    b"p": lambda m: m._store(int(m._line())),
    b"q": lambda m: m._store(m._number("<B")),
    b"r": lambda m: m._store(m._number("<I")),
    b"\x94": lambda m: m._store(len(m._memo)),
    b"g": lambda m: m._recall(int(m._line())),
    b"h": lambda m: m._recall(m._number("<B")),
    b"j": lambda m: m._recall(m._number("<I")),
    # what would be calls
    b"c": PickleMachine._global,
    b"\x93": PickleMachine._stack_global,
    b"R": PickleMachine._reduce,
    b"\x81": PickleMachine._reduce,
    b"\x92": PickleMachine._new_object_with_options,
    b"i": PickleMachine._instance,
    b"o": PickleMachine._object,
    b"b": PickleMachine._build,
    b"P": lambda m: m._persistent(m._line().decode("ascii")),
    b"Q": lambda m: m._persistent(m._stack.pop()),
    # framing
    b"\x80": _protocol,
    b"\x95": lambda m: m._take(8),
}
_OPERATIONS = [_BY_CODE.get(bytes([code])) for code in range(256)]
