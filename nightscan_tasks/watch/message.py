"""The one message that a channel gets: a title that says it all on a locked phone, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from nightscan_tasks.language import Language
from nightscan_tasks.notify import Message
from nightscan_tasks.watch.alert import Alert
from nightscan_tasks.watch.news import News
from nightscan_tasks.watch.problem import Severity
from nightscan_tasks.watch.words import describe, severity_word

_MINUTE = 60


def compose(news: News, language: Language, *, site: str, now: datetime) -> Message:
    """The news as text, the worst first; what is over comes last."""
    lines: list[str] = []
    sections = ((news.raised, ""), (news.worse, language.text("Worse than before:")),
                (news.reminded, language.text("Still wrong:")))
    for alerts, heading in sections:
        if alerts:
            lines += [heading, ""] if heading else []
            lines += _problems(alerts, language, now)
    if news.over:
        lines += [language.text("Well again:"), ""]
        lines += [f"  {_over(each, language, now)}" for each in news.over]
        lines += [""]
    lines += [_closing(news, language)]
    return Message(f"{site}: {_title(news, language, now)}", "\n".join(lines).strip() + "\n")


def _title(news: News, language: Language, now: datetime) -> str:
    """What is worst, and how much else there is."""
    fresh = sorted((*news.raised, *news.worse), key=_order)
    if fresh:
        words = describe(fresh[0].problem, language, now=now)
        more = language.many(" (and {number} more)", " (and {number} more)", len(fresh) - 1) \
            if len(fresh) > 1 else ""
        return f"{severity_word(fresh[0].problem.severity, language).upper()}: {words.title}{more}"
    if news.reminded:
        first = describe(min(news.reminded, key=_order).problem, language, now=now)
        return language.many("reminder: {title}", "reminder: {number} problems, first {title}",
                             len(news.reminded), title=first.title)
    words = describe(news.over[0].problem, language, now=now)
    return language.many("well again: {title}", "well again: {number} problems are over",
                         len(news.over), title=words.title)


def _problems(alerts: tuple[Alert, ...], language: Language, now: datetime) -> Iterator[str]:
    for alert in sorted(alerts, key=_order):
        words = describe(alert.problem, language, now=now)
        yield f"{severity_word(alert.problem.severity, language).upper()}: {words.title}"
        yield f"  {_since(alert, language, now)}"
        yield f"  {' '.join(words.meaning.split())}"
        yield from (f"  $ {command}" for command in words.command.splitlines())
        yield ""


def _since(alert: Alert, language: Language, now: datetime) -> str:
    seconds = (now - alert.since).total_seconds()
    if seconds < _MINUTE:
        return language.text("noticed {moment}", moment=language.moment(alert.since))
    return language.text("since {moment} ({duration})", moment=language.moment(alert.since),
                         duration=language.duration(seconds))


def _over(alert: Alert, language: Language, now: datetime) -> str:
    words = describe(alert.problem, language, now=now)
    lasted = ((alert.closed_at or now) - alert.since).total_seconds()
    return language.text("{title} (it lasted {duration})", title=words.title,
                         duration=language.duration(lasted))


def _closing(news: News, language: Language) -> str:
    if news.still_wrong:
        return language.text("Everything at a glance: nightscan status")
    return language.text("Nothing of this has to be done any more.")


def _order(alert: Alert) -> tuple[bool, datetime]:
    return alert.problem.severity is not Severity.CRITICAL, alert.since
