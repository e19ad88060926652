"""`nightscan hold`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import click

from nightscan_tasks import rotation
from nightscan_tasks.cli.choices import MOMENT, SET_ID
from nightscan_tasks.cli.colours import hint
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.ledger import Hold
from nightscan_tasks.model import SetId


@json_command(name="hold", short_help="keep a set, whatever its age", examples=(
    'nightscan hold daily/20261123T020000Z --why "before the migration"',
    "nightscan hold daily/20261123T020000Z --why audit --until 2027-01-31",
    "nightscan hold",
))
@click.argument("set_id", type=SET_ID, required=False)
@click.option("--why", help="Why it is kept: whoever finds it in a year wants to know.")
@click.option("--until", type=MOMENT, help="Until when; without it, until nightscan release.")
def command(session: Session, set_id: SetId | None, why: str | None, until: datetime | None) -> None:
    """Keep a set in every store that has it: no rotation removes it. Without SET_ID, list what is held.

    When this ends well, the hold is in force, also against a rotation that is at work: one that is
    removing the set at this very moment is waited for, and exit status is 1 if the set is gone.
    """
    system = session.system
    if set_id is None:
        holds = system.ledger.decisions.holds()
        session.finish(Exit.DONE, holds, hold_lines(holds, now=system.clock()))
    if not why or not why.strip():
        raise click.UsageError('say why: nightscan hold SET_ID --why "…"')
    if until and until <= system.clock():
        raise click.UsageError(f"--until {until:%Y-%m-%d %H:%M} is over already")
    kept = rotation.hold(system, set_id, why=why, until=until)
    session.finish(Exit.DONE, kept,
                   [*fold(f"{set_id} is {kept.hold}"), f"It is in {' and '.join(kept.stores)}."])


def hold_lines(holds: Sequence[Hold], *, now: datetime) -> Iterator[str]:
    """The holds as an operator reads them, and how to end one."""
    for hold in holds:
        over = "" if hold.live(now) else " (over)"
        yield from fold(f"{hold.set_id}  {hold}{over}", hanging="    ")
    yield "" if holds else "No set is held."
    if holds:
        yield hint("Next, where one need not be kept any more: nightscan release SET_ID")
