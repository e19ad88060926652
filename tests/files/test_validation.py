"""Every live file against its recorded hash: whole, damaged, changed, missing and new ones are told apart."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.user_data import UserData
from nightscan_tasks.errors import NotFound, RestoreRefused
from nightscan_tasks.model import Manifest, SetId
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.validation import Validation, validate_user_data

SaveSet = Callable[..., Any]  # described in conftest.py
Validate = Callable[..., Validation]

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@pytest.fixture
def validate(rich_tree: Path, save_set: SaveSet, tmp_path: Path) -> Validate:
    """Save `rich_tree`, and look at it again when called."""
    settings = load({"NIGHTSCAN_ROOT": str(rich_tree), "NIGHTSCAN_LOGS_DAYS": "100000",
                     "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_TEMP_DIR": str(tmp_path)})
    system = System(settings, clock=lambda: NOW)
    saved = save_set(UserData(settings, lambda: NOW))
    manifest = Manifest(SetId.parse("daily/20261123T020000Z"), "daily-20261123T020000Z", complete=True,
                        opened_at=NOW, settled_at=NOW, encrypted_for=None, host="here", tag=None,
                        components={"user_data": saved.report}, artifacts=saved.artifacts)

    def run(**more: Any) -> Validation:
        return validate_user_data(system, manifest, saved.open, **more)
    return run


def test_what_nobody_touched_is_whole(validate: Validate, rich_tree: Path) -> None:
    found = validate()
    files = sum(1 for path in rich_tree.rglob("*") if path.is_symlink() or not path.is_dir())
    assert found.counts == {"whole": files, "damaged": 0, "changed": 0, "missing": 0, "new": 0,
                            "unreadable": 0}
    assert found.ok
    assert found.read_bytes > 3_000_000


def test_each_kind_of_difference_is_told_apart(validate: Validate, rich_tree: Path) -> None:
    rot(rich_tree / "uploads/2026/11/call.wav")
    (rich_tree / "config/app.ini").write_text("changed")
    (rich_tree / "config/run.sh").unlink()
    (rich_tree / "config/link").unlink()
    (rich_tree / "config/link").symlink_to("elsewhere")
    for name in ("uploads/new.wav", "uploads/new.tmp", "uploads/cache/x", "app.py"):
        (rich_tree / name).parent.mkdir(exist_ok=True)
        (rich_tree / name).write_text("new")
    found = validate()
    assert found.names == {
        "damaged": ("uploads/2026/11/call.wav",), "changed": ("config/app.ini", "config/link"),
        "missing": ("config/run.sh",), "new": ("uploads/new.wav",), "unreadable": ()}
    assert not found.ok
    assert json.loads(json.dumps(found.as_json()))["counts"]["damaged"] == 1


def rot(path: Path) -> None:
    """Damage a file as a disk does: its length and time stay."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_only_the_first_names_are_kept(validate: Validate, rich_tree: Path) -> None:
    for number in range(30):
        (rich_tree / f"uploads/{number}.wav").write_text("new")
    found = validate(named=3)
    assert found.counts["new"] == 30
    assert len(found.names["new"]) == 3
    assert found.ok


def test_a_part_is_validated_alone(validate: Validate, rich_tree: Path) -> None:
    (rich_tree / "models/a.pt").unlink()
    (rich_tree / "config/app.ini").write_text("changed")
    assert validate(paths=("config/*",)).counts["missing"] == 0
    assert validate(paths=("models",)).names["missing"] == ("models/a.pt",)
    with pytest.raises(RestoreRefused, match="matches nothing"):
        validate(paths=("nothing/*",))


def test_a_root_that_is_gone_is_all_missing(validate: Validate, rich_tree: Path) -> None:
    whole = validate().counts["whole"]
    rich_tree.rename(rich_tree.with_name("moved"))
    assert validate().counts["missing"] == whole


def test_a_file_that_cannot_be_read_is_named(ordinary_user: Path, save_set: SaveSet) -> None:
    (ordinary_user / "src/uploads").mkdir(parents=True)
    (ordinary_user / "src/uploads/a.wav").write_text("a")
    settings = load({"NIGHTSCAN_ROOT": str(ordinary_user / "src"), "NIGHTSCAN_TEMP_DIR": str(ordinary_user),
                     "NIGHTSCAN_BACKUP_DIR": str(ordinary_user / "backups")})
    saved = save_set(UserData(settings, lambda: NOW))
    (ordinary_user / "src/uploads/a.wav").chmod(0)
    manifest = Manifest(SetId.parse("daily/20261123T020000Z"), "run", complete=True, opened_at=NOW,
                        settled_at=NOW, encrypted_for=None, host="here", tag=None,
                        components={"user_data": saved.report}, artifacts=saved.artifacts)
    found = validate_user_data(System(settings), manifest, saved.open)
    assert found.names["unreadable"] == ("uploads/a.wav",)


def test_a_set_without_user_data_is_refused(tmp_path: Path) -> None:
    manifest = Manifest(SetId.parse("daily/20261123T020000Z"), "run", complete=True, opened_at=NOW,
                        settled_at=NOW, encrypted_for=None, host="here", tag=None, components={},
                        artifacts=())
    with pytest.raises(NotFound, match="has no user_data"):
        validate_user_data(System(load({})), manifest, lambda _artifact: pytest.fail("not asked for"))
