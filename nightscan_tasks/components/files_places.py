"""Whose the folders below a root are, and where those lie that are not simply below it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HIDDEN = b".nightscan_"
"""How every name of ours in somebody else's folder begins."""


@dataclass(frozen=True)
class Layout:
    """What the settings say of a root.

    `folders` are restored each as a whole and may be symlinks to folders; what is beside them below the
    root stays. `spared` is never touched: other components' folders, stores.
    """

    folders: tuple[bytes, ...] = ()
    spared: tuple[bytes, ...] = ()

    def splits(self, path: bytes) -> bool:
        """Whether something below `path` is to be kept apart from it."""
        return any(other.startswith(path + b"/") for other in (*self.folders, *self.spared))

    def spares(self, path: bytes) -> bool:
        """Whether `path` is not to be touched."""
        return path in self.spared or path.rpartition(b"/")[2].startswith(HIDDEN)

    def gives_up(self, path: bytes) -> bool:
        """Whether what the set lacks of a folder goes with the old state, though it is gone down into."""
        return not any(folder.startswith(path + b"/") for folder in self.folders)


@dataclass(frozen=True)
class Place:
    """A folder of the set that has its own place: `folder`, as the set names it, is `name` in `live`.

    What is staged for it lies in a stash inside `beside`, on the same file system. Where `mounted`, it is
    a mount point, which cannot be renamed: what is in it changes places, one by one.
    """

    folder: bytes
    live: Path
    name: bytes
    beside: Path
    mounted: bool = False
