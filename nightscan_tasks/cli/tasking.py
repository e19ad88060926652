"""One task while it runs, as pictures: what it says of itself through Celery."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nightscan_tasks.cli.broker import answer
from nightscan_tasks.cli.display import display, show
from nightscan_tasks.cli.pictures import Picture
from nightscan_tasks.cli.session import Session, interrupted
from nightscan_tasks.watch.running import work_seen
from nightscan_tasks.watch.under_way import Phase, WorkSeen

if TYPE_CHECKING:  # a command that works in this process has no use for Celery
    from celery.result import AsyncResult

_LOOK_SECONDS = 0.3
_PROGRESS = "PROGRESS"


def followed(session: Session, result: AsyncResult, what: str) -> Any:
    """Show a task until it ends, and return its result, or raise its error."""
    try:
        show(session, _pictures(result, what))
    except KeyboardInterrupt:
        raise interrupted(what, "how far it is: nightscan status") from None
    return answer(result)


def _pictures(result: AsyncResult, what: str) -> Iterator[Picture]:
    works = Works()
    from celery.states import READY_STATES

    while (state := result.state) not in READY_STATES:
        info = result.info
        if state == _PROGRESS and isinstance(info, dict):
            works.told(info, what)
        yield Picture(f"{what}: under way", works.all)
        time.sleep(_LOOK_SECONDS)


@contextmanager
def watched(session: Session, what: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A watcher for work in this process, which shows what it is told."""
    works = Works()
    with display(session) as shown:
        shown(Picture(f"{what}: under way", ()))

        def watch(progress: dict[str, Any]) -> None:
            works.told(progress, what)
            shown(Picture(f"{what}: under way", works.all))

        yield watch


class Works:
    """The pieces of one task, which it does one after the other."""

    def __init__(self) -> None:
        self._works: dict[str, WorkSeen] = {}

    @property
    def all(self) -> tuple[WorkSeen, ...]:
        """The pieces so far, the last of which is under way."""
        return tuple(self._works.values())

    def told(self, progress: dict[str, Any], what: str) -> None:
        """A piece said how far it is: so those before it are done."""
        work = work_seen(str(progress.get("part") or what), progress)
        self._works = {name: _done(each) if each.phase is Phase.RUNNING else each
                       for name, each in self._works.items() if name != work.name}
        self._works[work.name] = work


def _done(work: WorkSeen) -> WorkSeen:
    return WorkSeen(work.name, Phase.DONE, message=f"{work.doing}: done" if work.doing else "done")
