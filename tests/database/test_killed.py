"""A restore that is killed at any step leaves the old state or the new one, and the next one goes on."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.restorer import Position

pytestmark = pytest.mark.long

STEP = """
import contextlib, os, pickle, signal, sys
from types import SimpleNamespace
from pydantic import SecretStr
from nightscan_tasks.components.database_restorer import DatabaseRestorer

def at(name):
    if name.startswith(last):
        os.kill(os.getpid(), signal.SIGKILL)

@contextlib.contextmanager
def opened(artifact):
    data = streams[artifact.name.removesuffix(".gz")]
    def chunks():
        yield data[:data.index(b"row 250")]
        at("half of the rows")
        yield data[data.index(b"row 250"):]
    yield chunks() if b"row 250" in data else iter([data])

with open(sys.argv[1], "rb") as file:
    streams, report, artifacts = pickle.load(file)
dsn, tables, step, last = sys.argv[2:]
restorer = DatabaseRestorer(SecretStr(dsn), "r", tables=tuple(filter(None, [tables])), at=at)
source = SimpleNamespace(report=report, artifacts=artifacts, open=opened)
getattr(restorer, step)(*([source] if step == "stage" else []))
"""
SITE = ("CREATE TABLE t (id int PRIMARY KEY, x text)",
        "INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 500) g",
        "CREATE TABLE u (id int PRIMARY KEY REFERENCES t)", "CREATE VIEW v AS SELECT * FROM t")
WHOLE = [("stage", "load"), ("stage", "half of the rows"), ("stage", "compare"), ("stage", "mark"),
         ("swap", "rename to nightscan_before"), ("swap", "rename to test"), ("undo", "rename to test")]
PART = [("stage", "half of the rows"), ("stage", "set aside"), ("stage", "compare part"),
        ("stage", "mark part"), ("swap", "move out"), ("swap", "move in"), ("undo", "move back")]


@pytest.fixture
def saved(scratch: Any) -> Any:
    scratch.run(*SITE)
    saved = scratch.saved()
    scratch.run("UPDATE t SET x = 'later'")
    return saved


def killed(scratch: Any, file: Path, tables: str, step: str, last: str) -> None:
    uri = scratch.dsn.get_secret_value()
    done = subprocess.run([sys.executable, "-c", STEP, str(file), uri, tables, step, last], check=False,
                          capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def content(scratch: Any) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = scratch.rows("SELECT min(x), count(*) FROM v")
    return rows


@pytest.mark.parametrize(("tables", "steps"), [("", WHOLE), ("t", PART)], ids=["whole", "part"])
def test_a_restore_that_is_killed_at_any_step_can_be_gone_on_with(
    scratch: Any, saved: Any, tmp_path: Path, tables: str, steps: list[tuple[str, str]],
) -> None:
    old, new = [("later", 500)], [("row 1", 500)]
    file = tmp_path / "saved"
    file.write_bytes(pickle.dumps((saved.streams, saved.report, saved.artifacts)))
    for step, last in steps:
        if step == "swap":
            scratch.restorer(tables=(tables,) if tables else ()).stage(saved)
        if step == "undo":
            scratch.restorer().swap()
        killed(scratch, file, tables, step, last)
        assert content(scratch) == (new if step == "undo" else old), last
        position = scratch.restorer().position()
        assert position is (Position.SWAPPED if step == "undo" else Position.STAGED), last
    scratch.restorer().undo()
    assert (content(scratch), scratch.restorer().position()) == (old, Position.UNDONE)
    scratch.restorer().accept()
    assert scratch.rows("SELECT datname FROM pg_database WHERE datname LIKE 'nightscan\\_%'") == []
    assert scratch.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'nightscan\\_%'") == []
