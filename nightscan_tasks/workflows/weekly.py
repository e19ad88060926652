"""Every Sunday: the whole system."""

from nightscan_tasks.model import COMPONENTS, Plan, Tier, Weeks

WEEKLY = Plan(tier=Tier.WEEKLY, components=COMPONENTS, keep=Weeks(4))
