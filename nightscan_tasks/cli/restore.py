"""`nightscan restore WHAT`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.cli import broker
from nightscan_tasks.cli.choices import MOMENT, SET_ID, TIER, Word, local_option
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.cli.tasking import followed, watched
from nightscan_tasks.model import COMPONENTS, SetId, Tier
from nightscan_tasks.restore import Choice, restore
from nightscan_tasks.restore.restoring import LIVE
from nightscan_tasks.system import PRIMARY
from nightscan_tasks.wording import duration, rate, size

FULL = "full"
WHAT = Word("component", (FULL, *COMPONENTS))


@json_command(name="restore", short_help="put a set back")
@click.argument("what", type=WHAT, metavar="WHAT")
@click.option("--set", "set_id", type=SET_ID, metavar="ID", help="This set.")
@click.option("--tier", type=TIER, help="The newest complete set of this tier …")
@click.option("--index", type=click.IntRange(1), help="… or an older one: 1 is the newest.")
@click.option("--before", type=MOMENT, help="The newest complete set from before then.")
@click.option("--from", "store", metavar="STORE", default=PRIMARY, show_default=True,
              help="The store to read from.")
@click.option("--target-root", type=click.Path(path_type=Path), metavar="DIR",
              help="Unpack files below this folder, and leave the live ones alone.")
@local_option
def command(session: Session, what: str, set_id: SetId | None, *, tier: str | None, index: int | None,  # noqa: PLR0913 - one for each option
            before: datetime | None, store: str, target_root: Path | None, local: bool) -> None:
    """Put WHAT back: full (database, redis and user_data), or one component.

    Without --set, --tier or --before, from the newest complete set that has it. Everything is
    staged and compared with what was saved before it replaces what is live, and the old state
    is kept; its place is told at the end. system_config and source_code need --target-root.
    """
    if set_id and (tier or index or before):
        raise click.UsageError("give --set, or --tier, --index and --before, not both")
    if what in {"system_config", "source_code"} and not target_root:
        raise click.UsageError(f"{what} is unpacked beside the live one: name a folder with --target-root")
    choice = Choice(set_id=set_id, tier=Tier(tier) if tier else None, index=index or 1, before=before,
                    store=session.store_name(store))
    root = target_root.absolute() if target_root else None
    done = _here(session, what, choice, root) if local else _there(session, what, choice, root)
    session.finish(Exit.DONE, done, lines(done))


def lines(done: dict[str, Any]) -> Iterator[str]:
    """What is back, how it was proved, and where the old state is."""
    yield f"{done['set_id']}  restored from {done['store']} in {duration(done['elapsed_seconds'])}"
    yield ""
    rows = [[each["component"], size(each["plain_bytes"]), duration(each["elapsed_seconds"]),
             rate(each["plain_bytes"], each["elapsed_seconds"])] for each in done["components"]]
    yield from (f"  {row}" for row in table(["COMPONENT", "PLAIN", "TOOK", "SPEED"], rows, right=(1, 2, 3)))
    yield ""
    for each in done["components"]:
        if each["before"]:
            yield from fold(f"{each['component']}: what was live before is kept as {each['before']}",
                            indent="  ")
        for note in each["notes"]:
            yield from fold(f"{each['component']}: {note}", indent="  ")
    yield "  Each was compared with what was saved, before it replaced what was there."


def _there(session: Session, what: str, choice: Choice, root: Path | None) -> dict[str, Any]:
    which: dict[str, object] = {"store": choice.store, "index": choice.index}
    if choice.set_id:
        which["set_id"] = str(choice.set_id)
    if choice.tier:
        which["tier"] = choice.tier.value
    if choice.before:
        which["before"] = choice.before.isoformat()
    if root:
        which["target_root"] = str(root)
    sent = broker.send(session.system.settings, f"nightscan.restore_{what}", broker.RESTORE, **which)
    done: dict[str, Any] = followed(session, sent, f"restore {what}")
    return done


def _here(session: Session, what: str, choice: Choice, root: Path | None) -> dict[str, Any]:
    components = LIVE if what == FULL else (what,)
    with watched(session, f"restore {what}") as watch:
        done: dict[str, Any] = wire.plain(
            restore(session.system, choice, components, target_root=root, watch=watch))
    return done
