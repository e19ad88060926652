"""Hosts of a test's own, and the brokers and workers on them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg import sql

from nightscan_tasks.world import sample
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.s3 import make_bucket
from nightscan_tasks.world.sample import Target
from nightscan_tasks.world.world import World
from tests.crew import Crew
from tests.hosts.network import Network, NoHosts, network
from tests.hosts.rabbitmq import NoRabbitMQ, RabbitMQ, rabbitmq

_SMALL_BYTES = 500_000
_PATIENCE_SECONDS = 150  # a host that is cut off costs two minutes
_SHORT = {"NIGHTSCAN_LEASE_SECONDS": "6", "NIGHTSCAN_RETRY_SECONDS": "1", "NIGHTSCAN_RETRIES": "3",
          "NIGHTSCAN_DEADLINE_SECONDS": "100", "NIGHTSCAN_VISIBILITY_SECONDS": "120",
          "NIGHTSCAN_FULL_INTERVAL_DAYS": "0"}


@pytest.fixture(scope="session")
def rabbit(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ, which takes seconds to start: one for all."""
    try:
        with rabbitmq(tmp_path_factory.mktemp("r")) as server:
            yield server
    except NoRabbitMQ as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def crews() -> Iterator[Callable[[Path, Mapping[str, str]], Crew]]:
    """`crews(folder, environ)`: nobody yet; whoever is hired is gone at the module's end."""
    made: list[Crew] = []

    def make(folder: Path, environ: Mapping[str, str]) -> Crew:
        made.append(Crew(folder, dict(environ), _PATIENCE_SECONDS))
        return made[-1]

    yield make
    for crew in made:
        crew.close()


@pytest.fixture(scope="module")
def site(servers: Callable[..., World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings of a small NightScan of one module's own, whose primary store is an S3."""
    world = servers("postgres", "redis", "broker", "s3", "gpg")
    folder = tmp_path_factory.mktemp("site")
    name, bucket = f"hosts_{secrets.token_hex(4)}", f"hosts-{secrets.token_hex(4)}"
    trees = Trees(folder)
    trees.create()
    given = world.environ()
    for url in (given["REDIS_URL"], given["NIGHTSCAN_BROKER_URL"]):  # what others left there
        with redis.Redis.from_url(url) as server:
            server.flushall()
    client = world.s3_client()
    make_bucket(client, bucket)
    client.close()
    environ = {key: value for key, value in given.items() if not key.startswith("AWS_BACKUP")} | {
        "NIGHTSCAN_ROOT": str(trees.root), "NIGHTSCAN_ETC": str(trees.etc),
        "NIGHTSCAN_PRIMARY": f"s3://{bucket}/nightscan",
        "NIGHTSCAN_TEMP_DIR": str(folder), "NIGHTSCAN_DATABASE_URI": world.dsn(name), **_SHORT}
    with psycopg.connect(world.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER nightscan").format(sql.Identifier(name)))
        sample.fill(Target.of(environ), _SMALL_BYTES, now=datetime.now(UTC))
        yield environ
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network without hosts yet."""
    try:
        with network(tmp_path_factory.mktemp("net")) as made:
            yield made
    except NoHosts as exc:
        pytest.skip(str(exc))
