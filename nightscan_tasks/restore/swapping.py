"""Folders that were restored beside the live ones take their places, one rename each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.errors import RestoreRefused


@dataclass(frozen=True)
class Swapped:
    """Which folders are live now, and where those that were are kept; None where there were none."""

    folders: tuple[str, ...]
    before: Path | None


def swap_folders(staged: Path, root: Path, *, before: Path) -> Swapped:
    """Move each folder of `staged` to `root`; what is there under its name goes to `before` first.

    All three are on one file system, so that each move is a rename: no moment has half a folder. When a
    move fails, those before it are taken back.
    """
    names = sorted(path.name for path in staged.iterdir())
    if before.exists():
        raise RestoreRefused(f"{before} exists: an earlier restore of the same moment left it; "
                             f"look at it, then move it away")
    done: list[tuple[Path, Path]] = []
    try:
        for name in names:
            if os.path.lexists(root / name):
                before.mkdir(mode=0o750, exist_ok=True)
                _move(root / name, before / name, done)
            _move(staged / name, root / name, done)
    except OSError as exc:
        for source, target in reversed(done):
            target.rename(source)
        raise RestoreRefused(f"{exc.filename} cannot be moved ({exc.strerror}); everything is as it "
                             f"was") from exc
    staged.rmdir()
    return Swapped(tuple(names), before if before.exists() else None)


def _move(source: Path, target: Path, done: list[tuple[Path, Path]]) -> None:
    source.rename(target)
    done.append((source, target))
