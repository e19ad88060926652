"""What users brought and what models learned: uploads, models, configuration, and recent logs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

from nightscan_tasks.components.base import Dump, Shared
from nightscan_tasks.components.changes import walk_order
from nightscan_tasks.components.exclusion import Exclusion
from nightscan_tasks.components.files import OURS, Before, FileComponent
from nightscan_tasks.components.files_cache import rules_digest
from nightscan_tasks.components.files_increment import Increments
from nightscan_tasks.components.listing import Found, Rules, parents, walk
from nightscan_tasks.components.stored_here import store_folders
from nightscan_tasks.components.tree import Tree
from nightscan_tasks.errors import SourceRefused
from nightscan_tasks.hosts import host_of, host_part, host_queue
from nightscan_tasks.settings import Settings

_LOGS = b"logs"


class UserData(FileComponent):
    """The folders of `NIGHTSCAN_USER_DATA`, in `NIGHTSCAN_USER_DATA_ARCHIVES` archives.

    A folder that is a symlink is taken for what it points to, since it was named; symlinks inside stay
    what they are. `logs` are those of the last `NIGHTSCAN_LOGS_DAYS` days. A missing folder is noted.
    """

    name = "user_data"
    root_setting = "NIGHTSCAN_ROOT"

    def __init__(self, settings: Settings, now: Callable[[], datetime],
                 before: Before | None = None) -> None:
        super().__init__(settings.root, archives=settings.user_data_archives,
                         temp_dir=settings.temp_dir, before=before)
        self._settings = settings
        self._now = now
        self._folders = tuple(os.fsencode(name.strip("/")) for name in settings.user_data)

    def parts(self) -> tuple[str, ...]:
        """`user_data.00`, `user_data.01`, …; where hosts have files of their own, `user_data.web1.00`, …."""
        return tuple(part for host in self._settings.hosts or ("",) for part in self._parts_of(host))

    def own_parts(self) -> tuple[str, ...]:
        """Those of this host's files; none on a host that has no files of its own, though others have."""
        own = self._settings.own_host
        return self._parts_of(own) if own or not self._settings.hosts else ()

    def _parts_of(self, host: str) -> tuple[str, ...]:
        return tuple(host_part(self.name, host, number) for number in range(self.archives))

    def listed_as(self, part: str) -> str:
        """Each host has its own list."""
        return host_queue(self.name, host_of(part))

    def _check_host(self, part: str) -> None:
        """Files of another host are not here, though those that are have the same names."""
        host, own = host_of(part), self._settings.own_host
        if host != own:
            here = f"this host is {own}" if own else "this host is none of NIGHTSCAN_HOSTS"
            whose = f"the files of {host} alone" if host else "the files of a NightScan on one host"
            raise SourceRefused(
                f"{part} is {whose}, and {here}: NIGHTSCAN_HOSTS has to be the same on all hosts, "
                f"NIGHTSCAN_HOST says what each is called, and a worker there takes from its own queue")

    @contextmanager
    def open(self, part: str, shared: Shared) -> Iterator[Dump]:
        """Open one archive; where earlier sets may be referred to, of what changed since."""
        self._check_host(part)
        if shared.base is None or _overlapping(self._folders):
            with super().open(part, shared) as dump:
                yield dump
            return
        self._check_root()
        if shared.base.artifacts:
            self.expected[part] = 0  # what changed is known once it is read
        else:
            self.look_ahead(part, shared)
        with ExitStack() as stack:
            tree = stack.enter_context(Tree(self.root, self.followed()))
            yield self._increments.open(
                stack, part, number=self.number(part), tree=tree,
                lines=lambda: shared.listing(self.listed_as(part), self.lines), base=shared.base)

    @property
    def _increments(self) -> Increments:
        settings = self._settings
        rules = rules_digest(self.archives, self._folders, settings.user_data_exclude, settings.logs_days)
        return Increments(settings.state, rules, walk_order(self._folders), self.temp_dir, self.before)

    def followed(self) -> frozenset[bytes]:
        """The folders that the settings name."""
        return frozenset(self._folders)

    def found(self) -> Iterator[Found]:
        """Everything below the folders, without what is excluded."""
        root = os.fsencode(self.root)
        rules = Rules(Exclusion.of((*self._settings.user_data_exclude, *OURS)), follow=self.followed(),
                      skip=store_folders(self._settings))
        since = self._now() - timedelta(days=self._settings.logs_days)
        recent = replace(rules, keep=lambda status: status.st_mtime >= since.timestamp())
        for folder in self._folders:
            entries = walk(root, folder, recent if folder == _LOGS else rules)
            first = next(entries, None)
            if first is None:
                yield Found("n", folder + b" is missing: nothing of it was saved")
            else:
                yield from chain(self._above(root, folder), [first], entries)

    def _above(self, root: bytes, folder: bytes) -> Iterator[Found]:
        """The folders above one that the settings name, each before the first that needs it."""
        earlier = self._folders[:self._folders.index(folder)]
        return (parent for parent in parents(root, folder)
                if not any(other.startswith(parent.path + b"/") for other in earlier))


def _overlapping(folders: tuple[bytes, ...]) -> bool:
    """Whether something would be listed twice: then nothing can be said of what changed."""
    return any(one == other or one.startswith(other + b"/") for number, one in enumerate(folders)
               for place, other in enumerate(folders) if place != number)
