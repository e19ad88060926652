"""Trees of files, and what an archive of one is."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightscan_tasks.components.base import Component, Dump, Shared
from nightscan_tasks.components.entry import Indexed, read_index_line
from nightscan_tasks.components.treeprint import combine
from nightscan_tasks.errors import NotFound
from nightscan_tasks.model import Artifact, Chunks, Report

_NOBODY = 65534
_QUIET = ("--warning=no-timestamp", "--warning=no-unknown-keyword")  # the tree has very odd times
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Saved:
    """One part, read to its end."""

    tar: bytes
    index: bytes
    dump: Dump

    @property
    def report(self) -> Report:
        return self.dump.report()

    @property
    def lines(self) -> list[Indexed]:
        return [read_index_line(line) for line in self.index.splitlines()]

    @property
    def names(self) -> list[bytes]:
        return [line.entry.path for line in self.lines]

    def by_python(self) -> list[tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.tar), encoding="utf-8",
                          errors="surrogateescape") as archive:
            return archive.getmembers()


@dataclass(frozen=True)
class SavedSet:
    """One component of a set, in memory: what a restorer restores from. `lost` are names the store lacks."""

    report: Report
    artifacts: tuple[Artifact, ...]
    contents: dict[str, bytes]
    lost: frozenset[str] = frozenset()

    @contextmanager
    def open(self, artifact: Artifact) -> Iterator[Chunks]:
        if artifact.name in self.lost:
            raise NotFound(f"there is no {artifact.name}")
        data = self.contents[artifact.name]
        yield (data[start:start + 100_003] for start in range(0, len(data), 100_003))

    def without(self, name: str) -> SavedSet:
        return SavedSet(self.report, tuple(each for each in self.artifacts if each.name != name),
                        self.contents)


Save = Callable[..., Saved]
SaveSet = Callable[[Component], SavedSet]
GnuTar = Callable[..., bytes]


@contextmanager
def _listing(_name: str, produce: Callable[[], Iterator[bytes]]) -> Iterator[Iterator[bytes]]:
    yield produce()


@pytest.fixture
def shared() -> Shared:
    return Shared(announce=lambda: None, listing=_listing)


@pytest.fixture
def save(shared: Shared) -> Save:
    """Read one part of a component."""
    def read(component: Component, part: str = "") -> Saved:
        with component.open(part or component.parts()[0], shared) as dump:
            tar, index = [(stream.name, b"".join(bytes(chunk) for chunk in stream.chunks))
                          for stream in dump.streams()]
            assert index[0] == tar[0].removesuffix("tar") + "index.jsonl"
            return Saved(tar[1], index[1], dump)
    return read


@pytest.fixture
def save_set(save: Save) -> SaveSet:
    """Read all parts of a component."""
    def read(component: Component) -> SavedSet:
        contents, prints = {}, []
        for part in component.parts():
            saved = save(component, part)
            contents[f"{part}.tar.gz.gpg"], contents[f"{part}.index.jsonl.gz.gpg"] = saved.tar, saved.index
            prints.append(saved.report.fingerprint)
        return in_memory(component.name, contents, Report(combine(prints)))
    return read


def in_memory(component: str, contents: dict[str, bytes], report: Report) -> SavedSet:
    artifacts = tuple(Artifact(name, component, name.partition(".tar")[0].partition(".index")[0], len(data),
                               hashlib.sha256(data).hexdigest(), len(data), "")
                      for name, data in sorted(contents.items()))
    return SavedSet(report, artifacts, contents)


@pytest.fixture
def gnu_tar() -> GnuTar:
    """Run GNU tar on an archive that comes through its input."""
    def run(archive: bytes, *options: str, locale: str = "C") -> bytes:
        return _tar(*options, "-f", "-", archive=archive, locale=locale)
    return run


@pytest.fixture
def run_tar() -> Callable[..., bytes]:
    """Run GNU tar; its output."""
    return _tar


def _tar(*options: str, archive: bytes = b"", locale: str = "C") -> bytes:
    done = subprocess.run([shutil.which("tar") or "tar", *_QUIET, *options], input=archive,
                          capture_output=True, check=False,
                          env={"PATH": os.environ["PATH"], "LC_ALL": locale})
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert not done.stderr, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def xattrs(tmp_path: Path) -> None:
    """Skip where the file system has no extended attributes."""
    try:
        os.setxattr(tmp_path, "user.probe", b"1")
        os.removexattr(tmp_path, "user.probe")
    except OSError as exc:
        pytest.skip(f"no extended attributes here: {errno.errorcode[exc.errno or 0]}")


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[Path]:
    """A folder of a user whom permissions stop; as root, the test becomes such a user meanwhile."""
    if os.geteuid():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory() as folder:  # nobody may not enter root's temporary folders
        os.chown(folder, _NOBODY, _NOBODY)
        os.setegid(_NOBODY)
        os.seteuid(_NOBODY)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
            os.setegid(0)


@pytest.fixture
def rich_tree(tmp_path: Path) -> Path:
    """`src` with everything that a file system has, in folders called uploads, models, config, logs."""
    root = tmp_path / "src"
    for folder in ("uploads/2026/11", "models", "config", "logs"):
        (root / folder).mkdir(parents=True)
    (root / "uploads/2026/11/call.wav").write_bytes(os.urandom(3_000_000))
    (root / "uploads/2026/11/empty").write_bytes(b"")
    (root / "config/app.ini").write_text("[app]\nkey=1\n" * 50)
    (root / "config/app.ini").chmod(0o640)
    (root / "config/run.sh").write_text("#!/bin/sh\n")
    if os.geteuid() == 0:  # what runs with the rights of root is not put back
        os.chown(root / "config/run.sh", _NOBODY, _NOBODY)
    (root / "config/run.sh").chmod(0o4755)
    for number, name in enumerate(odd_names()):
        Path(os.fsdecode(os.fsencode(root / "uploads") + b"/" + name)).write_bytes(b"%d" % number)
    (root / "config/link").symlink_to("app.ini")
    (root / "config/broken").symlink_to("/nowhere/" + "x" * 150)
    (root / "models/a.pt").write_bytes(os.urandom(5000))
    os.link(root / "models/a.pt", root / "models/b.pt")
    os.link(root / "models/a.pt", root / "uploads/c.pt")
    os.mkfifo(root / "config/queue", 0o600)
    sparse(root / "models/sparse.bin", 40 << 20, {0: b"head", 20 << 20: b"middle", (40 << 20) - 4: b"tail"})
    sparse(root / "models/hole.bin", 5 << 20, {})
    set_times(root)
    return root


Facts = dict[bytes, tuple[object, ...]]


@pytest.fixture
def facts_of() -> Callable[[Path], Facts]:
    """Everything about each file below a folder that a backup has to bring back."""
    def facts(root: Path) -> Facts:
        base = os.fsencode(root)
        first: dict[int, bytes] = {}
        found: Facts = {}
        for folder, folders, files in os.walk(base):
            for name in sorted(folders + files):
                path = folder + b"/" + name
                status = os.lstat(path)
                content: object = None
                if stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path)  # noqa: PTH115 - bytes
                elif stat.S_ISREG(status.st_mode):
                    with Path(os.fsdecode(path)).open("rb") as file:
                        content = hashlib.file_digest(file, "sha256").hexdigest(), status.st_size
                found[path[len(base) + 1:]] = (
                    oct(status.st_mode), status.st_mtime_ns, status.st_uid, status.st_gid, content,
                    status.st_nlink if stat.S_ISREG(status.st_mode) else 0, _attributes(path))
        for path in sorted(found):
            inode = os.lstat(base + b"/" + path).st_ino
            found[path] = (*found[path], first.setdefault(inode, path))
        return found
    return facts


def _attributes(path: bytes) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(path, name, follow_symlinks=False)
                for name in os.listxattr(path, follow_symlinks=False)}
    except OSError:
        return {}


def odd_names() -> list[bytes]:
    return [b"caf\xc3\xa9.wav", b"latin\xe9.wav", b"new\nline", b"percent%0A", b" space ", b"quote\"'\\",
            b"x" * 255, b"-rf", b"tab\there", b"\xff\xfe\x01", "声.wav".encode(), b"a=b", b"~", b"...a"]


def sparse(path: Path, size: int, data: dict[int, bytes]) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in data.items():
            file.seek(offset)
            file.write(content)


def set_times(root: Path) -> None:
    """Odd times: fractions, before 1970, the far future; the deepest first."""
    times = [1_700_000_000_123_456_789, 1_700_000_000_000_000_000, -1_500_000_000, 0, 999_999_999,
             5_000_000_000_000_000_001]
    paths = sorted(root.rglob("*"), reverse=True)
    for number, path in enumerate(paths):
        time = times[number % len(times)]
        os.utime(path, ns=(time, time), follow_symlinks=False)


@pytest.fixture
def unix_socket() -> Iterator[Callable[[Path], None]]:
    made: list[socket.socket] = []

    def make(path: Path) -> None:
        one = socket.socket(socket.AF_UNIX)
        made.append(one)
        one.bind(f"/proc/self/fd/{_folder(path, opened)}/{path.name}")
    opened: list[int] = []
    yield make
    for one in made:
        one.close()
    for descriptor in opened:
        os.close(descriptor)


def _folder(path: Path, opened: list[int]) -> int:
    """A short name for a folder: the address of a socket holds only 107 bytes."""
    opened.append(os.open(path.parent, os.O_RDONLY))
    return opened[-1]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Every test ends with the threads and descriptors that it began with."""
    threads, descriptors = set(threading.enumerate()), _descriptors()
    yield
    assert set(threading.enumerate()) <= threads
    assert _descriptors() <= descriptors


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
