"""How old the newest set is: what would be lost now."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.doctor.finding import Finding, fail, ok, warn
from nightscan_tasks.errors import ManifestInvalid, NotFound
from nightscan_tasks.model import Manifest, Tier
from nightscan_tasks.stores.base import Store
from nightscan_tasks.system import System
from nightscan_tasks.wording import ago, duration

_TWICE = 2


class Newest:
    """The newest complete set of the primary store, read once, whichever check asks first."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._found: dict[str, Manifest | None] = {}

    def of(self, component: str = "") -> Manifest | None:
        """The newest complete set, or the newest that has a component; None where there is none."""
        with self._lock:
            if component not in self._found:
                self._found[component] = newest_complete(self._system.primary, component)
            return self._found[component]


def newest_complete(store: Store, component: str = "") -> Manifest | None:
    """The newest complete set of a store that has the component; reads no more manifests than needed.

    One that was taken before a restore is none: it holds what somebody wanted to be rid of.
    """
    catalog = Catalog(store)
    for set_id in catalog.ids():
        if set_id.tier is Tier.PRE_RESTORE:
            continue
        try:
            manifest = catalog.get(set_id)
        except (NotFound, ManifestInvalid):  # removed meanwhile, or broken: `nightscan list` shows it
            continue
        if manifest.complete and (not component or manifest.of(component)):
            return manifest
    return None


def age(system: System, *, newest: Newest) -> Iterator[Finding]:
    """Whether no more is lost than the objective allows: a warning above it, a failure above twice."""
    manifest, limit_seconds = newest.of(), system.settings.objective_loss_seconds
    if manifest is None:
        yield fail("newest set", f"{system.primary.url} has no complete set",
                   "nightscan backup manual --wait")
        return
    now = system.clock()
    old = now - manifest.set_id.taken_at
    found = (f"{manifest.set_id}, {ago(manifest.set_id.taken_at, now)}; "
             f"the objective is {duration(limit_seconds)}")
    yield _judged(old, timedelta(seconds=limit_seconds))("newest set", found)


def _judged(old: timedelta, limit: timedelta) -> Callable[[str, str], Finding]:
    advice = "nightscan status says how the last runs ended; nightscan backup daily takes a set now"
    if old > _TWICE * limit:
        return lambda name, found: fail(name, found, advice)
    if old > limit:
        return lambda name, found: warn(name, found, advice)
    return ok
