"""What each role may ask for. Decisions only: a role is the first word of a certificate's file name.

| role | may send | may command |
|---|---|---|
| `operator` | everything | everything |
| `beat` | what stands in the timetable, but no restore | looks |
| `control` | what goes to the other queues than `nightscan.restore` | looks |
| `heavy` | its own tasks, and what follows from them | looks |
| `fast` | its own tasks, and what follows from them | looks |
| `restore` | its own tasks that change nothing | looks |
| `flower`, any other | nothing | looks |

So who has taken over a worker or beat, with its key, has no restore run. To look is
`inspect ping` and the like.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from worker.queues import CONTROL, FAST, HEAVY, RESTORE, queue_of

OPERATOR, BEAT = "operator", "beat"
ROLES = (OPERATOR, BEAT, "control", "heavy", "fast", "restore", "flower")

_RESTORES = "nightscan.restore_*"
_CHANGES_LIVE = (_RESTORES, "nightscan.reconcile_user_data")
_FOLLOWS = {"fast": ("nightscan.upload", "nightscan.settle"),
            "heavy": ("nightscan.settle", "nightscan.rotate")}
_OWN = {"fast": (FAST,), "heavy": (HEAVY,), "control": (FAST, HEAVY, CONTROL), "restore": (RESTORE,)}
_FURTHER = ("callbacks", "errbacks", "chain", "chord")
_LOOKS = ("active", "active_queues", "clock", "conf", "hello", "ping", "query_task", "registered", "report",
          "reserved", "revoked", "scheduled", "stats",
          "heartbeat", "enable_events")  # Flower asks for these two


def changes_live(task: str) -> bool:
    """Whether a task changes what is live: once is meant, and twice is a disaster."""
    return any(fnmatchcase(task, each) for each in _CHANGES_LIVE)


def plan_task(role: str, task: str, embedded: Mapping[str, Any], timetable: frozenset[str]) -> str:
    """Why a role may not send a task; empty if it may. `embedded` is what shall be sent after it."""
    if not task.startswith("nightscan."):
        return f"{task} is none of our tasks"  # `celery.map` would run any other
    if role == OPERATOR:
        return ""
    if queue_of(task) == RESTORE and any(embedded.get(each) for each in _FURTHER):
        return "only an operator has something follow from a task of the restore queue"
    if _may_send(role, task, timetable):
        return ""
    return f"the role {role} may not send {task}"


def plan_command(role: str, method: str) -> str:
    """Why a role may not give a command to workers; empty if it may."""
    return "" if role == OPERATOR or method in _LOOKS else f"the role {role} may not command {method}"


def _may_send(role: str, task: str, timetable: frozenset[str]) -> bool:
    if changes_live(task):
        return False
    if role == BEAT:
        return task in timetable
    return task in _FOLLOWS.get(role, ()) or queue_of(task) in _OWN.get(role, ())
