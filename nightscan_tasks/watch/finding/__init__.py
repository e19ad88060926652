"""What is wrong, decided purely from what was seen: a module for each thing that can be.

None reads anything or knows a language: a problem is a kind, a subject and facts (`watch.words` has the
words). What was not seen is not judged.
"""

from __future__ import annotations

from nightscan_tasks.settings import Settings
from nightscan_tasks.watch.finding import keys, proofs, queues, runs, sets, stores
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Problem, Severity

_LOOKS = (runs.problems, stores.problems, sets.problems, proofs.problems, keys.problems, queues.problems)
_ORDER = (Severity.CRITICAL, Severity.WARNING)


def find_problems(overview: Overview, settings: Settings) -> tuple[Problem, ...]:
    """Everything that is wrong, the worst first."""
    found = {problem.key: problem for look in _LOOKS for problem in look(overview, settings)}
    return tuple(sorted(found.values(), key=lambda each: _ORDER.index(each.severity)))
