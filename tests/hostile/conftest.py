"""A database with an attacker's dump of it, and a superuser who is to restore that."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from nightscan_tasks.components.base import Shared
from nightscan_tasks.components.database import Database
from nightscan_tasks.components.database_restorer import DatabaseRestorer
from nightscan_tasks.model import Artifact, Report
from nightscan_tasks.settings import load
from nightscan_tasks.world.world import World

LIVE = (
    "CREATE TABLE prediction (id serial PRIMARY KEY, filename text)",
    "INSERT INTO prediction (filename) SELECT g || '.wav' FROM generate_series(1, 20) g",
)


@dataclass
class Crafted:
    """What an attacker made of a set; a restorer's `Source`."""

    streams: dict[str, bytes]
    report: Report

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        return tuple(Artifact(f"{name}.gz", "database", "database", len(data), "", 0, "")
                     for name, data in sorted(self.streams.items()))

    @contextlib.contextmanager
    def open(self, artifact: Artifact) -> Iterator[Iterator[bytes]]:
        yield iter([self.streams[artifact.name.removesuffix(".gz")]])

    def with_sql(self, text: str) -> Crafted:
        """The same with more at the end of the dump."""
        mark = b"--\n-- PostgreSQL database dump complete\n"
        dump = self.streams["database.sql"]
        assert mark in dump
        return replace(self, streams={**self.streams, "database.sql": dump.replace(
            mark, text.encode() + b"\n" + mark)})

    def with_roles(self, text: str) -> Crafted:
        return replace(self, streams={**self.streams, "database.roles.sql": text.encode()})

    def with_environment(self, **values: object) -> Crafted:
        fingerprint: dict[str, Any] = dict(self.report.fingerprint)
        fingerprint["environment"] = {**fingerprint["environment"], **values}
        return replace(self, report=replace(self.report, fingerprint=fingerprint))


@dataclass
class Site:
    """One live database of the role `nightscan`, on a server whose superuser restores."""

    server: World
    uri: str
    folder: Path
    roles: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return urlsplit(self.uri).path[1:]

    @property
    def superuser(self) -> SecretStr:
        return SecretStr(self.server.superuser_dsn(self.name))

    @property
    def marker(self) -> Path:
        """The file that a program of the attacker's would write."""
        return self.folder / "written-by-attacker"

    @property
    def program(self) -> str:
        """A statement that a superuser alone can run."""
        return f"COPY (SELECT 'x') TO PROGRAM 'cat > {self.marker}'"

    def connect(self, database: str = "") -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.superuser_dsn(database or self.name), autocommit=True)

    def run(self, *statements: str, owner: bool = False) -> None:
        with (psycopg.connect(self.uri, autocommit=True) if owner else self.connect()) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str, database: str = "") -> list[tuple[Any, ...]]:
        with self.connect(database) as connection:
            return connection.execute(query.encode()).fetchall()

    def saved(self, uri: str = "") -> Crafted:
        """What is saved of a database, the live one unless another is named, by a superuser."""
        dsn = uri or self.superuser.get_secret_value()
        component = Database(load({"NIGHTSCAN_DATABASE_URI": dsn}))
        shared = Shared(announce=lambda: None, listing=None)  # type: ignore[arg-type]
        with component.open("database", shared) as dump:
            streams = {stream.name: b"".join(map(bytes, stream.chunks)) for stream in dump.streams()}
            return Crafted(streams, dump.report())

    def restorer(self, **options: Any) -> DatabaseRestorer:
        return DatabaseRestorer(options.pop("dsn", self.superuser), "r", **options)

    def state(self) -> object:
        """Everything that a dump for this database must not change."""
        return (self.rows("SELECT count(*), min(filename) FROM prediction"),
                self.rows("SELECT rolname, rolsuper, rolcreaterole, rolbypassrls, rolreplication, "
                          "rolcanlogin, rolconfig FROM pg_roles ORDER BY 1"),
                self.rows("SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members "
                          "ORDER BY 1, 2"),
                self.rows("SELECT datname, datdba::regrole::text, datconnlimit, coalesce(datacl, "
                          "acldefault('d', datdba))::text FROM pg_database ORDER BY 1"),
                self.rows("SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2"))


@pytest.fixture
def site(postgres_server: World, database: str, tmp_path: Path) -> Iterator[Site]:
    """The live database has twenty rows; a superuser can run programs, as the marker shows."""
    tmp_path.chmod(0o777)
    made = Site(postgres_server, database, tmp_path)
    made.run(*LIVE, owner=True)
    made.run(made.program)
    assert made.marker.exists(), "a superuser cannot run programs here: the tests would show nothing"
    made.marker.unlink()
    yield made
    with made.connect("postgres") as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE "
                                          "'nightscan\\_%'").fetchall():
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
            sql.Identifier(made.name)))
        for (name,) in connection.execute("SELECT rolname FROM pg_roles "
                                          "WHERE rolname LIKE 'test%'").fetchall():
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def other(site: Site) -> Iterator[Site]:
    """Another database of the server: the attacker's, which only its dump is seen of."""
    name = f"test_{secrets.token_hex(6)}"
    with site.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} OWNER nightscan TEMPLATE template0".encode())
    yield Site(site.server, site.server.dsn(name), site.folder)
    with site.connect("postgres") as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
