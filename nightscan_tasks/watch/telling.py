"""Telling: a look becomes alerts, and each channel hears what is news to it, once.

What was told is recorded channel by channel, after it was told: whoever dies in between tells once more.
A channel that does not take its news hides nothing from the others, which are told of that too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta

from nightscan_tasks.errors import Busy, NightscanError
from nightscan_tasks.language import language
from nightscan_tasks.lease import Leases
from nightscan_tasks.notify import Channel, channels, deliver
from nightscan_tasks.system import System
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.book import Book, Page, forget_host_page, host_page, host_store
from nightscan_tasks.watch.gathering import is_blind
from nightscan_tasks.watch.message import compose
from nightscan_tasks.watch.news import heard, joined, only, plan_alerts, plan_news, unheard
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Kind, Problem, Severity

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # without a handler Python would print it into the progress bars
_LEASE = "alerts"


@dataclass(frozen=True)
class Telling:
    """What became of one look: the alerts that are open now, those that ended, and who was told."""

    raised: tuple[Alert, ...]
    open: tuple[Alert, ...]
    over: tuple[Alert, ...]
    told: tuple[str, ...]
    problems: tuple[str, ...]


def tell(system: System, overview: Overview, *, to: Sequence[Channel] | None = None) -> Telling:
    """Open and close alerts by what was seen, and tell every channel its news. `Busy`: another does.

    It raises nothing for a channel: what did not get through is in the book, and tried at the next look.
    """
    listeners = channels(system.settings) if to is None else to
    with _book(system) as (book, written):
        page = only(written, [each.name for each in listeners])
        blind = {alert.key for alert in page.alerts
                 if is_blind(alert.key, overview.blind) or alert.problem.kind is Kind.UNTOLD}
        before = {alert.key for alert in page.alerts}
        page, over = plan_alerts(page, _but_untold(overview.problems), blind=blind, now=overview.now)
        book.close(over)
        book.keep(page)  # before anybody is told: who dies now has it told again, and not forgotten
        told = []
        for channel in listeners:
            page, took = _told(system, page, channel, overview)
            book.keep(page)
            told += [channel.name] if took else []
        page = _of_untold(system, book, page, listeners, overview)
    raised = tuple(alert for alert in page.alerts if alert.key not in before)
    return Telling(raised, page.alerts, over, tuple(told),
                   tuple(f"{each.channel}: {each.problem}" for each in page.untold))


def _told(system: System, page: Page, channel: Channel, overview: Overview) -> tuple[Page, bool]:
    """The page once a channel was told its news, and whether there was any that it took."""
    now = overview.now
    news = plan_news(page, channel.name, remind=timedelta(hours=system.settings.remind_hours), now=now)
    if not news:
        return page, False
    words = language(system.settings.language, system.settings.zone)
    try:
        deliver(channel, compose(news, words, site=overview.site, now=now))
    except NightscanError as exc:
        _log.error("alerts do not get through: %s", exc)
        return unheard(page, channel.name, str(exc).partition("\n")[0], now=now), False
    return heard(page, channel.name, news, now=now), True


def _of_untold(system: System, book: Book, page: Page, listeners: Sequence[Channel],
               overview: Overview) -> Page:
    """What did not get through is an alert too, which the other channels are told of."""
    problems = [Problem(Kind.UNTOLD, each.channel, Severity.WARNING, each.since,
                        {"channel": each.channel, "problem": each.problem}) for each in page.untold]
    others = [alert.problem for alert in page.alerts if alert.problem.kind is not Kind.UNTOLD]
    page, over = plan_alerts(page, [*others, *problems], blind=(), now=overview.now)
    book.close(over)
    failing = {each.channel for each in page.untold}
    for channel in listeners:
        if channel.name not in failing:
            page, _ = _told(system, page, channel, overview)
    book.keep(page)
    return page


def _but_untold(problems: Sequence[Problem]) -> list[Problem]:
    """Whether a channel takes what it is told is seen by telling it."""
    return [each for each in problems if each.kind is not Kind.UNTOLD]


@contextmanager
def _book(system: System) -> Iterator[tuple[Book, Page]]:
    """The book to write in, and what is in it, for as long as nobody else does.

    Where the primary store cannot be written (it is away, or full) it is the host's own.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(system.leases.hold(_LEASE, system.host))
        except Busy:
            raise
        except NightscanError:
            store = host_store(system.settings)
            leases = Leases(store, system.clock, seconds=system.settings.lease_seconds)
            stack.enter_context(leases.hold(_LEASE, system.host))
            yield Book(store), joined(Book(store).page(), _readable(system))
            return
        book = Book(system.primary)
        if (kept := host_page(system.settings)) != Page():  # from while the primary store was away
            book.keep(joined(book.page(), kept))
            forget_host_page(system.settings)
        yield book, book.page()


def _readable(system: System) -> Page:
    """What the primary store's book says, if it can be read."""
    try:
        return Book(system.primary).page()
    except NightscanError:
        return Page()
