"""`nightscan trust`."""

from __future__ import annotations

import click

from nightscan_tasks import rotation
from nightscan_tasks.cli.choices import SET_ID
from nightscan_tasks.cli.colours import hint
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.model import SetId

_NEXT = hint("Next: nightscan rotate --dry-run")


@json_command(name="trust", short_help="say that a suspicious set, or the clock, is as it should be",
              examples=(
    'nightscan trust daily/20261123T020000Z --why "old uploads were deleted"',
    'nightscan trust --clock --why "NTP is back"',
))
@click.argument("set_id", type=SET_ID, required=False)
@click.option("--clock", is_flag=True, help="The clock is right now, whatever rotation saw of it.")
@click.option("--why", required=True, help="How you know.")
def command(session: Session, set_id: SetId | None, why: str, *, clock: bool) -> None:
    """Say that a set is as it should be, though it is suspicious, incomplete or from the future.

    It stops rotation no longer, and what it shrank to is what later sets are compared with. Look at what
    is live before you say so: the sets from before may be the only ones that have it all.
    """
    if clock == (set_id is not None):
        raise click.UsageError("give either a SET_ID or --clock")
    if not why.strip():
        raise click.UsageError("say how you know: --why TEXT")
    if set_id is None:
        look = rotation.trust_clock(session.system, why=why)
        session.finish(Exit.DONE, look, ["The clock is trusted.", _NEXT])
    trusted = rotation.trust(session.system, set_id, why=why)
    session.finish(Exit.DONE, trusted, [*fold(f"{set_id} is {trusted}"), _NEXT])
