"""What the settings and the primary store know, for completion and for "did you mean": names alone.

A person waits for a key or an error meanwhile: so it is asked for a moment only, and what is not known by
then, or cannot be read, is nothing. No error is raised, and none is printed.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from nightscan_tasks.model import Tier

if TYPE_CHECKING:
    from nightscan_tasks.system import System

_PATIENCE_SECONDS = 1.5
_ALIKE = 0.6  # of difflib's ratio: one letter of a set's id, or a few


def stores() -> tuple[str, ...]:
    """The names of the stores."""
    return _soon(lambda: _system().store_names)


def set_ids(tier: Tier | None = None) -> tuple[str, ...]:
    """The ids of the sets in the primary store, of one tier or of all, the newest first."""
    return _soon(lambda: map(str, _system().catalog().ids(tier)))


def restores() -> tuple[str, ...]:
    """The ids of the restores there were, the newest first."""
    return _soon(lambda: reversed(_system().restores.run_ids()))


def channels() -> tuple[str, ...]:
    """The names of those who are told of trouble."""
    return _soon(_channels)


def near_set(word: str) -> str:
    """The set that somebody meant who wrote `word`, where there is no such set; nothing if none is like it.

    A tier and the beginning of a time are enough: of sets that are as near, it is the newest.
    """
    ids = set_ids()
    if word in ids:
        return ""
    begun = [each for each in ids if word and each.startswith(word)]
    return begun[0] if begun else _nearest(word, ids)


def near_restore(word: str) -> str:
    """The restore that somebody meant; nothing if none is like it."""
    ids = restores()
    return "" if word in ids else _nearest(word, ids)


def _nearest(word: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=_ALIKE)), "")


def _system() -> System:
    from nightscan_tasks import settings  # late: settings and stores take a quarter of a second
    from nightscan_tasks.system import System

    return System(settings.load())


def _channels() -> Iterable[str]:
    from nightscan_tasks import notify, settings  # late, as above

    return (each.name for each in notify.channels(settings.load()))


def _soon(ask: Callable[[], Iterable[str]]) -> tuple[str, ...]:
    """What is answered within a moment; a thread that still waits then ends with the process."""
    answers: list[tuple[str, ...]] = []

    def run() -> None:
        with suppress(Exception):  # whatever it is, completion is no place to tell of it
            answers.append(tuple(ask()))

    asked = threading.Thread(target=run, name="known", daemon=True)
    asked.start()
    asked.join(_PATIENCE_SECONDS)
    return answers[0] if answers else ()
