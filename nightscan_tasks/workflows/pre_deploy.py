"""Before a release: what a failed deployment can spoil; with `full`, everything."""

from nightscan_tasks.model import COMPONENTS, Days, Plan, Tier

PRE_DEPLOY = Plan(
    tier=Tier.PRE_DEPLOY,
    components=("database", "redis", "system_config", "source_code"),
    keep=Days(30),
)

PRE_DEPLOY_FULL = Plan(tier=Tier.PRE_DEPLOY, components=COMPONENTS, keep=Days(30))


def pre_deploy(*, full: bool) -> Plan:
    """The plan for one release."""
    return PRE_DEPLOY_FULL if full else PRE_DEPLOY
