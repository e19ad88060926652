"""Beat's scheduler: Celery's own, but a clock that was set back does not silence it.

Celery remembers when each task was last sent. After a jump ahead and back that moment lies in the future,
and nothing is sent before the clock has caught up with it: for a day, nobody would finish what was lost.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from celery.beat import PersistentScheduler

_AHEAD = timedelta(minutes=5)
_log = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):  # type: ignore[misc]  # Celery has no types
    """Counts from now on for every task that was last sent in the future."""

    def tick(self, *args: object, **kwargs: object) -> float:
        """One look at what is due; the seconds until the next."""
        ahead = [entry for entry in self.schedule.values()
                 if entry.last_run_at > entry.default_now() + _AHEAD]
        for entry in ahead:
            _log.warning("%s was last sent at %s, which is in the future: the clock was set back; "
                         "counting from now on", entry.name, entry.last_run_at)
            entry.last_run_at = entry.default_now()
        if ahead:
            self._heap = None  # it is ordered by moments of the other clock
        seconds: float = super().tick(*args, **kwargs)
        return seconds
