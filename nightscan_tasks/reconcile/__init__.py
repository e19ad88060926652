"""Rows against files against all sets: what is missing, what nobody names, and putting it right.

`columns` reads the values of rows and `naming` says which file each means; `walking` lists the files;
`planning` compares the two in a `scratch` on disk, so that memory does not grow; `searching` finds the
newest set that has what is missing. That is all, unless it is to be applied: then `fetching` puts missing
files back, and `quarantine` takes what no row names; both by `moving`, which never writes over anything.
"""

from nightscan_tasks.reconcile.columns import Column, parse_columns
from nightscan_tasks.reconcile.live import reconcile_live
from nightscan_tasks.reconcile.reconciling import Site, reconcile
from nightscan_tasks.reconcile.result import Missing, Reconciled
from nightscan_tasks.reconcile.searching import Saved

__all__ = ["Column", "Missing", "Reconciled", "Saved", "Site", "parse_columns", "reconcile", "reconcile_live"]
