"""Reconciling what the settings speak of."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.components.stored_here import store_folders
from nightscan_tasks.model import SetId
from nightscan_tasks.reconcile.columns import parse_columns
from nightscan_tasks.reconcile.reconciling import Site, reconcile
from nightscan_tasks.reconcile.result import Reconciled
from nightscan_tasks.reconcile.searching import OpenArtifact, Saved
from nightscan_tasks.system import System


def reconcile_live(system: System, open_artifact: OpenArtifact, *, apply: bool = False) -> Reconciled:
    """Compare the live rows with the live files and with the sets of every store; `apply` puts it right.

    While a set is read to put files back, retention leaves it alone.
    """
    settings = system.settings
    site = Site(dsn=settings.dsn, root=settings.root, columns=parse_columns(settings.reconcile),
                exclude=settings.user_data_exclude, temp_dir=settings.temp_dir,
                skip=store_folders(settings))
    run_id = f"reconcile-{secrets.token_hex(6)}"

    def keep(set_id: SetId) -> AbstractContextManager[object]:
        return system.leases.hold(f"restore/{set_id}/{run_id}", f"reconcile on {system.host}")

    saved = Saved(open_artifact, tuple(Catalog(store) for store in system.stores), keep,
                  system.signatures.manifest)
    return reconcile(site, saved, now=system.clock(), quarantine=settings.quarantine if apply else None)
