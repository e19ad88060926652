"""The 3-2-1 rule: three copies, on two kinds of media, one of them elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from nightscan_tasks.system import PRIMARY
from nightscan_tasks.watch.overview import Overview

_COPIES, _MEDIA = 3, 2


@dataclass(frozen=True)
class Rule:
    """How the newest whole set stands by the rule. What is live counts as the first copy."""

    set_id: str | None
    copies: int
    media: tuple[str, ...]
    offsite: tuple[str, ...]

    @property
    def kept(self) -> bool:
        """Whether all three hold."""
        return self.copies >= _COPIES and len(self.media) >= _MEDIA and bool(self.offsite)


def plan_rule(overview: Overview) -> Rule:
    """The rule, for the newest whole set."""
    newest = next((each for each in overview.sets if each.complete), None)
    if newest is None:
        return Rule(None, 1, (overview.live_medium,), ())
    stores = [copy.store for copy in newest.copies]
    media = {overview.live_medium, *(store.medium for store in overview.stores if store.name in stores)}
    return Rule(str(newest.set_id), 1 + len(stores), tuple(sorted(media)),
                tuple(name for name in stores if name != PRIMARY))
