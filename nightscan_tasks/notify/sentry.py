"""Sentry: errors, cron check-ins, and what failed of a run. Only imported where there is a DSN.

A run reports itself, from the process that begins it and the one that settles it: the task that beat sends
lasts milliseconds, and knows nothing of how it went. Sending is a thread's work; nobody waits for it,
but for the two seconds that its library takes where a process ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sentry_sdk
from sentry_sdk.crons import capture_checkin
from sentry_sdk.integrations import Integration
from sentry_sdk.integrations.stdlib import StdlibIntegration

from nightscan_tasks.notify.pinging import ping_id
from nightscan_tasks.notify.reports import CheckIn, Failed
from nightscan_tasks.notify.secrecy import Secrets
from nightscan_tasks.settings import Settings

_GRACE_MINUTES = 15

Judge = Callable[[BaseException, dict[str, str]], bool]
"""Whether an exception is to be reported, given the tags of what raised it."""


def connect(settings: Settings, *, integrations: Sequence[Integration] = (),
            judge: Judge = lambda _exc, _tags: True) -> None:
    """Send errors to Sentry, if there is one: without local variables, which may hold secrets.

    Nor does anything of Sentry's go elsewhere: traces would put the key of its project into every message,
    every request to S3 and the environment of every program, and tell of each address asked for. Sentry
    hides what has a telling name; here goes what the settings say is secret, wherever it is.
    """
    dsn = settings.sentry_dsn.get_secret_value()
    if not dsn:
        return
    secrets = Secrets.of(settings)

    def leaving(event: Any, hint: dict[str, Any]) -> Any:
        raised = hint.get("exc_info")
        if raised and not judge(raised[1], {str(key): str(value) for key, value
                                            in dict(event.get("tags") or {}).items()}):
            return None
        return secrets.hidden_in(event)

    sentry_sdk.init(dsn=dsn, include_local_variables=False, send_default_pii=False,
                    trace_propagation_targets=[], auto_enabling_integrations=False, before_send=leaving,
                    integrations=list(integrations), disabled_integrations=[StdlibIntegration()])


def check_in(settings: Settings, told: CheckIn) -> None:
    """Tell the monitor `nightscan-TIER`, which Sentry makes or corrects by what is told along.

    A run may be late by what `make_up` makes up for, and take as long as its deadline lets it.
    """
    capture_checkin(
        monitor_slug=f"nightscan-{told.tier.replace('_', '-')}", check_in_id=ping_id(told.run_id).hex,
        status=told.status, duration=told.elapsed_seconds, monitor_config={
            "schedule": {"type": "crontab", "value": told.schedule}, "timezone": settings.timezone,
            "checkin_margin": settings.late_seconds // 60 + _GRACE_MINUTES,
            "max_runtime": settings.deadline_seconds // 60 + _GRACE_MINUTES,
            "failure_issue_threshold": 1, "recovery_threshold": 1})


def report(failed: Failed) -> None:
    """One event. Those of the same component and kind of error are one issue."""
    tags = {"run_id": failed.run_id, "tier": failed.tier.value, "component": failed.component}
    sentry_sdk.capture_event({
        "level": "error", "logger": "nightscan.runs",
        "transaction": f"{failed.tier} {failed.component}{f' to {failed.store}' if failed.store else ''}",
        "tags": tags | ({"store": failed.store} if failed.store else {}),
        "fingerprint": ["nightscan", failed.component, failed.store, failed.error],
        "exception": {"values": [{"type": failed.error, "value": failed.message,
                                  "mechanism": {"type": "ledger", "handled": True}}]}})


def tag(tags: dict[str, str]) -> None:
    """Of whatever this task reports, until it ends."""
    sentry_sdk.get_isolation_scope().set_tags(tags)
