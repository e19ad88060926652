"""Nights after the first: only what changed is saved, and each set is whole all the same."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nightscan_tasks.model import Manifest

if TYPE_CHECKING:
    from tests.increments.conftest import Site


def own_bytes(manifest: Manifest, kind: str = ".tar.") -> int:
    return sum(each.plain_bytes for each in manifest.own if kind in each.name)


def test_a_set_in_which_nothing_changed_has_no_file_of_its_own_and_is_whole(site: Site) -> None:
    first, second = site.save(), site.save()
    assert first.needs == frozenset()
    assert second.own == ()
    assert second.needs == {first.set_id}
    assert second.format_version == 2
    assert second.components["user_data"].fingerprint == site.live()
    assert site.restored(second) == site.by_hand(second) == site.live()


def test_only_what_changed_is_saved_again(site: Site) -> None:
    first = site.save()
    site.write(b=b"B" * 4000)
    second = site.save()
    assert second.needs == {first.set_id}
    assert 4000 <= own_bytes(second) < 40_000 < own_bytes(first)
    assert site.restored(second) == site.by_hand(second) == site.live()
    assert site.restored(first) == site.by_hand(first) != site.live()


def test_content_that_changed_without_a_trace_in_size_or_mtime_is_noticed_by_its_ctime(site: Site) -> None:
    site.save()
    path = site.root / "uploads" / "a"
    was = path.stat()
    path.write_bytes(b"A" * was.st_size)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    second = site.save()
    assert own_bytes(second)
    assert site.restored(second) == site.live()


def test_what_is_gone_is_gone_also_by_hand(site: Site) -> None:
    site.save()
    shutil.rmtree(site.root / "uploads" / "deep")
    (site.root / "uploads" / "a").unlink()
    (site.root / "uploads" / "a").mkdir()
    (site.root / "uploads" / "a" / "now a folder\n'").write_bytes(b"x")
    second = site.save()
    assert own_bytes(second, ".removed.")
    assert site.restored(second) == site.by_hand(second) == site.live()


@pytest.mark.parametrize("seed", range(3))
def test_any_changes_night_after_night(site: Site, seed: int) -> None:
    """Files made, changed, moved, linked, removed, turned into others: each night's set gives them."""
    chance = random.Random(seed)
    for night in range(4):
        for _ in range(chance.randrange(8)):
            _disturb(site.root / "uploads", chance, night)
        manifest = site.save()
        live = site.live()
        assert manifest.components["user_data"].fingerprint == live
        assert site.restored(manifest) == live
        assert site.by_hand(manifest) == live


def _disturb(uploads: Path, chance: random.Random, night: int) -> None:
    there = sorted(path for path in uploads.rglob("*") if path.is_file() and not path.is_symlink())
    folders = sorted(path for path in uploads.rglob("*") if path.is_dir() and not path.is_symlink())
    fresh = chance.choice([uploads, *folders]) / f"{night}-{chance.randrange(10**6)}"
    match chance.choice(["make", "change", "move", "link", "remove", "fold", "mode", "symlink", "drop"]):
        case "change" if there:
            chance.choice(there).write_bytes(chance.randbytes(chance.randrange(3000)))
        case "move" if there:
            chance.choice(there).rename(fresh)
        case "link" if there:
            fresh.hardlink_to(chance.choice(there))
        case "remove" if there:
            chance.choice(there).unlink()
        case "fold" if there:
            path = chance.choice(there)
            path.unlink()
            path.mkdir()
            (path / "in it").write_bytes(chance.randbytes(10))
        case "mode" if there:
            chance.choice(there).chmod(0o600 if chance.random() < 0.5 else 0o640)
        case "symlink":
            fresh.symlink_to("somewhere")
        case "drop" if folders:
            shutil.rmtree(chance.choice(folders))
        case _:
            fresh.write_bytes(chance.randbytes(chance.randrange(3000)))


def test_names_of_one_file_stay_names_of_one_file(site: Site) -> None:
    (site.root / "uploads" / "a2").hardlink_to(site.root / "uploads" / "a")
    first = site.save()
    site.write(b=b"something else")
    second = site.save()
    assert second.needs == {first.set_id}
    assert site.restored(second) == site.by_hand(second) == site.live()
    (site.root / "uploads" / "a").unlink()
    third = site.save()
    assert site.restored(third) == site.by_hand(third) == site.live()


def test_rehash_finds_what_changed_although_nothing_says_so(site: Site,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a disk or a virtual machine's snapshot gives back another content with the old times."""
    path = site.root / "uploads" / "a"
    facts = {os.fsencode(path): path.lstat()}
    real = os.lstat

    def remembered(name: str | bytes, *args: object, **kwargs: object) -> os.stat_result:
        return facts.get(os.fsencode(name)) or real(name, *args, **kwargs)  # type: ignore[arg-type]  # passed on

    site.save()
    path.write_bytes(b"X" * 5000)
    monkeypatch.setattr(os, "lstat", remembered)
    assert site.save().own == ()
    found = site.save(rehash=True)
    assert own_bytes(found) >= 5000
    monkeypatch.undo()
    assert site.restored(found)["digest"] == site.live()["digest"]


def test_all_is_saved_in_full_again_after_the_interval(site: Site) -> None:
    first = site.save()
    assert [site.save().needs for _ in range(6)] == [{first.set_id}] * 6
    assert site.save().needs == frozenset()


def test_an_interval_of_none_saves_all_in_full_always(site: Site) -> None:
    site.more["NIGHTSCAN_FULL_INTERVAL_DAYS"] = "0"
    assert [site.save().needs, site.save().needs] == [frozenset(), frozenset()]
    assert not site.cache.exists()


@pytest.mark.parametrize("loss", ["gone", "damaged", "cut short", "other rules"])
def test_what_this_host_remembers_may_be_lost(site: Site, loss: str) -> None:
    site.save()
    site.write(b=b"other")
    for path in [path for path in site.cache.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        match loss:
            case "gone":
                path.unlink()
            case "damaged":
                path.write_bytes(data[:60] + bytes(byte ^ 0x55 for byte in data[60:]))
            case "cut short":
                path.write_bytes(data[:-40])
    if loss == "other rules":
        site.more["NIGHTSCAN_USER_DATA_EXCLUDE"] = "*.none"
    second = site.save()
    assert site.restored(second) == site.by_hand(second) == site.live()
    if loss != "damaged":
        assert second.needs == frozenset()


def test_a_cache_that_cannot_be_written_costs_a_set_in_full_and_is_noted(site: Site) -> None:
    site.cache.write_text("not a folder")
    first, second = site.save(), site.save()
    assert second.needs == frozenset()
    assert "NIGHTSCAN_STATE_DIR" in "".join(first.components["user_data"].notes)


def test_what_was_changed_while_it_was_saved_is_saved_again(site: Site) -> None:
    """A file that got new content in the very moment of its listing has the same time twice."""
    from nightscan_tasks.components.listing import line_of, walk

    site.write(new=b"1")
    found = next(each for each in walk(os.fsencode(site.root), b"uploads") if each.path == b"uploads/new")
    assert line_of(found, 2) != line_of(found, 2)
    site.settle()
    assert line_of(found, 2) == line_of(found, 2)
