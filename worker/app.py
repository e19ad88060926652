"""The application object, built from the settings."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

from beat_schedule import schedule
from nightscan_tasks.settings import Settings, is_rabbitmq, load
from worker import configuration, signals
from worker.sending import CarefulCelery

TASKS = [f"nightscan_tasks.tasks.{name}" for name in (
    "backups", "parts", "control", "restores", "proof", "drills", "scrubbing", "making_up", "watching",
    "signalling", "reporting")]


_FLOWER = Path(__file__).with_name("flowerconfig.py")


def create_app() -> Celery:
    """The application that the environment describes; `SettingsError` says what is wrong with it."""
    settings = load()
    os.environ.setdefault("FLOWER_CONF", str(_FLOWER))  # or it would look for one where it was started
    timetable = schedule()
    app = _signed_or_not(settings, frozenset(str(due["task"]) for due in timetable.values()))
    app.conf.update(configuration.configure(settings))
    app.conf.beat_schedule = timetable
    app.set_default()
    signals.connect(settings)
    if is_rabbitmq(settings.broker_url):
        from worker import declaring  # a client of a Redis has no need of Celery's worker

        declaring.connect(app)
    if settings.message_key is not None:
        app.sign_headers()
    return app


def _signed_or_not(settings: Settings, timetable: frozenset[str]) -> Celery:
    if settings.message_key is None:
        return CarefulCelery("nightscan", include=TASKS)
    from worker.signed import SignedCelery, letter_box  # its cryptography takes memory from every process

    box = letter_box(settings)
    return SignedCelery("nightscan", include=TASKS, box=box, timetable=timetable)


app = create_app()
