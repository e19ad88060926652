"""A restore, from the words in which a message, or a person, asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from nightscan_tasks.ledger.restore_records import Part
from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.restore import FULL, Choice, Request, Targets, components_of
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.workflows.pre_restore import PRE_RESTORE


def wanted(what: str = FULL, *, set_id: str | None = None, tier: str | None = None, index: int = 1,  # noqa: PLR0913 - one for each thing that can be said
           before: str | None = None, store: str = PRIMARY, target_db: str | None = None,
           target_redis: str | None = None, target_root: str | None = None,
           tables: Sequence[str] = (), schemas: Sequence[str] = (), databases: Sequence[int] = (),
           keys: Sequence[str] = (), paths: Sequence[str] = (), safety: bool = True,
           unsigned: bool = False, limited: bool = True, host: str = "") -> Request:
    """The request for `full`, or for one component.

    The set: by id; or the `index`-th newest of a tier (1 is the newest), or from before a moment (ISO
    8601); else the newest complete one. `unsigned`: whatever its signature is worth. Without `limited` it
    is as fast as it goes, whatever limit the host has. `host`: whose user data, where several have
    some. ValueError, or `RestoreRefused`, where it makes no sense.
    """
    targets = targets_of(target_db, target_redis, target_root)
    part = Part(tuple(tables), tuple(schemas), tuple(databases), tuple(keys), tuple(paths))
    choice = Choice(set_id=SetId.parse(set_id) if set_id else None, tier=Tier(tier) if tier else None,
                    index=index, before=datetime.fromisoformat(before) if before else None, store=store,
                    unsigned=unsigned, host=host)
    return Request(choice, components_of(what, targets, part), targets, part,
                   safety=PRE_RESTORE if safety else None, limited=limited)


def targets_of(target_db: str | None = None, target_redis: str | None = None,
               target_root: str | None = None) -> Targets:
    """Where to, if not into the application itself."""
    return Targets(SecretStr(target_db) if target_db else None,
                   SecretStr(target_redis) if target_redis else None,
                   Path(target_root) if target_root else None)
