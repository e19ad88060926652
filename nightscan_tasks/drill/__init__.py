"""Drills: a restore into a scratch NightScan, compared with what was saved, and timed.

`scratch` builds the place, which is a whole application of its own: servers, folders, a store for its
records. `drilling` restores into it by the very code that restores what is live, and measures; `opening`
proves that the private key still opens the newest set.
"""

from nightscan_tasks.drill.drilling import drill
from nightscan_tasks.drill.opening import Opened, prove_key

__all__ = ["Opened", "drill", "prove_key"]
