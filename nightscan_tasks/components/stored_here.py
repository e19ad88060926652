"""The stores that are folders of this host, and the quarantine: a backup must not save itself."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from nightscan_tasks.settings import Settings


def store_folders(settings: Settings) -> frozenset[tuple[int, int]]:
    """Device and inode of every store that is a folder here, however its path is written.

    And of the quarantine: what is in it was saved where it was, and would be saved again by every set.
    """
    folders = set()
    for url in (settings.primary, *settings.offsites, str(settings.quarantine)):
        parts = urlsplit(url)
        if parts.scheme in {"", "file"}:
            try:
                status = Path(unquote(parts.path) if parts.scheme else url).stat()
            except OSError:
                continue  # not there yet: nothing to leave out
            folders.add((status.st_dev, status.st_ino))
    return frozenset(folders)
