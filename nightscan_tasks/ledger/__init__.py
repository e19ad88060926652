"""The record of every run, outside Celery: what was planned, done, and how it ended.

`records` are the values, `book` keeps them in the primary store, `listings` are the lists of files that
the archives of one run share. `holds` is what people decided about sets, `looks` what rotation remembers
of the clock.
"""

from nightscan_tasks.ledger.book import OPEN, RUNS, Ledger
from nightscan_tasks.ledger.holds import Decisions, Hold, Trust
from nightscan_tasks.ledger.looks import Look
from nightscan_tasks.ledger.records import (
    Copied,
    Ending,
    Outcome,
    Run,
    RunState,
    Saved,
    Sent,
    Snapshot,
    Started,
    Verified,
)

__all__ = ["OPEN", "RUNS", "Copied", "Decisions", "Ending", "Hold", "Ledger", "Look", "Outcome", "Run",
           "RunState", "Saved", "Sent", "Snapshot", "Started", "Trust", "Verified"]
