"""What happens when a worker or beat starts."""

from __future__ import annotations

import os
from typing import Any

from celery.signals import beat_init, celeryd_after_setup, celeryd_init

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import refuse_shared_redis
from nightscan_tasks.tasks import asking, queues, signalling
from worker import heartbeat, logs
from worker.log_lines import EVENTS
from worker.memory import give_back
from worker.queues import names, plan_taking, unacknowledged

_FOLDERS_0750_FILES_0640 = 0o027


def connect(settings: Settings) -> None:
    """Refuse a broker that is backed up, keep files from others, and report errors where that is set."""

    def starting(**_signal: Any) -> None:
        try:
            refuse_shared_redis(settings)
        except SettingsError as exc:
            raise SystemExit(str(exc)) from exc  # Celery only logs a handler's error, and would start
        give_back()  # before the pool forks: its children inherit it
        os.umask(_FOLDERS_0750_FILES_0640)
        report_errors(settings)

    def consuming(conf: Any, options: dict[str, Any], **_signal: Any) -> None:
        queues = options.get("queues") or names(settings)
        named = queues.split(",") if isinstance(queues, str) else queues
        conf.broker_transport_options = {**conf.broker_transport_options, **unacknowledged(named)}

    def adding(instance: Any, **_signal: Any) -> None:
        queues = instance.app.amqp.queues
        besides, left = plan_taking(tuple(queues.consume_from), settings)
        for name in besides:
            queues.select_add(queues[name])
        queues.deselect(left)

    logs.connect(settings)
    heartbeat.connect(settings)
    asking.connect()
    queues.connect()
    celeryd_init.connect(starting, weak=False, dispatch_uid="nightscan starting worker")
    celeryd_init.connect(consuming, weak=False, dispatch_uid="nightscan consuming worker")
    celeryd_after_setup.connect(adding, weak=False, dispatch_uid="nightscan host's own queues")
    beat_init.connect(starting, weak=False, dispatch_uid="nightscan starting beat")


def report_errors(settings: Settings) -> None:
    """Send errors to Sentry, if there is one; what a run has on record is reported when it ends."""
    if not settings.sentry_dsn.get_secret_value():
        return
    from sentry_sdk.integrations.celery import CeleryIntegration  # it takes memory from every process
    from sentry_sdk.integrations.logging import ignore_logger

    from nightscan_tasks.notify import sentry

    ignore_logger(EVENTS)  # what is logged of a task is what is reported of it
    sentry.connect(settings, judge=signalling.is_news, integrations=[
        CeleryIntegration(propagate_traces=False, monitor_beat_tasks=False)])
    signalling.connect(sentry.tag)
