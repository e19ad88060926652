"""Flower's configuration: every `celery -A worker flower` reads it, unless `--conf` names another.

Each name below is an option of Flower's; what is set by its environment variable, or on the command line,
comes before it. Without a password Flower does not start.
"""

import os

from tornado.options import options as _given

from nightscan_tasks.settings import load
from worker import logs
from worker.flower_page import COLUMNS, show_runs
from worker.flower_password import passwords
from worker.flower_task import format_task as _format_task


def _unless_set(option: str, ours: object) -> object:
    return getattr(_given, option) if f"FLOWER_{option.upper()}" in os.environ else ours


basic_auth = passwords(_given, os.environ)
tasks_columns = _unless_set("tasks_columns", COLUMNS)
format_task = _format_task
max_tasks = _unless_set("max_tasks", 20_000)  # ten days: most of it is the reaper, each minute
# It shows, and does nothing: whoever knows its password could start a restore.
read_only = _unless_set("read_only", True)
# /metrics and /healthcheck ask for no password.
address = _given.address or "127.0.0.1"

show_runs()
logs.set_up(load(), debug=_given.debug)
