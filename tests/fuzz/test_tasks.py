"""Whatever a message, or a person at a terminal, asks for is done, or refused in our own words."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightscan_tasks.cli import nightscan
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.tasks import control, drills, proof, restores

_TEXTS = st.one_of(st.text(max_size=20), st.sampled_from([
    "daily", "../../etc/passwd", "/etc/passwd", "daily/20261123T020000Z", "primary", "$(touch marker)",
    "`touch marker`", "; touch marker", "| touch marker", "--help", "postgresql://127.0.0.1:1/x",
    "redis://127.0.0.1:1", "file:///etc", "s3://x/y", "\x00", "\n", "database",
    "restore-20261123T020000000000Z",
    "2026-11-23T02:00", "%2e%2e", "full"]))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=6)
_NAMES = st.sampled_from([
    "set_id", "tier", "index", "before", "store", "target_db", "target_redis", "target_root", "tables",
    "schemas",
    "databases", "keys", "paths", "safety", "unsigned", "unguarded", "dry_run", "run_id", "part", "component",
    "simulate_loss", "odd", "self"])
TASKS = [restores.restore_full, restores.restore_database, restores.restore_redis, restores.restore_user_data,
         restores.restore_system_config, restores.restore_source_code, restores.restore_rollback,
         restores.restore_accept, restores.restore_resume, control.verify, proof.validate_user_data,
         drills.drill]


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory, clean_home: Path) -> Iterator[Path]:
    """Settings of an application that has nothing and reaches nothing."""
    folder = tmp_path_factory.mktemp("nowhere")
    for name in ("root", "etc", "backups", "scratch"):
        (folder / name).mkdir()
    environ = {
        "NIGHTSCAN_DATABASE_URI": "postgresql://nightscan@127.0.0.1:1/nightscan",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "NIGHTSCAN_BROKER_URL": "redis://127.0.0.1:2/0", "NIGHTSCAN_ROOT": str(folder / "root"),
        "NIGHTSCAN_ETC": str(folder / "etc"), "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"),
        "NIGHTSCAN_TEMP_DIR": str(folder / "scratch")}
    (folder / "environ.json").write_text(json.dumps(environ))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    assert not list(folder.rglob("marker"))


@pytest.fixture
def there(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in json.loads((nowhere / "environ.json").read_text()).items():
        monkeypatch.setenv(name, value)
    return nowhere


def outside(folder: Path) -> list[str]:
    """What there is beside what belongs to the application's own folders."""
    return sorted(path.name for path in folder.iterdir())


def _at_most(share: int) -> settings:
    """So much of what the profile asks for. The fixture only says where the application would be."""
    return settings(max_examples=max(5, settings().max_examples // share), suppress_health_check=[
        HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@_at_most(20)
@given(st.dictionaries(_NAMES, _JSON, max_size=4), st.lists(_JSON, max_size=2))
def test_a_task_with_any_arguments_does_its_work_or_says_why_not(
        there: Path, task: Any, which: dict[str, Any], positional: list[Any]) -> None:
    before = outside(there)
    given_json = json.loads(json.dumps([positional, which]))
    refused: BaseException | None = None
    try:
        task.run(*given_json[0], **given_json[1])
    except (TypeError, ValueError) as exc:
        refused = exc
    except NightscanError:
        pass
    if refused:  # which is said before anything is begun
        places = {Path(frame.filename).name for frame in traceback.extract_tb(refused.__traceback__)}
        assert not {"restoring.py", "drilling.py"} & places, repr(refused)
    assert outside(there) == before
    assert Path.cwd() == there


_WORDS = st.sampled_from([
    "list", "status", "restore", "database", "full", "user_data", "verify", "files", "rotate", "runs",
    "rollback",
    "audit", "hold", "--json", "--local", "--dry-run", "--set", "--tier", "--index", "--before", "--from",
    "--target-root",
    "--table", "--path", "--why", "daily", "5", "--target-db", "--unguarded", "--no-safety"])


@_at_most(4)
@given(st.lists(st.one_of(_WORDS, _TEXTS), max_size=6))
def test_a_command_line_of_any_words_ends_with_one_of_four_statuses(there: Path, words: list[str]) -> None:
    if words[:1] in (["demo"], ["world"], ["bootstrap"], ["recover"]):
        return
    before = outside(there)
    done = CliRunner().invoke(nightscan, ["restore" if word == "full" else word for word in words], input="")
    assert done.exit_code in {0, 1, 2, 3}, done.output
    ended = done.exception
    assert ended is None or isinstance(ended, (SystemExit, NightscanError)), repr(ended)
    assert outside(there) == before
