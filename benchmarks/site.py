"""A NightScan to measure on: a world without workers, and the environment of commands in it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Command
from nightscan_tasks.world.world import World

USER_DATA = "uploads models config logs"
RECIPIENT = "backup@nightscan.com"
ENCRYPT = f'gpg --homedir "$NIGHTSCAN_GPG_HOME" --batch --trust-model always --encrypt -r {RECIPIENT}'
DECRYPT = 'gpg --homedir "$NIGHTSCAN_GPG_HOME" --batch --quiet --decrypt'


@dataclass(frozen=True)
class Site:
    """A folder with a world in it. What is measured gets its own folder beside the world."""

    folder: Path
    world: World

    @property
    def root(self) -> Path:
        """The application's folder."""
        return self.world.trees.root

    @property
    def backups(self) -> Path:
        """The primary store."""
        return self.world.trees.backups

    @property
    def state(self) -> Path:
        """What NightScan remembers between two backups: beside what is saved, not in it."""
        return self.folder / "state"

    def command(self, script: str, **more: str) -> Command:
        """A shell pipeline in this site's environment, with no offsite store: copies are not measured."""
        env = {**self.world.processes_environ(), "AWS_BACKUP_BUCKET": "",
               "NIGHTSCAN_STATE_DIR": str(self.state), **more}
        return Command(script, env, self.folder, self.folder / "printed.log")

    def reading(self) -> Command:
        """Read all user data once, so that nobody is the first to read it from the disk."""
        return self.command(f"tar -cf - -C {self.root} {USER_DATA} | cat >/dev/null")

    def nightscan(self, arguments: str, **more: str) -> Command:
        """`nightscan …`, as a person types it."""
        return self.command(f"{Path(sys.executable).with_name('nightscan')} {arguments}", **more)


@contextmanager
def site(folder: Path, services: Collection[str], *, celery: Collection[str] = (),
         settings: Mapping[str, str] | None = None) -> Iterator[Site]:
    """A site whose servers, and workers where there are any, end with the block."""
    world = folder / "w"
    try:
        yield Site(folder, World.up(world, services=services, celery=celery, settings=settings))
    finally:
        World.down(world)
