"""What is simulated: how many sites of what size, what lines they have, and how they save."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from nightscan_tasks.workflows import DAILY, MONTHLY, WEEKLY

GB = 1_000_000_000
TB = 1000 * GB
MBIT = 1_000_000 / 8
DAY_SECONDS = 86400
MONTH_DAYS = 30.4
_SCRUB_SPARE = 10  # a tenth of the days is kept in hand (nightscan_tasks/scrubbing.py)


@dataclass(frozen=True)
class Fleet:
    """A hundred sites, each with its own NightScan, workers, broker, and its own prefix in one bucket.

    Bytes are stored bytes: after compression and encryption. `spread` is the sigma of the sites' sizes, which
    are lognormal. `change` is the share of user data that is new each day. `reads` is how often each stored
    byte is read back in the night in which it was sent: by the task that stored it, and by `verify`.
    """

    sites: int = 100
    sent_bytes_a_day: float = 10 * TB
    change: float = 0.02
    full_days: int = 7
    spread: float = 0.8
    archives: int = 4
    jobs: int = 2
    uplink: float = 1000 * MBIT
    downlink: float = 1000 * MBIT
    shared: float = 10_000 * MBIT
    window_hours: float = 6.0
    begins_apart_seconds: float = 0.0
    archive_bytes_per_second: float = 200e6
    reads: float = 2.0
    scrub_days: int = 30
    drills_a_month: float = 1.0
    beat_seconds: float = 5.0
    looks_a_day: int = 96 + 4
    outside: bool = True
    seed: int = 6

    @property
    def sent_share(self) -> float:
        """How much of its stock a site sends on an average day: daily, weekly and monthly sets."""
        return self.full_share + 1 / 7 + 1 / MONTH_DAYS

    @property
    def full_share(self) -> float:
        """The same of the daily tier alone, which saves what changed between its full sets."""
        return 1.0 if self.full_days == 0 else 1 / self.full_days + (1 - 1 / self.full_days) * self.change

    @property
    def stock_bytes(self) -> float:
        """The data of an average site."""
        return self.sent_bytes_a_day / self.sites / self.sent_share

    @property
    def kept_share(self) -> float:
        """How much is stored at a time, in stocks: what retention keeps, and what that refers to."""
        daily_days = DAILY.keep.days + self.full_days
        return daily_days * self.full_share + WEEKLY.keep.days // 7 + MONTHLY.keep.months

    @property
    def kept_sets(self) -> int:
        """How many sets a site has in its catalog."""
        return DAILY.keep.days + self.full_days + WEEKLY.keep.days // 7 + MONTHLY.keep.months

    def billed_share(self, least_days: int) -> float:
        """The same as it is billed, where a class bills each object for so many days at least."""
        daily_days = max(DAILY.keep.days + self.full_days, least_days)
        weekly_days = max(WEEKLY.keep.days, least_days)
        return daily_days * self.full_share + weekly_days / 7 + MONTHLY.keep.months

    @property
    def stored_bytes(self) -> float:
        """What lies in the bucket, of all sites."""
        return self.sites * self.stock_bytes * self.kept_share

    @property
    def scrubbed_bytes_a_day(self) -> float:
        """What all sites read each night so that every byte is read within the days."""
        if not self.scrub_days:
            return 0.0
        return self.stored_bytes / (self.scrub_days - self.scrub_days // _SCRUB_SPARE)

    @property
    def read_bytes_a_day(self) -> float:
        """What all sites read from the bucket on an average day."""
        drilled = self.drills_a_month / MONTH_DAYS * self.sites * self.stock_bytes
        return self.sent_bytes_a_day * self.reads + self.scrubbed_bytes_a_day + drilled

    def stocks(self) -> list[float]:
        """Each site's data, the smallest first; together what the fleet has."""
        dice = random.Random(self.seed)  # noqa: S311 - the same fleet each time is the point
        weights = sorted(math.exp(dice.gauss(0, self.spread)) for _ in range(self.sites))
        return [weight / sum(weights) * self.stock_bytes * self.sites for weight in weights]

    def but(self, **changed: float) -> Fleet:
        """The same with something changed; the stock of a site stays, unless its bytes are changed."""
        other = replace(self, **changed)  # type: ignore[arg-type]  # numbers, as the fields are
        if "sent_bytes_a_day" in changed:
            return other
        return replace(other, sent_bytes_a_day=self.stock_bytes * other.sites * other.sent_share)
