"""The application object whose messages are signed."""

from __future__ import annotations

import time
from typing import Any

from celery.signals import before_task_publish

from worker.sending import CarefulCelery
from worker.signed.letter import NAME, LetterBox, install
from worker.signed.once import Once
from worker.signed.requests import copy_headers

_TASK_FRESH_SECONDS = 3600
_COMMAND_FRESH_SECONDS = 60


class SignedCelery(CarefulCelery):
    """Celery, where what is not signed is refused: tasks, results, events and commands."""

    task_cls = "worker.signed.requests:SignedTask"
    control_cls = "worker.signed.commands:SignedControl"
    events_cls = "worker.signed.commands:SignedEvents"

    def __init__(self, *args: Any, box: LetterBox, timetable: frozenset[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.box, self.timetable = box, timetable
        now = time.time()
        self.once = Once(now, _TASK_FRESH_SECONDS)
        self.commanded = Once(now, _COMMAND_FRESH_SECONDS)
        install(box)

    def sign_headers(self) -> None:
        """Sign the headers of what is sent from now on. Called last: what others add is signed too."""
        before_task_publish.connect(copy_headers, weak=False, dispatch_uid="nightscan signed headers")

    def send_task(self, *args: Any, **options: Any) -> Any:
        """Sign a task, and send it: also where JSON is asked for, as `celery call` does by itself."""
        return super().send_task(*args, **{**options, "serializer": NAME})
