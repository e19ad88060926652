"""How long a database takes to come back: by hand, as the guide has it, and as a component."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr
from rich.table import Table

from benchmarks.contest import Result, contest, shell
from benchmarks.site import system
from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.model import FOREVER, Plan, Tier
from nightscan_tasks.programs import find
from nightscan_tasks.restore.reading import SetSource
from nightscan_tasks.wording import size
from nightscan_tasks.world.world import World

_SCRATCH = "restored"
_BY_HAND = "gunzip | psql"


def database(site: World) -> Table:
    """`gunzip | psql`, with `gpg` before it as in the guide, and the restorer, checks included."""
    clear, secret = _saved(site, ""), _saved(site, "backup@nightscan.com")
    counted = _saved(site, "backup@nightscan.com", NIGHTSCAN_CONTENT_HASH="false")
    psql = f'{find("psql", at_least=(18,)).path} -q -X -v ON_ERROR_STOP=1 "{site.dsn(_SCRATCH)}" >/dev/null'
    gpg = 'gpg --homedir "$NIGHTSCAN_GPG_HOME" --batch --quiet --decrypt'
    env, folder = site.environ(), site.folder
    _gzip(site)
    results = contest({
        _BY_HAND: shell(f"gunzip --stdout bench.sql.gz | {psql}", env=env, cwd=folder),
        "gpg | gunzip | psql (the guide)": shell(f"{gpg} {_file(secret)} | gunzip --stdout | {psql}", env=env,
                                                 cwd=folder),
        "the restorer, not encrypted": _restoring(site, clear),
        "the restorer, encrypted": _restoring(site, secret),
        "the restorer, encrypted, rows only counted": _restoring(site, counted),
    }, prepare=lambda: _empty(site))
    plain_bytes = sum(artifact.plain_bytes for artifact in clear.artifacts)
    return _table(f"database put back, {size(plain_bytes)} of SQL", results, plain_bytes)


def _saved(site: World, recipient: str, **more: str) -> SetSource:
    """The database as a set has it."""
    made = system(site, NIGHTSCAN_GPG_RECIPIENT=recipient, **more)
    run = backup.open_run(made, Request(Plan(Tier.MANUAL, ("database",), FOREVER))).run
    backup.start(made, run)
    for part in run.parts:
        backup.dump(made, run.run_id, part)
    backup.settle(made, run.run_id, final=True)
    catalog = made.catalog()
    return SetSource(made, catalog, catalog.get(run.set_id), "database")


def _restoring(site: World, source: SetSource) -> Callable[[], None]:
    """A way: all of a restore, from looking to letting the old state go."""
    restorer = DatabaseRestorer(SecretStr(site.dsn(_SCRATCH)), "bench")

    def run() -> None:
        assert not restorer.examine(source).problems
        restorer.stage(source)
        restorer.swap()
        restorer.accept()

    return run


def _file(source: SetSource) -> Path:
    """The dump, where it lies."""
    (dump,) = (each for each in source.artifacts if ".roles." not in each.name)
    return source.system.settings.backup_dir / source.manifest.set_id.key(dump.name)


def _gzip(site: World) -> None:
    """The dump as the guide has it, from the very same database."""
    dump = f'{find("pg_dump", at_least=(18,)).path} "$NIGHTSCAN_DATABASE_URI"'
    shell(f"{dump} | gzip >bench.sql.gz", env=site.environ(), cwd=site.folder)()


def _empty(site: World) -> None:
    """An empty database to restore into."""
    with _admin(site) as connection:
        name = sql.Identifier(_SCRATCH)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


@contextmanager
def _admin(site: World) -> Iterator[psycopg.Connection]:
    with psycopg.connect(site.dsn("postgres"), autocommit=True) as connection:
        yield connection


def _table(title: str, results: dict[str, Result], plain_bytes: int) -> Table:
    table = Table(title=f"{title}; medians of three")
    for column in ("way", "seconds", "MB/s", f"times as fast as {_BY_HAND}", "rounds"):
        table.add_column(column, justify="left" if column in {"way", "rounds"} else "right")
    for name, result in results.items():
        table.add_row(name, f"{result.seconds:.2f}", f"{plain_bytes / result.seconds / 1e6:.0f}",
                      f"{results[_BY_HAND].seconds / result.seconds:.2f}",
                      " ".join(f"{each:.2f}" for each in result.rounds))
    return table
