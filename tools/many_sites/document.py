"""`docs/MANY_SITES.md`, every number of it computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from nightscan_tasks.wording import size
from tools.many_sites.capacity import BUSY_SETS, loads, most
from tools.many_sites.fleet import MBIT, Fleet
from tools.many_sites.night import simulate
from tools.many_sites.prices import AS_OF, CLASSES, REGION, STANDARD, STANDARD_IA, Bill, Class, bill
from tools.many_sites.requests import KINDS, Steps, a_day, parts_a_day, times_a_day

_PAGE = Path(__file__).with_name("page.md.j2")
_GBIT = 1000
_WHAT = {"open": "open a run", "start": "start it", "part": "save a part and read it back",
         "settle": "settle", "verify": "verify", "rotate": "rotate and sweep", "scrub": "scrub",
         "reap": "reap, each minute", "reap_restores": "reap restores, every five minutes",
         "make_up": "look for missed runs, every ten minutes", "replicate": "look for missing copies, hourly",
         "look": "look at everything, and tell, every quarter of an hour", "beat": "renew a lease"}
_CHANGES: tuple[tuple[str, dict[str, float]], ...] = (
    ("nothing", {}), ("10 sites", {"sites": 10}), ("300 sites", {"sites": 300}),
    ("1,000 sites", {"sites": 1000}),
    ("0.5 % change a day", {"change": 0.005}), ("10 % change a day", {"change": 0.1}),
    ("full sets only", {"full_days": 0}), ("a full daily set every 28 days", {"full_days": 28}),
    ("100 Mbit/s a site", {"uplink": 100 * MBIT, "downlink": 100 * MBIT}),
    ("10 Gbit/s a site", {"uplink": 10_000 * MBIT, "downlink": 10_000 * MBIT}),
    ("1 Gbit/s shared", {"shared": 1000 * MBIT}), ("100 Gbit/s shared", {"shared": 100_000 * MBIT}),
    ("sites of one size", {"spread": 0.0}), ("verify reads nothing again", {"reads": 1.0}),
    ("a scrub in 90 days", {"scrub_days": 90}), ("a heartbeat each half minute", {"beat_seconds": 30.0}),
    ("a look each hour", {"looks_a_day": 28}))
_DEPTHS: tuple[tuple[str, dict[str, float]], ...] = (
    ("by its task and by verify, and scrubbed in 30 days", {}),
    ("by its task alone, and scrubbed in 30 days", {"reads": 1.0}),
    ("by its task and by verify, scrubbed in 90 days", {"scrub_days": 90}),
    ("by its task alone, scrubbed in 90 days", {"reads": 1.0, "scrub_days": 90}),
    ("by its task alone, never scrubbed", {"reads": 1.0, "scrub_days": 0}))
_NIGHTS: tuple[tuple[str, float, bool, dict[str, float]], ...] = (
    ("a full set", 1.0, False, {}), ("a full set, read back", 1.0, True, {}),
    ("two full sets, on a Sunday", BUSY_SETS, False, {}),
    ("the same, sites five minutes apart", BUSY_SETS, False, {"begins_apart_seconds": 300.0}))


def document(fleet: Fleet, steps: Steps) -> str:
    """The whole page."""
    pages = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - Markdown, of our own numbers
    pages.filters |= {"size": size, "line": _line, "dollars": _dollars}
    found, day = loads(fleet, steps), a_day(fleet, steps)
    return pages.from_string(_PAGE.read_text(encoding="utf-8")).render(
        fleet=fleet, stocks=fleet.stocks(), busy_sets=BUSY_SETS, region=REGION, as_of=AS_OF,
        loads=found, full=sum(each.share > 1 for each in found),
        bottlenecks=_table(("", "asked of it"), [(each.name, f"{100 * each.share:.1f} %") for each in found]),
        nights=_nights(fleet), asked=sum(asked for _, asked in most(day)), requests=_requests(fleet, steps),
        askers=[_WHAT[step] for step, _ in most(day)[:2]],
        parts=parts_a_day(fleet), bills=_bills(fleet, steps), depths=_depths(fleet, steps),
        moves=_moves(fleet, steps), sunday=simulate(fleet, BUSY_SETS), ia=_bill(fleet, steps),
        standard=_bill(fleet, steps, STANDARD), inside=_bill(fleet.but(outside=False), steps),
        once=_bill(fleet.but(reads=1.0), steps))


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Markdown."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def _nights(fleet: Fleet) -> str:
    rows = []
    for name, sets, reading, changed in (("only what changed", fleet.change, False, {}), *_NIGHTS):
        night = simulate(fleet.but(**changed), sets, reading=reading)
        rows.append((name, *(f"{night.hours(share):.1f}" for share in (0.5, 0.95, 1.0)),
                     _line(night.peak_bytes_per_second), night.late))
    return _table(("", "half", "95 %", "the last", "peak", "late"), rows)


def _requests(fleet: Fleet, steps: Steps) -> str:
    asked, times = most(a_day(fleet, steps)), times_a_day(fleet)
    total = sum(number for _, number in asked)
    return _table(("step", *KINDS, "times", "share"), [
        (_WHAT[step], *(f"{steps.of(step, fleet.kept_sets)[kind]:.0f}" for kind in KINDS),
         f"{times[step]:,.1f}", f"{100 * number / total:.1f} %") for step, number in asked])


def _bill(fleet: Fleet, steps: Steps, kind: Class = STANDARD_IA) -> Bill:
    day = a_day(fleet, steps)
    small = {name: fleet.sites * sum(step[name] for step in day.values()) for name in KINDS}
    scrubbed = fleet.kept_sets / fleet.scrub_days if fleet.scrub_days else 0
    return bill(fleet, kind, small=small, parts=parts_a_day(fleet),
                reads=fleet.sites * (fleet.archives + 2) * (fleet.reads + scrubbed))


def _bills(fleet: Fleet, steps: Steps) -> str:
    return _table(("class", "sites", "storage", "requests", "reading", "leaving", "together"),
                  _bill_rows(fleet, steps))


def _bill_rows(fleet: Fleet, steps: Steps) -> Iterator[tuple[str, ...]]:
    for kind in CLASSES:
        for outside in (True, False):
            each = _bill(fleet.but(outside=outside), steps, kind)
            yield (kind.name, "elsewhere" if outside else "in the region", *map(_dollars, (
                each.storage, each.requests, each.retrieval, each.egress, each.total)))


def _depths(fleet: Fleet, steps: Steps) -> str:
    others = [(name, fleet.but(**changed)) for name, changed in _DEPTHS]
    return _table(("read", "a day", "together"), [
        (name, size(other.read_bytes_a_day), _dollars(_bill(other, steps).total)) for name, other in others])


def _moves(fleet: Fleet, steps: Steps) -> str:
    rows = []
    for name, changed in _CHANGES:
        other = fleet.but(**changed)
        rows.append((name, size(other.sent_bytes_a_day), *loads(other, steps)[:3],
                     _dollars(_bill(other, steps).total)))
    return _table(("changed", "sent a day", "first", "second", "third", "a month"), rows)


def _line(bytes_per_second: float) -> str:
    amount = round(bytes_per_second / MBIT)
    return f"{amount / _GBIT:g} Gbit/s" if amount >= _GBIT and not amount % 100 else f"{amount:,} Mbit/s"


def _dollars(amount: float) -> str:
    return f"${amount:,.0f}"
