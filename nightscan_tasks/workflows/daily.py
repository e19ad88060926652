"""Every night: what changes every day, and what users would miss first."""

from nightscan_tasks.model import Days, Plan, Tier

DAILY = Plan(
    tier=Tier.DAILY,
    components=("database", "redis", "user_data"),
    keep=Days(7),
    builds_on=(Tier.DAILY,),
)
