"""`nightscan status`: in the terminal, as JSON, as a monitoring plugin."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nightscan_tasks.cli import nightscan
from nightscan_tasks.model import SetId
from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.world.history import History, write_history

Run = Callable[..., Result]
_MORNING, _NIGHT = 6, 22


@pytest.fixture(scope="module")
def places(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """An installation that is well, and one that is not, both up to this moment."""
    return {name: _installed(tmp_path_factory.mktemp(name), well=name == "well")[0]
            for name in ("well", "ill")}


def _installed(folder: Path, *, well: bool) -> tuple[dict[str, str], History]:
    now = datetime.now(UTC)
    environ = {
        # Where the night's runs are over at this moment, and the next are hours away.
        "NIGHTSCAN_TIMEZONE": "UTC" if _MORNING <= now.hour < _NIGHT else "Etc/GMT-10",
        "NIGHTSCAN_BACKUP_DIR": str(folder / "backups"), "NIGHTSCAN_OFFSITE": str(folder / "offsite"),
        "NIGHTSCAN_ROOT": str(folder / "nightscan"), "NIGHTSCAN_AUDIT_FILE": str(folder / "audit.jsonl"),
        "NIGHTSCAN_SITE": "NightScan Lyon", "NIGHTSCAN_TEMP_DIR": str(folder)}
    return environ, write_history(System(load(environ), clock=lambda: now), days=40, seed=1, now=now,
                                  well=well)


@pytest.fixture
def status(places: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Run:
    def run(place: str, *words: str, **more: str) -> Result:
        for name, value in {**places[place], **more}.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(nightscan, ["status", *words])

    return run


def test_all_well_is_one_word_and_status_0(status: Run) -> None:
    result = status("well")
    first, *rest = result.stdout.splitlines()
    assert first.startswith("NightScan Lyon: GOOD, the newest whole set is ")
    assert result.exit_code == 0
    assert "CRITICAL" not in result.stdout
    assert [line.split()[0] for line in rest if line.startswith(("daily ", "weekly ", "monthly "))] == [
        "daily", "weekly", "monthly"]
    for words in ("3-2-1 rule: NOT KEPT", "STORE", "A loss now would cost", "NEXT (", "backup_daily"):
        assert words in result.stdout  # both stores lie on one disk: two media are asked for


def test_open_problems_come_first_with_what_to_do_and_status_2(status: Run) -> None:
    result = status("ill")
    text = result.stdout
    assert result.exit_code == 2
    assert text.splitlines()[0].startswith("NightScan Lyon: CRITICAL, ")
    assert "first: the last daily run failed" in text.splitlines()[0]
    assert text.index("CRITICAL the last daily run failed") < text.index("TIER ")
    assert "  $ nightscan backup daily\n" in text
    assert "FAILED" in text
    assert "1 OF 2" in text


def test_a_warning_is_status_1(status: Run) -> None:
    result = status("well", NIGHTSCAN_OFFSITE="")
    assert (result.exit_code, "WARNING there is no offsite store" in result.stdout) == (1, True)


def test_the_json_has_the_guides_keys_and_more(status: Run) -> None:
    told: dict[str, Any] = json.loads(status("ill", "--json").stdout)
    assert told["health"] == "critical"
    assert set(told["backup_sizes"]) == {"database", "redis", "user_data", "system_config", "source_code"}
    assert told["backup_counts"]["daily"] >= 2
    newest = datetime.fromtimestamp(told["last_backup"], UTC)
    known = [SetId.parse(each["newest"]).taken_at for each in told["freshness"] if each["store"] == "primary"]
    assert max(known) <= newest <= datetime.fromisoformat(told["now"])
    first = told["problems"][0]
    assert (first["key"], first["severity"], first["commands"][0]) == ("failed:daily", "critical",
                                                                       "nightscan doctor")
    assert told["last"]["daily"]["ending"] == "failed"
    assert told["queues"] is None  # nobody asked: it is not known, which is not none
    well = json.loads(status("well", "--json").stdout)
    assert (well["health"], well["problems"]) == ("good", [])


def test_nothing_saved_at_all_is_critical_and_nothing_is_invented(status: Run, tmp_path: Path) -> None:
    result = status("well", "--json", NIGHTSCAN_BACKUP_DIR=str(tmp_path / "new"),
                    NIGHTSCAN_OFFSITE=str(tmp_path / "other"))
    told = json.loads(result.stdout)
    assert result.exit_code == 2
    assert (told["last_backup"], told["backup_sizes"], told["backup_counts"]) == (None, {}, {})
    assert (told["recovery"], told["rule_3_2_1"]["set_id"]) == (None, None)


def test_a_primary_store_that_is_away_is_what_is_shown(status: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    result = status("well", NIGHTSCAN_BACKUP_DIR=str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "CRITICAL the store primary does not answer" in result.stdout
    assert "NO ANSWER" in result.stdout


def test_the_page_is_written_as_one_file(status: Run, tmp_path: Path) -> None:
    result = status("ill", "--html", str(tmp_path / "page.html"), NIGHTSCAN_LANGUAGE="fr")
    assert result.exit_code == 2
    assert "la dernière sauvegarde daily a échoué" in (tmp_path / "page.html").read_text(encoding="utf-8")
