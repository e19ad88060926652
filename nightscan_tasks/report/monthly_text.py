"""A month's report as plain text of 80 columns: the mail, and what the terminal shows."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from nightscan_tasks.language import Language
from nightscan_tasks.report.monthly import MonthlyReport
from nightscan_tasks.report.monthly_words import Section, Table, sections, subtitle, title
from nightscan_tasks.wording import printable

WIDTH = 80
_GAP = 2
_MOMENT = 19  # the longest, in any language
_NO_BREAK = re.compile("[\u202f\u00a0]")  # as before units; many terminals and mail programs lack them
_HARD = "\ue000"  # in its stead while lines are folded


def render(report: MonthlyReport, language: Language) -> str:
    """The whole report; no line is longer than 80 columns."""
    head = _safe(title(report, language))
    lines = [head, "=" * len(head), *_wrapped(subtitle(report, language))]
    for section in sections(report, language):
        lines += ["", section.title, "-" * len(section.title), *_section(section)]
    return "\n".join(lines).replace(_HARD, " ") + "\n"


def _section(section: Section) -> Iterator[str]:
    for paragraph in section.told:
        yield from _wrapped(paragraph)
    if section.table:
        yield from table_lines(section.table)
    for point in section.points:
        yield from _wrapped(point, "- ")


def _wrapped(text: str, bullet: str = "") -> list[str]:
    return textwrap.wrap(_safe(text), WIDTH, initial_indent=bullet,
                         subsequent_indent=" " * len(bullet), break_on_hyphens=False)


def table_lines(table: Table) -> Iterator[str]:
    """A table whose cells are folded where they are too long; numbers and words stay whole."""
    made = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="")
    for index, (head, width) in enumerate(zip(table.head, _widths(table), strict=True)):
        made.add_column(Text(_safe(head)), justify="right" if index in table.right else "left",
                        overflow="fold", width=width)
    for row in table.rows:
        made.add_row(*(Text(_safe(cell)) for cell in row))
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False,
            emoji=False, markup=False, highlight=False).print(made)
    yield from (line.rstrip() for line in out.getvalue().splitlines())


def _widths(table: Table) -> list[int]:
    """How wide each column is: as its longest cell, or where that is too much, what the others leave it."""
    columns = range(len(table.head))
    wanted = [max(len(row[index]) for row in (table.head, *table.rows)) for index in columns]
    widths, room = [_least(table, index) for index in columns], WIDTH - _GAP * (len(table.head) - 1)
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    while sum(widths) < min(room, sum(wanted)):
        widths[max(columns, key=lambda index: wanted[index] / widths[index])] += 1
    return widths


def _least(table: Table, index: int) -> int:
    """What a column needs: its numbers and moments whole, elsewhere its longest word, none without end."""
    longest = max((len(row[index]) for row in table.rows), default=0)
    words = [word for row in (table.head, *table.rows) for word in row[index].split(" ")]
    least = longest if index in table.right else min(longest, _MOMENT) if index == 0 else 0
    return min(WIDTH // 3, max(1, least, *map(len, words)))


def _safe(text: str) -> str:
    """Printable, with its hard blanks as letters that nobody folds a line at."""
    return _HARD.join(printable(each) for each in _NO_BREAK.split(text))
