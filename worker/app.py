"""The application object, built from the settings."""

from __future__ import annotations

from celery import Celery

from beat_schedule import schedule
from nightscan_tasks.settings import load
from worker import configuration, signals

TASKS = [f"nightscan_tasks.tasks.{name}" for name in (
    "backups", "parts", "control", "restores", "proof", "drills")]


def create_app() -> Celery:
    """The application that the environment describes; `SettingsError` says what is wrong with it."""
    settings = load()
    app = Celery("nightscan", include=TASKS)
    app.conf.update(configuration.configure(settings))
    app.conf.beat_schedule = schedule()
    app.set_default()
    signals.connect(settings)
    return app


app = create_app()
