"""`nightscan status`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from nightscan_tasks.cli.session import Session, json_command
from nightscan_tasks.language import language
from nightscan_tasks.watch.problem import Health

EXITS = {Health.GOOD: 0, Health.WARNING: 1, Health.CRITICAL: 2, Health.UNKNOWN: 2}


@json_command(name="status", short_help="everything at a glance: problems, sets, runs, what is next",
              examples=("nightscan status", "nightscan status --json", "nightscan status --thorough",
                        "nightscan status --html /var/www/nightscan/status.html"))
@click.option("--thorough", is_flag=True,
              help="Ask the broker, its workers and the key ring too, not only the ledger and the stores.")
@click.option("--html", "html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write it as a page that needs nothing else, and print only where it is.")
def command(session: Session, *, thorough: bool, html: Path | None) -> None:
    """Show everything at a glance: open problems first, then what is under way, sets, copies, what is next.

    Read from the ledger and the stores: it works without a broker. What only a thorough look can tell is
    as the last `nightscan.check_freshness` found it. The exit status is that of a monitoring plugin: 0 good,
    1 warning, 2 critical or unknown.
    """
    from nightscan_tasks.cli.status_lines import lines  # late: completion and help need none of it
    from nightscan_tasks.report.status import as_json
    from nightscan_tasks.tasks.glancing import glance

    system = session.system
    app = None
    if thorough:
        from nightscan_tasks.cli.broker import application
        app = application()
    overview = glance(system, app, keys=thorough)
    status = EXITS[overview.health]
    told = language(system.settings.language, system.settings.zone)
    if html is not None:
        from nightscan_tasks.report.page import write_page
        write_page(html, overview, told)
        session.finish(status, {"page": str(html), "health": overview.health}, [f"written: {html}"])
    english = replace(told, code="en")
    session.finish(status, as_json(overview, english), lines(overview, english))
