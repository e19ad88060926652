"""How Celery behaves, most of all when things break; each choice has its reason."""

from __future__ import annotations

from typing import Any

from nightscan_tasks.settings import Settings, is_rabbitmq
from worker import links
from worker.queues import CONTROL, queues, route

_DAY_SECONDS = 86400
# Where messages are signed, nothing else is taken: `worker.signed`.
_SIGNED = {"task_serializer": "auth", "result_serializer": "auth", "event_serializer": "auth",
           "accept_content": ["auth"], "result_accept_content": ["auth"]}


def configure(settings: Settings) -> dict[str, Any]:
    """Celery's configuration for these settings."""
    visibility = {"visibility_timeout": settings.visibility_seconds}
    transport = links.RABBITMQ if is_rabbitmq(settings.broker_url) else {**links.REDIS, **visibility}
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        "result_backend": settings.results.get_secret_value(),
        # A message that is handed out again while its task still runs does the work twice.
        "broker_transport_options": transport,
        "result_backend_transport_options": visibility,
        "visibility_timeout": settings.visibility_seconds,
        "task_time_limit": settings.deadline_seconds,
        "task_queues": queues(settings),
        "task_routes": (route,),
        "task_default_queue": CONTROL,
        "task_create_missing_queues": False,  # a wrong queue raises, instead of swallowing work
        "task_acks_late": True,
        "task_retry_on_worker_lost": True,  # a killed child is another try, counted
        "worker_prefetch_multiplier": 1,  # a free worker takes what a busy one would sit on
        "task_track_started": True,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "broker_connection_retry_on_startup": True,
        # The pauses between tries grow, up to half a minute. After five, which are half a minute together,
        # a worker rather ends, and is started again: so it is back soon, however long the broker was away.
        "broker_connection_max_retries": 5,
        "task_publish_retry_policy": {"max_retries": 20, "interval_start": 0.2, "interval_step": 0.5,
                                      "interval_max": 5},
        "result_expires": 30 * _DAY_SECONDS,
        "result_chord_expires": settings.visibility_seconds + _DAY_SECONDS,
        "result_extended": True,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "timezone": settings.timezone,
        "enable_utc": True,
        "worker_concurrency": settings.jobs,
        # boto3 and the interpreter keep freed memory: a fresh child now and then gives it back.
        "worker_max_tasks_per_child": 50,
        "beat_scheduler": "worker.scheduler:Scheduler",
        "worker_hijack_root_logger": True,
        "worker_proc_alive_timeout": 30,
        # A RabbitMQ that runs out of patience with a part closes the channel: the worker opens another, goes
        # on with what it does, and is given the part a second time, which then waits for the first.
        "broker_channel_error_retry": True,
        **links.OF_CELERY,
        **(_SIGNED if settings.message_key else {}),
    }
