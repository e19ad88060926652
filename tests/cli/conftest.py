"""Running the command line: in this process where no application is built, else as a person does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nightscan_tasks.cli import nightscan

COLUMNS = 80


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, all of which is JSON."""
        return json.loads(self.out)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command in this process: `here("list", env=environ)`."""

    def run(*words: str, env: Mapping[str, str] | None = None) -> Result:
        for name, value in {"COLUMNS": str(COLUMNS), **(env or {})}.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(nightscan, words)

    return run


@pytest.fixture
def typed() -> Callable[..., Ran]:
    """Run a command in a process of its own, with just the environment that it is given."""

    def run(*words: str, env: Mapping[str, str], program: tuple[str, ...] = ("nightscan_tasks.cli",)) -> Ran:
        done = subprocess.run([sys.executable, "-m", *program, *words], capture_output=True, text=True,
                              check=False, env=_environ(env), timeout=300)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def begun() -> Callable[..., subprocess.Popen[str]]:
    """Begin a command in a process of its own; whoever asks ends it."""

    def begin(*words: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", "nightscan_tasks.cli", *words], text=True,
                                env=_environ(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return begin


def _environ(env: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "COLUMNS": str(COLUMNS), **env}
