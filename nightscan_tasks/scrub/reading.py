"""Keeping a set while it is mended: rotation leaves alone what a lease says is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nightscan_tasks.backup.dumping import holder
from nightscan_tasks.errors import Busy
from nightscan_tasks.ledger.holds import REMOVING
from nightscan_tasks.model import SetId
from nightscan_tasks.rotation import RESTORE_LEASES
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System


@contextmanager
def kept(system: System, store: Store, set_id: SetId) -> Iterator[None]:
    """Nobody removes the set meanwhile. `Busy` where somebody does so at this moment.

    Whoever removes a set takes its lease first, and then looks who reads it; here it is the other way round:
    so one of the two sees the other.
    """
    resource = f"{RESTORE_LEASES.removeprefix('leases/')}/{set_id}/scrub-{store.name}"
    try:
        with system.leases.hold(resource, holder(system)):
            if is_removed(system, set_id):
                raise Busy(f"{set_id} is being removed at this moment")
            yield
    finally:
        system.leases.forget(f"{resource}/")


def is_removed(system: System, set_id: SetId) -> bool:
    """Whether somebody removes the set at this moment."""
    lease = system.leases.look(f"{REMOVING}/{set_id}")
    return lease is not None and lease.live(system.clock())
