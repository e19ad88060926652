"""Hold contests: `make bench` holds all but growth, `python -m benchmarks database` one of them."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import document, programs
from benchmarks.ask import BYTES, FILES, Ask
from benchmarks.contests import NAMES, USUAL, hold
from benchmarks.measuring import CommandFailed
from benchmarks.scratch import NoRoom
from benchmarks.showing import print_outcome
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.wording import nearest
from nightscan_tasks.world.sample.size import parse_size


def main(arguments: Sequence[str]) -> int:
    """Status 0; 1 where a contest could not be held, 130 where it was interrupted."""
    asked = _parsed(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    if asked.write:
        console.print("\n".join(document.write(asked.results)), highlight=False)
        return 0
    programs.provide()
    contests = dict.fromkeys(name for each in asked.contests or USUAL for name in NAMES.get(each, (each,)))
    try:
        held = [_hold(name, _ask(asked, name), console, asked.results) for name in contests]
    except KeyboardInterrupt:
        console.print("interrupted: what was finished is kept; `python -m benchmarks NAME …` holds the rest",
                      highlight=False)
        return 130
    if asked.results == document.NEW_RESULTS and any(held):
        console.print("`python -m benchmarks --write` puts it into docs/PERFORMANCE.md", highlight=False)
    return 0 if all(held) else 1


def _hold(name: str, ask: Ask, console: Console, results: Path) -> bool:
    """Hold one, show and keep what came of it; whether it could be held."""
    try:
        outcome = hold(name, ask, console)
    except (NoRoom, CommandFailed, NightscanError) as exc:
        console.print(f"{name}: {exc}", style="red", highlight=False, markup=False)
        return False
    print_outcome(outcome, console)
    console.print(f"kept as {outcome.save(results)}", highlight=False)
    return True


def _ask(asked: argparse.Namespace, name: str) -> Ask:
    rounds = asked.rounds or (1 if name in NAMES["growth"] else Ask.rounds)
    return Ask(rounds, asked.seed, asked.scale, asked.bytes, asked.files, asked.only, parent=asked.scratch,
               keep=asked.keep)


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("contests", nargs="*", type=_name, metavar="CONTEST",
        help=f"{', '.join(NAMES)}; without any: {', '.join(USUAL)}")
    add("--rounds", type=_positive, metavar="N", help="how often each contender runs (3; of growth: 1)")
    add("--seed", type=int, default=Ask.seed, metavar="N", help="what the data is made from (%(default)s)")
    add("--scale", type=float, default=Ask.scale, metavar="PART",
        help="of the usual size of the data; 0.1 is a first look")
    add("--bytes", type=_sizes, default=BYTES, metavar="SIZES", help="steps of growth_bytes: 100MB,1GB,10GB")
    add("--files", type=_sizes, default=FILES, metavar="NUMBERS", help="steps of growth_files: 1000,100k,1M")
    add("--only", type=_names, default=(), metavar="NAMES",
        help="let only these take part, by how their names begin: restic,nightscan")
    add("--scratch", type=Path, default=Ask.parent, metavar="DIR",
        help="where to work: a folder is made in it, and removed (%(default)s)")
    add("--keep", type=Path, metavar="DIR", help="work in a new folder of this one, and leave it there")
    add("--results", type=Path, default=document.NEW_RESULTS, metavar="DIR",
        help="where results are kept, a file for each contest")
    add("--write", action="store_true", help="take over the results, and make docs/PERFORMANCE.md of them")
    return parser.parse_args(arguments)


def _name(text: str) -> str:
    if text not in NAMES:  # argparse's own choices refuse that none is named
        raise argparse.ArgumentTypeError(f"there is no {text}: {nearest(text, tuple(NAMES))}")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({parse_size(each) for each in text.split(",")}))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves no server and no scratch behind either
    sys.exit(main(sys.argv[1:]))
