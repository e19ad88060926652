"""A store around a store, whose bytes go no faster than the host's limits.

For directories on a network's file system. A bucket paces what it sends and reads by itself, where it meets
the network, in slices that are smaller than a part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nightscan_tasks.model import Buffer, Chunks, Stored
from nightscan_tasks.stores.around import Around
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.pacing import Pace, Paces

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs",
                      "davfs", "ncpfs", "9p", "virtiofs"})
_OF_FUSE = frozenset({"sshfs", "s3fs", "rclone", "glusterfs", "davfs2", "curlftpfs", "goofys", "ceph-fuse"})


class Paced(Around):
    """`store`, with what is put and read held to `paces`."""

    def __init__(self, store: Store, paces: Paces) -> None:
        super().__init__(store)
        self._paces = paces

    def put(self, key: str, chunks: Iterable[Buffer], *, if_absent: bool = False) -> Stored:
        """See `Store.put`."""
        up = self._paces.up
        return super().put(key, chunks if up is None else paced(chunks, up), if_absent=if_absent)

    @contextmanager
    def open(self, key: str) -> Iterator[Chunks]:
        """See `Store.open`."""
        down = self._paces.down
        with super().open(key) as chunks:
            yield chunks if down is None else paced(chunks, down)


def paced(chunks: Iterable[Buffer], pace: Pace) -> Chunks:
    """The same bytes, each slice in its turn."""
    for chunk in chunks:
        rest = memoryview(chunk)
        while rest:
            count = pace.take(len(rest))
            yield rest[:count]
            rest = rest[count:]


def network_of(path: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of network file system that a path lies on, or will once it is made; empty for a disk."""
    kind, deepest = "", -1
    place = path.resolve()
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        # Of two mounts at one place the later one is seen.
        if place.is_relative_to(point) and len(point.parts) >= deepest:
            kind, deepest = after.split()[0], len(point.parts)
    return kind if kind in _NETWORK or kind.removeprefix("fuse.") in _OF_FUSE else ""
