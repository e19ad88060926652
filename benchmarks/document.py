"""`docs/PERFORMANCE.md`, made from the results that are kept beside this."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.outcome import Outcome, loaded
from benchmarks.picture import picture
from benchmarks.showing import glance, markdown, sheets
from benchmarks.user_data import OURS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_name("results")
NEW_RESULTS = ROOT / "build/benchmarks"
DOCUMENT = ROOT / "docs/PERFORMANCE.md"
PICTURE = ROOT / "docs/images/performance-growth.svg"
ORDER = ("user_data", "database", "workers", "memory", "growth_bytes", "growth_files")

_INTRODUCTION = """\
# How fast, how large

What NightScan takes of time, memory and disk, beside what somebody would use instead: the guide's
pipelines, `tar`, `pg_dump`, restic and borg. Made by `python -m benchmarks --write` from what `make bench`
measured; do not edit it by hand.

Times of different machines do not compare, so **look at the ratios**: all contenders of a table ran in
turn, in the same run, on the same data, several rounds; the figure is the median, and every round is
shown. Each began with an empty repository and an empty target, with nothing of the others' left to be
written, and with the source in the page cache; no restored file is removed before the end, since ext4 is
slow to make new ones for minutes after that. nightscan's are the commands that a person types, from the
start of the program to its end: encryption, signature, catalog and reading back are in them.

- **ratio**: its seconds, of those of the one that the title names. Below 1 is faster.
- **stored**: how much larger the store became.
- **processor s**: user and system time of all processes of the command, median; PostgreSQL's server is not
  in it.
- **memory, all**: the most that all processes of the command had at one moment, every shared page counted
  once (sum of PSS); **memory, largest**: the most that one of them had (peak RSS). Both of all rounds, as
  seen several times a second; `-` where it ended before it was seen.
"""


def write(new_results: Path = NEW_RESULTS) -> list[str]:
    """Take over new results, where they are of full size, and render the document; what was done."""
    told = [take(path) for path in sorted(new_results.glob("*.json"))]
    outcomes = loaded(RESULTS)
    DOCUMENT.write_text(rendered(outcomes), encoding="utf-8")
    if drawn := drawn_growth(outcomes):
        PICTURE.write_text(drawn, encoding="utf-8")
    return [*told, f"{DOCUMENT.relative_to(ROOT)} shows {', '.join(outcomes) or 'nothing yet'}"]


def rendered(outcomes: Mapping[str, Outcome]) -> str:
    """The whole document."""
    parts = [_INTRODUCTION]
    at_a_glance = glance((outcomes[key] for key in ORDER if key in outcomes), ours=OURS)
    if at_a_glance.rows:
        parts.append(markdown(at_a_glance))
    for key in ORDER:
        if key in outcomes:
            parts += _section(outcomes[key])
    if drawn_growth(outcomes):
        parts.append(f"![How time and memory grow]({PICTURE.relative_to(DOCUMENT.parent)})")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def drawn_growth(outcomes: Mapping[str, Outcome]) -> str:
    """The picture of growth; empty where nothing of it was measured."""
    lines = [line for key in ORDER if key in outcomes for line in outcomes[key].found.lines]
    return picture(lines) if lines else ""


def take(path: Path) -> str:
    """Keep a result beside this, if it is of full size; what was done."""
    head = Outcome.load(path).head
    if head.scale != 1:
        return f"{path.name} is of {head.scale:g} of the full size: not taken"
    if head.only:
        return f"{path.name} has only {', '.join(head.only)}: not taken"
    RESULTS.mkdir(exist_ok=True)
    shutil.copyfile(path, RESULTS / path.name)
    return f"{path.name} is taken"


def _section(outcome: Outcome) -> Iterator[str]:
    yield f"## {outcome.title}"
    yield outcome.about
    for shown in sheets(outcome):
        yield markdown(shown)
    facts = "; ".join(f"{name}: {value}" for name, value in outcome.head.facts)
    yield f"*Measured with: {facts}; seed {outcome.head.seed}.*"
    if outcome.left_out:
        yield "\n".join(outcome.left_out)
