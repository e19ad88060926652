"""Files unpacked into a folder of a person's choice: nothing live is touched, so nothing is exchanged."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.components.files_unpacking import unpack_into
from nightscan_tasks.components.restorer import Outlook, Position, Source, Staged, Swapped
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.wording import size


@dataclass(frozen=True)
class Unpacking:
    """Unpacks a component, or the `paths` of it that fit, into a new folder of its name below `parent`."""

    component: str
    parent: Path
    run_id: str
    paths: tuple[str, ...] = ()

    @property
    def _target(self) -> Path:
        return self.parent / self.component

    @property
    def _staged(self) -> Path:
        return self.parent / f".nightscan_{self.run_id}_{self.component}"

    def examine(self, source: Source) -> Outlook:
        """Whether the folder is free, and whether there is room for the whole component."""
        problems = []
        if self._target.exists():
            problems.append(f"{self._target} exists: choose another --target-root, or move it away")
        above = next(path for path in (self.parent, *self.parent.parents) if path.exists())
        needed = sum(artifact.plain_bytes for artifact in source.artifacts)
        free = shutil.disk_usage(above).free
        if free < needed and not self.paths:
            problems.append(f"{above} has {size(free)} free, and {size(needed)} are needed: choose another "
                            f"--target-root")
        return Outlook(str(self._target), problems=tuple(problems))

    def stage(self, source: Source) -> Staged:
        """Unpack and compare, beside the place."""
        return unpack_into(self._staged, source, self.component, self.run_id, paths=self.paths)

    def swap(self) -> Swapped:
        """Give the folder its name."""
        if self._staged.exists():
            try:
                self._staged.rename(self._target)
            except OSError as exc:
                raise RestoreRefused(f"{self._target} is there by now ({exc.strerror}): choose another "
                                     f"--target-root") from exc
        return Swapped(None, (f"unpacked into {self._target}",))

    def undo(self) -> None:
        """Take the folder away again: it is what this run made."""
        if self._target.exists():
            self._target.rename(self._staged)
        self.discard()

    def accept(self) -> tuple[str, ...]:
        """Nothing else is kept."""
        return ()

    def discard(self) -> None:
        """Remove what was staged."""
        shutil.rmtree(self._staged, ignore_errors=True)

    def position(self) -> Position:
        """Where this run is. A folder of that name is taken for what it made."""
        if self._staged.exists():
            return Position.STAGED
        return Position.SWAPPED if self._target.exists() else Position.ABSENT
