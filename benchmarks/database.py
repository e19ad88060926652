"""The database: dumped and put back, by whoever a user might choose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from rich.console import Console

from benchmarks.ask import Ask
from benchmarks.contest import Contender, Step, Task, contest
from benchmarks.measuring import Command
from benchmarks.outcome import Found, Table, followed
from benchmarks.programs import RIVALS as PROGRAMS
from benchmarks.rivals import restic
from benchmarks.scratch import Need, bytes_below, empty
from benchmarks.site import DECRYPT, ENCRYPT, Site, site
from nightscan_tasks.programs import find
from nightscan_tasks.world.postgres import DATABASE, ROLE
from nightscan_tasks.world.sample.database import write_database
from nightscan_tasks.world.sample.plan import plan_sample

SQL_BYTES = 650_000_000  # what is asked of the sample …
DUMP_BYTES = 638_000_000  # … and what it makes of it
BY_HAND = "pg_dump | gzip; gunzip | psql"
GUIDE = "pg_dump | gzip | gpg (the guide)"
TASKS = {
    "dump": Task("Dump", GUIDE,
                 "nightscan counts the rows of every table in the dump's own snapshot, hashes their content, "
                 "encrypts, and reads back what it stored."),
    "restore": Task("Restore into an empty database", BY_HAND,
                    "nightscan stages the database beside the one that is there, lets the dump's SQL do no "
                    "more than a dump may, and compares rows and content with what was saved."),
    "both": Task("Dump and restore together", BY_HAND, "The sum, round by round."),
}
_SCRATCH = "restored"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SAMPLE_BYTES = 20_000_000
_JOBS = 2


def need(ask: Ask) -> Need:
    """Two databases with their indexes and the server's log, and what is saved of one."""
    return Need(int(8 * SQL_BYTES * ask.scale) + 500_000_000, 20_000)


def database(folder: Path, console: Console, ask: Ask) -> Found:
    """All tables of the database."""
    with site(folder, ("gpg", "files", "postgres")) as place:
        console.print("filling a database …")
        _fill(place, int(SQL_BYTES * ask.scale), seed=ask.seed)
        dump, restore = contest(list(_Contenders(place).all()),
                                {key: TASKS[key] for key in ("dump", "restore")}, ask, console=console)
        both = TASKS["both"]
        sums = tuple(followed(row, again) for row in dump.rows
                     for again in (restore.row(row.name),) if again is not None)
        return Found((dump, restore, Table(both.title, both.against, sums, both.note)))


class _Contenders:
    """Everybody who takes part. Each restores into an empty database what it dumped."""

    def __init__(self, place: Site) -> None:
        self._site = place
        self._out = place.folder / "out"
        self._target = place.world.dsn(_SCRATCH)
        self._dump = f'{_tool("pg_dump")} "$NIGHTSCAN_DATABASE_URI"'
        self._psql = f'{_tool("psql")} -q -X -v ON_ERROR_STOP=1 "$TARGET_URI" >/dev/null'

    def all(self) -> Iterator[Contender]:
        """Those that are on this machine."""
        yield Contender("pg_dump >/dev/null", (Step("dump", self._command(f"{self._dump} >/dev/null")),))
        yield self._pipeline(BY_HAND, f"{self._dump} | gzip >out/sql.gz",
                             f"gunzip --stdout out/sql.gz | {self._psql}")
        yield self._pipeline(GUIDE, f"{self._dump} | gzip | {ENCRYPT} >out/sql.gz.gpg",
                             f"{DECRYPT} out/sql.gz.gpg | gunzip --stdout | {self._psql}")
        folder = f"{self._dump} --format=directory --jobs={_JOBS} --file=out/directory"
        yield self._pipeline(f"pg_dump -Fd -j{_JOBS}; pg_restore -j{_JOBS}", folder,
                             f'{_tool("pg_restore")} --jobs={_JOBS} --dbname="$TARGET_URI" out/directory')
        if any(program.name == "restic" and program.there for program in PROGRAMS):
            yield self._restic()
        for form in ("sql", "directory"):
            yield self._ours(form)

    def _pipeline(self, name: str, save: str, restore: str) -> Contender:
        return Contender(name, (Step("dump", self._command(save), stored=lambda: bytes_below(self._out)),
                                Step("restore", self._command(restore), self._empty)),
                         lambda: empty(self._out), lambda: shutil.rmtree(self._out))

    def _restic(self) -> Contender:
        rival = restic(self._site)
        save = f"{self._dump} | restic --quiet backup --stdin --stdin-filename nightscan.sql"
        restore = f"restic --quiet dump latest nightscan.sql | {self._psql}"
        command = rival.command(restore)
        return Contender("pg_dump | restic --stdin", (
            Step("dump", rival.command(save), stored=rival.stored_bytes),
            Step("restore", replace(command, env={**command.env, "TARGET_URI": self._target}), self._empty)),
            rival.fresh, rival.gone)

    def _ours(self, form: str) -> Contender:
        more = {"NIGHTSCAN_DATABASE_FORMAT": form, "NIGHTSCAN_DATABASE_JOBS": str(_JOBS)}
        save = self._site.nightscan("backup manual --component database --local --json", **more)
        restore = self._site.nightscan(
            f"restore database --local --json --tier manual --target-db {_SCRATCH}", **more)
        return Contender(f"nightscan, {form}", (
            Step("dump", save, stored=lambda: bytes_below(self._site.backups)),
            Step("restore", restore, self._empty)),
            lambda: empty(self._site.backups), lambda: empty(self._site.backups))

    def _command(self, script: str) -> Command:
        return self._site.command(script, TARGET_URI=self._target)

    def _empty(self) -> None:
        """An empty database to restore into; nothing that the one before left to write down."""
        with psycopg.connect(self._site.world.superuser_dsn(), autocommit=True) as admin:
            name, owner = sql.Identifier(_SCRATCH), sql.Identifier(ROLE)
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(name, owner))
            admin.execute("CHECKPOINT")


def _tool(name: str) -> Path:
    return find(name, at_least=(18,)).path


def _fill(place: Site, sql_bytes: int, *, seed: int) -> None:
    """The sample's own tables: keys, foreign keys and indexes are much of what a restore has to make."""
    plan = replace(plan_sample(_SAMPLE_BYTES, seed=seed, now=_NOW), database_bytes=sql_bytes)
    write_database(place.world.dsn(DATABASE), plan)
    with psycopg.connect(place.world.superuser_dsn(DATABASE), autocommit=True) as admin:
        admin.execute("VACUUM ANALYZE")
