"""What is configured for brokers of both kinds, decided without any."""

from __future__ import annotations

import os
import socket

import pytest
from pydantic import SecretStr

from nightscan_tasks.components.postgres import connect
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import load
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
