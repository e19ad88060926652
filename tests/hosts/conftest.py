"""Hosts of a test's own, and the brokers and workers on them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from celery import Celery
from celery.states import READY_STATES
from psycopg import sql

from nightscan_tasks.ledger import Outcome
from nightscan_tasks.settings import is_rabbitmq, load
from nightscan_tasks.system import System
from nightscan_tasks.world import sample
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.s3 import make_bucket
from nightscan_tasks.world.sample import Target
from nightscan_tasks.world.world import World
from tests.hands import Hand, wait_until, worker
from tests.hosts.network import Network, NoHosts, network
from tests.hosts.rabbitmq import NoRabbitMQ, RabbitMQ, rabbitmq

_SMALL_BYTES = 500_000
_SHORT = {"NIGHTSCAN_LEASE_SECONDS": "6", "NIGHTSCAN_RETRY_SECONDS": "1", "NIGHTSCAN_RETRIES": "3",
          "NIGHTSCAN_DEADLINE_SECONDS": "100", "NIGHTSCAN_VISIBILITY_SECONDS": "120",
          "NIGHTSCAN_FULL_INTERVAL_DAYS": "0"}


@dataclass
class Crew:
    """Workers of one installation, and a client that sends to them."""

    folder: Path
    environ: dict[str, str]
    hands: dict[str, Hand] = field(default_factory=dict)
    _app: Celery | None = None

    @property
    def system(self) -> System:
        return System(load(self.environ))

    @property
    def app(self) -> Celery:
        if self._app is None:
            from worker import configuration

            self._app = Celery("client", set_as_current=False)
            settings = load(self.environ)
            self._app.conf.update(configuration.configure(settings))
            if not is_rabbitmq(settings.broker_url):
                # Pools are shared by all applications of one broker: with an option of its own it can
                # close its own. Of a RabbitMQ's there is but one here.
                self._app.conf.broker_transport_options["client"] = secrets.token_hex(4)
        return self._app

    def start(self, name: str, *queues: str, concurrency: int = 1, prefix: tuple[str, ...] = (),
              folder: Path | None = None, **more: str) -> Hand:
        self.hands[name] = hand = worker(folder or self.folder, name, {**self.environ, **more}, queues,
                                         concurrency=concurrency, prefix=prefix)
        return hand

    def send(self, task: str, *args: Any, **kwargs: Any) -> str:
        return str(self.app.send_task(f"nightscan.{task}", args=args, kwargs=kwargs).id)

    def answer(self, task_id: str) -> Any:
        wait_until(lambda: self.app.backend.get_state(task_id) in READY_STATES, f"task {task_id} to end")
        result = self.app.backend.get_result(task_id)
        if isinstance(result, BaseException):
            raise result
        return result

    def manual(self, *components: str) -> str:
        """Ask for a run, and return its id as soon as it is there."""
        answer: dict[str, str] = self.answer(self.send("backup_manual", list(components)))
        return answer["run_id"]

    def outcome(self, run_id: str, *, reaped: bool = False) -> Outcome:
        """Wait for the end of a run, with beat's help or without."""
        found: Outcome = wait_until(
            lambda: self.system.ledger.outcome(run_id), f"{run_id} to end", every=3, seconds=150,
            meanwhile=(lambda: self.send("reap")) if reaped else lambda: None)
        return found

    def close(self) -> None:
        for hand in self.hands.values():
            hand.end()
        app, self._app = self._app, None
        if app is not None:
            app.backend.result_consumer.stop()
            app.backend.client.close()
            app.pool.force_close_all()
            app.close()


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
        made.append(Crew(folder, dict(environ)))
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
