"""A dump in the place of the live database, in one call."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from pydantic import SecretStr

from nightscan_tasks.components.database_psql import loader
from nightscan_tasks.components.database_staging import Dump, stage
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import server_version
from nightscan_tasks.components.staged_database import drop
from nightscan_tasks.model import Buffer, Json


@dataclass(frozen=True)
class DatabaseRestored:
    """What is live now, and what was before; `old_name` is None if nothing was, or nothing is kept."""

    database: str
    fingerprint: Mapping[str, Json]
    old_name: str | None
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    elapsed_seconds: float


def restore_database(sql: Iterable[Buffer], *, dsn: SecretStr | str, roles: Iterable[Buffer] | None,
                     expected: Mapping[str, Json], run_id: str,
                     keep_old: bool = True) -> DatabaseRestored:
    """Put a dump in the place of the live database, if it holds what `expected` (a fingerprint) says.

    The live one is kept as `nightscan_before_TIME`. `RestoreRefused` says what stands in the way:
    then nothing is changed, but roles that were missing may have been created. Errors out of `sql`
    pass through. A second call with the same `run_id` replaces what a dead first one left.
    """
    started = time.monotonic()
    swap = DatabaseSwap(dsn if isinstance(dsn, SecretStr) else SecretStr(dsn), run_id)
    role_sql = b"".join(bytes(chunk) for chunk in roles or ()).decode()
    staged = stage(Dump(role_sql, lambda: nullcontext(sql), expected), swap, jobs=2)
    try:
        swapped = swap.swap()
    except BaseException:
        swap.discard()
        raise
    old_name = swapped.before.removeprefix("database ") if swapped.before else None
    with swap.place() as connection:
        if old_name and not keep_old:
            drop(connection, old_name)
        versions = {"postgresql": server_version(connection), "psql": str(loader())}
    return DatabaseRestored(
        database=swap.target, fingerprint=staged.fingerprint, notes=staged.notes, versions=versions,
        old_name=old_name if keep_old else None, elapsed_seconds=time.monotonic() - started)
