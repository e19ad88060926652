"""Property-based tests for as long as somebody has time: `make fuzz`.

Each round runs every such test with another seed. FUZZ_MINUTES (10) says for how long, FUZZ_SEED where to
begin; what fails prints how to have it again.
"""

from __future__ import annotations

import collections
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

_FOLDERS = ("tests/fuzz", "tests/retention", "tests/scrub", "tests/core", "tests/database", "tests/files",
            "tests/signing")
_TEST = re.compile(r"^(tests/[^\n]+::[^\n]+):$")
_EXAMPLES = re.compile(r"^ +- (\d+) passing(?: examples)?, (\d+) failing(?: examples)?,? ")
_AGAIN = "FUZZ_SEED={seed} FUZZ_MINUTES=0 make fuzz"


def main() -> int:
    """Round after round until the time is over, or something failed; its status."""
    seed = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(1 << 31))
    deadline = time.monotonic() + 60 * float(os.environ.get("FUZZ_MINUTES") or 10)
    counts: collections.Counter[str] = collections.Counter()
    rounds = 0
    while rounds == 0 or time.monotonic() < deadline:
        rounds += 1
        print(f"round {rounds}, seed {seed}", flush=True)
        done = _round(seed, counts)
        if done:
            print(f"failed; again with: {_AGAIN.format(seed=seed)}")
            return done
        seed += 1
    _tell(counts, rounds)
    return 0 if counts else 1  # what counted nothing may have run nothing


def _round(seed: int, counts: collections.Counter[str]) -> int:
    """One run of all tests; how it ended. Counts examples by test; what failed is printed."""
    argv = [sys.executable, "-m", "pytest", "-n0", "-q", "-x", "-m", "hypothesis",
            f"--hypothesis-seed={seed}", "--hypothesis-show-statistics",
            *(folder for folder in _FOLDERS if Path(folder).is_dir())]
    done = subprocess.run(argv, env={**os.environ, "HYPOTHESIS_PROFILE": "fuzz"}, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        print(done.stdout)
    test = ""
    for line in done.stdout.splitlines():
        if found := _TEST.match(line):
            test = found[1]
        if (examples := _EXAMPLES.match(line)) and test:
            counts[test] += sum(map(int, examples.groups()))
    return done.returncode


def _tell(counts: collections.Counter[str], rounds: int) -> None:
    for test, count in sorted(counts.items()):
        print(f"{count:>9,}  {test}")
    print(f"{sum(counts.values()):>9,}  examples of {len(counts)} tests in {rounds} rounds, none failed")


if __name__ == "__main__":
    sys.exit(main())
