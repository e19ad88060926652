"""`nightscan alert list`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import click

from nightscan_tasks import wire
from nightscan_tasks.cli.colours import heading, state
from nightscan_tasks.cli.session import Exit, Session, json_command
from nightscan_tasks.cli.tables import fold
from nightscan_tasks.language import Language, language
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.book import Book, Page
from nightscan_tasks.watch.words import describe
from nightscan_tasks.wording import age, ago, duration


@json_command(name="list", short_help="what is wrong, who was told, and what is over", examples=(
    "nightscan alert list", "nightscan alert list --days 90", "nightscan alert list --json"))
@click.option("--days", type=click.IntRange(min=0), default=30, show_default=True,
              help="How far back alerts are shown that are over.")
def command(session: Session, days: int) -> None:
    """List the alerts that are open, whom they were told, and those that are over.

    As the last look found them; `nightscan status` looks now. Exit status 3 while one is open.
    """
    system = session.system
    now, book = system.clock(), Book(system.primary)
    page, over = book.page(), list(book.closed(since=now - timedelta(days=days)))
    words = language("en", system.settings.zone)
    session.finish(Exit.DEGRADED if page.alerts else Exit.DONE,
                   {"looked_at": page.looked_at.isoformat() if page.looked_at else None,
                    "open": [wire.plain(each) for each in page.alerts],
                    "over": [wire.plain(each) for each in over],
                    "untold": [wire.plain(each) for each in page.untold]},
                   (line for lines in (_open(page, words, session), _over(over, words, session))
                    for line in lines))


def _open(page: Page, words: Language, session: Session) -> Iterator[str]:
    now = session.system.clock()
    looked = f"looked {ago(page.looked_at, now)}" if page.looked_at else "nobody has looked yet"
    yield heading(f"Open: {len(page.alerts)}") + f" ({looked})"
    for alert in page.alerts:
        yield from fold(state(alert.problem.severity.value.upper())
                        + f" {describe(alert.problem, words, now=now).title}, for {age(alert.since, now)}",
                        indent="  ")
        told = ", ".join(f"{name} {ago(each.at, now)}" for name, each in sorted(alert.told.items()))
        yield f"    noticed {ago(alert.noticed_at, now)}; told: {told or 'nobody'}"
    for each in page.untold:
        yield from fold(f"{each.channel} takes nothing for {age(each.since, now)}: {each.problem}",
                        indent="  ")


def _over(over: list[Alert], words: Language, session: Session) -> Iterator[str]:
    now = session.system.clock()
    if over:
        yield ""
        yield heading(f"Over: {len(over)}")
    for alert in over:
        ended = alert.closed_at or now
        yield from fold(f"{words.moment(ended)}  {describe(alert.problem, words, now=ended).title} "
                        f"(lasted {duration((ended - alert.since).total_seconds())})", indent="  ",
                        hanging="      ")
