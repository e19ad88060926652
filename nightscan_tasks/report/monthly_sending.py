"""A report is mailed: once to each address, however often that is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from nightscan_tasks.errors import NightscanError, TransientError
from nightscan_tasks.language import Language
from nightscan_tasks.notify import Attachment, Channel, Message, NotDelivered, channels, deliver
from nightscan_tasks.report.monthly import Month, MonthlyReport
from nightscan_tasks.report.monthly_keeping import Receipt, Shelf
from nightscan_tasks.report.monthly_words import title
from nightscan_tasks.system import System

_MAIL = "mail"
_LEASE = "reports"


@dataclass(frozen=True)
class Mailed:
    """What became of the mails of one report: the channels that took it now, or had it already.

    `problems` says of each other why not, in a line; `transient` is whether another try may help.
    """

    sent: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    transient: bool = False


class NotMailed(NightscanError):
    """A report is kept, and some mailbox did not get it: says which and why."""


class NotMailedYet(NotMailed, TransientError):
    """It may well be taken a little later."""


def compose(report: MonthlyReport, language: Language) -> Message:
    """The mail: the text, the same as HTML, and both HTML and JSON as files."""
    from nightscan_tasks.report import monthly_html, monthly_json, monthly_text  # late: for this alone a
    # worker would carry the libraries that draw

    html, name = monthly_html.render(report, language), f"nightscan-{report.month}"
    text, figures = monthly_text.render(report, language), monthly_json.render(report, language)
    return Message(f"{title(report, language)} ({report.site})", text, html, (
        Attachment(f"{name}.html", html.encode(), "text/html"),
        Attachment(f"{name}.json", figures, "application/json")))


def mail(system: System, report: MonthlyReport, language: Language, *, occasion: str = "") -> Mailed:
    """Mail a report to every address of `BACKUP_EMAIL` that has not got it on this occasion.

    The timetable's occasion has no name; whoever wants it mailed again gives one. An address that does not
    take it hides it from no other. Whoever dies between a mail and its receipt has it mailed once more, and
    not forgotten. `Busy` while another mails.
    """
    shelf = Shelf(system.primary)
    sent, before, problems = [], [], []
    transient = True
    with system.leases.hold(_LEASE, system.host):
        message = compose(report, language)
        for channel in _mailboxes(system):
            receipt = Receipt(report.month, channel.url.get_secret_value(), occasion)
            if shelf.has(receipt):
                before.append(channel.name)
                continue
            try:
                deliver(channel, message)
            except NotDelivered as exc:
                problems.append(str(exc).partition("\n")[0])
                transient = transient and isinstance(exc, TransientError)
                continue
            shelf.file(receipt)
            sent.append(channel.name)
    return Mailed(tuple(sent), tuple(before), tuple(problems), bool(problems) and transient)


def refuse_unsent(month: Month, mailed: Mailed, *, waited_for: bool = False) -> None:
    """`NotMailed` where a mailbox did not get the report; `NotMailedYet` unless somebody waits for it."""
    if mailed.problems:
        kind = NotMailedYet if mailed.transient and not waited_for else NotMailed
        advice = ("try whether mail works: nightscan alert test; then: "
                  f"nightscan report --month {month} --send")
        raise kind("\n".join((f"the report of {month} is kept, and could not be mailed to all:",
                              *mailed.problems, advice)))


def _mailboxes(system: System) -> list[Channel]:
    return [each for each in channels(system.settings) if each.kind == _MAIL]
