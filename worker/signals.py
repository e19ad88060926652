"""What happens when a worker or beat starts."""

from __future__ import annotations

import os
from typing import Any

import sentry_sdk
from celery.signals import beat_init, celeryd_init
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.stdlib import StdlibIntegration

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings
from nightscan_tasks.system import refuse_shared_redis
from nightscan_tasks.tasks import asking, queues
from worker.memory import give_back
from worker.queues import NAMES, unacknowledged

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
        queues = options.get("queues") or NAMES
        named = queues.split(",") if isinstance(queues, str) else queues
        conf.broker_transport_options = {**conf.broker_transport_options, **unacknowledged(named)}

    asking.connect()
    queues.connect()
    celeryd_init.connect(starting, weak=False, dispatch_uid="nightscan starting worker")
    celeryd_init.connect(consuming, weak=False, dispatch_uid="nightscan consuming worker")
    beat_init.connect(starting, weak=False, dispatch_uid="nightscan starting beat")


def report_errors(settings: Settings) -> None:
    """Send errors to Sentry, if there is one: without local variables, which may hold secrets.

    Nor does anything of Sentry's go elsewhere: traces would put the key of its project into every message,
    every request to S3 and the environment of every program, and tell of each address asked for.
    """
    dsn = settings.sentry_dsn.get_secret_value()
    if dsn:
        sentry_sdk.init(dsn=dsn, include_local_variables=False, send_default_pii=False,
                        trace_propagation_targets=[], auto_enabling_integrations=False,
                        integrations=[CeleryIntegration(propagate_traces=False, monitor_beat_tasks=False)],
                        disabled_integrations=[StdlibIntegration()])
