"""Which set the live files are compared with, and how its index is read."""

from __future__ import annotations

from functools import partial

from nightscan_tasks.model import Manifest, SetId, Tier
from nightscan_tasks.restore import Choice, choose
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System
from nightscan_tasks.validation import OpenIndex


def chosen(system: System, set_id: str | None = None, tier: str | None = None) -> tuple[Manifest, OpenIndex]:
    """A set by its id, or the newest complete one of a tier or of any that has user data."""
    choice = Choice(set_id=SetId.parse(set_id) if set_id else None, tier=Tier(tier) if tier else None)
    catalog, manifest = choose(system, choice, ("user_data",))
    return manifest, partial(plain, system, catalog, manifest)
