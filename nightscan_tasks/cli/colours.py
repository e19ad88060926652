"""Colours, for a terminal alone: text that knows the styles of its parts, and when they are shown.

`good`, `warning`, `critical`, `heading` and `hint` give text a style; `state` gives a status word the one
that it stands for: `state("FAILED")` is critical, and a word that it does not know stays as it is. What
they return is a `str` of the very same characters: its length is what is seen, so columns are computed as
ever, and JSON, logs and comparisons see plain text. `tables.table` and `tables.fold` keep the styles, so
does `+`; an f-string does not, and gives plain text: write `"  " + row`.

`painted(line)` is what goes to `click.echo`, with escape codes and without anything else that a terminal
would obey; `click.echo` takes the codes out again unless standard output, or standard error, is a terminal.
`wanted(when)` decides otherwise: `--color`, then `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb`.

A colour is never the only one to say something: status words are words, and what is not good is in capitals.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import click

from nightscan_tasks.wording import printable

When: TypeAlias = Literal["auto", "always", "never"]

_STYLES: Mapping[str, Mapping[str, Any]] = {
    "good": {"fg": "green"}, "warning": {"fg": "yellow"}, "critical": {"fg": "red", "bold": True},
    "heading": {"bold": True}, "hint": {"dim": True},
}
_STATES = {
    "good": ("good", "ok", "complete", "whole", "up", "met", "held", "done"),
    "warning": ("warn", "warning", "degraded", "incomplete", "suspicious", "behind", "wavered", "mended",
                "remove", "unknown"),
    "critical": ("fail", "failed", "critical", "damaged", "broken", "down", "missed", "problem", "missing",
                 "unreadable", "unread", "late", "too long"),
}
_STYLE_OF_STATE = {word: style for style, words in _STATES.items() for word in words}


@dataclass(frozen=True)
class Span:
    """The characters from `begin` up to `end` have a style."""

    begin: int
    end: int
    style: str


class Text(str):
    """Plain text that knows the styles of its parts."""

    __slots__ = ("spans",)
    spans: tuple[Span, ...]

    def __new__(cls, text: str, spans: Iterable[Span] = ()) -> Self:
        """`text` with styles; those of what is a `Text` already stay."""
        made = super().__new__(cls, text)
        made.spans = (*spans_of(text), *spans)
        return made

    def __add__(self, other: str) -> Text:
        return joined("", (self, other))

    def __radd__(self, other: str) -> Text:
        return joined("", (other, self))

    def cut(self, begin: int, end: int) -> Text:
        """The characters from `begin` up to `end`, with their styles."""
        cut = ((max(each.begin, begin), min(each.end, end), each.style) for each in self.spans)
        return Text(str(self)[begin:end], [Span(first - begin, last - begin, style)
                                           for first, last, style in cut if first < last])


def good(text: str) -> Text:
    """As it should be: green."""
    return _styled(text, "good")


def warning(text: str) -> Text:
    """To be looked at: yellow."""
    return _styled(text, "warning")


def critical(text: str) -> Text:
    """Wrong, and somebody has to act: red and bold."""
    return _styled(text, "critical")


def heading(text: str) -> Text:
    """The head of a table or of a section: bold."""
    return _styled(text, "heading")


def hint(text: str) -> Text:
    """What may be skipped, or done next: dim."""
    return _styled(text, "hint")


def state(word: str) -> str:
    """A status word with the style that it stands for, whatever its case; another one as it is."""
    style = _STYLE_OF_STATE.get(word.casefold())
    return _styled(word, style) if style else word


def joined(separator: str, parts: Iterable[str]) -> Text:
    """`separator.join(parts)`, with the styles of the parts."""
    text, spans = "", list[Span]()
    for number, part in enumerate(parts):
        text += separator if number else ""
        spans += [Span(each.begin + len(text), each.end + len(text), each.style) for each in spans_of(part)]
        text += str(part)
    return Text(text, spans)


def spans_of(text: str) -> tuple[Span, ...]:
    """The styles of a text; a plain string has none."""
    return text.spans if isinstance(text, Text) else ()


def painted(line: str) -> str:
    """A line for `click.echo`: what a terminal would obey is written out, and the styles are escape codes."""
    return "".join(_paint(printable(part), style) for part, style in _parts(line))


def wanted(when: When, environ: Mapping[str, str] = os.environ) -> bool | None:
    """Whether there are colours: True always, False never, None where a terminal is written to.

    `when` is what `--color` says. An empty variable is one that is not set.
    """
    if when in {"always", "never"}:
        return when == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"].casefold() not in {"0", "false"}
    return False if environ.get("TERM") == "dumb" else None


def _styled(text: str, style: str) -> Text:
    return Text(str(text), [Span(0, len(text), style)])


def _parts(line: str) -> Iterator[tuple[str, str]]:
    """The text in pieces of one style each; where styles overlap, the first one given counts."""
    at = 0
    plain = str(line)
    for span in sorted(spans_of(line), key=lambda each: each.begin):
        if span.begin < at:
            continue
        yield plain[at:span.begin], ""
        yield plain[span.begin:span.end], span.style
        at = span.end
    yield plain[at:], ""


def _paint(text: str, style: str) -> str:
    return click.style(text, **_STYLES[style]) if text and style else text
