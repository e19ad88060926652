"""A month's report as plain text of 80 columns: the mail, and what the terminal shows."""

from __future__ import annotations

import io
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
_THIN = "\u202f"  # between a number and its unit; many terminals and mail programs have no such letter
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
    made = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    widths = [_least(table, index) for index in range(len(table.head))]
    room = sum(widths) + 2 * (len(widths) - 1) <= WIDTH
    for index, head in enumerate(table.head):
        made.add_column(Text(_safe(head)), justify="right" if index in table.right else "left",
                        overflow="fold", min_width=widths[index] if room else None)
    for row in table.rows:
        made.add_row(*(Text(_safe(cell)) for cell in row))
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False,
            emoji=False, markup=False, highlight=False).print(made)
    yield from (line.rstrip() for line in out.getvalue().splitlines())


def _least(table: Table, index: int) -> int:
    """What a column needs: its numbers whole, elsewhere its longest word; no more than a third of a line."""
    cells = [row[index] for row in table.rows] if index in table.right else [
        word for row in table.rows for word in row[index].split(" ")]
    return min(WIDTH // 3, max(map(len, (*cells, *table.head[index].split(" "))), default=0))


def _safe(text: str) -> str:
    """Printable, with its hard blanks as letters that nobody folds a line at."""
    return _HARD.join(printable(each) for each in text.split(_THIN))
