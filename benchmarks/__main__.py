"""`make bench`: every contest but growth. `python -m benchmarks database` holds one of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import document, programs
from benchmarks.contests import NAMES, Ask, hold
from benchmarks.measuring import CommandFailed
from benchmarks.scratch import NoRoom
from benchmarks.showing import print_outcome
from nightscan_tasks.wording import nearest


def main(arguments: Sequence[str]) -> int:
    """Status 0; 1 where a contest could not be held, and 2 where what was asked is not understood."""
    asked = _parsed(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if asked.write:
        console.print("\n".join(document.write(asked.results)), highlight=False)
        return 0
    programs.provide()
    ask = Ask(asked.rounds, asked.seed, asked.scale, asked.scratch, asked.keep)
    failed = 0
    for name in asked.contests or NAMES:
        try:
            outcome = hold(name, ask, console)
        except (NoRoom, CommandFailed) as exc:
            console.print(f"{name}: {exc}", style="red", highlight=False, markup=False)
            failed = 1
            continue
        print_outcome(outcome, console)
        console.print(f"kept as {outcome.save(asked.results)}", highlight=False)
    return failed


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("contests", nargs="*", type=_name, metavar="CONTEST",
                        help=f"{', '.join(NAMES)}; without any: all of them")
    parser.add_argument("--rounds", type=_positive, default=3, help="how often each contender runs")
    parser.add_argument("--seed", type=int, default=1, help="what the data is made from")
    parser.add_argument("--scale", type=float, default=1.0, help="of the data's size, for a first look: 0.1")
    parser.add_argument("--scratch", type=Path, default=Ask.parent, metavar="DIR",
                        help="where to work; a folder is made in it, and removed (%(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work in this empty folder, and leave it")
    parser.add_argument("--results", type=Path, default=document.NEW_RESULTS, metavar="DIR",
                        help="where results are kept, a file for each contest")
    parser.add_argument("--write", action="store_true",
                        help="take over the results, and make docs/PERFORMANCE.md of them")
    return parser.parse_args(arguments)


def _name(text: str) -> str:
    if text not in NAMES:  # argparse's own choices refuse that none is named
        raise argparse.ArgumentTypeError(f"there is no {text}: {nearest(text, NAMES)}")
    return text


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
