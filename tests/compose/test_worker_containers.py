"""Our workers in pytest-celery's own fixtures: broker, results and workers are containers that it starts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from docker import DockerClient
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestSetup,
    CeleryTestWorker,
    CeleryWorkerCluster,
    CeleryWorkerContainer,
    RedisContainer,
    RedisTestBackend,
    RedisTestBroker,
)
from pytest_docker_tools import container, fxtr, volume

pytestmark = pytest.mark.long

_BACKUPS = "/var/lib/nightscan/backups"
_READY_SECONDS = 300
_RESULT_SECONDS = 300  # a busy machine is no lost task


class Redis(RedisContainer):  # type: ignore[misc] # the base has no types
    """A Redis that is asked where it is: on a port of this host, unless tests run in a container too."""

    @property
    def host_url(self) -> str:
        host, port = self.get_addr("6379/tcp")
        return f"{self.prefix()}{host}:{port}/{self.vhost}"


class NightscanWorker(CeleryWorkerContainer):  # type: ignore[misc] # the base has no types
    """A worker of one queue, from our image. It gets settings instead of a generated application."""

    queue = "control"

    @classmethod
    def command(cls, *args: str, **_debugging: Any) -> list[str]:
        return ["worker", cls.queue, *args]

    @classmethod
    def worker_name(cls) -> str:
        return cls.queue

    @classmethod
    def worker_queue(cls) -> str:
        return f"nightscan.{cls.queue}"

    @classmethod
    def initial_env(cls, celery_worker_cluster_config: dict[str, Any],
                    initial: dict[str, str] | None = None) -> dict[str, str]:
        (broker,) = celery_worker_cluster_config["celery_broker_cluster_config"]["urls"]
        (results,) = celery_worker_cluster_config["celery_backend_cluster_config"]["urls"]
        return {"NIGHTSCAN_BROKER_URL": broker, "NIGHTSCAN_RESULT_BACKEND": results,
                "NIGHTSCAN_BACKUP_DIR": _BACKUPS, **(initial or {})}


class HeavyWorker(NightscanWorker):
    """The one that reads the application's files."""

    queue = "heavy"


class NightscanSetup(CeleryTestSetup):  # type: ignore[misc] # the base has no types
    """Its client names tasks and queues, and says what JSON it takes, as ours do."""

    @classmethod
    def update_app_config(cls, app: Celery) -> None:
        app.conf.update(task_routes={"nightscan.*": {"queue": "nightscan.control"}}, accept_content=["json"],
                        task_create_missing_queues=True)


@pytest.fixture
def docker_client(images: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerClient]:
    """A client of the engine that the images are in, which is closed at the end."""
    client = DockerClient.from_env(environment=dict(images.engine.environ))
    yield client
    client.close()


@pytest.fixture
def servers_image(images: Any) -> str:
    return str(images.servers)


@pytest.fixture
def worker_image(images: Any) -> str:
    return str(images.ours)


@pytest.fixture
def default_worker_container_cls() -> type[CeleryWorkerContainer]:
    return NightscanWorker


@pytest.fixture
def heavy_worker_env(celery_worker_cluster_config: dict[str, Any]) -> dict[str, str]:
    return HeavyWorker.initial_env(celery_worker_cluster_config)


@pytest.fixture
def celery_setup_cls() -> type[CeleryTestSetup]:
    return NightscanSetup


@pytest.fixture
def celery_broker_cluster(celery_redis_broker: RedisTestBroker) -> Iterator[CeleryBrokerCluster]:
    cluster = CeleryBrokerCluster(celery_redis_broker)
    yield cluster
    cluster.teardown()


@pytest.fixture
def celery_backend_cluster(celery_redis_backend: RedisTestBackend) -> Iterator[CeleryBackendCluster]:
    cluster = CeleryBackendCluster(celery_redis_backend)
    yield cluster
    cluster.teardown()


default_redis_broker = container(
    image="{servers_image}", command=fxtr("default_redis_broker_command"),
    ports=fxtr("default_redis_broker_ports"), network="{default_pytest_celery_network.name}",
    wrapper_class=Redis, timeout=_READY_SECONDS)

default_redis_backend = container(
    image="{servers_image}", command=fxtr("default_redis_backend_command"),
    ports=fxtr("default_redis_backend_ports"), network="{default_pytest_celery_network.name}",
    wrapper_class=Redis, timeout=_READY_SECONDS)

# What both workers see, and what one of them reads.
backups = volume()
application = volume(initial_content={"app.py": b"print('night')\n", "uploads/owl.wav": b"hoo" * 1000})

default_worker_container = container(
    image="{worker_image}", command=fxtr("default_worker_command"), environment=fxtr("default_worker_env"),
    network="{default_pytest_celery_network.name}",
    volumes={"{backups.name}": {"bind": _BACKUPS, "mode": "rw"}},
    wrapper_class=NightscanWorker, timeout=_READY_SECONDS)

heavy_worker_container = container(
    image="{worker_image}", command=HeavyWorker.command(), environment=fxtr("heavy_worker_env"),
    network="{default_pytest_celery_network.name}",
    volumes={"{backups.name}": {"bind": _BACKUPS, "mode": "rw"},
             "{application.name}": {"bind": "/opt/nightscan", "mode": "ro"}},
    wrapper_class=HeavyWorker, timeout=_READY_SECONDS)


@pytest.fixture
def heavy_worker(default_worker_cls: type[CeleryTestWorker], heavy_worker_container: CeleryWorkerContainer,
                 celery_setup_app: Celery) -> Iterator[CeleryTestWorker]:
    worker = default_worker_cls(heavy_worker_container, app=celery_setup_app)
    yield worker
    worker.teardown()


@pytest.fixture
def celery_worker_cluster(celery_setup_worker: CeleryTestWorker, heavy_worker: CeleryTestWorker,
                          ) -> Iterator[CeleryWorkerCluster]:
    cluster = CeleryWorkerCluster(celery_setup_worker, heavy_worker)
    yield cluster
    cluster.teardown()


def test_two_worker_containers_save_a_set_that_a_message_asked_for(celery_setup: CeleryTestSetup) -> None:
    assert celery_setup.ready(ping=False, control=True, docker=True)
    control, heavy = celery_setup.worker_cluster
    began = celery_setup.app.send_task("nightscan.backup_manual", args=[["user_data", "source_code"]])
    run_id = began.get(timeout=_RESULT_SECONDS)["run_id"]
    heavy.wait_for_log(f"{run_id} user_data.00: saved", timeout=_RESULT_SECONDS)
    control.wait_for_log(f"{run_id} ended good", timeout=_RESULT_SECONDS)
    status, listed = control.container.exec_run(["nightscan", "list", "--json"])
    assert status == 0, listed
    assert re.search(r"manual/\d{8}T\d{6}Z", listed.decode())


def test_a_worker_container_that_was_killed_does_what_waits_when_it_is_back(
    celery_setup: CeleryTestSetup,
) -> None:
    control, heavy = celery_setup.worker_cluster
    heavy.kill()
    began = celery_setup.app.send_task("nightscan.backup_manual", args=[["user_data"]])
    run_id = began.get(timeout=_RESULT_SECONDS)["run_id"]
    heavy.restart()
    heavy.wait_for_log(f"{run_id} user_data.00: saved", timeout=_RESULT_SECONDS)
    control.wait_for_log(f"{run_id} ended good", timeout=_RESULT_SECONDS)
