"""What is configured for brokers of both kinds, decided without any."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from nightscan_tasks import backup
from nightscan_tasks.components.postgres import connect
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.ledger import Ending
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.workflows.manual import manual
from tests.hands import wait_until
from worker.configuration import configure
from worker.queues import NAMES

RABBIT = {"NIGHTSCAN_BROKER_URL": "amqp://nightscan:geheim@broker/nightscan",
          "NIGHTSCAN_RESULT_BACKEND": "redis://broker:6380/1"}


@pytest.mark.parametrize("url", ["amqp://a:geheim@b/c", "amqps://b", "pyamqp://b", "rpc://"])
def test_results_that_a_rabbitmq_would_lose_are_refused_with_what_to_set(url: str) -> None:
    for environ in ({"NIGHTSCAN_BROKER_URL": url}, {"NIGHTSCAN_RESULT_BACKEND": url}):
        with pytest.raises(SettingsError, match="NIGHTSCAN_RESULT_BACKEND=redis://") as refused:
            load(environ)
        assert "geheim" not in str(refused.value)


def test_queues_of_a_rabbitmq_outlive_a_node_and_wait_as_long_as_a_part_may_take() -> None:
    settings = load(RABBIT)
    conf = configure(settings)
    assert [queue.name for queue in conf["task_queues"]] == list(NAMES)
    for queue in conf["task_queues"]:
        assert queue.durable
        assert queue.queue_arguments["x-queue-type"] == "quorum"
        assert queue.queue_arguments["x-consumer-timeout"] > settings.deadline_seconds * 1000
        assert queue.exchange.type == "topic"  # in a direct one nothing could wait for its moment
    assert conf["broker_channel_error_retry"]
    assert conf["broker_transport_options"] == {"confirm_publish": True}
    assert 0 < conf["broker_heartbeat"] <= 60


def test_a_database_that_falls_silent_is_not_waited_for_for_ever(database: str) -> None:
    with (connect(SecretStr(database)) as connection,
          socket.socket(fileno=os.dup(connection.fileno())) as used):
        assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
    with connect(SecretStr(f"{database}?keepalives_idle=77")) as connection:  # what somebody set is theirs
        assert connection.info.get_parameters()["keepalives_idle"] == "77"


def test_a_redis_that_falls_silent_is_not_waited_for_for_ever() -> None:
    conf = configure(load({}))
    given = conf["broker_transport_options"]
    assert given["socket_timeout"] == conf["redis_socket_timeout"] == 30
    assert given["socket_connect_timeout"] == conf["redis_socket_connect_timeout"] == 10
    assert given["socket_keepalive"]
    assert conf["redis_socket_keepalive"]
    assert given["socket_keepalive_options"][socket.TCP_USER_TIMEOUT] == 60_000


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss, of iproute2, to look at the connection")
def test_a_dump_whose_network_falls_silent_is_not_waited_for_for_ever(database: str, tmp_path: Path) -> None:
    """pg_dump's own connection, asked of the kernel while it waits for a table that somebody holds."""
    system = System(load({"NIGHTSCAN_DATABASE_URI": database, "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "b"),
                          "NIGHTSCAN_TEMP_DIR": str(tmp_path)}))
    with psycopg.connect(database) as holder:
        holder.execute("CREATE TABLE held ()")
        holder.commit()
        holder.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(backup.run_local, system, backup.Request(manual(["database"])))
            timers = wait_until(lambda: _keepalive_of_dump(database), "pg_dump to be connected")
            holder.rollback()
            assert done.result().ending is Ending.GOOD
    assert timers
    assert all(seconds <= 30 for seconds in timers)


def _keepalive_of_dump(database: str) -> list[float]:
    """In how many seconds the connections of this database's pg_dump are asked whether anybody is there."""
    port = urlsplit(database).port
    shown = subprocess.run(["ss", "-tnpoH", "dport", "=", f":{port}"], check=True, text=True,  # noqa: S607 - the machine's
                           capture_output=True).stdout
    return [float(found[1]) for line in shown.splitlines() if '"pg_dump"' in line
            and (found := re.search(r"timer:\(keepalive,(\d+)sec", line))]
