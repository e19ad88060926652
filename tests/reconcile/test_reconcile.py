"""Rows, files and sets are brought together again, whatever of them was lost."""

import json
import os
import shutil
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import RestoreRefused, SettingsError
from nightscan_tasks.model import Tier
from nightscan_tasks.reconcile import (
    Missing,
    Saved,
    Site,
    parse_columns,
    reconcile,
)
from nightscan_tasks.restore.reading import plain


def flip(folder: str, pattern: str) -> None:
    """Damage every file of that name."""
    for path in Path(folder).glob(pattern):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)


def test_what_is_missing_comes_from_the_archives_that_have_it_of_an_earlier_set_or_of_the_last(
        application: Any) -> None:
    first = application.save()
    application.write("2026/a.wav", "newer")
    manifest = application.system().catalog().get(application.save())
    assert manifest.needs == {first}
    shutil.rmtree(application.root / "uploads")
    found = application.reconcile(apply=True)
    assert found.in_order
    assert application.files() == {**application.in_order_files, "2026/a.wav": "newer"}


def test_where_all_is_in_order_nothing_is_read_or_changed(application: Any) -> None:
    found = application.reconcile(apply=True)
    assert found.in_order
    assert (found.counts.rows, found.counts.named, found.counts.found, found.missing, found.orphans) == (
        3, 3, 3, 0, 0)
    assert application.files() == application.in_order_files
    assert sorted(path.name for path in application.root.iterdir()) == ["uploads"]


def test_a_plan_tells_everything_and_changes_nothing(application: Any) -> None:
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


def test_applied_it_is_in_order_and_stays_so(application: Any) -> None:
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
    assert application.files() == {**application.in_order_files,
                                   "quarantine/uploads/deep/er/stray.wav": "nobody's"}
    assert (file.stat().st_mode & 0o777, file.stat().st_mtime_ns) == (0o640, 1_700_000_000_123_456_789)
    assert file.parent.stat().st_mode & 0o777 == 0o750
    (line,) = (application.quarantine.parent / "moves.jsonl").read_text().splitlines()
    assert json.loads(line)["from"] == "uploads/deep/er/stray.wav"
    assert json.loads(line)["to"] == f"{application.quarantine.name}/uploads/deep/er/stray.wav"
    again = application.reconcile(apply=True)
    assert again.in_order
    assert (again.fetched, again.quarantined) == (0, 0)
    assert not (application.root / ".nightscan_reconcile").exists()


def test_each_file_comes_from_the_newest_set_that_has_it_whatever_its_tier(application: Any) -> None:
    weekly = application.save(Tier.WEEKLY)
    (application.root / "uploads/2026/a.wav").unlink()
    application.write("c.jpg", "changed")
    daily = application.save(Tier.DAILY)
    shutil.rmtree(application.root / "uploads")
    found = application.reconcile(apply=True)
    assert found.sources == {f"{daily}@primary": 2, f"{weekly}@primary": 1}
    assert application.files() == {**application.in_order_files, "c.jpg": "changed"}


def test_sets_are_read_no_further_than_needed(application: Any) -> None:
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


def test_a_damaged_archive_gives_nothing_and_the_other_copy_all(application: Any) -> None:
    application.save()
    shutil.rmtree(application.root / "uploads")
    flip(application.environ["NIGHTSCAN_BACKUP_DIR"], "daily/*/user_data.*.tar.gz")
    found = application.reconcile(apply=True)
    assert application.files() == application.in_order_files
    assert found.fetched == 3
    assert any("primary daily/" in problem and "damaged" in problem for problem in found.problems)


def test_where_no_copy_of_a_set_is_whole_an_older_one_serves(application: Any) -> None:
    application.save()
    application.write("c.jpg", "changed")
    application.save()
    shutil.rmtree(application.root / "uploads")
    newest = max(Path(application.environ["NIGHTSCAN_BACKUP_DIR"], "daily").iterdir()).name
    for name in ("NIGHTSCAN_BACKUP_DIR", "NIGHTSCAN_OFFSITE"):
        flip(application.environ[name], f"daily/{newest}/user_data.*.tar.gz")
        flip(application.environ[name], f"daily/{newest}/user_data.00.index*")
    application.reconcile(apply=True)
    assert application.files() == application.in_order_files


def test_what_the_primary_lost_the_offsite_store_has(application: Any) -> None:
    application.save()
    shutil.rmtree(application.environ["NIGHTSCAN_BACKUP_DIR"])
    shutil.rmtree(application.root / "uploads")
    found = application.reconcile(apply=True)
    assert application.files() == application.in_order_files
    assert set(found.sources) == {key for key in found.sources if key.endswith("@offsite")}


def test_nothing_is_written_over(application: Any) -> None:
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


def test_a_link_that_leads_out_is_not_written_through(application: Any, tmp_path: Path) -> None:
    application.save()
    shutil.rmtree(application.root / "uploads/2026")
    (tmp_path / "elsewhere").mkdir()
    (application.root / "uploads/2026").symlink_to(tmp_path / "elsewhere")
    found = application.reconcile(apply=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert len(found.problems) == 2


def test_a_hard_link_is_fetched_without_its_other_name(application: Any) -> None:
    first = application.write("first.wav", "two names")
    second = first.with_name("second.wav")
    second.hardlink_to(first)
    application.name("second.wav", "first.wav")
    application.save()
    for lost in (second, first):
        lost.unlink()
        assert application.reconcile(apply=True).in_order
        assert lost.read_text() == "two names"


def test_the_database_of_somebody_else_moves_nothing(application: Any) -> None:
    application.execute("DELETE FROM prediction")
    application.execute("DELETE FROM detection")
    assert application.reconcile().orphans == 3
    with pytest.raises(RestoreRefused, match="no row names any file"):
        application.reconcile(apply=True)
    assert application.files() == application.in_order_files


def test_a_column_that_is_not_there_names_the_nearest(application: Any) -> None:
    application.environ["NIGHTSCAN_RECONCILE"] = "predictions.filename=uploads,detection.image_url=uploads"
    with pytest.raises(SettingsError, match=r"no column predictions\.filename; did you mean predi"):
        application.reconcile()


def test_restored_files_and_rows_are_compared_as_well(application: Any, tmp_path: Path) -> None:
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
