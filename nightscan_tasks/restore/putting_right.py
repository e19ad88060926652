"""Rows against files, with the sets at hand; what is put right is put right by nobody else meanwhile."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

from nightscan_tasks.ledger.restore_records import Place
from nightscan_tasks.reconcile import Reconciled, reconcile_live
from nightscan_tasks.restore.journal import holding, open_journal
from nightscan_tasks.restore.reading import plain
from nightscan_tasks.system import System


def put_right(system: System, *, apply: bool = False) -> Reconciled:
    """Compare rows, files and sets; with `apply` fetch what is missing and put away what nobody names.

    `RestoreRefused` while a restore is under way: it would exchange the folders in between.
    """
    alone = nullcontext() if not apply else holding(
        open_journal(system), Place(), f"reconcile-{system.clock():%Y%m%dT%H%M%SZ}", system.host)
    with alone:
        return reconcile_live(system, partial(plain, system), apply=apply)
