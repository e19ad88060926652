"""The page: everything at a glance, as one HTML file that needs nothing else, no network and no scripts.

`page` renders an `Overview`; `policy` is what a server has to say with it, so that nothing but its own style
sheet is ever used, whatever a name in a ledger contains. What is looked at is decided by `days`, `copies`
and `growth`; the layout is `templates/page.html.jinja`, the looks `templates/page.css`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from babel.dates import format_date, get_day_names
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from nightscan_tasks import __name__ as package
from nightscan_tasks.drill.drilling import LOSS, ROUTINE
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.language import Language, marked
from nightscan_tasks.ledger.restore_records import Drill
from nightscan_tasks.model import SetId
from nightscan_tasks.report import charts, growth
from nightscan_tasks.report.aging import plan_ages
from nightscan_tasks.report.charts import Bullet, Series
from nightscan_tasks.report.copies import keeps_rule, plan_copies
from nightscan_tasks.report.days import STATES, State, plan_calendar
from nightscan_tasks.report.scales import Unit
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Health
from nightscan_tasks.watch.words import describe, severity_word

_ALERTS, _REMOVALS, _DRILLS = 30, 8, 12  # what is listed, the newest or next first
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_TASKS = {
    "nightscan.backup_daily": marked("daily backup"), "nightscan.backup_weekly": marked("weekly backup"),
    "nightscan.backup_monthly": marked("monthly backup"), "nightscan.rotate": marked("rotation"),
    "nightscan.scrub": marked("scrub of stored bytes"), "nightscan.drill": marked("drill"),
    "nightscan.check_freshness": marked("look for problems"),
    "nightscan.monthly_report": marked("monthly report"),
}
_KINDS = {ROUTINE: marked("routine"), LOSS: marked("simulated loss")}
_HEALTH = {
    Health.GOOD: marked("All is well"), Health.WARNING: marked("Needs attention"),
    Health.CRITICAL: marked("Data is at risk"), Health.UNKNOWN: marked("Not known"),
}


class PageUnwritten(NightscanError):
    """A file for the page cannot be written."""


def page(overview: Overview, language: Language, *, served: bool = False, refresh_seconds: int = 0) -> str:
    """The whole page. `served`, it names what else the server has; a browser asks again after a while."""
    return str(_environment().get_template("page.html.jinja").render(
        _context(overview, language), served=served, refresh_seconds=refresh_seconds))


def error_page(title: str, message: str, language: Language, *, status: int) -> str:
    """A page that says what is wrong; `message` has no secret in it."""
    return str(_environment().get_template("page.error.html.jinja").render(
        _words(language, None), title=title, message=message, status=status))


def write_page(path: Path, overview: Overview, language: Language) -> None:
    """The page as a file: whoever reads it meanwhile has the old one or the new one, never half of one.

    It keeps the mode of a file that is there; a new one is 0640. `PageUnwritten` where it cannot be written.
    """
    html = page(overview, language)
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o640
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(html)
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise PageUnwritten(f"cannot write {path}: {exc.strerror or exc}\n"
                            f"make the folder, or name a file that may be written") from exc


def policy(html: str) -> str:
    """The Content-Security-Policy under which a page works: its own style sheets, and nothing else."""
    sheets = " ".join(f"'sha256-{_hash(style)}'" for style in _STYLE.findall(html)) or "'none'"
    return f"default-src 'none'; style-src {sheets}; img-src data:; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader(package, "report/templates"), undefined=StrictUndefined,
                       autoescape=select_autoescape(("html", "jinja")), trim_blocks=True, lstrip_blocks=True)


@cache
def _sheet() -> str:
    """The one style sheet."""
    return charts.css() + (files(__package__) / "templates" / "page.css").read_text(encoding="utf-8")


def _words(language: Language, now: datetime | None) -> dict[str, Any]:
    """What templates say everything with."""
    sheet = _sheet()
    return {
        "t": language.text, "n": language.many, "language": language, "size": language.size,
        "moment": language.moment, "day": language.day, "duration": language.duration,
        "iso": datetime.isoformat, "ago": _ago(language, now), "zone": str(language.zone),
        "stylesheet": Markup(sheet), "policy": policy(f"<style>{sheet}</style>"),  # noqa: S704 - our own file
    }


def _ago(language: Language, now: datetime | None) -> Callable[[datetime], str]:
    def ago(moment: datetime) -> str:
        if now is None:
            return ""
        seconds = (now - moment).total_seconds()
        told = language.duration(round(abs(seconds) / 60) * 60)
        return language.text("{duration} ago", duration=told) if seconds >= 0 else \
            language.text("in {duration}", duration=told)
    return ago


def _context(overview: Overview, language: Language) -> dict[str, Any]:
    newest, others = plan_copies(overview)
    return {
        **_words(language, overview.now), "o": overview, "health": _HEALTH[overview.health],
        "described": [(each, describe(each, language, now=overview.now)) for each in overview.problems],
        "severity": severity_word, "newest": newest, "others": others, "kept": keeps_rule(newest),
        "freshness": plan_ages(overview), "calendar": plan_calendar(overview, language.zone),
        "states": STATES, "State": State,
        "month": lambda monday: format_date(monday, "LLL", locale=language.locale),
        "weekday": lambda number: get_day_names("abbreviated", locale=language.locale)[number],
        "kind": lambda name: language.text(_KINDS[name]) if name in _KINDS else name,
        "task": lambda name: language.text(_TASKS[name]) if name in _TASKS else name,
        "charts": _growth(overview, language), "drilled": _drilled(overview, language),
        "drills": overview.drills[:_DRILLS], "more_drills": max(0, len(overview.drills) - _DRILLS),
        "removals": overview.removals[:_REMOVALS], "more_removals": overview.removals[_REMOVALS:],
        "alerts": _alerts(overview, language), "loss_seconds": _loss_seconds(overview),
        "last_good": _last_good(overview), "next_backup": _next_backup(overview),
        "recovery_met": overview.recovery and all(each.met for each in overview.recovery.components),
    }


def _last_good(overview: Overview) -> SetId | None:
    """The newest set that has everything it should have."""
    return max((each.set_id for each in overview.sets if each.complete and not each.problem),
               key=lambda set_id: set_id.taken_at, default=None)


def _loss_seconds(overview: Overview) -> float | None:
    """How much would be lost if everything were lost now; None where nothing could be put back."""
    return (overview.now - overview.recovery.lost_since).total_seconds() if overview.recovery else None


def _next_backup(overview: Overview) -> Any:
    return next((each for each in overview.due if ".backup_" in each.task), None)


def _alerts(overview: Overview, language: Language) -> list[tuple[Any, Any]]:
    """What was noticed lately, and is over."""
    closed = sorted((each for each in overview.alerts if each.closed_at),
                    key=lambda each: each.closed_at or each.since, reverse=True)
    return [(each, describe(each.problem, language, now=overview.now)) for each in closed[:_ALERTS]]


def _growth(overview: Overview, language: Language) -> list[dict[str, Any]]:
    """The charts of sizes and times, each with all its figures."""
    whole = language.text("daily sets, all components")
    sizes = (growth.total_size(whole, overview, language.zone), *growth.sizes(overview, language.zone))
    times = (growth.total_duration(whole, overview, language.zone),
             *growth.durations(overview, language.zone))
    return [_panels("size", language.text("Stored bytes by component"), sizes, Unit.BYTES, language),
            _panels("time", language.text("How long saving took, by component"), times, Unit.SECONDS,
                    language)]


def _panels(key: str, title: str, series: tuple[Series, ...], unit: Unit,
            language: Language) -> dict[str, Any]:
    shown = [each for each in series if each.points]
    moments = [moment for each in shown for moment, _ in each.points]
    span = tuple(each.astimezone(language.zone).date() for each in (min(moments), max(moments))) \
        if moments else None
    panels: list[Mapping[str, Any]] = [
        {"name": each.name, "svg": charts.lines(f"{key}-{number}", each.name, [each], unit, language,
                                                days=span if span and span[0] < span[1] else None)}  # type: ignore[arg-type]  # two days
        for number, each in enumerate(shown)]
    return {"key": key, "title": title, "panels": panels,
            "table": charts.table(language.text("day"), shown, [unit] * len(shown), language)}


def _drilled(overview: Overview, language: Language) -> dict[str, Any]:
    """The last drill against its objectives, and all drills over time."""
    last = next(iter(overview.drills), None)
    over_time = growth.recoveries(overview.drills)
    return {
        "last": last,
        "bullets": charts.bullets("drill", language.text("Recovery times of the last drill"),
                                  _bullets(last, language), language) if last else "",
        "lines": charts.lines("drills", language.text("Recovery times of all drills, of their objectives"),
                              over_time, Unit.SHARE, language, limit=1.0),
    }


def _bullets(drill: Drill, language: Language) -> list[Bullet]:
    return [Bullet(each.component, each.elapsed_seconds, each.objective_seconds, language.text(
        "{elapsed} of {objective}", elapsed=language.duration(each.elapsed_seconds),
        objective=language.duration(each.objective_seconds))) for each in drill.components]
