"""Rows, files and sets are brought together again, whatever of them was lost."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from nightscan_tasks import settings
from nightscan_tasks.backup.local import run_local
from nightscan_tasks.backup.opening import Request
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.cli import nightscan
from nightscan_tasks.errors import Busy, RestoreRefused, SettingsError
from nightscan_tasks.model import FOREVER, Plan, SetId, Tier
from nightscan_tasks.reconcile import (
    Missing,
    Reconciled,
    Saved,
    Site,
    parse_columns,
    reconcile,
    reconcile_live,
)
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System
from nightscan_tasks.tasks.proof import reconcile_user_data
from worker.queues import RESTORE, ROUTES

IN_ORDER = {f"{path}": f"content of {path}" for path in ("2026/a.wav", "2026/b.wav", "c.jpg")}


_TABLES = """
CREATE TABLE prediction (id serial PRIMARY KEY, filename text);
CREATE TABLE detection (id serial PRIMARY KEY, image_url text);
"""


@dataclass
class Application:
    """Rows, files and sets that a test changes. Its clock is two hours on: no file is fresh."""

    environ: dict[str, str]
    now: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=2))

    @property
    def root(self) -> Path:
        return Path(self.environ["NIGHTSCAN_ROOT"])

    @property
    def quarantine(self) -> Path:
        return self.root / ".nightscan_quarantine" / f"{self.now:%Y-%m-%d}"

    def system(self) -> System:
        def clock() -> datetime:
            self.now += timedelta(milliseconds=1)
            return self.now

        return System(settings.load(self.environ), clock)

    def execute(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.environ["NIGHTSCAN_DATABASE_URI"]) as connection:
            connection.execute(statement.encode(), values or None)

    def name(self, *values: str, table: str = "prediction", column: str = "filename") -> None:
        """Rows that name files."""
        for value in values:
            self.execute(f"INSERT INTO {table} ({column}) VALUES (%s)", value)  # noqa: S608 - a test's own

    def write(self, path: str, content: str = "") -> Path:
        """A file below uploads."""
        file = self.root / "uploads" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content or f"content of {path}")
        return file

    def save(self, tier: Tier = Tier.DAILY) -> SetId:
        """Take a set of the files."""
        self.now += timedelta(seconds=2)
        return run_local(self.system(), Request(Plan(tier, ("user_data",), FOREVER))).set_id

    def reconcile(self, *, apply: bool = False) -> Reconciled:
        system = self.system()
        return reconcile_live(system, partial(plain, system), apply=apply)

    def files(self) -> dict[str, str]:
        """Every file below uploads and in the quarantine, by path, with its content."""
        found = {}
        for base in (self.root / "uploads", self.quarantine):
            for folder, _, names in os.walk(base):
                for name in names:
                    path = Path(folder, name)
                    prefix = "quarantine/" if base == self.quarantine else ""
                    found[f"{prefix}{path.relative_to(base)}"] = path.read_text()
        return found


@pytest.fixture
def application(database: str, tmp_path: Path) -> Application:
    """An application with three files and their rows, two stores, and no set."""
    root = tmp_path / "nightscan"
    (tmp_path / "scratch").mkdir()
    made = Application({
        "NIGHTSCAN_DATABASE_URI": database, "NIGHTSCAN_ROOT": str(root),
        "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "NIGHTSCAN_OFFSITE": str(tmp_path / "offsite"),
        "NIGHTSCAN_TEMP_DIR": str(tmp_path / "scratch"), "NIGHTSCAN_USER_DATA": "uploads",
        "NIGHTSCAN_RETRIES": "0"})
    made.execute(_TABLES)
    for path in ("2026/a.wav", "2026/b.wav", "c.jpg"):
        made.write(path)
    made.name("2026/a.wav", "uploads/2026/b.wav")
    made.name("/uploads/c.jpg?v=2", table="detection", column="image_url")
    return made


def flip(folder: str, pattern: str) -> None:
    """Damage every file of that name."""
    for path in Path(folder).glob(pattern):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)


def test_where_all_is_in_order_nothing_is_read_or_changed(application: Application) -> None:
    found = application.reconcile(apply=True)
    assert found.in_order
    assert (found.counts.rows, found.counts.named, found.counts.found, found.missing, found.orphans) == (
        3, 3, 3, 0, 0)
    assert application.files() == IN_ORDER
    assert sorted(path.name for path in application.root.iterdir()) == ["uploads"]


def test_a_plan_tells_everything_and_changes_nothing(application: Application) -> None:
    daily = application.save()
    shutil.rmtree(application.root / "uploads/2026")
    application.write("stray.wav", "nobody's")
    application.name("never-saved.wav", "../outside", "https://elsewhere.example.org/x.jpg")
    before = application.files()
    found = application.reconcile()
    assert application.files() == before
    assert not found.in_order
    assert found.first_missing == (Missing("uploads/2026/a.wav", str(daily)),
                                   Missing("uploads/2026/b.wav", str(daily)))
    assert found.sources == {f"{daily}@primary": 2}
    assert found.first_lost == ("uploads/never-saved.wav",)
    assert found.first_orphans == ("uploads/stray.wav",)
    assert (found.counts.foreign, found.orphan_bytes) == (2, 8)


def test_applied_it_is_in_order_and_stays_so(application: Application) -> None:
    file = application.root / "uploads/2026/a.wav"
    file.chmod(0o640)
    os.utime(file, ns=(0, 1_700_000_000_123_456_789))
    file.parent.chmod(0o750)
    application.save()
    shutil.rmtree(application.root / "uploads")
    application.write("deep/er/stray.wav", "nobody's")
    found = application.reconcile(apply=True)
    assert found.in_order
    assert (found.fetched, found.quarantined) == (3, 1)
    assert application.files() == {**IN_ORDER, "quarantine/uploads/deep/er/stray.wav": "nobody's"}
    assert (file.stat().st_mode & 0o777, file.stat().st_mtime_ns) == (0o640, 1_700_000_000_123_456_789)
    assert file.parent.stat().st_mode & 0o777 == 0o750
    (line,) = (application.quarantine.parent / "moves.jsonl").read_text().splitlines()
    assert json.loads(line)["from"] == "uploads/deep/er/stray.wav"
    assert json.loads(line)["to"] == f"{application.quarantine.name}/uploads/deep/er/stray.wav"
    again = application.reconcile(apply=True)
    assert again.in_order
    assert (again.fetched, again.quarantined) == (0, 0)
    assert not (application.root / ".nightscan_reconcile").exists()


def test_each_file_comes_from_the_newest_set_that_has_it_whatever_its_tier(application: Application) -> None:
    weekly = application.save(Tier.WEEKLY)
    (application.root / "uploads/2026/a.wav").unlink()
    application.write("c.jpg", "changed")
    daily = application.save(Tier.DAILY)
    shutil.rmtree(application.root / "uploads")
    found = application.reconcile(apply=True)
    assert found.sources == {f"{daily}@primary": 2, f"{weekly}@primary": 1}
    assert application.files() == {**IN_ORDER, "c.jpg": "changed"}


def test_sets_are_read_no_further_than_needed(application: Application) -> None:
    application.save()
    application.save()
    (application.root / "uploads/c.jpg").unlink()
    system, opened = application.system(), []

    def counted(catalog: Catalog, manifest: object, artifact: object) -> object:
        opened.append(artifact)
        return plain(system, catalog, manifest, artifact)  # type: ignore[arg-type]  # as they came

    site = Site(system.settings.dsn, application.root, parse_columns(system.settings.reconcile),
                grace=timedelta(0))
    saved = Saved(counted, (system.catalog(),))  # type: ignore[arg-type]  # it is one
    found = reconcile(site, saved, now=application.now)
    assert found.recoverable == 1
    assert len(opened) <= system.settings.user_data_archives  # the indexes of one set
    opened.clear()
    application.write("c.jpg")
    assert reconcile(site, saved, now=application.now).in_order
    assert not opened


def test_a_damaged_archive_gives_nothing_and_the_other_copy_all(application: Application) -> None:
    application.save()
    shutil.rmtree(application.root / "uploads")
    flip(application.environ["NIGHTSCAN_BACKUP_DIR"], "daily/*/user_data.*.tar.gz")
    found = application.reconcile(apply=True)
    assert application.files() == IN_ORDER
    assert found.fetched == 3
    assert any("primary daily/" in problem and "damaged" in problem for problem in found.problems)


def test_where_no_copy_of_a_set_is_whole_an_older_one_serves(application: Application) -> None:
    application.save()
    application.write("c.jpg", "changed")
    application.save()
    shutil.rmtree(application.root / "uploads")
    newest = max(Path(application.environ["NIGHTSCAN_BACKUP_DIR"], "daily").iterdir()).name
    for name in ("NIGHTSCAN_BACKUP_DIR", "NIGHTSCAN_OFFSITE"):
        flip(application.environ[name], f"daily/{newest}/user_data.*.tar.gz")
        flip(application.environ[name], f"daily/{newest}/user_data.00.index*")
    application.reconcile(apply=True)
    assert application.files() == IN_ORDER


def test_what_the_primary_lost_the_offsite_store_has(application: Application) -> None:
    application.save()
    shutil.rmtree(application.environ["NIGHTSCAN_BACKUP_DIR"])
    shutil.rmtree(application.root / "uploads")
    found = application.reconcile(apply=True)
    assert application.files() == IN_ORDER
    assert set(found.sources) == {key for key in found.sources if key.endswith("@offsite")}


def test_nothing_is_written_over(application: Application) -> None:
    application.save()
    place = application.root / "uploads/c.jpg"
    place.unlink()
    system = application.system()

    def upload(step: str) -> None:
        if step == "place":
            place.write_text("uploaded again just now")

    found = reconcile(Site(system.settings.dsn, application.root, parse_columns(system.settings.reconcile)),
                      Saved(partial(plain, system), (system.catalog(),)), now=application.now,
                      quarantine=application.quarantine.parent, before=upload)
    assert place.read_text() == "uploaded again just now"
    assert "was left alone" in found.problems[0]
    assert not found.in_order


def test_a_link_that_leads_out_is_not_written_through(application: Application, tmp_path: Path) -> None:
    application.save()
    shutil.rmtree(application.root / "uploads/2026")
    (tmp_path / "elsewhere").mkdir()
    (application.root / "uploads/2026").symlink_to(tmp_path / "elsewhere")
    found = application.reconcile(apply=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(found.problems) == 2


def test_a_hard_link_is_fetched_without_its_other_name(application: Application) -> None:
    first = application.write("first.wav", "two names")
    second = first.with_name("second.wav")
    second.hardlink_to(first)
    application.name("second.wav", "first.wav")
    application.save()
    for lost in (second, first):
        lost.unlink()
        assert application.reconcile(apply=True).in_order
        assert lost.read_text() == "two names"


def test_a_fresh_file_a_cache_and_the_quarantine_itself_are_no_orphans(application: Application) -> None:
    application.environ["NIGHTSCAN_QUARANTINE_DIR"] = str(application.root / "uploads/quarantined")
    application.write("cache/thumb.jpg")
    application.write("part.tmp")
    application.write("stray.wav")
    application.now -= timedelta(hours=2)
    assert application.reconcile(apply=True).counts.fresh == 1
    application.now += timedelta(hours=2)
    assert application.reconcile(apply=True).quarantined == 1
    assert application.reconcile(apply=True).orphans == 0
    assert (application.root / "uploads/cache/thumb.jpg").exists()


def test_no_set_saves_the_quarantine(application: Application) -> None:
    application.write("stray.wav", "nobody's")
    application.reconcile(apply=True)
    saved = [each.path for each in application.system().component("source_code").found()]  # type: ignore[attr-defined]  # of files
    assert b"uploads" not in saved
    assert not [path for path in saved if b"quarantine" in path]


def test_two_orphans_of_one_name_are_both_kept(application: Application) -> None:
    for content in ("first", "second"):
        application.write("stray.wav", content)
        application.reconcile(apply=True)
    assert application.files() == {**IN_ORDER, "quarantine/uploads/stray.wav": "first",
                                   "quarantine/uploads/stray.wav.1": "second"}


def test_a_quarantine_may_be_another_disk(application: Application, other_disk: Path) -> None:
    application.environ["NIGHTSCAN_QUARANTINE_DIR"] = str(other_disk)
    application.write("stray.wav", "nobody's")
    found = application.reconcile(apply=True)
    assert found.in_order, found.problems
    assert (Path(found.quarantine) / "uploads/stray.wav").read_text() == "nobody's"
    assert application.files() == IN_ORDER


def test_the_database_of_somebody_else_moves_nothing(application: Application) -> None:
    application.execute("DELETE FROM prediction")
    application.execute("DELETE FROM detection")
    assert application.reconcile().orphans == 3
    with pytest.raises(RestoreRefused, match="no row names any file"):
        application.reconcile(apply=True)
    assert application.files() == IN_ORDER


def test_a_column_that_is_not_there_names_the_nearest(application: Application) -> None:
    application.environ["NIGHTSCAN_RECONCILE"] = "predictions.filename=uploads,detection.image_url=uploads"
    with pytest.raises(SettingsError, match=r"no column predictions\.filename; did you mean predi"):
        application.reconcile()


def test_restored_files_and_rows_are_compared_as_well(application: Application, tmp_path: Path) -> None:
    restored = tmp_path / "drill"
    shutil.copytree(application.root / "uploads", restored / "uploads")
    application.name(f"{application.root}/uploads/c.jpg")
    system = application.system()
    site = Site(system.settings.dsn, restored, parse_columns(system.settings.reconcile), grace=timedelta(0),
                aliases=(application.root,))
    assert reconcile(site, Saved(partial(plain, system)), now=application.now).in_order
    (restored / "uploads/c.jpg").unlink()
    found = reconcile(replace(site), Saved(partial(plain, system)), now=application.now)
    assert found.first_lost == ("uploads/c.jpg",)


def test_another_that_puts_files_back_is_not_disturbed(application: Application) -> None:
    application.save()
    (application.root / "uploads/c.jpg").unlink()
    folder = application.root / ".nightscan_reconcile"
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another reconciliation"):
            application.reconcile(apply=True)
    finally:
        os.close(descriptor)
    assert application.reconcile(apply=True).in_order


_KILLED = """
import os, signal, sys
from datetime import datetime, timedelta, UTC
from functools import partial
from nightscan_tasks.reconcile import Saved, Site, parse_columns, reconcile
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System

