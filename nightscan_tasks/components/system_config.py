"""The files under /etc that make a server a NightScan server."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath

from nightscan_tasks.components.exclusion import Exclusion
from nightscan_tasks.components.files import OURS, Before, FileComponent
from nightscan_tasks.components.listing import ROOT, Found, Rules, parents, walk
from nightscan_tasks.components.problems import shown
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings


class SystemConfig(FileComponent):
    """What `NIGHTSCAN_SYSTEM_CONFIG` matches below `NIGHTSCAN_ETC`, folders with all that is in them.

    A pattern that matches nothing is noted. A symlink stays one; when it points out of what is saved,
    that is noted too.
    """

    name = "system_config"
    root_setting = "NIGHTSCAN_ETC"

    def __init__(self, settings: Settings, before: Before | None = None) -> None:
        super().__init__(settings.etc, prefix=b"etc/", temp_dir=settings.temp_dir, before=before)
        self._patterns = settings.system_config

    def found(self) -> Iterator[Found]:
        """Each match once, in the order of the patterns, and the folders above it."""
        root = os.fsencode(self.root)
        rules, seen = Rules(Exclusion.of(OURS)), set[bytes]()
        yield Found("d", ROOT, self.root.stat())
        for pattern in self._patterns:
            matches = sorted(glob.glob(_checked(pattern), root_dir=root))  # noqa: PTH207 - bytes
            if not matches:
                yield Found("n", os.fsencode(f"the pattern {pattern} matches nothing in {self.root}"))
            for match in matches:
                for found in chain(parents(root, match), walk(root, match, rules)):
                    if found.kind in "nu" or found.path not in seen:
                        seen.add(found.path)
                        yield found
                        yield from self._outside(found)

    def _outside(self, found: Found) -> Iterator[Found]:
        """A note, if it is a symlink out of the root."""
        if found.kind == "l":
            target = Path(os.path.realpath(self.root / os.fsdecode(found.path)))
            if not target.is_relative_to(self.root.resolve()):
                yield Found("n", os.fsencode(
                    f"etc/{shown(found.path)} points to {shown(os.fsencode(target))}, which is not "
                    f"saved with it"))


def _checked(pattern: str) -> bytes:
    path = PurePosixPath(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise SettingsError(f"NIGHTSCAN_SYSTEM_CONFIG has the pattern {pattern!r}, which leaves "
                            f"NIGHTSCAN_ETC: write it relative to that, for example "
                            f"NIGHTSCAN_SYSTEM_CONFIG=nginx/sites-available/nightscan,crontab")
    return os.fsencode(path)
