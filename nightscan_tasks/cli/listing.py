"""`nightscan list`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from nightscan_tasks.cli.choices import TIER, store_option
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.sets import Listed, Listing, collect, remarks
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.model import Tier
from nightscan_tasks.wording import age, size

_HEAD = ("SET", "INDEX", "AGE", "PLAIN", "STORED", "STATE")


@json_command(name="list", short_help="the sets there are, in every store")
@click.option("--tier", type=TIER, help="Only sets of this tier.")
@store_option("Only this store: primary, offsite, …")
def command(session: Session, tier: str | None, store: str | None) -> None:
    """List the sets there are, the newest first, in every store.

    INDEX is what --index of verify and restore takes: 1 is the newest complete set of its tier.
    Exit status 3 when a store could not be read, or a set is damaged or has no readable manifest.
    """
    chosen = (session.store_name(store),) if store else ()
    listing = collect(session.system, stores=chosen, tier=Tier(tier) if tier else None)
    session.finish(_status(listing), _as_json(listing), lines(listing, now=session.system.clock()))


def lines(listing: Listing, *, now: datetime) -> Iterator[str]:
    """The list as an operator reads it: a line for each set, and what there is to say below it."""
    if listing.sets:
        head, *rows = table(_HEAD, [_row(each, now) for each in listing.sets], right=(1, 2, 3, 4))
        yield head
        for row, each in zip(rows, listing.sets, strict=True):
            yield row
            for remark in remarks(each, now=now):
                yield from fold(remark, indent="    ")
    else:
        yield "There is no set yet. Next: nightscan backup daily"
    yield ""
    unread = dict(listing.unread)
    for name, url in listing.stores:
        yield f"{name}: {url}{' (could not be read)' if name in unread else ''}"
    for problem in unread.values():
        yield from fold(problem, indent="    ")


def _row(each: Listed, now: datetime) -> list[str]:
    manifest = each.manifest
    sizes = [size(manifest.plain_bytes), size(manifest.stored_bytes)] if manifest else ["-", "-"]
    return [str(each.set_id), str(each.index or "-"), age(each.set_id.taken_at, now), *sizes, each.state]


def _as_json(listing: Listing) -> dict[str, object]:
    unread = dict(listing.unread)
    return {"sets": [each.as_json() for each in listing.sets],
            "stores": [{"name": name, "url": url, "problem": unread.get(name)}
                       for name, url in listing.stores]}


def _status(listing: Listing) -> Exit:
    damaged = any(each.broken or any(found.problems for found in each.verified) for each in listing.sets)
    return Exit.DEGRADED if damaged or listing.unread else Exit.DONE
