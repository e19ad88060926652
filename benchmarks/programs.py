"""restic and borg: Debian's, where they can be installed; who lacks them is told, and measures without."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass

from tools.bootstrap import BootstrapError, apt_get, step

_INSTALL_SECONDS = 600


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
        return f"apt-get install --yes --no-install-recommends {self.package}"


RIVALS = (Program("restic", "restic"), Program("borg", "borgbackup"))


def provide() -> None:
    """Install what is missing, as root where there is apt-get; say what stays missing. Never fails."""
    missing = [program for program in RIVALS if not program.there]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        wanted = " ".join(program.package for program in missing)
        command = f"apt-get install --yes --no-install-recommends {wanted}"
        try:
            with step(f"to be measured against: {command}"):
                apt_get(command, seconds=_INSTALL_SECONDS)
        except BootstrapError as exc:
            print(exc, file=sys.stderr)
    for told in left_out():
        print(told, file=sys.stderr)


def left_out() -> tuple[str, ...]:
    """A sentence for each that is not here: whom the tables lack, and how to get it."""
    return tuple(f"{program.name} is left out: it is not on PATH; on Debian, as root: {program.install}"
                 for program in RIVALS if not program.there)
