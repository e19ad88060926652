"""The record of alerts: `alerts/open.json` has those that are open, `alerts/closed/` a file for each other.

It lies in the primary store, like the ledger; while that does not answer, in a private folder of the host,
so that even then one is told once, and reminded daily.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from nightscan_tasks.errors import StoreRefused
from nightscan_tasks.ledger import record
from nightscan_tasks.settings import Settings
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.build import build_store
from nightscan_tasks.watch.alert import Alert, Untold

ALERTS = "alerts"
_OPEN = f"{ALERTS}/open.json"


@dataclass(frozen=True)
class Page:
    """What is open: the alerts, and the channels that did not take what they were to be told."""

    alerts: tuple[Alert, ...] = ()
    untold: tuple[Untold, ...] = ()
    looked_at: datetime | None = None
    closed: tuple[Alert, ...] = field(default=())
    """Alerts that are over, of which some channel has not been told yet."""


class Book:
    """The alerts that a store has records of."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self) -> Page:
        """What is open now. A record that cannot be read is an empty one: rather told twice than not."""
        return record.read_leniently(self._store, Page, _OPEN) or Page()

    def keep(self, page: Page) -> None:
        """Replace what is open."""
        record.write(self._store, _OPEN, page)

    def close(self, alerts: Iterable[Alert]) -> None:
        """Keep alerts that are over, for the reports; once is enough."""
        for each in alerts:
            record.write(self._store, _key(each), each)

    def closed(self, *, since: datetime | None = None) -> Iterator[Alert]:
        """The alerts that were closed after `since`, the newest first."""
        keys = [entry.key for entry in self._store.list(f"{ALERTS}/closed/")]
        for key in sorted(keys, reverse=True):
            if since is not None and key.rpartition("/")[2] < _stamp(since):
                return
            alert = record.read_leniently(self._store, Alert, key)
            if alert is not None:  # one that cannot be read hides no other
                yield alert


def host_store(settings: Settings) -> Store:
    """A private folder of this host, for as long as the primary store does not answer; made if need be."""
    folder = _host_folder(settings)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    return _host_store(settings, folder)


def host_page(settings: Settings) -> Page:
    """What is open in the book of this host, where there is one."""
    folder = _host_folder(settings)
    return Book(_host_store(settings, folder)).page() if os.path.lexists(folder) else Page()


def forget_host_page(settings: Settings) -> None:
    """The book of this host is needed no more."""
    shutil.rmtree(_host_folder(settings), ignore_errors=True)


def _host_folder(settings: Settings) -> Path:
    return settings.temp_dir / f"nightscan-alerts-{os.getuid()}"


def _host_store(settings: Settings, folder: Path) -> Store:
    if folder.lstat().st_uid != os.getuid() or folder.is_symlink():
        raise StoreRefused(f"{folder} belongs to somebody else; remove it, or set NIGHTSCAN_TEMP_DIR")
    return build_store("host", str(folder), settings.model_copy(update={"owner": ""}))


def _key(alert: Alert) -> str:
    name = hashlib.sha256(alert.key.encode()).hexdigest()[:8]
    return f"{ALERTS}/closed/{_stamp(alert.closed_at or alert.noticed_at)}-{name}.json"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"
