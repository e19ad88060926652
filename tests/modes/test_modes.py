"""Folders 0750 and files 0640, whatever the umask: by the command line and by what a worker calls."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

_RUNS = """
import os, sys
os.umask(int(sys.argv[1], 8))
from nightscan_tasks import backup, drill
from nightscan_tasks.audit import Action
from nightscan_tasks.backup import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.model import FOREVER, Plan, Tier
from nightscan_tasks.restore import accept, restore, rollback
from nightscan_tasks.restore.journal import LOCAL_FOLDER, _local
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set
from nightscan_tasks.workflows.restore import wanted

system = System.from_env()
outcome = backup.run_local(system, Request(Plan(Tier.MANUAL, ("system_config", "source_code"), FOREVER)))
assert outcome.ending == "good", outcome
assert all(each.problem == "" for each in drill.prove_key(system))
for component in ("system_config", "source_code"):
    done = restore(system, wanted(component, target_root=sys.argv[2]))
second = restore(system, wanted("source_code", target_root=sys.argv[2] + "/again"))
rollback(system, second.run_id)
accept(system, second.run_id)
with system.leases.hold("something", "a test"):
    pass
journal = _local(system, None)
journal.restores.store.put("restores/one.json", [b"{}"])
import pathlib
root = pathlib.Path(os.environ["NIGHTSCAN_BACKUP_DIR"])
(root / "audit").rename(root / "aside")
(root / "audit").write_text("in the way")
System.from_env().audit.record(Action.HOLD, "daily/20261123T020000Z")
(root / "audit").unlink()
(root / "aside").rename(root / "audit")
"""
_RECONCILES = """
from datetime import timedelta
from nightscan_tasks.restore.putting_right import put_right
from nightscan_tasks.settings import load
from nightscan_tasks.system import System, utc_now

later = System(load(), clock=lambda: utc_now() + timedelta(days=3))  # what is fresh is left alone
assert put_right(later, apply=True).quarantined == 1
"""
_FILES = {"uploads/a.wav": 0o600, "web/app.py": 0o755, "web/open.txt": 0o666}


@pytest.fixture
def small(tmp_path: Path, gpg_home: Path) -> dict[str, str]:
    """A NightScan of a few files with modes of their own, stored twice."""
    for name in ("root", "etc", "temp"):
        (tmp_path / name).mkdir()
    (tmp_path / "etc/crontab").write_text("# nothing\n")
    for name, mode in _FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
        path.chmod(mode)
    return {"NIGHTSCAN_ROOT": str(tmp_path / "root"), "NIGHTSCAN_ETC": str(tmp_path / "etc"),
            "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "made/backups"),
            "NIGHTSCAN_OFFSITE": str(tmp_path / "made2/offsite"),
            "NIGHTSCAN_TEMP_DIR": str(tmp_path / "temp"),
            "NIGHTSCAN_GPG_RECIPIENT": "backup@nightscan.com", "NIGHTSCAN_GPG_HOME": str(gpg_home),
            "PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}


def _modes(folder: Path) -> Iterator[tuple[str, str]]:
    """Every path below a folder, itself included, whose mode is another than it has to be."""
    for path in (folder, *folder.rglob("*")):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            continue
        wanted = 0o750 if stat.S_ISDIR(found.st_mode) else 0o640
        if stat.S_IMODE(found.st_mode) != wanted:
            yield str(path.relative_to(folder.parent)), oct(stat.S_IMODE(found.st_mode))


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_all_that_is_made_has_its_mode(umask: int, small: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _RUNS, oct(umask), str(tmp_path / "look")], env=small,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours = [tmp_path / "made", tmp_path / "made2",
            tmp_path / "root/.nightscan_audit", tmp_path / "root/.nightscan_restores"]
    assert {each.name for each in (ours[0] / "backups").iterdir()} >= {
        "manual", "runs", "restores", "leases", "audit"}
    assert (ours[2] / "records.jsonl.waiting").stat().st_size
    assert list(ours[3].rglob("*.json"))
    assert [wrong for folder in ours for wrong in _modes(folder)] == []
    left = [path for path in (tmp_path / "temp").rglob("*") if path.stat().st_mode & 0o077]
    assert not left
    for name, mode in _FILES.items():
        if not name.startswith("uploads/"):  # what is restored has the mode that was saved
            assert stat.S_IMODE((tmp_path / "look/source_code" / name).stat().st_mode) == mode


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_the_command_line_s_too(umask: int, small: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nightscan_tasks.cli", "backup", "manual", "--component", "system_config",
         "--local", "--json"], env=small, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ending"] == "good"
    assert [*_modes(tmp_path / "made"), *_modes(tmp_path / "made2")] == []


def test_what_reconciling_and_restoring_leave_beside_what_is_live_is_open_to_nobody_else(
        environ: dict[str, str]) -> None:
    root = Path(environ["NIGHTSCAN_ROOT"])
    with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
        connection.execute("CREATE TABLE prediction (id serial PRIMARY KEY, filename text)")
        connection.execute("INSERT INTO prediction (filename) VALUES ('named.wav')")
    for name in ("named.wav", "orphan.wav"):
        (root / "uploads" / name).write_bytes(b"sound")
        os.utime(root / "uploads" / name, (1, 1))
    env = {**environ, "NIGHTSCAN_RECONCILE": "prediction.filename=uploads",
           "PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    for words in (("backup", "manual", "--component", "user_data", "--local"), (),
                  ("restore", "user_data", "--no-safety", "--local")):
        argv = ["-m", "nightscan_tasks.cli", *words] if words else ["-c", _RECONCILES]
        done = subprocess.run([sys.executable, *argv], env=env, umask=0, capture_output=True, text=True,
                              check=False)
        assert done.returncode in {0, 3}, done.stderr
    ours = [path for name in root.glob(".nightscan_*") for path in (name, *name.rglob("*"))]
    assert root / ".nightscan_quarantine" in ours
    assert any("orphan.wav" in path.name for path in ours)
    assert any(path.name.startswith(".nightscan_journal_") for path in ours)
    folders = [path for path in ours if path.is_dir()]
    assert [path for path in folders if path.stat().st_mode & 0o027 and path.parent == root] == []
