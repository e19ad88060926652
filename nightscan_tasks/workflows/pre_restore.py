"""Before a restore: what is live, so that even a wrong decision can be taken back a week later."""

from nightscan_tasks.model import COMPONENTS, Days, Plan, Tier

PRE_RESTORE = Plan(tier=Tier.PRE_RESTORE, components=COMPONENTS, keep=Days(7))
"""Of these, the ones that are replaced."""
