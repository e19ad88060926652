"""A restorer of files for each component, as the settings have it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nightscan_tasks.components.files_places import Layout
from nightscan_tasks.components.files_restorer import FilesRestorer, utc_now
from nightscan_tasks.settings import Settings

FILE_COMPONENTS = ("user_data", "system_config", "source_code")


def files_restorer(settings: Settings, component: str, run_id: str, *, paths: tuple[str, ...] = (),
                   clock: Callable[[], datetime] = utc_now) -> FilesRestorer:
    """What puts `component` back where it is live: below NIGHTSCAN_ROOT, or NIGHTSCAN_ETC."""
    root = settings.etc if component == "system_config" else settings.root
    return FilesRestorer(component, root, run_id, paths=paths, layout=layout_of(settings, component),
                         clock=clock)


def layout_of(settings: Settings, component: str) -> Layout:
    """Whose the folders below a component's root are."""
    if component == "system_config":
        return Layout()
    folders = tuple(os.fsencode(name.strip("/")) for name in settings.user_data)
    stores = tuple(_stores(settings, folders))
    if component == "user_data":
        return Layout(folders=folders, spared=stores)
    quarantine = _below(settings.root, settings.quarantine)
    return Layout(spared=(*folders, *stores, *([quarantine] if quarantine else [])))


def _stores(settings: Settings, folders: tuple[bytes, ...]) -> Iterator[bytes]:
    """The stores that lie below the root, also below a folder of it that is a symlink."""
    for url in (settings.primary, *settings.offsites):
        parts = urlsplit(url)
        if parts.scheme not in {"", "file"}:
            continue
        path = Path(unquote(parts.path) if parts.scheme else url)
        for folder in (b"", *folders):
            if name := _below(settings.root / os.fsdecode(folder), path):
                yield folder + b"/" + name if folder else name


def _below(root: Path, path: Path) -> bytes:
    """The path relative to the root; empty if it is not below it."""
    root, path = root.resolve(), path.resolve()
    return os.fsencode(path.relative_to(root)) if root in path.parents else b""
