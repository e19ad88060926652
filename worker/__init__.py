"""The Celery application: `celery -A worker …`.

`configuration` says how Celery is to behave when things break, `queues` what goes where, `signals` what
happens when a process starts.
"""

from worker.app import app

__all__ = ["app"]
