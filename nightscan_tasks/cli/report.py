"""`nightscan report`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nightscan_tasks.cli.choices import local_option
from nightscan_tasks.cli.session import Exit, Session, json_command

if TYPE_CHECKING:
    from nightscan_tasks.report.monthly import Month, MonthlyReport

_ANSWER_SECONDS = 300


class MonthType(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """A calendar month."""

    name = "month"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Month:
        """`2026-10` as a month."""
        from nightscan_tasks.report.monthly import Month  # late: help and completion need none of it

        try:
            return value if isinstance(value, Month) else Month.parse(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


@json_command(
    name="report", short_help="a month in figures: success, sizes, drills, incidents, advice",
    examples=("nightscan report", "nightscan report --month 2026-10 --html october.html",
              "nightscan report --send", "nightscan report --json"))
@click.option("--month", type=MonthType(), metavar="YYYY-MM", help="Which; otherwise the one before this.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write it as one self-contained HTML page too.")
@click.option("--anew", is_flag=True, help="Make it from the ledger again, though it was made and kept.")
@click.option("--send", is_flag=True, help="Mail it to BACKUP_EMAIL, whoever has got it before, and keep it.")
@local_option
def command(session: Session, month: Month | None, html: Path | None, *, anew: bool, send: bool,
            local: bool) -> None:
    """Report on a month of backups: how many succeeded, how large and how fast they were, what they grow by.

    And what drills proved, what went wrong and how soon that was noticed, and what follows from it. On the
    1st a worker makes it, keeps it in the primary store, and mails it; what was kept is shown again as it
    was. --send asks a worker for that; with --local this process does. The rest needs no broker.
    """
    from nightscan_tasks.language import language  # late, as above
    from nightscan_tasks.report import monthly_html, monthly_json, monthly_text
    from nightscan_tasks.report.monthly_making import last_month, obtain
    from nightscan_tasks.tasks.glancing import glance

    system = session.system
    words = language(system.settings.language, system.settings.zone)
    wanted = month or last_month(system.clock(), system.settings.zone)
    report = obtain(system, wanted, lambda: glance(system), anew=anew)
    if html is not None:
        html.write_text(monthly_html.render(report, words), encoding="utf-8")
        session.tell(f"written: {html}")
    told = _sent(session, report, local=local) if send else None
    shown = monthly_json.as_json(report, words)
    if told is not None:
        shown["mailed"] = told
    session.finish(Exit.DONE if told is None or told else Exit.DEGRADED, shown,
                   _lines(monthly_text.render(report, words), told))


def _lines(text: str, told: list[str] | None) -> Iterator[str]:
    yield from text.rstrip("\n").split("\n")
    if told is not None:
        yield ""
        yield (f"Mailed through: {', '.join(told)}" if told else
               "Mailed to nobody: there is no address. Next: set BACKUP_EMAIL")


def _sent(session: Session, report: MonthlyReport, *, local: bool) -> list[str]:
    """The channels that took it; `NotMailed` where one did not."""
    system, occasion = session.system, uuid.uuid4().hex
    if not local:
        from nightscan_tasks.cli import broker
        sent = broker.send(system.settings, "nightscan.monthly_report", broker.CONTROL,
                           month=str(report.month), occasion=occasion)
        done: list[str] = broker.answer(sent, seconds=_ANSWER_SECONDS)["sent"]
        return done
    from nightscan_tasks.language import language
    from nightscan_tasks.report.monthly_keeping import Shelf
    from nightscan_tasks.report.monthly_sending import mail, refuse_unsent

    Shelf(system.primary).keep(report)
    words = language(system.settings.language, system.settings.zone)
    mailed = mail(system, report, words, occasion=occasion)
    refuse_unsent(report.month, mailed, waited_for=True)
    return list(mailed.sent)
