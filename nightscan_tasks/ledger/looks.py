"""What rotation remembers of the clock: the latest moment at which it looked, and what it missed before.

One small JSON file in the primary store, `rotation/look.json`. A clock that jumps shows as a look that is
in the future, or as a pause that is longer than any between two looks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nightscan_tasks.ledger import record
from nightscan_tasks.stores.base import Store

LOOK = "rotation/look.json"


@dataclass(frozen=True)
class Look:
    """The latest moment at which a rotation looked at a store; it never goes back.

    `pause_seconds` is how long it had not looked before. Where that was unusual, `missed_from` and
    `missed_seconds` tell of it, and nothing is removed before `held_until`.
    """

    looked_at: datetime
    pause_seconds: float = 0
    missed_from: datetime | None = None
    missed_seconds: float = 0
    held_until: datetime | None = None


class Looks:
    """Where a store keeps the look."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def last(self) -> Look | None:
        """The last look, or None where no rotation ever looked."""
        return record.read(self._store, Look, LOOK)

    def record(self, look: Look) -> None:
        """Replace it."""
        record.write(self._store, LOOK, look)
