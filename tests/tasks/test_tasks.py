"""Every task has its name and its queue, and Celery is told how to behave when things break."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.exceptions import QueueNotFound

from nightscan_tasks.settings import load
from worker.configuration import configure
from worker.queues import CONTROL, FAST, HEAVY, NAMES, QUEUES, RESTORE

QUEUE_OF = {
    "backup_daily": CONTROL, "backup_weekly": CONTROL, "backup_monthly": CONTROL,
    "backup_pre_deploy": CONTROL, "backup_manual": CONTROL, "settle": CONTROL,
    "reap": CONTROL, "make_up": CONTROL, "rotate": CONTROL,
    "signal": CONTROL, "alert_test": CONTROL, "check_freshness": CONTROL, "notify": CONTROL,
    "monthly_report": CONTROL,
    "dump_database": FAST, "dump_redis": FAST,
    "archive_user_data": HEAVY, "archive_system_config": HEAVY, "archive_source_code": HEAVY,
    "upload": HEAVY, "verify": HEAVY, "replicate": HEAVY, "scrub": HEAVY,
    "restore_full": RESTORE, "restore_database": RESTORE, "restore_redis": RESTORE,
    "restore_user_data": RESTORE, "restore_system_config": RESTORE, "restore_source_code": RESTORE,
    "restore_rollback": RESTORE, "restore_accept": RESTORE, "restore_resume": RESTORE,
    "reap_restores": RESTORE, "drill": RESTORE, "health_check": RESTORE,
    "reconcile_user_data": RESTORE, "validate_user_data": RESTORE,
}


@pytest.fixture
def application() -> Celery:
    from worker.app import create_app
    app = create_app()
    app.loader.import_default_modules()
    return app


@pytest.fixture(scope="session")
def celery_config() -> dict[str, Any]:
    """What pytest-celery's `celery_app` is made from: our configuration, on a broker in memory."""
    return {**configure(load({})), "broker_url": "memory://", "result_backend": "cache+memory://",
            "broker_transport_options": {}}


def test_every_task_is_registered_and_no_other(application: Celery) -> None:
    ours = {name for name in application.tasks if name.startswith("nightscan.")}
    assert ours == {f"nightscan.{name}" for name in QUEUE_OF}


@pytest.mark.parametrize("name", sorted(QUEUE_OF))
def test_a_task_goes_to_the_queue_of_its_kind(application: Celery, name: str) -> None:
    route = application.amqp.router.route({}, f"nightscan.{name}")
    assert route["queue"].name == QUEUE_OF[name]


def test_a_message_arrives_in_its_queue_alone(celery_app: Celery) -> None:
    with celery_app.connection_for_write() as connection:  # in memory: other tests left messages there
        for queue in QUEUES:
            queue(connection.default_channel).purge()
    celery_app.send_task("nightscan.dump_redis", args=("daily-20261123T020000Z", "redis"))
    with celery_app.connection_for_write() as connection:
        waiting = {queue.name: queue(connection.default_channel).get(no_ack=True) for queue in QUEUES}
    assert [name for name, message in waiting.items() if message] == [FAST]
    assert waiting[FAST].payload[0] == ["daily-20261123T020000Z", "redis"]


def test_a_queue_that_nobody_declared_is_refused(celery_app: Celery) -> None:
    with pytest.raises(QueueNotFound):
        celery_app.send_task("nightscan.dump_redis", queue="nightscan.fats")


def test_every_queue_is_declared_under_its_own_routing_key() -> None:
    assert [queue.name for queue in QUEUES] == [queue.routing_key for queue in QUEUES] == list(NAMES)


@pytest.mark.parametrize("name", [name for name in QUEUE_OF if name.startswith("restore_")])
def test_a_restore_that_is_lost_is_not_done_a_second_time(application: Celery, name: str) -> None:
    task = application.tasks[f"nightscan.{name}"]
    assert not task.acks_late
    assert not task.retry_on_worker_lost
    assert task.max_retries == 0
    assert task.expires


def test_work_that_is_lost_is_done_a_second_time() -> None:
    conf = configure(load({}))
    assert conf["task_acks_late"]
    assert conf["task_retry_on_worker_lost"]
    assert conf["worker_prefetch_multiplier"] == 1


def test_no_message_comes_back_while_its_task_may_still_run() -> None:
    conf = configure(load({}))
    for options in (conf["broker_transport_options"], conf["result_backend_transport_options"], conf):
        assert options["visibility_timeout"] > conf["task_time_limit"]


def test_what_is_due_is_sent_whatever_happens_to_the_broker(application: Celery) -> None:
    for name in ("daily", "weekly", "monthly"):
        options = application.conf.beat_schedule[name]["options"]
        assert options["retry_policy"]["max_retries"] is None
