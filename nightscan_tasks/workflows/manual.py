"""When a person asks for it: any components, kept until a person removes the set."""

from collections.abc import Sequence
from dataclasses import replace

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.model import COMPONENTS, FOREVER, Plan, Tier
from nightscan_tasks.wording import nearest

MANUAL = Plan(tier=Tier.MANUAL, components=COMPONENTS, keep=FOREVER)


def manual(components: Sequence[str] | None = None) -> Plan:
    """The plan for the components that were named, in the order in which they are saved; none: all."""
    unknown = sorted(set(components or ()) - set(COMPONENTS))
    if unknown:
        raise SettingsError(f"there is no component {unknown[0]}; {nearest(unknown[0], COMPONENTS)}")
    chosen = tuple(name for name in COMPONENTS if not components or name in components)
    return replace(MANUAL, components=chosen)
