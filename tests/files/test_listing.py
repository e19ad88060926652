"""Which files are found, in which order, and which archive each goes into."""

from __future__ import annotations

import os
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.components import listing
from nightscan_tasks.components.exclusion import Exclusion
from nightscan_tasks.components.listing import Found, Rules, line_of, lines_of, read_line, walk

names = st.binary(min_size=1).filter(lambda name: 0 not in name)


def paths(root: Path, rules: Rules | None = None, top: bytes = b"") -> list[bytes]:
    return [found.path for found in walk(os.fsencode(root), top, rules) if found.kind not in "nu"]


@given(names, st.integers(1, 50))
def test_a_line_comes_back(path: bytes, archives: int) -> None:
    line = line_of(Found("f", path), archives)
    listed = read_line(line)
    assert b"\n" not in line
    assert (listed.kind, listed.path, listed.inode) == ("f", path, b"")
    assert 0 <= listed.archive < archives


def test_the_archive_of_a_path_is_stable() -> None:
    """These numbers are a promise: with others, a file would be in two archives of a running set."""
    found = [Found("f", b"uploads/%d.wav" % number) for number in range(8)]
    assert [read_line(line).archive for line in lines_of(found, 4)] == [3, 0, 1, 2, 1, 1, 0, 0]


def test_archives_get_about_the_same_number_of_files() -> None:
    lines = lines_of((Found("f", b"uploads/%06d.wav" % number) for number in range(8000)), 4)
    counts = [0] * 4
    for line in lines:
        counts[read_line(line).archive] += 1
    assert all(1800 < count < 2200 for count in counts)


def test_all_names_of_a_file_go_into_one_archive(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    for number in range(30):
        os.link(tmp_path / "a", tmp_path / f"b{number}")
    listed = [read_line(line) for line in lines_of(walk(os.fsencode(tmp_path), b""), 7)]
    assert len({one.archive for one in listed}) == len({one.inode for one in listed}) == 1


def test_folders_come_before_what_is_in_them_and_siblings_in_order(rich_tree: Path) -> None:
    found = paths(rich_tree)
    assert len(found) == len(set(found)) == sum(1 for _ in rich_tree.rglob("*"))
    for path in found:
        parent = path.rpartition(b"/")[0]
        assert not parent or found.index(parent) < found.index(path)
    siblings = [path for path in found if path.rpartition(b"/")[0] == b"config"]
    assert all(one < other for one, other in pairwise(siblings))


def test_a_very_large_folder_is_sorted_in_runs(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_RUN_NAMES", 7)
    expected = sorted([b"n%03d" % number for number in range(100)] + [b"new\nline", b"\xff"])
    for name in expected:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    assert paths(tmp_path) == expected


def test_memory_does_not_grow_with_the_number_of_files(tmp_path: Path) -> None:
    for folder in range(60):
        (tmp_path / str(folder)).mkdir()
        for number in range(50):
            (tmp_path / str(folder) / f"{number:0100d}").write_bytes(b"")
    tracemalloc.start()
    try:
        count = sum(1 for _ in lines_of(walk(os.fsencode(tmp_path), b""), 4))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 3060
    assert peak < 100_000


def test_symlinks_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_bytes(b"")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to(".")
    assert paths(tmp_path) == [b"link", b"loop", b"real", b"real/file"]


def test_another_file_system_is_followed_and_noted() -> None:
    below = next((path for path in (Path("/sys/fs/cgroup"), Path("/dev/pts"))
                  if path.is_mount()), None)
    if below is None:
        pytest.skip("no mount point to look at")
    found = walk(os.fsencode(below.parent), os.fsencode(below.name))
    assert next(found).path == os.fsencode(below.name)
    assert next(found).path == os.fsencode(
        f"{below.name} is another file system; what is in it is saved too")


def test_a_folder_that_is_the_store_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "backups/daily").mkdir(parents=True)
    (tmp_path / "app").mkdir()
    status = (tmp_path / "backups").stat()
    rules = Rules(skip=frozenset({(status.st_dev, status.st_ino)}))
    assert paths(tmp_path, rules) == [b"app"]


def test_a_folder_that_cannot_be_read_is_found_as_such(ordinary_user: Path) -> None:
    (ordinary_user / "closed").mkdir()
    (ordinary_user / "closed").chmod(0)
    found = list(walk(os.fsencode(ordinary_user), b""))
    (ordinary_user / "closed").chmod(0o700)
    assert [(one.kind, one.path) for one in found] == [
        ("d", b"closed"), ("u", b"closed: Permission denied")]


def test_a_folder_that_vanishes_is_noted(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    found = walk(os.fsencode(tmp_path), b"")
    assert next(found).path == b"gone"
    (tmp_path / "gone").rmdir()
    assert [one.path for one in found] == [b"gone was gone before it was listed"]


@pytest.mark.parametrize(("pattern", "path", "folder", "expected"), [
    ("*.tmp", "a/b.tmp", False, True),
    ("*.tmp", "a/b.tmp", True, True),
    ("*.tmp", "a/b.tmp.wav", False, False),
    ("*.log.gz", "logs/app.log.gz", False, True),
    ("cache/", "cache", True, True),
    ("cache/", "a/b/cache", True, True),
    ("cache/", "a/cache", False, False),
    ("cache/", "a/cached", True, False),
    ("/logs/", "logs", True, True),
    ("/logs/", "app/logs", True, False),
    ("/logs/", "logs", False, False),
    ("/*.pid", "app.pid", False, True),
    ("/*.pid", "run/app.pid", False, False),
    ("config/*.key", "config/a.key", False, True),
    ("config/*.key", "config/sub/a.key", False, False),
    ("config/*.key", "x/config/a.key", False, False),
    ("*", "anything", False, True),
])
def test_patterns(pattern: str, path: str, folder: bool, expected: bool) -> None:
    assert Exclusion.of([pattern]).matches(os.fsencode(path), folder=folder) is expected
