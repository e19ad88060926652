"""`nightscan reconcile`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.cli.choices import local_option
from nightscan_tasks.cli.colours import critical, good, hint, warning
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.wording import count, size

_NAMED = 5


@json_command(name="reconcile", short_help="compare rows with files, and with the sets", examples=(
    "nightscan reconcile",
    "nightscan reconcile --apply",
    "nightscan reconcile --local --json",
))
@click.option("--apply", is_flag=True, help="Fetch what is missing, and move what no row names.")
@local_option
def command(session: Session, *, apply: bool, local: bool) -> None:
    """Compare the files that rows name with the files there are, and with all sets.

    NIGHTSCAN_RECONCILE says which columns name files. Without --apply nothing is changed. With it, a
    missing file is fetched from the newest set that has it, and a file that no row names is moved to
    the quarantine, never deleted. Exit status 3 when something is left to do.
    """
    done = _here(session, apply=apply) if local else _there(session, apply=apply)
    session.finish(Exit.DONE if done["in_order"] else Exit.DEGRADED, done, lines(done))


def lines(done: dict[str, Any]) -> Iterator[str]:
    """Counts, and the first names of each kind."""
    counts = done["counts"]
    yield (f"{count(counts['rows'], 'value')} of rows name {count(counts['named'], 'file')}; "
           f"{counts['found']:,} are there")
    if counts["foreign"]:
        yield f"{count(counts['foreign'], 'value')} name nothing of ours"
    yield from _missing(done)
    yield from _orphans(done)
    for problem in done["problems"]:
        yield from fold(critical("problem") + f": {problem}", hanging="  ")
    yield from _verdict(done)


def _missing(done: dict[str, Any]) -> Iterator[str]:
    if done["recoverable"]:
        state = f", {done['fetched']:,} put back" if done["applied"] else ""
        yield warning("missing") + f": {count(done['recoverable'], 'file')}, which sets have{state}"
        for each in done["first_missing"][:_NAMED]:
            yield from fold(f"{each['path']}  from {each['source']}", indent="  ", hanging="    ")
        yield from _more(done["recoverable"], len(done["first_missing"][:_NAMED]))
    if done["lost"]:
        yield critical("lost") + f": {count(done['lost'], 'file')}, which no set that could be read has"
        yield from _paths(done["first_lost"], done["lost"])


def _orphans(done: dict[str, Any]) -> Iterator[str]:
    if done["orphans"]:
        state = f", {done['quarantined']:,} moved to {done['quarantine']}" if done["quarantined"] else ""
        yield (warning("named by no row")
               + f": {count(done['orphans'], 'file')}, {size(done['orphan_bytes'])}{state}")
        yield from _paths(done["first_orphans"], done["orphans"])
    if fresh := done["counts"]["fresh"]:
        yield f"too young to tell: {count(fresh, 'file')}, whose rows may be on their way"


def _paths(paths: list[str], total: int) -> Iterator[str]:
    for path in paths[:_NAMED]:
        yield from fold(path, indent="  ", hanging="    ")
    yield from _more(total, len(paths[:_NAMED]))


def _more(total: int, shown: int) -> Iterator[str]:
    if total > shown:
        yield f"  and {total - shown:,} more"


def _verdict(done: dict[str, Any]) -> Iterator[str]:
    if done["in_order"]:
        yield good("All is in order.")
    elif not done["applied"]:
        yield "Nothing was changed. " + hint("Next: nightscan reconcile --apply")
    elif done["lost"]:
        yield "Lost files need a person: remove their rows, or find them elsewhere."


def _there(session: Session, *, apply: bool) -> dict[str, Any]:
    # Imported here: Celery is built only where it is needed.
    from nightscan_tasks.cli import broker
    from nightscan_tasks.cli.tasking import followed

    sent = broker.send(session.system.settings, "nightscan.reconcile_user_data", broker.RESTORE, apply=apply)
    done: dict[str, Any] = followed(session, sent, "reconcile")
    return done


def _here(session: Session, *, apply: bool) -> dict[str, Any]:
    from nightscan_tasks.restore.putting_right import put_right

    found = put_right(session.system, apply=apply)
    return {**wire.plain(found), "in_order": found.in_order}
