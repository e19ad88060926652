"""The application itself, as it is on this server, and the commit it says it is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from nightscan_tasks.components.checkout import describe
from nightscan_tasks.components.exclusion import Exclusion
from nightscan_tasks.components.files import OURS, Before, FileComponent
from nightscan_tasks.components.listing import Found, Rules, walk
from nightscan_tasks.components.stored_here import store_folders
from nightscan_tasks.model import Json
from nightscan_tasks.settings import Settings


class SourceCode(FileComponent):
    """All of `NIGHTSCAN_ROOT` without `NIGHTSCAN_SOURCE_EXCLUDE`, and without any store in it.

    What restores keep beside it (`.nightscan_*`) is not source code.
    """

    name = "source_code"
    root_setting = "NIGHTSCAN_ROOT"

    def __init__(self, settings: Settings, before: Before | None = None) -> None:
        super().__init__(settings.root, temp_dir=settings.temp_dir, before=before)
        self._settings = settings

    def found(self) -> Iterator[Found]:
        """Everything below the root, without what is excluded."""
        rules = Rules(Exclusion.of((*self._settings.source_exclude, *OURS)),
                      skip=store_folders(self._settings))
        return walk(os.fsencode(self.root), b"", rules)

    def facts(self) -> Mapping[str, Json]:
        """Commit, branch and whether files differ from it, as far as they can be told."""
        return {"git": describe(self.root)}
