"""Programs of the system that some tests need: installed with apt-get where one is root, or missed."""

from __future__ import annotations

import os
import shutil
import sys

from tools.bootstrap import BootstrapError, apt_get, step

_INSTALL_SECONDS = 600


def provide(install: str, *, doing: str, missing: str, without: str) -> int:
    """Run `install`, an apt-get command, where that is possible; else say what is `missing`, and what is
    done `without` it. Status 0, whatever came of it.
    """
    if os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            with step(f"{doing}: {install}"):
                apt_get(install, seconds=_INSTALL_SECONDS)
        except BootstrapError as exc:
            missing = f"{exc}\n{missing}"
        else:
            return 0
    print(f"{missing}: {without}", file=sys.stderr)
    return 0
