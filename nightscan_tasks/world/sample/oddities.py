"""What years of use leave among the uploads: links, holes, strange names and modes, attributes."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

from nightscan_tasks.world.sample.plan import Plan

FOLDER = "imported"
SPARSE_BYTES = 4 << 20
XATTR = "user.nightscan.station"
NAMES = (
    b"with space.wav", b"quote's \"and\" $dollar `tick`.wav", b"-rf.wav", b"line\nbreak.wav",
    b"tab\there.wav", "hibou-des-marais-é.wav".encode(), "夜鷹.wav".encode(), b"latin1-\xe9\xff.wav",
    b"back\\slash.wav", b"star*[a-z]?.wav", b"trailing dot.", b".hidden", b"n" * 251 + b".wav",
)
_UNSUPPORTED = (errno.ENOTSUP, errno.EPERM, errno.EACCES)


def write_oddities(uploads: Path, plan: Plan) -> None:
    """Write them below `uploads/imported`; no row names them, so reconciling finds strangers too."""
    folder, rng = uploads / FOLDER, plan.random("oddities")
    folder.mkdir()
    for number, name in enumerate(NAMES):
        path = os.fsencode(folder) + b"/" + name
        with open(path, "wb") as file:  # noqa: PTH123 - a name of any bytes
            file.write(rng.randbytes(rng.randrange(1, 3000)))
        stamp = (plan.now - timedelta(days=number, microseconds=number * 137)).timestamp()
        os.utime(path, (stamp, stamp))
    _links(folder)
    _modes(folder)
    _sparse(folder / "sparse.wav", rng.randbytes(4096))
    _attributed(folder / "with space.wav")


def _links(folder: Path) -> None:
    original = folder / "first-name.wav"
    original.write_bytes(b"one file, two names")
    (folder / "second-name.wav").hardlink_to(original)
    (folder / "link.wav").symlink_to("first-name.wav")
    (folder / "dangling.wav").symlink_to("../nowhere/at all.wav")
    (folder / "link-to-folder").symlink_to("..")


def _modes(folder: Path) -> None:
    (folder / "empty.wav").touch()
    (folder / "empty-folder").mkdir()
    for name, mode in (("private.wav", 0o600), ("read-only.wav", 0o444), ("runs.sh", 0o755)):
        path = folder / name
        path.write_bytes(name.encode())
        path.chmod(mode)
    deep = folder.joinpath(*(f"a-folder-with-a-rather-long-name-{depth}" for depth in range(6)))
    deep.mkdir(parents=True)
    (deep / "deep.wav").write_bytes(b"far down")


def _sparse(path: Path, content: bytes) -> None:
    """Data, a hole, data, and a hole to the end."""
    with path.open("wb") as file:
        file.write(content)
        file.seek(SPARSE_BYTES // 2)
        file.write(content)
        file.truncate(SPARSE_BYTES)


def _attributed(path: Path) -> None:
    """An extended attribute, where the file system has them."""
    try:
        os.setxattr(path, XATTR, b"orsay-3")
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise
