"""The README's table of settings, made from the settings themselves.

.venv/bin/python -m tools.settings_table          prints it
.venv/bin/python -m tools.settings_table --write  puts it into README.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from nightscan_tasks.settings import Settings, variables

BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"


def table() -> str:
    """A Markdown table: name, default, meaning, example."""
    rows = ["| setting | default | meaning | for example |", "|---|---|---|---|"]
    for name, field in variables().items():
        info = Settings.model_fields[field]
        example = info.examples[0] if info.examples else ""
        rows.append(f"| `{name}` | {_shown(info.default)} | {info.description} | `{example}` |")
    return "\n".join(rows)


def written_into(readme: str) -> str:
    """The README's text with the table between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _shown(default: Any) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, tuple):
        default = ",".join(default)
    if default is None or default == "":
        return ""
    if isinstance(default, Path) and default == Settings.model_fields["temp_dir"].default:
        return "the system's"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    if "--write" in sys.argv:
        path = Path(__file__).parents[1] / "README.md"
        path.write_text(written_into(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
