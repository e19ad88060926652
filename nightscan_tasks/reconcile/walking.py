"""The files there are, below the folders that columns name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from nightscan_tasks.components.listing import Rules, walk
from nightscan_tasks.reconcile.planning import There


def find_files(root: Path, folders: Iterable[bytes], rules: Rules) -> Iterator[There]:
    """Files and symlinks below the folders, which may overlap; a folder that is missing has none."""
    base = os.fsencode(root)
    for folder in _outermost(folders):
        for found in walk(base, folder, rules):
            if found.kind in {"f", "l"} and found.status is not None:
                status = found.status
                # A file that was copied with its times is as young as its last change of any kind.
                changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)
                yield There(found.path, found.kind, status.st_size, changed_ns, status.st_ino)


def real_place(root: Path, folders: Iterable[bytes], path: bytes) -> bytes | None:
    """Where, relative to `root`, the file that is reached as `path` lies; None where none is reached."""
    full = os.fsencode(root) + b"/" + path
    if not os.path.exists(full):  # noqa: PTH110 - bytes
        return None
    real = os.path.realpath(full)
    for folder in folders:  # which may itself be a symlink
        base = os.path.realpath(os.fsencode(root) + b"/" + folder)
        if real.startswith(base + b"/"):
            return folder + real[len(base):]
    return path


def _outermost(folders: Iterable[bytes]) -> list[bytes]:
    chosen: list[bytes] = []
    for folder in sorted(set(folders)):
        if not any(folder.startswith(other + b"/") for other in chosen):
            chosen.append(folder)
    return chosen
