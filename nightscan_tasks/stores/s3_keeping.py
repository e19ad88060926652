"""What a bucket is asked to keep: which objects are locked, for how long, and the past of which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

_BRIEF = ("leases/",)


@dataclass(frozen=True)
class Keeping:
    """The rules of one store. In a bucket that keeps no versions only the lock means anything.

    `mode` is `governance`, `compliance`, or empty where nothing is locked. `days` says for each folder at
    the store's root for how many days an object is locked from its upload on; other folders are not.
    `folders` are those that may have others beside them, where the store has no prefix of its own.
    What was replaced or hidden stays `undo_days` for a way back, but below `brief`, where everything is
    replaced every few seconds, not at all.
    """

    mode: str = ""
    days: Mapping[str, int] = field(default_factory=dict)
    undo_days: int = 30
    brief: tuple[str, ...] = _BRIEF
    folders: tuple[str, ...] = ()

    def locks(self, key: str) -> bool:
        """Whether an object of this key is locked when it is stored."""
        return bool(self.mode) and self._days(key) > 0

    def lock(self, key: str, now: datetime) -> dict[str, Any]:
        """What a request that stores an object says of its lock."""
        if not self.locks(key):
            return {}
        return {"ObjectLockMode": self.mode.upper(),
                "ObjectLockRetainUntilDate": now + timedelta(days=self._days(key))}

    def is_brief(self, key: str) -> bool:
        """Whether nobody will ever ask for what is replaced at this key."""
        return key.startswith(self.brief)

    def _days(self, key: str) -> int:
        return self.days.get(key.partition("/")[0], 0) if "/" in key else 0
