"""Finding out now what a run would find later."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime

from nightscan_tasks.errors import Locked, StoreError
from nightscan_tasks.stores.base import Store

_FOLDER = "probe"


def probe_by_writing(store: Store) -> None:
    """Write, read back and delete a small object; whatever the store raises passes through."""
    key, content = f"{_FOLDER}/{secrets.token_hex(8)}", secrets.token_bytes(64)
    store.put(key, [content])
    try:
        with store.open(key) as chunks:
            found = b"".join(map(bytes, chunks))
    finally:
        with suppress(Locked):  # a bucket that locks whatever comes: a sweep takes it when that is over
            store.delete(key)
    if found != content:
        raise StoreError(f"{store.name} {store.url}: {len(content)} bytes were written, and others "
                         "read back: do not trust this store before its disk or server is checked")


def sweep_probes(store: Store, older_than: datetime) -> list[str]:
    """Remove what probes left that were killed before they could delete it; say what it was."""
    removed = []
    for entry in list(store.list(f"{_FOLDER}/")):
        if entry.modified_at < older_than:
            with suppress(Locked):
                store.delete(entry.key)
                removed.append(f"the object of a probe, {entry.key}, in {store.url}")
    return removed
