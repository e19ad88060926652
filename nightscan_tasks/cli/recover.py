"""`nightscan recover --from URL`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from nightscan_tasks import wire
from nightscan_tasks.cli.choices import MOMENT, SET_ID, TIER, unsigned_option
from nightscan_tasks.cli.colours import critical, hint, state
from nightscan_tasks.cli.findings import finding_lines
from nightscan_tasks.cli.restored import timing_table
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold, table
from nightscan_tasks.cli.tasking import watched
from nightscan_tasks.doctor.finding import Finding, Level
from nightscan_tasks.model import SetId, Tier
from nightscan_tasks.restore import Choice
from nightscan_tasks.restore.recovering import Stage, recover
from nightscan_tasks.stores.build import as_of
from nightscan_tasks.wording import duration

_HELP = """Put everything back on a machine that has nothing but this program and the private key.

Needs no broker and no worker. Find the newest complete set, fetch it, restore database, Redis and user
data, then configuration and code from the newest set that has them, check the health of all of it, and say
how long each stage took. It may be repeated.

\b
Before it: PostgreSQL and Redis are installed and run; NIGHTSCAN_DATABASE_URI
and REDIS_URL name them; NIGHTSCAN_GPG_HOME has the private key;
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set.
"""


@json_command(name="recover", help=_HELP,
              short_help="everything back on a bare machine, from a bucket's name alone", examples=(
    "nightscan recover --from s3://nightscan-backups",
    "nightscan recover --from s3://nightscan-backups --before 2026-11-23",
    "nightscan recover --from s3://nightscan-backups --as-of 2026-11-23T02:00",
    "nightscan recover --from /mnt/backups --tier weekly",
))
@click.option("--from", "url", required=True, metavar="URL",
              help="Where the sets are: s3://bucket, s3://bucket/prefix, or a folder.")
@click.option("--set", "set_id", type=SET_ID, metavar="ID", help="This set.")
@click.option("--tier", type=TIER, help="The newest complete set of this tier; else of any.")
@click.option("--before", type=MOMENT, help="The newest complete set from before then.")
@click.option("--as-of", "moment", type=MOMENT,
              help="Read a versioned bucket as it was then, whatever was replaced or hidden since.")
@unsigned_option
def command(session: Session, url: str, set_id: SetId | None, tier: str | None,
            before: datetime | None, moment: datetime | None, *, unsigned: bool) -> None:
    """Put everything back; say how long each stage took."""
    url = as_of(url, moment) if moment else url
    choice = Choice(set_id=set_id, tier=Tier(tier) if tier else None, before=before, unsigned=unsigned)
    with watched(session, f"recover from {url}") as watch:
        done = recover(session.system, url, choice, watch=watch,
                       told=lambda stage: session.tell(_line(stage)))
    found: dict[str, Any] = wire.plain(done) | {"problems": list(done.problems)}
    bad = done.problems or done.health.level is Level.FAIL
    session.finish(Exit.DEGRADED if bad else Exit.DONE, found, _lines(found, done.health.findings))


def _line(stage: Stage) -> str:
    took = f"{stage.name}: {duration(stage.elapsed_seconds)}"
    return took + critical("  FAILED") if stage.problem else took


def _lines(done: dict[str, Any], findings: Sequence[Finding]) -> Iterator[str]:
    yield f"{done['set_id']}  recovered from {done['store']} in {duration(done['elapsed_seconds'])}"
    yield ""
    rows = [[stage["name"], duration(stage["elapsed_seconds"]),
             state("FAILED" if stage["problem"] else "done")]
            for stage in done["stages"]]
    yield from ("  " + row for row in table(["STAGE", "TOOK", ""], rows, right=(1,)))
    yield ""
    yield from ("  " + row for row in timing_table(done["components"]))
    yield ""
    for problem in done["problems"]:
        yield from fold(problem, indent="  ", hanging="    ")
    for note in done["notes"]:
        yield from fold(note, indent="  ")
    yield ""
    yield from finding_lines(findings)
    yield ""
    yield hint("Next: start the application and the workers, then nightscan backup daily --wait")
