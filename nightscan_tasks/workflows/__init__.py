"""What runs, in what order, and how long it is kept: each file reads as its own specification.

`canvas` turns an opened run into the one flat chord that does it; `restore` reads what is asked for of one.
"""

from nightscan_tasks.model import Keep, Plan, Tier
from nightscan_tasks.workflows.daily import DAILY
from nightscan_tasks.workflows.manual import MANUAL
from nightscan_tasks.workflows.monthly import MONTHLY
from nightscan_tasks.workflows.pre_deploy import PRE_DEPLOY, PRE_DEPLOY_FULL
from nightscan_tasks.workflows.pre_restore import PRE_RESTORE
from nightscan_tasks.workflows.weekly import WEEKLY

PLANS: dict[Tier, Plan] = {plan.tier: plan for plan in (DAILY, WEEKLY, MONTHLY, PRE_DEPLOY, MANUAL)}

RETENTION: dict[Tier, Keep] = {tier: plan.keep for tier, plan in PLANS.items()} | {
    Tier.PRE_RESTORE: PRE_RESTORE.keep,
}

__all__ = ["DAILY", "MANUAL", "MONTHLY", "PLANS", "PRE_DEPLOY", "PRE_DEPLOY_FULL", "PRE_RESTORE",
           "RETENTION", "WEEKLY"]
