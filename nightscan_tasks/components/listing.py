"""Which files there are, and which archive each goes into.

A list is made once a run; every part reads the same one. A line is `KIND ARCHIVE FACTS PATH`: the kind
is `d` folder, `f` file, `l` symlink, `p` fifo, `n` a note, `u` something unreadable (for the last two
PATH is the text and FACTS `-`); in PATH `%` is written `%25`, a newline `%0A`. FACTS, with times in
nanoseconds, are `MODE:MTIME:UID:GID:CTIME` of a folder (its mode octal), and of all else
`DEVICE:INODE:NAMES:SIZE:MTIME:CTIME`, where DEVICE is 0 unless it has several NAMES: devices get other
numbers when a machine starts. What is the same in every letter was not changed: so what was changed within
the last moment before it was listed, and may be again without another time, gets `:NOW` at the end, which
makes its line like no other.

A folder is in every archive, so that whichever is unpacked last leaves it with the right mode and time;
its number says in which it is counted. That is why its facts are in the list: a folder lives on while
the archives are made, and each would find another time.
"""

from __future__ import annotations

import errno
import hashlib
import heapq
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from nightscan_tasks.components.exclusion import Exclusion
from nightscan_tasks.components.problems import shown

ROOT = b"."  # the path of the root itself
_RUN_NAMES = 50_000
_MOMENT_NS = 100_000_000  # the clock that files get their times from may tick a hundred times a second only
_SEVERAL = 1
_ALL_FACTS = 4  # or more: so many fields tell them from those of older versions
_KINDS = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}


class Found(NamedTuple):
    """Something that a walk came by: `status` is None for a note or what cannot be read."""

    kind: str
    path: bytes
    status: os.stat_result | None = None


class Listed(NamedTuple):
    """A line of a list. `inode` is of a file with several names, `folder` of a folder."""

    kind: str
    archive: int
    inode: bytes
    path: bytes
    folder: FolderFacts | None = None


class FolderFacts(NamedTuple):
    """What a folder was when it was listed; `mtime_ns` in nanoseconds."""

    mode: int
    mtime_ns: int
    uid: int
    gid: int


@dataclass(frozen=True)
class Rules:
    """What a walk leaves out: names, folders by device and inode, and files that `keep` refuses.

    Paths in `follow` may be symlinks, and are taken for what they point to.
    """

    exclude: Exclusion = field(default_factory=Exclusion)
    follow: frozenset[bytes] = frozenset()
    skip: frozenset[tuple[int, int]] = frozenset()
    keep: Callable[[os.stat_result], bool] = lambda _status: True


def line_of(found: Found, archives: int, *, since_ns: int = 0) -> bytes:
    """The line that says what was found, and its archive by a stable rule. The list was begun at `since_ns`.

    The rule is the BLAKE2b (4 bytes, big-endian) of its path, or of DEVICE:INODE where a file has several
    names, modulo the number of archives.
    """
    facts, key = b"-", found.path
    status = found.status
    if status is not None and found.kind == "d":
        facts = b"%o:%d:%d:%d:%d" % (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_uid,
                                     status.st_gid, status.st_ctime_ns)
    elif status is not None:
        several = found.kind == "f" and status.st_nlink > _SEVERAL
        facts = b"%d:%d:%d:%d:%d:%d" % (
            status.st_dev if several else 0, status.st_ino, status.st_nlink if several else 1, status.st_size,
            status.st_mtime_ns, status.st_ctime_ns)
        if several:
            key = b"%d:%d" % (status.st_dev, status.st_ino)
        if status.st_ctime_ns > since_ns - _MOMENT_NS and status.st_ctime_ns > (
                now := time.time_ns()) - _MOMENT_NS:
            facts += b":%d" % now
    number = int.from_bytes(hashlib.blake2b(key, digest_size=4).digest()) % archives
    path = found.path.replace(b"%", b"%25").replace(b"\n", b"%0A")
    return b"%s %d %s %s" % (found.kind.encode(), number, facts, path)


def read_line(line: bytes) -> Listed:
    """What a line says."""
    kind, number, facts, path = line.split(b" ", 3)
    path = _unescaped(path)
    if kind == b"d" and facts != b"-":
        mode, mtime_ns, uid, gid = facts.split(b":")[:4]
        folder = FolderFacts(int(mode, 8), int(mtime_ns), int(uid), int(gid))
        return Listed("d", int(number), b"", path, folder)
    return Listed(kind.decode(), int(number), _inode(facts), path)


def listed_bytes(line: bytes, archive: int) -> int:
    """The size of a file that goes into this archive; 0 for everything else."""
    kind, number, facts, _ = line.split(b" ", 3)
    fields = facts.split(b":", 4)
    return int(fields[3]) if kind == b"f" and len(fields) > _ALL_FACTS and int(number) == archive else 0


