"""`make chaos`: play a story, and print what came of it."""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from pathlib import Path

from chaos.faults import FAULTS
from chaos.telling import Wish, tell


def main() -> int:
    """Exit status 0 where nothing was lost, nothing was told wrong, and nothing is left."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--restores", type=int, default=-1, help="how many sets are restored; -1: all")
    parser.add_argument("--only", action="append", default=[], choices=sorted(FAULTS), help="only this fault")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no run after so long")
    parser.add_argument("--primary", choices=("directory", "s3"), default="directory",
                        help="where the sets, the ledger and the leases are")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave the logs there")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    if given.keep:
        return _played(given, given.keep)
    with tempfile.TemporaryDirectory(prefix="nightscan-chaos-") as folder:
        return _played(given, Path(folder))


def _played(given: argparse.Namespace, folder: Path) -> int:
    wish = Wish(given.seed, given.runs, given.restores, given.only, given.primary, given.minutes)
    figures = tell(folder, wish, lambda line: print(line, flush=True))
    print("\n".join(figures.lines()))
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
