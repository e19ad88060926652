"""Ways to do the same thing, timed in turn."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 3


@dataclass(frozen=True)
class Result:
    """The median time of one way, in seconds, and all of them."""

    name: str
    seconds: float
    rounds: tuple[float, ...]


def contest(ways: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS,
            prepare: Callable[[], object] | None = None) -> dict[str, Result]:
    """Run the first way once to warm up what all share, then all of them in turn, `rounds` times.

    `prepare` comes before each of them and is not timed.
    """
    prepare = prepare or (lambda: None)
    times: dict[str, list[float]] = {name: [] for name in ways}
    prepare()
    next(iter(ways.values()))()
    for _ in range(rounds):
        for name, way in ways.items():
            prepare()
            os.sync()  # nobody pays for what another left in the cache
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    return {name: Result(name, statistics.median(taken), tuple(taken)) for name, taken in times.items()}


def shell(script: str, *, env: Mapping[str, str], cwd: Path) -> Callable[[], None]:
    """A way that is a shell pipeline, whose every part has to succeed."""
    bash = shutil.which("bash") or "/bin/bash"

    def run() -> None:
        subprocess.run([bash, "-o", "pipefail", "-c", script], check=True, cwd=cwd,
                       env={**os.environ, **env})

    return run
