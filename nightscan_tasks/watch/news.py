"""What is news: which alerts open and close, and what of it a channel has not heard yet. Decided purely."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from nightscan_tasks.watch.alert import Alert, Told, Untold
from nightscan_tasks.watch.book import Page
from nightscan_tasks.watch.problem import Kind, Problem, Severity

_FORGET = timedelta(days=7)  # what is over for so long is no news, even to a channel that was away
_TOGETHER = timedelta(hours=1)
_ORDER = (Severity.WARNING, Severity.CRITICAL)


@dataclass(frozen=True)
class News:
    """What one channel is to be told now, in one message."""

    raised: tuple[Alert, ...] = ()
    worse: tuple[Alert, ...] = ()
    reminded: tuple[Alert, ...] = ()
    over: tuple[Alert, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.raised or self.worse or self.reminded or self.over)

    @property
    def still_wrong(self) -> tuple[Alert, ...]:
        """What is wrong, the newest first."""
        return (*self.raised, *self.worse, *self.reminded)


def plan_alerts(page: Page, problems: Iterable[Problem], *, blind: Collection[str],
                now: datetime) -> tuple[Page, tuple[Alert, ...]]:
    """The page after a look that found these problems, and the alerts that are over now.

    `blind` are the keys of open alerts that nobody could look for: they stay as they are.
    """
    found = {problem.key: problem for problem in problems}
    open_now, over = [], []
    for alert in page.alerts:
        problem = found.pop(alert.key, None)
        if problem is not None:
            open_now.append(_still(alert, problem))
        elif alert.key in blind:
            open_now.append(alert)
        else:
            over.append(replace(alert, closed_at=now))
    unheard_of = {each.key: each.told for each in page.closed}
    raised = [Alert(problem, now, problem.severity, told=unheard_of.get(problem.key, {}))
              for problem in found.values()]  # to a channel that was away it was never over
    closed = [each for each in (*page.closed, *over) if each.told and each.closed_at
              and each.key not in found and now - each.closed_at < _FORGET]
    return replace(page, alerts=(*raised, *open_now), closed=tuple(closed), looked_at=now), tuple(over)


def plan_news(page: Page, channel: str, *, remind: timedelta, now: datetime) -> News:
    """What a channel has not heard: new alerts, worse ones, those to be reminded of, those that are over.

    When one reminder is due, all are given, so that there is one message a day and not one for each alert.
    What came and went while the channel was away is no news to it.
    """
    raised, worse, known = [], [], []
    for alert in page.alerts:
        told = alert.told.get(channel)
        if alert.problem.kind is Kind.UNTOLD and alert.problem.subject == channel:
            continue  # it would hear of it when it is over
        if told is None:
            raised.append(alert)
        elif _ORDER.index(alert.problem.severity) > _ORDER.index(told.severity):
            worse.append(alert)
        else:
            known.append((alert, now - told.at))
    due = any(quiet >= remind for _, quiet in known)
    return News(tuple(raised), tuple(worse),
                tuple(alert for alert, quiet in known if due and quiet >= _TOGETHER),
                tuple(alert for alert in page.closed if channel in alert.told))


def heard(page: Page, channel: str, news: News, *, now: datetime) -> Page:
    """The page once a channel took its news."""
    keys = {alert.key for alert in news.still_wrong}
    told = tuple(replace(alert, told={**alert.told, channel: Told(now, alert.problem.severity)})
                 if alert.key in keys else alert for alert in page.alerts)
    over = tuple(_forgotten(alert, channel) for alert in page.closed)
    return replace(page, alerts=told, closed=tuple(each for each in over if each.told),
                   untold=tuple(each for each in page.untold if each.channel != channel))


def unheard(page: Page, channel: str, problem: str, *, now: datetime) -> Page:
    """The page once a channel did not take its news: it is tried again at the next look."""
    before = next((each for each in page.untold if each.channel == channel), None)
    others = tuple(each for each in page.untold if each.channel != channel)
    return replace(page, untold=(*others, Untold(channel, before.since if before else now, problem)))


def only(page: Page, channels: Collection[str]) -> Page:
    """The page without what channels heard, or did not hear, that are no longer there."""
    def known(alert: Alert) -> Alert:
        return replace(alert, told={name: told for name, told in alert.told.items() if name in channels})

    closed = tuple(each for each in map(known, page.closed) if each.told)
    return replace(page, alerts=tuple(map(known, page.alerts)), closed=closed,
                   untold=tuple(each for each in page.untold if each.channel in channels))


def joined(page: Page, other: Page) -> Page:
    """One page of two, where the other was kept while the first could not be."""
    keys = {alert.key for alert in page.alerts}
    return replace(page, alerts=(*page.alerts, *(each for each in other.alerts if each.key not in keys)),
                   closed=(*page.closed, *other.closed))


def _still(alert: Alert, problem: Problem) -> Alert:
    """The same alert, its problem as it is now; when it began does not change by looking again."""
    begun = min((each for each in (alert.problem.since, problem.since) if each), default=None)
    return replace(alert, problem=replace(problem, since=begun),
                   worst=max(alert.worst, problem.severity, key=_ORDER.index))


def _forgotten(alert: Alert, channel: str) -> Alert:
    return replace(alert, told={name: told for name, told in alert.told.items() if name != channel})
