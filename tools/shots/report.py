"""The monthly report, of a simulated past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nightscan_tasks.language import language
from nightscan_tasks.report import monthly_html
from nightscan_tasks.report.monthly import Month
from nightscan_tasks.report.monthly_making import make
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.world.history import write_history

if TYPE_CHECKING:
    from tools.shots.studio import Studio

_NOW = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)


def shoot(studio: Studio) -> None:
    """October of an installation that had a failed run, four days without a beat, and a slow drill."""
    folder = studio.folder
    system = System(load({
        "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_OFFSITE": str(folder / "offsite"),
        "NIGHTSCAN_ROOT": str(folder / "nightscan"), "NIGHTSCAN_TEMP_DIR": str(folder),
        "NIGHTSCAN_TIMEZONE": "Europe/Paris", "NIGHTSCAN_SITE": "NightScan Lyon",
        "NIGHTSCAN_GPG_RECIPIENT": "backup@nightscan.com"}), clock=lambda: _NOW)
    write_history(system, days=300, seed=3, now=_NOW)
    report = make(system, Month(2026, 10), glance(system))
    page = folder / "report.html"
    page.write_text(monthly_html.render(report, language("en", system.settings.zone)), encoding="utf-8")
    studio.take("report", studio.open(page.as_uri(), width=1040, height=1560), whole=False)
