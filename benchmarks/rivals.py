"""restic and borg, as somebody would use them for the same files: encrypted, with their own defaults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Command
from benchmarks.scratch import bytes_below, empty
from benchmarks.site import Site

_PASSWORD = "only-a-benchmark"  # noqa: S105 - of a repository that lives for minutes


@dataclass(frozen=True)
class Rival:
    """A repository, and the commands for it. `{name}` in `save` is the archive's."""

    name: str
    site: Site
    environ: dict[str, str]
    init: str
    save: str
    check: str
    restore: str

    @property
    def folder(self) -> Path:
        """The repository, and what the program remembers beside it."""
        return self.site.folder / "rival"

    def fresh(self) -> None:
        """An empty repository, and a program that remembers nothing."""
        empty(self.folder)
        self.command(self.init).run()

    def gone(self) -> None:
        """Its room is another's."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, script: str) -> Command:
        """A command of this program's."""
        return self.site.command(script, **{name: value.format(folder=self.folder)
                                            for name, value in self.environ.items()})

    def stored_bytes(self) -> int:
        """What the repository holds."""
        return bytes_below(self.folder / "repository")


def restic(site: Site) -> Rival:
    """restic: its own encryption, its own compression (`auto`)."""
    return Rival("restic", site, {"RESTIC_REPOSITORY": "{folder}/repository", "RESTIC_PASSWORD": _PASSWORD,
                                  "RESTIC_CACHE_DIR": "{folder}/cache"},
                 init="restic --quiet init",
                 save="restic --quiet backup {what}",
                 check="restic --quiet check --read-data",
                 restore="restic --quiet restore latest --target {target}")


def borg(site: Site) -> Rival:
    """borg: repokey-blake2, and lz4, its default."""
    return Rival("borg", site, {"BORG_REPO": "{folder}/repository", "BORG_PASSPHRASE": _PASSWORD,
                                "BORG_BASE_DIR": "{folder}/base"},
                 init="borg init --encryption repokey-blake2",
                 save="borg create ::{name} {what}",
                 check="borg check --verify-data",
                 restore="cd {target} && borg extract ::{name}")


RIVALS: dict[str, Callable[[Site], Rival]] = {"restic": restic, "borg": borg}
