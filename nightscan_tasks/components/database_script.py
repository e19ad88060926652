"""A plain dump, read as its statements and the rows between them.

It is read as far as a loader needs: where a statement ends, and which lines are rows. What is inside a
statement is the server's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nightscan_tasks.model import Buffer

BLOCK_BYTES = 1 << 19
_END_OF_ROWS = b"\\.\n"
_MOST_STATEMENT_BYTES = 1 << 25

_QUOTED = rb"""
    '[^']*+' | "[^"]*+" | [eE]'(?:[^'\\]|\\(?s:.)|'')*'(?!')
  | \$(?P<tag>(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*+)?)\$(?s:.*?)\$(?P=tag)\$
  | --[^\n]*+\n | /\*(?s:.*?)\*/
"""
_WORD = rb"[A-Za-z_\x80-\xff][\w$\x80-\xff]*+"
# Piece by piece, in a loop of ours: Python before 3.11.5 loses its place in a group that is repeated
# possessively, when the text ends amid one of its alternatives.
_PIECE = re.compile(rb"(?x) (?P<end>;) |" + _QUOTED + rb" | " + _WORD + rb"""
    | \$\d++ | [^;'"$\-/A-Za-z_\x80-\xff]++ | -(?!-) | /(?!\*) """)
_QUOTED_OR_WORD = re.compile(
    rb"(?xi) (?P<quoted>" + _QUOTED + rb") | (?P<opening>BEGIN\s++ATOMIC\b | \() | " + _WORD + rb" | \)")
_NOISE = re.compile(rb"\s++ | --[^\n]*+\n | \\(?:un)?restrict[^\n]*+\n", re.VERBOSE)
_COMPOUND = re.compile(rb"CREATE (?:OR REPLACE )?(?:RULE|FUNCTION|PROCEDURE)\b")


class NotUnderstood(Exception):
    """The dump is not written as this module expects: load it by `psql`, which reads everything."""


@dataclass(frozen=True)
class Rows:
    """Some whole rows of one table, as its `COPY` statement takes them."""

    copy: bytes
    block: bytes = field(repr=False)


@dataclass(frozen=True)
class ObjectBytes:
    """Some bytes of one large object, which is there already; of no dump in SQL."""

    oid: int
    offset: int
    block: bytes = field(repr=False)


Item = bytes | Rows | ObjectBytes
"""One statement, some rows, or some of a large object."""


def items(chunks: Iterable[Buffer]) -> Iterator[Item]:
    """The statements and rows of a dump, in their order.

    `NotUnderstood` at what is neither. An error out of `chunks` passes through.
    """
    reader = _Reader(iter(chunks))
    while reader.skip_noise():
        statement = reader.statement()
        if not statement.startswith(b"COPY "):
            yield statement
            continue
        if not statement.endswith(b" FROM stdin;") or not reader.skip(b"\n"):
            raise NotUnderstood(f"a COPY of another kind: {statement[:200]!r}")
        for block in reader.rows():
            yield Rows(statement, block)


class _Reader:
    """What was read of a stream and not yet given away."""

    def __init__(self, chunks: Iterator[Buffer]) -> None:
        self._chunks = chunks
        self._text = bytearray()
        self._ended = False

    def skip_noise(self) -> bool:
        """Go to the next statement; whether there is one."""
        while True:
            del self._text[:_end_of_noise(self._text)]
            # A line may have been cut, so that its end looks like a statement.
            if (self._text and b"\n" in self._text and not self._text.startswith(b"-")) or self._ended:
                break
            self._fill(1)
        if self._text.startswith(b"\\"):
            raise NotUnderstood(f"a command for psql: {bytes(self._text[:80])!r}")
        return bool(self._text.strip())

    def statement(self) -> bytes:
        """The next statement, with its semicolon."""
        end, wanted = 0, 1
        while True:
            semicolon = _end_of_statement(self._text, end)
            if semicolon and _complete(bytes(self._text[:semicolon])):
                statement = bytes(self._text[:semicolon])
                del self._text[:semicolon]
                return statement
            if semicolon:
                end = semicolon
                continue
            if self._ended or len(self._text) > _MOST_STATEMENT_BYTES:
                raise NotUnderstood(f"no end of {bytes(self._text[:80])!r}")
            self._fill(wanted)
            wanted = len(self._text)  # each try reads all of it again: so not too many of them

    def skip(self, text: bytes) -> bool:
        """Leave out `text`, if it comes next."""
        while len(self._text) < len(text) and not self._ended:
            self._fill(1)
        if not self._text.startswith(text):
            return False
        del self._text[:len(text)]
        return True

    def rows(self) -> Iterator[bytes]:
        """Rows up to the end mark, some at a time, each whole."""
        if self.skip(_END_OF_ROWS):
            return
        searched = 0
        while True:
            mark = self._text.find(b"\n" + _END_OF_ROWS, searched)
            if mark >= 0:
                yield bytes(self._text[:mark + 1])
                del self._text[:mark + 1 + len(_END_OF_ROWS)]
                return
            searched = max(0, len(self._text) - len(_END_OF_ROWS))
            if len(self._text) >= BLOCK_BYTES:
                # Not the last line: it may be the end mark, still without its newline.
                end = self._text.rfind(b"\n", 0, len(self._text) - len(_END_OF_ROWS)) + 1
                if end:
                    yield bytes(memoryview(self._text)[:end])
                    del self._text[:end]
                    searched = 0
            if self._ended:
                raise NotUnderstood("the dump ends amid the rows of a table")
            self._fill(1)

    def _fill(self, at_least: int) -> None:
        """Read on, so many bytes if there are as many."""
        size = len(self._text) + at_least
        while len(self._text) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                return
            self._text += chunk


def _end_of_noise(text: bytearray) -> int:
    """Behind what is before a statement."""
    end = 0
    while match := _NOISE.match(text, end):
        end = match.end()
    return end


def _end_of_statement(text: bytearray, start: int) -> int:
    """Behind the first semicolon from `start` on that is not quoted; 0 where there is none yet."""
    end = start
    while match := _PIECE.match(text, end):
        end = match.end()
        if match["end"]:
            return end
    return 0


def _complete(statement: bytes) -> bool:
    """Whether the semicolon ends it: rules and functions may have some inside."""
    if not _COMPOUND.match(statement):
        return True
    depth = 0
    for match in _QUOTED_OR_WORD.finditer(statement):
        if match["opening"] or (depth and match[0].upper() == b"CASE"):
            depth += 1
        elif match["quoted"] is None and depth and match[0].upper() in (b")", b"END"):
            depth -= 1
    return depth == 0
