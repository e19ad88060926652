"""The commands a person types, and the script that judges a change."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items()
               if name not in {"MAKEFLAGS", "MAKELEVEL", "VENV", "PYTHON"}}
    return subprocess.run(["make", *arguments], cwd=checkout, env=environ, check=False,  # noqa: S607 - the make of the machine
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_help_is_the_default_and_names_every_command(checkout: Path) -> None:
    listed = make(checkout)
    assert listed.stdout == make(checkout, "help").stdout
    targets = re.search(r"^\.PHONY: (.*)$", (checkout / "Makefile").read_text(), re.MULTILINE)
    assert targets is not None
    assert re.findall(r"^  make (\S+)", listed.stdout, re.MULTILINE) == targets[1].split()


def test_what_make_made_is_cleaned_and_nothing_else(checkout: Path) -> None:
    (checkout / "kept").touch()
    before = sorted(checkout.iterdir())
    for name in (".venv", "build", ".mypy_cache"):
        (checkout / name).mkdir()
    assert make(checkout, "clean").returncode == 0
    assert sorted(checkout.iterdir()) == before


@pytest.mark.parametrize("command", ["install", "demo", "test", "test-long", "fuzz", "lint", "bench",
                                     "screenshots"])
def test_everything_that_needs_the_environment_makes_it_first(
    checkout: Path, command: str,
) -> None:
    plan = make(checkout, "--dry-run", command, "PYTHON=python3.99").stdout.splitlines()
    assert plan[0] == "python3.99 -m tools.bootstrap .venv"


@pytest.mark.parametrize(("broken", "status"), [
    ((), 0), (("lint",), 1), (("test",), 1), (("test-long",), 1), (("lint", "test"), 1)])
def test_ci_runs_all_parts_and_names_what_failed(
    checkout: Path, broken: tuple[str, ...], status: int,
) -> None:
    parts = "".join(f"{part}:\n\t@echo {part} ran; {'false' if part in broken else 'true'}\n"
                    for part in ("lint", "test", "test-long"))
    (checkout / "Makefile").write_text(parts)
    done = subprocess.run([".ci/run"], cwd=checkout, check=False, capture_output=True, text=True,
                          env={**os.environ, "CI": "true"}, stdin=subprocess.DEVNULL)
    assert done.returncode == status
    assert "lint ran\n" in done.stdout
    assert "test ran\n" in done.stdout
    assert "test-long ran\n" in done.stdout
    assert re.findall(r"^failed: make ([\w-]+)$", done.stderr, re.MULTILINE) == list(broken)
