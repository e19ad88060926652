"""The page, of a simulated past that ends badly, and of one that ends well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nightscan_tasks.language import language
from nightscan_tasks.report.page import write_page
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.tasks.glancing import glance
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.world.history import write_history
from tools.shots.studio import Studio

_NOW = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
_DAYS = 380  # more than the calendar shows


def shoot(studio: Studio) -> None:
    """In English by day, in French by night, and on a phone."""
    well = _written(studio.folder / "well", well=True)
    ill = _written(studio.folder / "ill", well=False)
    studio.take("page", studio.open(f"{well}-en.html"))
    studio.take("page-problems", studio.open(f"{ill}-en.html", height=1100), whole=False)
    studio.take("page-dark", studio.open(f"{well}-fr.html", dark=True, language="fr", height=1250),
                whole=False)
    phone = studio.open(f"{ill}-en.html", width=360, height=780)
    phone.page.locator("#days").evaluate("(each) => each.scrollIntoView({behavior: 'instant'})")
    studio.take("page-phone", phone, whole=False)


def _elsewhere(overview: Overview) -> Overview:
    """As if its stores were not both in one folder for a moment."""
    primary, offsite = overview.stores
    return replace(overview, live_medium="the disk at /", stores=(
        replace(primary, url="/opt/nightscan/backups", medium="the disk at /"),
        replace(offsite, url="s3://nightscan-backups/nightscan", medium="S3")))


def _written(folder: Path, *, well: bool) -> str:
    """The page in both languages; the address of both, but for their ends."""
    folder.mkdir()
    system = System(load({
        "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_OFFSITE": str(folder / "offsite"),
        "NIGHTSCAN_ROOT": str(folder / "nightscan"), "NIGHTSCAN_AUDIT_FILE": str(folder / "audit.jsonl"),
        "NIGHTSCAN_TIMEZONE": "Europe/Paris", "NIGHTSCAN_SITE": "NightScan Lyon",
        "NIGHTSCAN_TEMP_DIR": str(folder)}), clock=lambda: _NOW)
    write_history(system, days=_DAYS, seed=1, now=_NOW, well=well)
    overview = _elsewhere(glance(system))
    for code in ("en", "fr"):
        write_page(folder / f"page-{code}.html", overview, language(code, system.settings.zone))
    return (folder / "page").as_uri()