step, count = sys.argv[1], int(sys.argv[2])
seen = 0

def before(here):
    global seen
    seen += here == step
    if here == step and seen == count:
        os.kill(os.getpid(), signal.SIGKILL)

system = System.from_env()
site = Site(system.settings.dsn, system.settings.root, parse_columns(system.settings.reconcile))
reconcile(site, Saved(partial(plain, system), (system.catalog(),)),
          now=datetime.now(UTC) + timedelta(hours=2), quarantine=system.settings.quarantine, before=before)
"""


@pytest.mark.parametrize(("step", "count"), [("extract", 1), ("place", 1), ("place", 2), ("quarantine", 1),
                                             ("quarantine", 2)])
def test_killed_anywhere_and_repeated_it_ends_the_same(application: Application, step: str,
                                                       count: int) -> None:
    application.save()
    shutil.rmtree(application.root / "uploads")
    application.write("stray.wav", "nobody's")
    application.write("other/stray.wav", "nobody's either")
    ended = subprocess.run([sys.executable, "-c", _KILLED, step, str(count)], check=False,
                           env={**os.environ, **application.environ}, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert application.reconcile(apply=True).in_order
    assert application.files() == {**IN_ORDER, "quarantine/uploads/stray.wav": "nobody's",
                                   "quarantine/uploads/other/stray.wav": "nobody's either"}
    assert not (application.root / ".nightscan_reconcile").exists()
    assert list(Path(application.environ["NIGHTSCAN_TEMP_DIR"]).iterdir()) == []


def test_the_command_tells_counts_names_and_exit_status(application: Application,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in application.environ.items():
        monkeypatch.setenv(name, value)
    application.save()
    shutil.rmtree(application.root / "uploads/2026")
    told = CliRunner().invoke(nightscan, ["reconcile", "--local"])
    assert told.exit_code == 3, told.output
    assert "missing: 2 files, which sets have" in told.stdout
    assert "Next: nightscan reconcile --apply" in told.stdout
    told = CliRunner().invoke(nightscan, ["reconcile", "--local", "--apply", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["fetched"] == 2
    application.name("lost.wav")
    told = CliRunner().invoke(nightscan, ["reconcile", "--local", "--apply"])
    assert told.exit_code == 3
    assert "lost: 1 file" in told.stdout
    monkeypatch.setenv("NIGHTSCAN_RECONCILE", "nothing.at_all=uploads")
    assert CliRunner().invoke(nightscan, ["reconcile", "--local"]).exit_code == 1


def test_the_task_answers_in_json_where_restores_are_done(application: Application,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in application.environ.items():
        monkeypatch.setenv(name, value)
    assert json.loads(json.dumps(reconcile_user_data()))["in_order"] is True
    assert ROUTES["nightscan.reconcile_user_data"] == {"queue": RESTORE}


def test_the_sample_is_in_order_but_for_what_nobody_names(sampled_environ: dict[str, str]) -> None:
    environ = {name: value for name, value in sampled_environ.items() if name != "AWS_BACKUP_BUCKET"}
    found = Application(environ).reconcile()
    assert found.missing == found.counts.foreign == 0
    assert found.counts.named > 20
    assert found.orphans > 0
    assert all(path.startswith("uploads/imported/") for path in found.first_orphans)
