"""The fence: whoever lost a lease, and wakes up later, changes nothing that counts.

A lease can be lost between any two instructions. So it is looked at again in the last moment before an
object becomes visible; what a newer try wrote is never replaced; and a manifest that came too late goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.errors import AlreadyExists, Busy, NotFound, StoreRefused
from nightscan_tasks.ledger import Outcome
from nightscan_tasks.model import MANIFEST_NAME, Buffer, Chunks, Manifest, SetId, Stored
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System


def put_fenced(store: Store, key: str, chunks: Iterable[Buffer], check: Callable[[], None]) -> Stored:
    """Store a stream under a lease that `check` looks at; what an earlier try left at `key` goes first.

    `LeaseLost` out of `check` leaves nothing. `Busy`: another try wrote there meanwhile, and its object
    stands: look again whether the part is saved.
    """
    check()
    empty = _clear(store, key)
    try:
        return store.put(key, _guarded(chunks, check), if_absent=empty)
    except AlreadyExists as exc:
        raise Busy(f"{key} was stored by another try at this moment") from exc


def find_published(catalog: Catalog, set_id: SetId, run_id: str) -> Manifest | None:
    """The manifest that a run has published already, or None: then its set exists, whatever it lost since."""
    try:
        manifest = catalog.get(set_id)
    except NotFound:
        return None
    return manifest if manifest.run_id == run_id else None


def withdraw(system: System, late: Outcome) -> None:
    """Take the manifests back that were published after somebody had recorded that the run failed."""
    for name in late.stores:
        catalog = system.catalog(name)
        if find_published(catalog, late.set_id, late.run_id):
            catalog.store.delete(late.set_id.key(MANIFEST_NAME))


def _clear(store: Store, key: str) -> bool:
    """Remove what a try that died left; False where that is refused: a newer version has to cover it.

    An object lock refuses, and so does a bucket in which the writer's keys may not delete.
    """
    if store.stat(key) is None:
        return True
    try:
        store.delete(key)
    except StoreRefused:
        return False
    return True


def _guarded(chunks: Iterable[Buffer], check: Callable[[], None]) -> Chunks:
    for chunk in chunks:
        check()
        yield chunk
    check()  # the store makes the object visible next
