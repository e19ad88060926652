"""Outcomes as texts: for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.outcome import Line, Outcome, Row, Sheet, Table
from nightscan_tasks.wording import size


def sheets(outcome: Outcome) -> Iterator[Sheet]:
    """All of an outcome's tables, as they are shown."""
    yield from map(sheet, outcome.found.tables)
    yield from outcome.found.sheets
    if outcome.found.lines:
        yield _growth(outcome.found.lines)


def sheet(table: Table) -> Sheet:
    """A table with its medians, ratios, all rounds, bytes stored and memory."""
    measure = table.measure
    stores = any(row.stored_bytes is not None for row in table.rows)
    columns = ("", "seconds", "ratio", *(("stored",) if stores else ()), "processor s", "memory, all",
               "memory, largest", "rounds")
    return Sheet(f"{table.title} (ratio: of {measure.name})", columns,
                 tuple(_cells(row, measure, stores=stores) for row in table.rows), table.note)


def _growth(lines: Sequence[Line]) -> Sheet:
    """Lines as a table: a row for each amount, and for each line what it took of time and memory."""
    axis = lines[0].axis
    amounts = sorted({point.amount for line in lines for point in line.points})
    columns = (axis, *(f"{line.name}: {line.task.lower()}" for line in lines))
    rows = tuple((size(amount) if axis == "bytes" else f"{amount:,}",
                  *(_point(line, amount) for line in lines)) for amount in amounts)
    return Sheet(f"Seconds and memory, by {axis}", columns, rows,
                 "Memory: the largest process, and all of them.")


def _point(line: Line, amount: int) -> str:
    found = next((point.measured for point in line.points if point.amount == amount), None)
    if found is None:
        return "-"
    return f"{found.seconds:.2f} s, {_memory(found.process_bytes)} ({_memory(found.tree_bytes)})"


def _cells(row: Row, measure: Row, *, stores: bool) -> tuple[str, ...]:
    stored = "-" if row.stored_bytes is None else _stored(row.stored_bytes)
    return (row.name, f"{row.seconds:.2f}", f"{row.seconds / measure.seconds:.2f}",
            *((stored,) if stores else ()), f"{row.cpu_seconds:.2f}", _memory(row.tree_bytes),
            _memory(row.process_bytes), " ".join(f"{each.seconds:.2f}" for each in row.rounds))


def glance(outcomes: Iterable[Outcome], *, ours: str) -> Sheet:
    """Every row of ours, beside the one that its table is measured by."""
    rows = [(outcome.title, table.title, row.name, f"{row.seconds:.2f} s",
             f"{table.measure.seconds:.2f} s ({table.measure.name})",
             f"{row.seconds / table.measure.seconds:.2f}")
            for outcome in outcomes for table in outcome.found.tables for row in table.rows
            if row.name.startswith(ours)]
    return Sheet("At a glance", ("", "task", "", "median", "measured by", "ratio"), tuple(rows))


def _stored(count: int) -> str:
    """In one unit, so that a column can be compared; but nothing is told as 0.0 MB."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else size(count)


def _memory(count: int) -> str:
    return size(count) if count else "-"


def markdown(shown: Sheet) -> str:
    """A Markdown table below its title, and its note."""
    aligned = ["---", *["---:"] * (len(shown.columns) - 1)]
    rows = [shown.columns, aligned, *shown.rows]
    lines = ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]
    return "\n".join([f"### {shown.title}", "", *lines, *(["", shown.note] if shown.note else [])])


def print_outcome(outcome: Outcome, console: Console) -> None:
    """All of it, for a person who waited for it."""
    console.rule(outcome.title)
    console.print(outcome.about, highlight=False)
    console.print("; ".join(f"{name}: {value}" for name, value in outcome.head.facts), highlight=False)
    for shown in sheets(outcome):
        console.print(_rich(shown))
        if shown.note:
            console.print(shown.note, style="dim", highlight=False)
    for told in outcome.left_out:
        console.print(told, style="yellow", highlight=False)


def _rich(shown: Sheet) -> RichTable:
    table = RichTable(title=shown.title, title_justify="left")
    for place, column in enumerate(shown.columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=place < 2)
    for row in shown.rows:
        table.add_row(*row)
    return table


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
