"""A primary store that runs full in mid-write: a small file system, filled by a real run."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nightscan_tasks.backup import Request, run_local
from nightscan_tasks.ledger import Ending, Outcome
from nightscan_tasks.model import Days, Plan, Tier
from nightscan_tasks.system import System
from nightscan_tasks.verification import verify_set

FILES = Plan(Tier.DAILY, ("user_data", "system_config"), Days(7))
_MEGABYTE = 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = tmp_path / "small"
    mounted.mkdir()
    made = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mounted)],
                          capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a small file system needs root; the store is tested with RLIMIT_FSIZE for all")
    yield mounted
    subprocess.run(["/bin/umount", str(mounted)], check=True)


@pytest.fixture
def site(tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An application with one megabyte of recordings, stored on the small disk."""
    root, etc = tmp_path / "nightscan", tmp_path / "etc"
    (root / "uploads").mkdir(parents=True)
    etc.mkdir()
    (etc / "crontab").write_text("0 2 * * * root true\n")
    record(root / "uploads/a.wav", 1)
    for name, value in {"NIGHTSCAN_ROOT": root, "NIGHTSCAN_ETC": etc, "NIGHTSCAN_RETRIES": 0,
                        "NIGHTSCAN_BACKUP_DIR": small_disk / "backups",
                        "NIGHTSCAN_JOBS": 1,  # side by side, the other parts meet the full disk as well
                        }.items():
        monkeypatch.setenv(name, str(value))
    return root


def record(path: Path, megabytes: int) -> None:
    """What no codec makes smaller."""
    path.write_bytes(random.Random(1).randbytes(megabytes * _MEGABYTE))


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


def night() -> Outcome:
    return run_local(System.from_env(), Request(FILES), sleep=lambda _seconds: None)


def test_a_full_disk_fails_the_part_and_leaves_room_and_the_earlier_set(
        site: Path, small_disk: Path) -> None:
    before = night()
    assert before.ending == Ending.GOOD
    links = {path.name: path.readlink() for path in small_disk.glob("backups/latest_*")}

    record(site / "uploads/b.wav", 8)
    failed = night()
    assert failed.ending == Ending.INCOMPLETE
    (failure,) = failed.failures
    assert failure.part.startswith("user_data")
    assert failure.error == "StoreRefused"
    assert "free" in failure.message
    system, catalog = System.from_env(), System.from_env().catalog()
    stored = [entry.key for entry in system.primary.list(f"{failed.set_id}/")]
    listed = {failed.set_id.key(artifact.name) for artifact in catalog.get(failed.set_id).artifacts}
    assert listed == {key for key in stored if key.endswith(".gz")}
    assert not list(small_disk.rglob(".*")), "a half-written file stayed"
    newest = catalog.pick(tier=Tier.DAILY)
    assert newest.set_id == before.set_id
    assert verify_set(catalog, newest, clock=system.clock).problems == ()
    assert {path.name: path.readlink() for path in small_disk.glob("backups/latest_*")} == links

    (site / "uploads/b.wav").unlink()
    after = night()
    assert after.ending == Ending.GOOD
    assert catalog.pick(tier=Tier.DAILY).set_id == after.set_id


def test_a_disk_without_room_even_for_the_ledger_is_an_error_that_says_so_and_loses_nothing(
        site: Path, small_disk: Path) -> None:
    before = night()
    rest = small_disk / "rest"
    fill(rest)
    with pytest.raises(Exception, match=r"(?i)no space|is full|free"):
        night()
    catalog = System.from_env().catalog()
    assert verify_set(catalog, catalog.pick(tier=Tier.DAILY), clock=System.from_env().clock).problems == ()
    assert catalog.pick(tier=Tier.DAILY).set_id == before.set_id
    rest.unlink()
    assert night().ending == Ending.GOOD
