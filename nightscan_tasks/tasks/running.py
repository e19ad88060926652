"""Handing the work of a run to the broker."""

from __future__ import annotations

from nightscan_tasks import backup
from nightscan_tasks.errors import Busy
from nightscan_tasks.ledger import Run, Sent
from nightscan_tasks.model import Json
from nightscan_tasks.system import System
from nightscan_tasks.tasks.signalling import tell_begin
from nightscan_tasks.workflows.canvas import canvas


def begin(system: System, request: backup.Request) -> dict[str, Json]:
    """Answer a request with a run: a new one, or the one that is doing the same already."""
    opened = backup.open_run(system, request)
    answer: dict[str, Json] = {"run_id": opened.run.run_id, "set_id": str(opened.run.set_id)}
    if opened.joined:
        return answer | {"state": "joined"}
    return answer | advance(system, opened.run)


def advance(system: System, run: Run) -> dict[str, Json]:
    """Start a run if it may, and send its canvas; otherwise it waits in the ledger for its turn."""
    try:
        backup.start(system, run)
    except Busy as exc:
        return {"state": "waiting", "why": str(exc)}
    canvas(run).apply_async()
    # Recorded afterwards: what was not sent, for want of a broker, is soon sent by `reap`; and whoever dies
    # in between has it sent twice, which is harmless.
    system.ledger.send(run.run_id, Sent(system.clock(), 1))
    tell_begin(system, run)
    return {"state": "started"}
