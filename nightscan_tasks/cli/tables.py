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


def fold(text: str, *, indent: str = "", width: int | None = None) -> list[str]:
    """Text in lines that fit, each indented; what has no blank to break at is left whole."""
    room = max(width or terminal_width(), _NARROWEST)
    lines = []
    for line in text.splitlines() or [""]:
        lines += textwrap.wrap(line, room, initial_indent=indent, subsequent_indent=indent,
                               break_long_words=False, break_on_hyphens=False) or [indent.rstrip()]
    return lines


def terminal_width() -> int:
    """The columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns
