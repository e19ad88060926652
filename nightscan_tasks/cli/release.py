"""`nightscan release`."""

from __future__ import annotations

import click

from nightscan_tasks import rotation
from nightscan_tasks.cli.choices import SET_ID
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.model import SetId


@json_command(name="release", short_help="let rotation have a set again that was held", examples=(
    "nightscan release daily/20261123T020000Z",
    'nightscan release daily/20261123T020000Z --why "the migration went well"',
))
@click.argument("set_id", type=SET_ID)
@click.option("--why", default="", help="Why it need not be kept any more; for the audit record.")
def command(session: Session, set_id: SetId, why: str) -> None:
    """End all holds of a set. It goes with the next rotation, if it is past its time.

    Exit status 1 where nobody holds it.
    """
    released = rotation.release(session.system, set_id, why=why)
    session.finish(Exit.DONE, released, (line for each in released
                                         for line in fold(f"{set_id} was {each}", hanging="    ")))
