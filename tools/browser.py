"""A Chromium for the tests that look at pages, and for screenshots: the one that the system has.

    python3 -m tools.browser    installs Debian's where there is none, when one is root

Never fails for want of one: whoever needs it says why it is not there. Installing needs the standard
library only; `chromium` needs playwright, of the extra `dev`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tools.providing import provide

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without its recommendations there would be no font to draw letters with.
INSTALL = "apt-get install --yes --no-install-recommends chromium fonts-liberation"


class NoBrowser(Exception):
    """There is none that can be started, why, and what to do about it."""


def main() -> int:
    """Status 0, whatever came of it: without a browser the tests that need one are skipped, and say so."""
    if found() is not None:
        return 0
    return provide(INSTALL, doing="no Chromium to look at pages with", missing=missing(),
                   without="tests of pages are skipped")


def found() -> str | None:
    """The browser's program; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def missing() -> str:
    """What a person is told who has none."""
    return f"no Chromium on this machine (none of {', '.join(NAMES)}); on Debian, as root: {INSTALL}"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium, which ends with its driver when the block does; `NoBrowser` where there is none.

    Root has no sandbox, because Chromium refuses root one.
    """
    from playwright.sync_api import Error, sync_playwright

    program = found()
    if program is None:
        raise NoBrowser(missing())
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program,
                                                 chromium_sandbox=os.geteuid() != 0)
        except Error as exc:
            if "sandbox" not in str(exc).lower():
                raise
            raise NoBrowser(f"{Path(program).name} finds no sandbox here, and is not started without one: "
                            f"allow user namespaces, or run this as root") from exc
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(main())
