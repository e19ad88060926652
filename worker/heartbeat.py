"""A file that is touched every few seconds while a worker has its broker.

So whoever asks how the worker is needs neither the broker nor a right on it, and costs nothing: a
container's health check looks at the file's age.
"""

from __future__ import annotations

from typing import Any

from celery.signals import heartbeat_sent

from nightscan_tasks.settings import Settings


def connect(settings: Settings) -> None:
    """Touch `NIGHTSCAN_HEARTBEAT_FILE` with each heartbeat that goes to the broker, where it is set."""
    file = settings.heartbeat_file
    if file is None:
        return

    def beaten(**_signal: Any) -> None:
        file.touch()  # Celery logs what goes wrong here, and beats on

    heartbeat_sent.connect(beaten, weak=False, dispatch_uid="nightscan heartbeat file")
