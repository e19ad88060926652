"""Archives that somebody else made, to get out of the folder: refused, named, and nothing is written outside.

In the dialect that is read here, and in one that Python's tarfile reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.extraction import extract
from nightscan_tasks.components.files_places import Layout
from nightscan_tasks.components.files_restorer import FilesRestorer
from nightscan_tasks.components.restorer import Position
from nightscan_tasks.errors import DigestMismatch, RestoreRefused
from nightscan_tasks.model import Artifact, Report

Make = Callable[..., bytes]
Member = tuple[str, Any, str]
EVIL = hashlib.sha256(b"evil").hexdigest()


@pytest.fixture(params=[tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def made(request: pytest.FixtureRequest) -> Make:
    """Make an archive of members: name, type, link target."""
    def make(*members: Member) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=request.param) as archive:
            for name, kind, target in members:
                info = tarfile.TarInfo(name)
                info.type, info.linkname, info.mode = kind, target, 0o755
                info.size = 4 if kind == tarfile.REGTYPE else 0
                archive.addfile(info, io.BytesIO(b"evil"))
        return buffer.getvalue()
    return make


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def outside(target: Path) -> list[str]:
    """What there is beside the folder, and inside of it what others can read of the secret."""
    return sorted(str(path.relative_to(target.parent)) for path in target.parent.rglob("*")
                  if path.is_symlink() or "evil" in path.name
                  or (path.is_file() and path.read_text() != "secret"))


OUT = [((name, kind, "x"),) for name in ("../evil", "a/../../evil", "/evil", "a/..", "./../evil")
       for kind in (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)]
THROUGH = [
    *((("link", tarfile.SYMTYPE, link), ("link/evil", tarfile.REGTYPE, "")) for link in ("..", "/usr", ".")),
    (("link", tarfile.SYMTYPE, ".."), ("link/evil", tarfile.DIRTYPE, "")),
    (("link", tarfile.SYMTYPE, ".."), ("link", tarfile.DIRTYPE, ""), ("link/evil", tarfile.REGTYPE, "")),
    (("link", tarfile.SYMTYPE, "../evil"), ("link", tarfile.REGTYPE, "")),
    (("a", tarfile.REGTYPE, ""), ("a/evil", tarfile.REGTYPE, "")),
    (("a", tarfile.REGTYPE, ""), ("a", tarfile.REGTYPE, "")),
]
LINKS = [(("a", tarfile.LNKTYPE, link),) for link in ("../secret", "/etc/passwd", "b/../../secret")]
UP = (("up", tarfile.SYMTYPE, ".."), ("a", tarfile.LNKTYPE, "up/secret"))
DEVICES = [(("null", kind, ""),) for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE)]


@pytest.mark.parametrize("members", OUT)
def test_a_name_that_leaves_the_folder_is_refused(target: Path, made: Make, members: Any) -> None:
    with pytest.raises(RestoreRefused, match="outside of the folder") as caught:
        extract(iter([made(*members)]), target)
    assert members[0][0] in str(caught.value)
    assert outside(target) == []


@pytest.mark.parametrize("members", THROUGH)
def test_nothing_is_written_through_or_over_what_is_there(target: Path, made: Make, members: Any) -> None:
    with pytest.raises(RestoreRefused, match="is there already, or below something") as caught:
        extract(iter([made(*members)]), target)
    assert members[-1][0].split("/")[0] in str(caught.value)
    assert not (target.parent / "evil").exists()
    assert not Path("/usr/evil").exists()
    assert not (target / "evil").exists()


@pytest.mark.parametrize("members", [*LINKS, UP])
def test_a_hard_link_out_of_the_folder_is_refused(target: Path, made: Make, members: Any) -> None:
    with pytest.raises(RestoreRefused):
        extract(iter([made(*members)]), target)
    assert not (target / "a").exists()
    assert (target.parent / "secret").stat().st_nlink == 1


@pytest.mark.parametrize("members", DEVICES)
def test_devices_are_refused(target: Path, made: Make, members: Any) -> None:
    with pytest.raises(RestoreRefused, match="null is a device"):
        extract(iter([made(*members)]), target)
    assert list(target.iterdir()) == []


class Crafted:
    """A set whose index and fingerprint agree with whatever is in its archive."""

    def __init__(self, archive: bytes, members: tuple[Member, ...]) -> None:
        names = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink",
                 tarfile.LNKTYPE: "hard_link"}
        index = b"".join(json.dumps({
            "path": name, "type": names.get(kind, "file"), "bytes": 4, "mode": "0755", "mtime_ns": 0,
            "uid": 0, "gid": 0, "user": "", "group": "", "target": target, "problem": "",
            "sha256": EVIL if kind == tarfile.REGTYPE else ""}).encode() + b"\n"
            for name, kind, target in members)
        self.contents = {"user_data.00.tar.gz": archive, "user_data.00.index.jsonl.gz": index}
        self.report = Report({})
        self.artifacts = tuple(Artifact(name, "user_data", "user_data.00", len(data), "", 0, "")
                               for name, data in self.contents.items())

    def open(self, artifact: Artifact) -> Any:
        return nullcontext(iter([self.contents[artifact.name]]))


@pytest.mark.parametrize("members", [OUT[0], OUT[8], THROUGH[0], THROUGH[3], LINKS[0], UP, *DEVICES])
@pytest.mark.parametrize("paths", [(), ("*",)])
def test_a_restore_of_such_a_set_leaves_everything_as_it_was(
        target: Path, made: Make, members: Any, paths: tuple[str, ...]) -> None:
    (target / "uploads").mkdir()
    (target / "uploads/mine.wav").write_text("secret")
    one = FilesRestorer("user_data", target, "run", paths=paths, layout=Layout(folders=(b"uploads",)))
    with pytest.raises(RestoreRefused):
        one.stage(Crafted(made(*members), members))
    assert one.position() is Position.ABSENT
    assert outside(target) == []
    assert [path.name for path in target.iterdir()] == ["uploads"]


def test_a_set_of_etc_with_names_elsewhere_is_refused(target: Path, made: Make) -> None:
    members = (("opt", tarfile.DIRTYPE, ""), ("opt/evil", tarfile.REGTYPE, ""))
    crafted = Crafted(made(*members), members)
    with pytest.raises(RestoreRefused, match="opt is not below etc"):
        FilesRestorer("system_config", target, "run").stage(crafted)
    assert outside(target) == []


def test_a_symlink_that_leads_out_comes_back_as_it_was_saved(target: Path, made: Make) -> None:
    """Links that point elsewhere are the application's business; nothing is written through them."""
    extract(iter([made(("link", tarfile.SYMTYPE, "../secret"))]), target)
    assert (target / "link").is_symlink()


@pytest.mark.parametrize("table", [b"1\n0\n9999999\n", b"1\n-5\n4\n", b"2\n0\n2\n", b"x\n", b"1\n0\n-4\n",
                                   b"99999999999\n0\n4\n"])
def test_a_table_of_holes_that_does_not_fit_is_damage(target: Path, table: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("GNUSparseFile.0/data")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a",
                            "GNU.sparse.realsize": "100"}
        content = table + bytes(-len(table) % 512) + b"evil"
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    with pytest.raises(DigestMismatch, match="the archive is damaged"):
        extract(iter([buffer.getvalue()]), target)
