"""restic and borg: Debian's, where they can be installed; who lacks them is told, and measures without."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from tools import providing


@dataclass(frozen=True)
class Program:
    """What somebody might use instead, and the Debian package that has it."""

    name: str
    package: str

    @property
    def there(self) -> bool:
        """Whether it is on PATH."""
        return shutil.which(self.name) is not None

    @property
    def install(self) -> str:
        """How root gets it on Debian."""
        return _install(self.package)


RIVALS = (Program("restic", "restic"), Program("borg", "borgbackup"))


def provide() -> None:
    """Install what is missing, as root where there is apt-get; else say what is missing. Never fails."""
    packages = [program.package for program in RIVALS if not program.there]
    if packages:
        providing.provide(_install(*packages), doing="to be measured against",
                          missing="\n".join(left_out()), without="the tables lack whoever is left out")


def left_out() -> tuple[str, ...]:
    """A sentence for each that is not here: whom the tables lack, and how to get it."""
    return tuple(f"{program.name} is left out: it is not on PATH; on Debian, as root: {program.install}"
                 for program in RIVALS if not program.there)


def _install(*packages: str) -> str:
    return f"apt-get install --yes --no-install-recommends {' '.join(packages)}"
