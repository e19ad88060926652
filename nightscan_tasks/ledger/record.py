"""A record: one value in one small JSON file of a store."""

from __future__ import annotations

from contextlib import suppress

from nightscan_tasks import wire
from nightscan_tasks.errors import ManifestInvalid, NotFound
from nightscan_tasks.stores.base import Store


def read(store: Store, kind: type[wire.T], key: str) -> wire.T | None:
    """The value, or None where there is none; `ManifestInvalid` where it cannot be read."""
    try:
        with store.open(key) as chunks:
            data = b"".join(map(bytes, chunks))
    except NotFound:
        return None
    return wire.decode(kind, data, source=f"{store.name} {key}")


def read_leniently(store: Store, kind: type[wire.T], key: str) -> wire.T | None:
    """The same for what can be found out anew: one that cannot be read says nothing."""
    with suppress(ManifestInvalid):
        return read(store, kind, key)
    return None


def write(store: Store, key: str, value: object, *, if_absent: bool = False) -> None:
    """Replace it, or with `if_absent` leave what is there alone: `AlreadyExists`."""
    store.put(key, [wire.encode(value)], if_absent=if_absent)
