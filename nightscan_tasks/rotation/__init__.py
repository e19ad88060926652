"""Rotation, done: what `retention` decided goes, one set after the other, and what people hold stays.

`gathering` finds out what is known, `rotating` plans and removes, `sweeping` takes away what crashes left,
`keeping` is what people say: hold, release, trust. No two rotations are at work at once.
"""

from nightscan_tasks.rotation.gathering import RESTORE_LEASES
from nightscan_tasks.rotation.keeping import Kept, hold, release, trust, trust_clock
from nightscan_tasks.rotation.rotating import plan, rotate
from nightscan_tasks.rotation.sweeping import forget_old_runs, sweep

__all__ = ["RESTORE_LEASES", "Kept", "forget_old_runs", "hold", "plan", "release", "rotate", "sweep",
           "trust", "trust_clock"]
