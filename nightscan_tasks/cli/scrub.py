"""`nightscan scrub`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.cli import broker
from nightscan_tasks.cli.choices import SIZE, local_option, store_option
from nightscan_tasks.cli.colours import critical, hint, state, warning
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.cli.tasking import followed, watched
from nightscan_tasks.errors import Busy, NightscanError
from nightscan_tasks.ledger.reads import Kind
from nightscan_tasks.scrub import Wish, preview, scrub
from nightscan_tasks.scrubbing import ScrubPlan
from nightscan_tasks.wording import ago, count, size
from nightscan_tasks.workflows import RETENTION

_BAD = {Kind.DAMAGED.value, Kind.UNREAD.value}


@json_command(name="scrub", short_help="read stored bytes again, and mend what is damaged", examples=(
    "nightscan scrub --dry-run",
    "nightscan scrub --store offsite --bytes 20GB",
    "nightscan scrub --all --no-repair --local",
))
@store_option("Only this store; without it, each.")
@click.option("--bytes", "read_bytes", type=SIZE, metavar="SIZE",
              help="Read so much, for example 20GB, instead of this night's share.")
@click.option("--all", "everything", is_flag=True, help="Read everything.")
@click.option("--no-repair", is_flag=True, help="Replace nothing, only tell.")
@click.option("--dry-run", is_flag=True, help="Only say what would be read, and why.")
@local_option
def command(session: Session, store: str | None, read_bytes: int | None, *, everything: bool,
            no_repair: bool, dry_run: bool, local: bool) -> None:
    """Read this night's share of every store, the oldest-read first, and compare it with the manifests.

    What is damaged is replaced from a store that has it whole. Exit status 1 when something is damaged
    that no store can mend, or could not be read; 3 when something was mended, or reading is behind.
    --dry-run asks no worker.
    """
    if everything and read_bytes is not None:
        raise click.UsageError("give --bytes or --all, not both")
    names = [session.store_name(store)] if store else [each.name for each in session.system.stores]
    wish = Wish(read_bytes, everything, not no_repair, RETENTION)
    if dry_run:
        planned = [_planned(session, name, wish) for name in names]
        failed = any(isinstance(plan, NightscanError) for _, plan in planned)
        session.finish(Exit.FAILED if failed else Exit.DONE, [_plan_json(*each) for each in planned],
                       plan_lines(planned, session.system.settings.scrub_days, session.system.clock()))
    done = [(_here if local else _there)(session, name, wish) for name in names]
    session.finish(status(done), done, lines(done, session.system.clock()))


def status(done: Sequence[dict[str, Any]]) -> Exit:
    """1 for damage that stays and for what could not be read, 3 for what was mended, or is behind."""
    found = [finding["kind"] for each in done for finding in (*each.get("findings", ()),
                                                              *each.get("standing", ()))]
    if _BAD & set(found) or any(each.get("problem") for each in done):
        return Exit.FAILED
    degraded = found or any(each.get("behind") or each.get("busy") for each in done)
    return Exit.DEGRADED if degraded else Exit.DONE


def lines(done: Sequence[dict[str, Any]], now: datetime) -> Iterator[str]:
    """What was read of each store, and what was found."""
    for each in done:
        if each.get("busy"):
            yield from fold(f"{each['store']}: another scrub is under way: {each['busy']}")
            continue
        read = f"{count(each['read_files'], 'artifact')}, {size(each['read_bytes'])} read and compared"
        oldest = (f"; the oldest reading was {ago(datetime.fromisoformat(each['oldest_at']), now)}"
                  if each["oldest_at"] else "")
        yield from fold(f"{each['store']}: {read}{oldest}", hanging="  ")
        new = {finding["key"] for finding in each["findings"]}
        for finding in (*each["findings"], *(one for one in each["standing"] if one["key"] not in new)):
            yield from finding_lines(finding)
        for word, text in (("ended early", each["problem"]), ("behind", each["behind"])):
            yield from fold(warning(word) + f": {text}", indent="  ") if text else ()
    if _BAD & {finding["kind"] for each in done for finding in each.get("standing", ())}:
        yield from fold(hint("Next: nightscan list says which sets are damaged; nightscan backup manual "
                             "takes a new one"))


def finding_lines(finding: dict[str, Any]) -> Iterator[str]:
    """One file that was not as it has to be."""
    source = f"; replaced from {finding['source']}" if finding["source"] else ""
    yield from fold(state(finding["kind"].upper()) + f" {finding['key']}: {finding['what']}{source}",
                    indent="  ", hanging="    ")


def plan_lines(planned: Sequence[tuple[str, ScrubPlan | NightscanError]], days: int,
               now: datetime) -> Iterator[str]:
    """What would be read, and why."""
    for name, plan in planned:
        if isinstance(plan, NightscanError):
            yield from fold(f"{name}: " + critical("could not be read") + f": {plan}", hanging="  ")
            continue
        yield from fold(
            f"{name}: {count(len(plan.turns), 'artifact')}, {size(plan.planned_bytes)} of "
            f"{size(plan.total_bytes)}; within {days} days takes {size(plan.needs_bytes)} a night",
            hanging="  ")
        if plan.oldest:
            read = ago(plan.oldest.read_at, now)
            yield from fold(f"oldest reading: {plan.oldest.key}, {read}", indent="  ")
        if plan.behind:
            yield from fold(warning("behind") + f": {plan.behind}", indent="  ")
        rows = [[turn.copy.key, size(turn.copy.stored_bytes), turn.reason] for turn in plan.turns]
        yield from ("  " + row for row in table(["ARTIFACT", "SIZE", "WHY"], rows, right=(1,)) if rows)


def _planned(session: Session, name: str, wish: Wish) -> tuple[str, ScrubPlan | NightscanError]:
    try:
        return name, preview(session.system, name, wish)
    except NightscanError as exc:  # one store that is down hides no other's plan
        return name, exc


def _there(session: Session, name: str, wish: Wish) -> dict[str, Any]:
    sent = broker.send(session.system.settings, "nightscan.scrub", broker.HEAVY, name,
                       read_bytes=wish.read_bytes, everything=wish.everything, repair=wish.repair)
    done: dict[str, Any] = followed(session, sent, f"scrub {name}")
    return done


def _here(session: Session, name: str, wish: Wish) -> dict[str, Any]:
    try:
        with watched(session, f"scrub {name}") as watch:
            done: dict[str, Any] = wire.plain(scrub(session.system, name, wish, watch=watch))
    except Busy as exc:
        return {"store": name, "busy": str(exc)}
    return done


def _plan_json(name: str, plan: ScrubPlan | NightscanError) -> dict[str, Any]:
    if isinstance(plan, NightscanError):
        return {"store": name, "problem": str(plan)}
    return {
        "store": name, "planned_bytes": plan.planned_bytes, "total_bytes": plan.total_bytes,
        "needs_bytes": plan.needs_bytes, "late": len(plan.late), "behind": plan.behind,
        "oldest_at": plan.oldest.read_at.isoformat() if plan.oldest else None,
        "oldest_key": plan.oldest.key if plan.oldest else "",
        "artifacts": [{"key": turn.copy.key, "stored_bytes": turn.copy.stored_bytes, "why": turn.reason,
                       "read_at": turn.copy.read_at.isoformat()} for turn in plan.turns]}
