"""Finding out now what a run would find later."""

from __future__ import annotations

import secrets

from nightscan_tasks.errors import StoreError
from nightscan_tasks.stores.base import Store


def probe_by_writing(store: Store) -> None:
    """Write, read back and delete a small object; whatever the store raises passes through."""
    key, content = f"probe/{secrets.token_hex(8)}", secrets.token_bytes(64)
    store.put(key, [content])
    try:
        with store.open(key) as chunks:
            found = b"".join(map(bytes, chunks))
    finally:
        store.delete(key)
    if found != content:
        raise StoreError(f"{store.name} {store.url}: {len(content)} bytes were written, and others "
                         "read back: do not trust this store before its disk or server is checked")
