"""The table of docs/METRICS.md, made from the metrics themselves.

.venv/bin/python -m tools.metrics_table          prints it
.venv/bin/python -m tools.metrics_table --write  puts it into docs/METRICS.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from nightscan_tasks.report.metrics import METRICS

BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"


def table() -> str:
    """A Markdown table: name, labels, meaning."""
    rows = ["| metric | labels | meaning |", "|---|---|---|"]
    rows += [f"| `{each.name}` | {', '.join(f'`{label}`' for label in each.labels)} | {each.says} |"
             for each in METRICS]
    return "\n".join(rows)


def written_into(text: str) -> str:
    """The document's text with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        path = Path(__file__).parents[1] / "docs" / "METRICS.md"
        path.write_text(written_into(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