def inode_of(line: bytes) -> bytes:
    """`DEVICE:INODE` of a file with several names; empty for all else but folders."""
    return _inode(line.split(b" ", 3)[2])


def path_of(line: bytes) -> bytes:
    """The path that a line is about, and nothing else of it."""
    return _unescaped(line.split(b" ", 3)[3])


def _unescaped(path: bytes) -> bytes:
    return path.replace(b"%0A", b"\n").replace(b"%25", b"%") if b"%" in path else path


def _inode(facts: bytes) -> bytes:
    """`DEVICE:INODE` of a file with several names, also from a list of an older version."""
    fields = facts.split(b":", 3)
    if len(fields) < _ALL_FACTS:
        return b"" if facts == b"-" else facts
    return b"" if fields[0] == b"0" else b":".join(fields[:2])


def lines_of(found: Iterable[Found], archives: int = 1) -> Iterator[bytes]:
    """A list of what was found."""
    since_ns = time.time_ns()
    return (line_of(one, archives, since_ns=since_ns) for one in found)


def parents(root: bytes, path: bytes) -> Iterator[Found]:
    """The folders between `root` and `path`, so that unpacking gives them their mode and time."""
    names = path.split(b"/")[:-1]
    for depth in range(1, len(names) + 1):
        folder = b"/".join(names[:depth])
        yield Found("d", folder, os.lstat(root + b"/" + folder))


def walk(root: bytes, top: bytes, rules: Rules | None = None) -> Iterator[Found]:
    """`top`, a path below `root`, and everything in it, folders before what is in them, sorted.

    An empty `top` is all that is in `root`, without itself. Symlinks are not followed; other file
    systems are, and noted. What vanishes is left out; a folder that cannot be read is found as such.
    """
    rules = rules or Rules()
    # Paths stay bytes: `Path` knows only text.
    stack: list[Iterator[bytes | Found]] = [iter([top]) if top else _children(root, b"")]
    devices = [os.lstat(root + b"/.").st_dev]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
            devices.pop()
            continue
        if isinstance(found, Found):
            yield found
            continue
        one = _look(root, found, rules)
        if one is None:
            continue
        yield one
        if one.kind == "d" and one.status is not None:
            if one.status.st_dev != devices[-1]:
                yield Found("n", os.fsencode(
                    f"{shown(one.path)} is another file system; what is in it is saved too"))
            stack.append(_children(root, one.path))
            devices.append(one.status.st_dev)


def _look(root: bytes, path: bytes, rules: Rules) -> Found | None:
    try:
        full = root + b"/" + path
        status = os.stat(full) if path in rules.follow else os.lstat(full)  # noqa: PTH116 - bytes
    except OSError as exc:
        return None if exc.errno == errno.ENOENT else _unreadable(path, exc)
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if rules.exclude.matches(path, folder=kind == "d"):
        return None
    if kind is None:
        return Found("n", os.fsencode(f"{shown(path)} is a socket or a device; it is not saved"))
    if kind == "d" and (status.st_dev, status.st_ino) in rules.skip:
        return None
    if kind == "f" and not rules.keep(status):
        return None
    return Found(kind, path, status)


def _children(root: bytes, folder: bytes) -> Iterator[bytes | Found]:
    """The paths of what is in a folder, sorted; or that it cannot be read."""
    try:
        for name in _sorted_names(root + b"/" + folder):
            yield folder + b"/" + name if folder else name
    except FileNotFoundError:
        yield Found("n", os.fsencode(f"{shown(folder)} was gone before it was listed"))
    except OSError as exc:
        yield _unreadable(folder or b".", exc)


def _unreadable(path: bytes, error: OSError) -> Found:
    return Found("u", path + b": " + (error.strerror or "").encode())


def _sorted_names(folder: bytes) -> Iterator[bytes]:
    """The names in a folder, sorted; of a very large one in runs on disk, since memory has to last."""
    runs: list[IO[bytes]] = []
    names: list[bytes] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) == _RUN_NAMES:
                runs.append(_written(sorted(names)))
                names = []
    names.sort()
    try:
        yield from heapq.merge(names, *map(_read, runs)) if runs else names
    finally:
        for run in runs:
            run.close()


def _written(names: Iterable[bytes]) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - `_sorted_names` closes it
    file.writelines(name.replace(b"\n", b"/") + b"\n" for name in names)  # no name holds a slash
    file.seek(0)
    return file


def _read(run: IO[bytes]) -> Iterator[bytes]:
    return (line[:-1].replace(b"/", b"\n") for line in run)
