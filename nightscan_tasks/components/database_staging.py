"""A dump becomes a database beside the live one: made, filled, compared with what was saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import cast

import psycopg
from pydantic import SecretStr

from nightscan_tasks.components import staged_database as staging
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.components.database_load import load
from nightscan_tasks.components.database_outlook import problems
from nightscan_tasks.components.database_psql import load_by_psql, loader
from nightscan_tasks.components.database_script import NotUnderstood
from nightscan_tasks.components.database_swap import DatabaseSwap
from nightscan_tasks.components.postgres import Connection, connect, explained, where
from nightscan_tasks.components.restorer import Staged
from nightscan_tasks.components.roles import create_roles, require_roles
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Buffer, Json

_DIFFERENCES_SHOWN = 20


@dataclass(frozen=True)
class Dump:
    """What a database is made of: the SQL of its roles, its own, and the fingerprint it has to have."""

    role_sql: str
    open: Callable[[], AbstractContextManager[Iterable[Buffer]]]
    expected: Mapping[str, Json]

    @property
    def wanted(self) -> Mapping[str, Json]:
        """What a new database needs before the dump can be loaded into it."""
        return wanted_environment(self.expected)


def wanted_environment(expected: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a fingerprint says of the database as a whole: encoding, owner, extensions and the like."""
    return cast("Mapping[str, Json]", expected.get("environment") or {})


def stage(dump: Dump, swap: DatabaseSwap, *, jobs: int) -> Staged:
    """Fill the run's place from a dump and compare it; whatever fails removes it again."""
    with filled(dump, swap, jobs=jobs) as (connection, staged):
        notes = staging.furnish(connection, swap.staged, dump.wanted)
        swap.at("mark")
        swap.mark_whole(connection, str(dump.wanted.get("comment") or ""))
    return replace(staged, notes=staged.notes + notes)


@contextmanager
def filled(dump: Dump, swap: DatabaseSwap, *, jobs: int) -> Iterator[tuple[Connection, Staged]]:
    """The run's place, filled and compared, not yet marked; an error removes it, here and in the context."""
    with swap.place() as connection:
        if found := list(problems(connection, swap.target, dump.wanted, role_sql=dump.role_sql)):
            raise RestoreRefused("nothing was changed: " + "; ".join(found))
        missing = require_roles(connection, cast("list[str]", dump.wanted.get("roles") or []), dump.role_sql)
        swap.at("clear")
        staging.sweep(connection, swap.staged)
        notes = create_roles(connection, missing, dump.role_sql)
        swap.at("create")
        staging.create(connection, swap.staged, dump.wanted)
        try:
            swap.at("load")
            notes += _load(dump, connection, swap, jobs)
            swap.at("compare")
            yield connection, Staged(_compare(swap.dsn, swap.staged, dump.expected), notes)
        except BaseException:
            with suppress(psycopg.Error):  # the error that is on its way says more
                staging.drop(connection, swap.staged)
            raise


def _load(dump: Dump, connection: Connection, swap: DatabaseSwap, jobs: int) -> tuple[str, ...]:
    """The fast way; a dump that is not understood goes the plain way, from its beginning."""
    try:
        with dump.open() as chunks:
            return load(chunks, dsn=swap.dsn, name=swap.staged, jobs=jobs)
    except NotUnderstood:
        staging.drop(connection, swap.staged)
        staging.create(connection, swap.staged, dump.wanted)
        with dump.open() as chunks:
            load_by_psql(chunks, loader(), dsn=swap.dsn, name=swap.staged)
        return ()


def _analyze(connection: Connection) -> None:
    """Rough statistics, in a tenth of the time: nobody plans without any; autovacuum makes them fine."""
    connection.execute("SET default_statistics_target = 10")
    connection.execute("ANALYZE")


def _compare(dsn: SecretStr, name: str, expected: Mapping[str, Json]) -> dict[str, Json]:
    """The new database's fingerprint; `RestoreRefused` if it is not the one that was saved."""
    tables = cast("Mapping[str, Mapping[str, Json]]", expected.get("tables") or {})
    # Beside each other: one connection alone does not keep two processors busy.
    with connect(dsn, database=name) as connection, connect(dsn, database=name) as second, \
            explained(where(dsn, database=name)), ThreadPoolExecutor(1, "analyze") as pool:
        analyzing = pool.submit(_analyze, second)
        found = fingerprint_database(connection, content=any("hash" in t for t in tables.values()))
        analyzing.result()
    differences = compare_fingerprints(expected, found) if expected else []
    if differences:
        shown = "\n  ".join(differences[:_DIFFERENCES_SHOWN])
        raise RestoreRefused(f"the loaded database is not the one that was saved; the live one was "
                             f"not touched; {len(differences)} differences:\n  {shown}")
    return found
