"""Rows as aligned plain text: no lines, no colour, nothing that a pipe or a log would spoil."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

_GAP = "  "
_NARROWEST = 40


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Lines of columns as wide as their widest cell; the columns in `right` are aligned to the right."""
    grid = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in grid) for column in range(len(head))]
    return [_GAP.join(cell.rjust(width) if column in right else cell.ljust(width)
                      for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
            for row in grid]


def fold(text: str, *, indent: str = "", hanging: str | None = None) -> list[str]:
    """Text in lines that fit the terminal: the first indented, those that follow `hanging` if given.

    What has no blank to break at is left whole, so that a path or a command can be copied.
    """
    room = max(terminal_width(), _NARROWEST)
    lines: list[str] = []
    for line in text.splitlines():
        begin = indent if hanging is None or not lines else hanging
        lines += textwrap.wrap(line, room, initial_indent=begin, drop_whitespace=True,
                               subsequent_indent=indent if hanging is None else hanging,
                               break_long_words=False, break_on_hyphens=False)
    return lines or [""]


def terminal_width() -> int:
    """The columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns
