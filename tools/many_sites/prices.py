"""What S3 costs: list prices in dollars, us-east-1, as they were early in 2025. Put your own here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tools.many_sites.fleet import GB, MONTH_DAYS, Fleet

REGION, AS_OF = "us-east-1", "early 2025"
_THOUSAND = 1000.0
# To the internet, a month: up to so many GB, a GB.
_EGRESS = ((10_000, 0.09), (50_000, 0.085), (150_000, 0.07), (float("inf"), 0.05))


@dataclass(frozen=True)
class Class:
    """A storage class: a GB and month, a thousand PUTs and GETs, a GB read, and the least time billed."""

    name: str
    gb_month: float
    put: float
    get: float
    retrieval_gb: float
    least_days: int


STANDARD = Class("STANDARD", 0.022, 0.005, 0.0004, 0.0, 0)
STANDARD_IA = Class("STANDARD_IA", 0.0125, 0.01, 0.001, 0.01, 30)
CLASSES = (STANDARD, STANDARD_IA, Class("GLACIER_IR", 0.004, 0.02, 0.01, 0.03, 90))


@dataclass(frozen=True)
class Bill:
    """A month of the whole fleet, in dollars."""

    storage: float
    requests: float
    retrieval: float
    egress: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.storage + self.requests + self.retrieval + self.egress


def bill(fleet: Fleet, kind: Class, *, small: Mapping[str, float], parts: float, reads: float) -> Bill:
    """A month. `small` are requests a day for records, which are always STANDARD; `parts` and `reads` those a
    day for what is of the class: parts of artifacts that are sent, artifacts that are read.
    """
    stored_gb = fleet.sites * fleet.stock_bytes * fleet.billed_share(kind.least_days) / GB
    read_gb = fleet.read_bytes_a_day * MONTH_DAYS / GB
    puts = small.get("PUT", 0.0) + small.get("LIST", 0.0)
    daily = (puts * STANDARD.put + small.get("GET", 0.0) * STANDARD.get + parts * kind.put + reads * kind.get)
    return Bill(stored_gb * kind.gb_month, daily / _THOUSAND * MONTH_DAYS, read_gb * kind.retrieval_gb,
                egress(read_gb) if fleet.outside else 0.0)


def egress(read_gb: float) -> float:
    """What a month's reading costs where the sites are not in the bucket's region; in it, nothing."""
    total, begins = 0.0, 0.0
    for ends, price in _EGRESS:
        total += max(min(read_gb, ends) - begins, 0.0) * price
        begins = ends
    return total
