"""Rows as aligned text without lines: nothing that a pipe or a log would spoil.

The styles of cells and of folded text are kept (`colours`); widths are those of the characters.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from nightscan_tasks.cli.colours import Text, heading, joined

_GAP = "  "
_NARROWEST = 40


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Lines of columns as wide as their widest cell, the heading first; those in `right` are aligned to the
    right. Cells may have styles.
    """
    grid = [head, *rows]
    widths = [max(len(row[column]) for row in grid) for column in range(len(head))]
    lines = [_line([_wide(cell, width, right=column in right)
                    for column, (cell, width) in enumerate(zip(row, widths, strict=True))])
             for row in grid]
    return [heading(lines[0]), *lines[1:]]


def _wide(cell: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - len(cell))
    return blanks + cell if right else cell + blanks


def _line(cells: Sequence[str]) -> str:
    line = joined(_GAP, cells)
    return line.cut(0, len(line.rstrip()))


def fold(text: str, *, indent: str = "", hanging: str | None = None) -> list[str]:
    """Text in lines that fit the terminal: the first indented, those that follow `hanging` if given.

    What has no blank to break at is left whole, so that a path or a command can be copied. Styles are kept.
    """
    room = max(terminal_width(), _NARROWEST)
    lines: list[str] = []
    for line in str(text).splitlines():
        begin = indent if hanging is None or not lines else hanging
        lines += textwrap.wrap(line, room, initial_indent=begin, drop_whitespace=True,
                               subsequent_indent=indent if hanging is None else hanging,
                               break_long_words=False, break_on_hyphens=False)
    return _styled(text, lines) if isinstance(text, Text) else lines or [""]


def _styled(text: Text, lines: Sequence[str]) -> list[str]:
    """The lines that a text was folded to, with its styles: a line is a piece of it, after the indent."""
    plain, at, styled = str(text), 0, list[str]()
    for line in lines:
        piece = line.lstrip()
        found = plain.find(piece, at)
        if found < 0:  # a tab, say, is blanks now
            styled.append(line)
            continue
        at = found + len(piece)
        styled.append(line[:len(line) - len(piece)] + text.cut(found, at))
    return styled or [""]


def terminal_width() -> int:
    """The columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns
