"""`nightscan list`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import click

from nightscan_tasks.cli.choices import MOMENT, TIER, store_option
from nightscan_tasks.cli.colours import critical, hint, state
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.sets import Listed, Listing, collect, remarks
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.model import Tier
from nightscan_tasks.stores.build import as_of, is_s3
from nightscan_tasks.system import System
from nightscan_tasks.wording import age, size

_HEAD = ("SET", "INDEX", "AGE", "PLAIN", "STORED", "STATE")


@json_command(name="list", short_help="the sets there are, in every store", examples=(
    "nightscan list",
    "nightscan list --tier daily --store offsite",
    "nightscan list --as-of 2026-11-23T02:00",
    "nightscan list --json",
))
@click.option("--tier", type=TIER, help="Only sets of this tier.")
@store_option("Only this store: primary, offsite, …")
@click.option("--as-of", "moment", type=MOMENT,
              help="Versioned buckets as they were then, whatever was replaced or hidden since.")
@click.option("--signatures", is_flag=True, help="Have gpg check every signature.")
def command(session: Session, tier: str | None, store: str | None, moment: datetime | None, *,
            signatures: bool) -> None:
    """List the sets there are, the newest first, in every store.

    INDEX is what --index of verify and restore takes: 1 is the newest complete set of its tier.
    STORED is what lies with the set itself; what it refers to in earlier sets is named below it.
    Exit status 3 when a store could not be read, a set is damaged or has no readable manifest, or the
    newest set of a tier is suspicious.
    """
    chosen: tuple[str, ...] = (session.store_name(store),) if store else ()
    system = session.system
    if moment:
        system, chosen = _past(system, chosen, moment)
    listing = collect(system, stores=chosen, tier=Tier(tier) if tier else None, check=signatures)
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
        yield "There is no set yet. " + hint("Next: nightscan backup daily")
    yield ""
    unread = dict(listing.unread)
    for name, url in listing.stores:
        yield f"{name}: {url}" + (critical(" (could not be read)") if name in unread else "")
    for problem in unread.values():
        yield from fold(problem, indent="    ")


def _past(system: System, chosen: tuple[str, ...], moment: datetime) -> tuple[System, tuple[str, ...]]:
    """The same system with its S3 stores as they were, and the names of those: a directory keeps no past."""
    names = tuple(store.name for store in system.stores
                  if is_s3(store.url) and (not chosen or store.name in chosen))
    if not names:
        raise click.UsageError("--as-of: no S3 store is meant, and a directory keeps no past; "
                               "`nightscan list` says which stores there are")
    past = {"primary_url": _then(system.settings.primary, moment), "bucket": "",
            "offsite_urls": tuple(_then(url, moment) for url in system.settings.offsites)}
    return replace(system, settings=system.settings.model_copy(update=past)), names


def _then(url: str, moment: datetime) -> str:
    return as_of(url, moment) if is_s3(url) else url


def _row(each: Listed, now: datetime) -> list[str]:
    manifest = each.manifest
    sizes = [size(manifest.plain_bytes), size(manifest.own_bytes)] if manifest else ["-", "-"]
    return [str(each.set_id), str(each.index or "-"), age(each.set_id.taken_at, now), *sizes,
            state(each.state)]


def _as_json(listing: Listing) -> dict[str, object]:
    unread = dict(listing.unread)
    return {"sets": [each.as_json() for each in listing.sets],
            "stores": [{"name": name, "url": url, "problem": unread.get(name)}
                       for name, url in listing.stores]}


def _status(listing: Listing) -> Exit:
    damaged = any(each.broken or any(found.problems for found in each.verified)
                  or any(standing.refused for _, standing in each.signatures) for each in listing.sets)
    newest = {each.set_id.tier: each for each in reversed(listing.sets)}
    suspicious = any(each.suspicious for each in newest.values())
    return Exit.DEGRADED if damaged or suspicious or listing.unread else Exit.DONE
