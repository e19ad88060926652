"""On the first of the month: the whole system, for the long term."""

from nightscan_tasks.model import COMPONENTS, Months, Plan, Tier

MONTHLY = Plan(tier=Tier.MONTHLY, components=COMPONENTS, keep=Months(12))
