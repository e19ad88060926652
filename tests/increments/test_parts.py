"""Some of a set that has archives with earlier sets: single files, what is missing, what is listed."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from nightscan_tasks.cli import nightscan
from nightscan_tasks.components.files_restorer import FilesRestorer
from nightscan_tasks.components.files_unpacking import unpack_into
from nightscan_tasks.restore.reading import SetSource

if TYPE_CHECKING:
    from pathlib import Path

    from nightscan_tasks.model import Manifest
    from tests.increments.conftest import Site


def unpacked(site: Site, manifest: Manifest, *patterns: str) -> dict[str, bytes]:
    """What a restore of these patterns gives."""
    target = site.folder / "some"
    shutil.rmtree(target, ignore_errors=True)
    unpack_into(target, SetSource(site.system, site.system.catalog(), manifest, "user_data"), "user_data",
                "test", paths=patterns)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_single_files_come_from_the_archive_that_has_them(site: Site) -> None:
    first = site.save()
    site.write(b=b"newer", a=b"newer too")
    (site.root / "uploads" / "deep" / "c").unlink()
    second = site.save()
    assert unpacked(site, second, "uploads/deep") == {"uploads/deep/er/d": b"d"}
    assert unpacked(site, second, "uploads/b") == {"uploads/b": b"newer"}
    assert unpacked(site, first, "uploads/b", "uploads/deep/c") == {"uploads/b": b"b" * 3000,
                                                                    "uploads/deep/c": b"c" * 100}


def test_a_further_name_is_restored_alone_though_its_file_lies_with_an_earlier_set(site: Site) -> None:
    (site.root / "uploads" / "z").hardlink_to(site.root / "uploads" / "a")
    site.save()
    site.write(b=b"newer")
    assert unpacked(site, site.save(), "uploads/z") == {"uploads/z": b"a" * 5000}


def test_it_takes_the_place_of_what_is_live(site: Site) -> None:
    site.save()
    site.write(b=b"newer")
    manifest, expected = site.save(), site.live()
    shutil.rmtree(site.root / "uploads")
    site.write(stray=b"not in the set")
    restorer = FilesRestorer("user_data", site.root, "test")
    source = SetSource(site.system, site.system.catalog(), manifest, "user_data")
    assert not restorer.examine(source).problems
    restorer.stage(source)
    restorer.swap()
    assert site.live() == expected


@pytest.fixture
def _here(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands are about the site."""
    for name, value in {"NIGHTSCAN_ROOT": str(site.root), "HOME": str(tmp_path),
                        "NIGHTSCAN_BACKUP_DIR": str(site.folder / "backups")}.items():
        monkeypatch.setenv(name, value)


def asked(*words: str) -> Any:
    """What a command answers."""
    return json.loads(CliRunner().invoke(nightscan, [*words, "--json"], catch_exceptions=False).stdout)


@pytest.mark.usefixtures("_here")
def test_files_lists_each_file_once_whichever_archive_has_it(site: Site) -> None:
    site.save()
    site.write(b=b"newer")
    (site.root / "uploads" / "a").unlink()
    site.save()
    listed = asked("files", "--component", "user_data")["files"]
    files = sorted(each["path"] for each in listed if each["type"] == "file")
    assert files == ["models/m.pt", "uploads/b", "uploads/deep/c", "uploads/deep/er/d"]


@pytest.mark.usefixtures("_here")
def test_a_list_says_what_lies_with_earlier_sets(site: Site) -> None:
    first, second = site.save(), site.save()
    told = CliRunner().invoke(nightscan, ["list"], catch_exceptions=False).stdout
    assert f"more of it lie with {first.set_id}" in told
    found = asked("list")["sets"]
    assert [(each["own_bytes"], each["needs"]) for each in found] == [
        (0, [str(first.set_id)]), (first.stored_bytes, [])]
    assert found[0]["stored_bytes"] == second.stored_bytes == first.stored_bytes


def test_a_file_that_changes_while_it_is_saved_is_saved_again_the_next_night(site: Site) -> None:
    path = site.root / "uploads" / "a"
    was = path.stat().st_mtime_ns
    site.save()
    path.write_bytes(b"A" * 5000)
    os.utime(path, ns=(was, was))
    second = site.save()
    third = site.save()
    assert third.own == ()
    assert unpacked(site, third, "uploads/a") == unpacked(site, second, "uploads/a") == {
        "uploads/a": b"A" * 5000}
