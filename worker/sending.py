"""Nothing is sent that nobody would do: an unknown task, or one with arguments that it does not take.

A message of that kind is put into a queue as any other, and whoever sent it is told an id; the worker that
gets it throws it away, and says so in its own log. So it is refused where it is sent, by whatever way:
`celery call`, `nightscan`, a shell, or another program that uses this application.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import click
from celery import Celery

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.tasks.arguments import refuse_misfits

_OURS = "nightscan"
_LIKE, _ALIKE = 0.6, 0.8  # of difflib's ratio: what is surely ours may be further from what was meant


class NotSent(NightscanError, click.ClickException):
    """No message was sent: there is no such task, or it takes no such arguments.

    The `celery` program shows it as one message, with exit status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        click.ClickException.__init__(self, message)


class CarefulCelery(Celery):  # type: ignore[misc]  # Celery has no types
    """Celery, which refuses to send what nobody would do."""

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Send a task by its name; `NotSent` where there is none of that name, or its arguments do not fit.

        A task that is sent as an object, as a canvas does, is known: Celery itself looks at its arguments.
        """
        if options.get("task_type") is None:
            self._refuse(name, args or (), kwargs or {})
        return super().send_task(name, args, kwargs, *rest, **options)

    def _refuse(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        if name not in self.tasks:
            if self._due(name, args, kwargs):
                return  # beat has no need of the tasks themselves
            self.loader.import_default_modules()
        task = self.tasks.get(name)
        if task is None:
            _refuse_name(name, [each for each in self.tasks if each.startswith(f"{_OURS}.")])
            return
        try:
            refuse_misfits(task, args, kwargs)
        except (TypeError, ValueError, NightscanError) as exc:
            raise NotSent(f"nothing was sent: {name} cannot be asked for so: {exc}") from exc

    def _due(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether that is, word for word, in the timetable, whose tasks a test holds to be there."""
        return any((entry["task"], list(entry.get("args", ())), entry.get("kwargs", {})) ==
                   (name, list(args), kwargs) for entry in self.conf.beat_schedule.values())


def _refuse_name(name: str, known: list[str]) -> None:
    """Refuse what has our prefix, and what lacks or misspells it; another program's task may pass."""
    prefix, _, bare = name.rpartition(".")
    names = sorted(each.rpartition(".")[2] for each in known)
    near = difflib.get_close_matches(bare, names, n=1, cutoff=_LIKE if prefix == _OURS else _ALIKE)
    mistyped = not prefix or difflib.get_close_matches(prefix, [_OURS], cutoff=_ALIKE)
    if prefix == _OURS or (near and mistyped):
        advice = f"did you mean {_OURS}.{near[0]}?" if near else f"there are: {', '.join(names)}"
        raise NotSent(f"nothing was sent: there is no task {name}; {advice}")
