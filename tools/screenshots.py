"""Take the pictures in docs/images, of a simulated past and of a running backup.

    python -m tools.screenshots [NAME …]    all of them, or those that are named

Each is made by a file in tools/shots.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.browser import NoBrowser, chromium
from tools.shots import flower, page, report
from tools.shots.studio import IMAGES, Spoilt, Studio

SHOTS: dict[str, Callable[[Studio], None]] = {
    "flower": flower.shoot,
    "page": page.shoot,
    "report": report.shoot,
}


def main(names: Sequence[str]) -> int:
    """Status 0 when all are taken, 1 when a page complained or there is no browser, 2 for an unknown name."""
    if unknown := sorted(set(names) - set(SHOTS)):
        print(f"there is no picture {unknown[0]}; there are: {', '.join(SHOTS)}", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    try:
        with chromium() as browser:
            for name in names or SHOTS:
                with tempfile.TemporaryDirectory(prefix="nightscan-shot-") as folder:
                    SHOTS[name](Studio(browser, Path(folder)))
    except (NoBrowser, Spoilt) as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
