"""One alert when something goes wrong, a reminder each day, one when it is well again; never a flood."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from nightscan_tasks.watch.book import Page
from nightscan_tasks.watch.news import heard, joined, only, plan_alerts, plan_news, unheard
from nightscan_tasks.watch.problem import Kind, Problem, Severity

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LATE = Problem(Kind.STALE, "daily", Severity.WARNING, START)
WORSE = Problem(Kind.STALE, "daily", Severity.CRITICAL, START)
FULL = Problem(Kind.FILLING, "primary", Severity.WARNING)


def look(page: Page, *problems: Problem, hours: float = 0, blind: tuple[str, ...] = ()) -> Page:
    return plan_alerts(page, problems, blind=blind, now=START + timedelta(hours=hours))[0]


def hear(page: Page, channel: str = "mail", *, hours: float = 0) -> tuple[Page, dict[str, list[str]]]:
    now = START + timedelta(hours=hours)
    news = plan_news(page, channel, remind=DAY, now=now)
    told = {name: [alert.key for alert in getattr(news, name)]
            for name in ("raised", "worse", "reminded", "over") if getattr(news, name)}
    return (heard(page, channel, news, now=now) if news else page), told


def test_it_is_told_once_reminded_daily_and_told_when_it_is_over() -> None:
    page = Page()
    told = {}
    for hours in range(0, 60, 6):
        page, news = hear(look(page, *([LATE] if hours < 54 else []), hours=hours), hours=hours)
        if news:
            told[hours] = news
    assert told == {0: {"raised": ["stale:daily"]}, 24: {"reminded": ["stale:daily"]},
                    48: {"reminded": ["stale:daily"]}, 54: {"over": ["stale:daily"]}}


def test_what_gets_worse_is_told_at_once() -> None:
    page, _ = hear(look(Page(), LATE))
    page, news = hear(look(page, WORSE, hours=6), hours=6)
    assert news == {"worse": ["stale:daily"]}
    page, news = hear(look(page, LATE, hours=12), hours=12)
    assert news == {}
    assert page.alerts[0].worst is Severity.CRITICAL


def test_reminders_come_together() -> None:
    page, _ = hear(look(Page(), LATE))
    page, news = hear(look(page, LATE, FULL, hours=12), hours=12)
    assert news == {"raised": ["filling:primary"]}
    page, news = hear(look(page, LATE, FULL, hours=24), hours=24)
    assert sorted(news["reminded"]) == ["filling:primary", "stale:daily"]
    _, news = hear(look(page, LATE, FULL, hours=36), hours=36)
    assert news == {}


def test_a_channel_that_was_away_hears_what_is_wrong_then_and_not_what_is_over() -> None:
    page, _ = hear(look(Page(), LATE, FULL))
    page = unheard(page, "slack", "no answer", now=START)
    page = look(page, FULL, hours=30)
    page, to_mail = hear(page, hours=30)
    page, to_slack = hear(page, "slack", hours=30)
    assert to_mail == {"reminded": ["filling:primary"], "over": ["stale:daily"]}
    assert to_slack == {"raised": ["filling:primary"]}
    assert not page.untold


def test_what_nobody_could_look_for_stays_open() -> None:
    page, _ = hear(look(Page(), LATE))
    page = look(page, hours=6, blind=("stale:daily",))
    assert [alert.key for alert in page.alerts] == ["stale:daily"]
    assert not page.closed


def test_an_alert_knows_when_it_began_and_when_it_was_noticed() -> None:
    page = look(Page(), LATE, hours=5)
    page = look(page, Problem(Kind.STALE, "daily", Severity.WARNING, START + 3 * DAY), hours=80)
    assert (page.alerts[0].since, page.alerts[0].noticed_at) == (START, START + timedelta(hours=5))
    _, over = plan_alerts(page, [], blind=(), now=START + 4 * DAY)
    assert [alert.closed_at for alert in over] == [START + 4 * DAY]


def test_a_failing_channel_is_not_told_of_itself() -> None:
    away = Problem(Kind.UNTOLD, "slack", Severity.WARNING)
    page = look(Page(), away)
    assert hear(page, "slack")[1] == {}
    assert hear(page, "mail")[1] == {"raised": ["untold:slack"]}


def test_channels_that_are_no_longer_there_are_forgotten() -> None:
    page, _ = hear(look(Page(), LATE))
    page = only(unheard(page, "slack", "gone", now=START), ["ntfy"])
    assert (page.alerts[0].told, page.untold) == ({}, ())


def test_two_pages_are_joined_without_telling_twice() -> None:
    here, _ = hear(look(Page(), LATE))
    there, _ = hear(look(Page(), LATE, FULL))
    both = joined(here, there)
    assert sorted(alert.key for alert in both.alerts) == ["filling:primary", "stale:daily"]
    assert hear(both)[1] == {}


class Listener:
    """What one channel believes, from what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.believes: set[str] = set()
        self.told_at: dict[str, float] = {}

    def hear(self, page: Page, hours: float) -> Page:
        page, news = hear(page, self.name, hours=hours)
        raised, over = set(news.get("raised", [])), set(news.get("over", []))
        assert not raised & self.believes, "told twice"
        assert over <= self.believes, "told of the end of what it never heard of"
        assert all(hours - self.told_at[key] >= 1 for key in news.get("reminded", []))
        self.believes = (self.believes | raised) - over
        self.told_at |= dict.fromkeys((*raised, *news.get("reminded", [])), hours)
        return page


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_no_channel_is_flooded_and_each_knows_what_is_wrong(seed: int) -> None:
    """A month of looks, at which problems come and go, and channels are away: checked against a model."""
    chance = random.Random(seed)
    subjects = [Problem(Kind.STALE, name, Severity.WARNING) for name in ("daily", "weekly", "monthly")]
    page, wrong = Page(), set[str]()
    listeners, away = (Listener("mail"), Listener("slack")), dict[str, float]()
    for hours in (step / 2 for step in range(60 * 24)):
        wrong ^= {each.key for each in subjects if chance.random() < 0.01}
        page = look(page, *(each for each in subjects if each.key in wrong), hours=hours)
        for listener in listeners:
            if chance.random() < 0.02:
                away[listener.name] = hours + chance.uniform(1, 100)
            if away.get(listener.name, 0) <= hours:
                page = listener.hear(page, hours)
                assert listener.believes == wrong
                assert all(hours - listener.told_at[key] < 24 for key in wrong)
