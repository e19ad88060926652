"""Putting a set back: `choosing` it, `reading` its artifacts, and `restoring` component by component.

Every component is staged beside what is live, checked against the set's manifest, and only then swapped
in; what was there before stays until it is let go.
"""

from nightscan_tasks.restore.choosing import Choice, choose
from nightscan_tasks.restore.restoring import Restored, RestoredComponent, restore

__all__ = ["Choice", "Restored", "RestoredComponent", "choose", "restore"]
