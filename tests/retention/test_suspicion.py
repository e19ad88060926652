"""A set that is far smaller than the ones before it is marked, told, and stops retention."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nightscan_tasks import rotation
from nightscan_tasks.cli import nightscan
from nightscan_tasks.errors import NightscanError
from nightscan_tasks.manifest import parse
from nightscan_tasks.model import Artifact, Failure, Json, Manifest, Report, SetId, Tier
from nightscan_tasks.suspicion import plan_suspicion
from nightscan_tasks.workflows import RETENTION

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
Sized = tuple[Report, int]
"""What a component says of itself, and its plain bytes."""


def database(rows: int, plain_bytes: int = 10_000) -> Sized:
    tables: dict[str, Json] = {
        "public.prediction": {"rows": rows - rows // 3}, "public.user": {"rows": rows // 3}}
    return Report({"tables": tables}), plain_bytes


def redis(keys: int) -> Sized:
    databases: dict[str, Json] = {"0": {"keys": keys - 1, "expires": 0}, "1": {"keys": 1, "expires": 0}}
    return Report({"databases": databases if keys else {}}), 100


def files(number: int, content_bytes: int = 10_000) -> Sized:
    return Report({"files": number, "bytes": content_bytes, "digest": "00"}), content_bytes


def taken(days_ago: float, tier: Tier = Tier.DAILY, *, complete: bool = True,
          suspicious: tuple[str, ...] = (), **components: Any) -> Manifest:
    set_id = SetId(tier, NOW - timedelta(days=days_ago))
    artifacts = tuple(Artifact(f"{name}.gz", name, name, plain, "0", 1, "0")
                      for name, (_, plain) in components.items())
    return Manifest(set_id=set_id, run_id=str(set_id), complete=complete, opened_at=NOW, settled_at=NOW,
                    encrypted_for=None, host="h", tag=None, artifacts=artifacts, suspicious=suspicious,
                    components={name: report for name, (report, _) in components.items()})


def week(**components: Any) -> list[Manifest]:
    return [taken(days, **components) for days in range(1, 8)]


def judged(manifest: Manifest, earlier: list[Manifest], percent: int = 50,
           trusted: frozenset[SetId] = frozenset()) -> tuple[str, ...]:
    return plan_suspicion(manifest, earlier, percent=percent, trusted=trusted)


@pytest.mark.parametrize(("usual", "now", "reason"), [
    ({"database": database(900)}, {"database": database(449)},
     "database: 449 rows, where the last 7 sets had in the median 900 rows"),
    ({"database": database(900, 80_000)}, {"database": database(900, 39_000)},
     "database: 39.0 kB, where the last 7 sets had in the median 80.0 kB"),
    ({"redis": redis(100)}, {"redis": redis(49)},
     "redis: 49 keys, where the last 7 sets had in the median 100 keys"),
    ({"redis": redis(100)}, {"redis": redis(0)},
     "redis: 0 keys, where the last 7 sets had in the median 100 keys"),
    ({"user_data": files(40)}, {"user_data": files(19)},
     "user_data: 19 files, where the last 7 sets had in the median 40 files"),
    ({"source_code": files(40, 9000)}, {"source_code": files(40, 4000)},
     "source_code: 4.0 kB, where the last 7 sets had in the median 9.0 kB")])
def test_less_than_half_of_any_measure_is_suspicious(usual: Any, now: Any, reason: str) -> None:
    assert judged(taken(0, **now), week(**usual)) == (reason,)
    assert judged(taken(0, **usual), week(**usual)) == ()


def test_how_much_is_suspicious_is_settable_and_none_is_never() -> None:
    small = taken(0, database=database(60))
    assert judged(small, week(database=database(100))) == ()
    assert judged(small, week(database=database(100)), percent=70) != ()
    assert judged(taken(0, database=database(0)), week(database=database(100)), percent=0) == ()


def test_a_first_set_and_a_first_set_with_a_component_and_what_was_always_empty_are_not_suspicious() -> None:
    assert judged(taken(0, database=database(0)), []) == ()
    assert judged(taken(0, database=database(9), redis=redis(1)), week(database=database(9))) == ()
    assert judged(taken(0, database=database(0, 0)), week(database=database(0, 0))) == ()


def test_one_odd_set_moves_nothing() -> None:
    before = [*week(redis=redis(100)), taken(0.5, redis=redis(100_000))]
    assert judged(taken(0, redis=redis(60)), before) == ()


@pytest.mark.parametrize("tier", [Tier.WEEKLY, Tier.MANUAL, Tier.PRE_DEPLOY])
def test_sets_of_all_tiers_are_compared_component_by_component(tier: Tier) -> None:
    before = week(database=database(900), redis=redis(100))
    assert judged(taken(0, tier, redis=redis(90)), before) == ()
    assert judged(taken(0, tier, redis=redis(3)), before) != ()


def test_what_a_restore_is_about_to_replace_is_neither_judged_nor_compared_with() -> None:
    before = week(database=database(900))
    assert judged(taken(0, Tier.PRE_RESTORE, database=database(0)), before) == ()
    wrecks = [taken(days / 10, Tier.PRE_RESTORE, database=database(1)) for days in range(1, 9)]
    assert judged(taken(0, database=database(1)), [*before, *wrecks]) != ()


def test_incomplete_suspicious_and_later_sets_are_no_predecessors() -> None:
    small = database(1)
    odd = [taken(days / 10, database=small, complete=days > 4, suspicious=("x",) if days > 4 else ())
           for days in range(1, 9)]
    later = [taken(-days, database=small) for days in range(1, 9)]
    assert judged(taken(0, database=small), [*week(database=database(900)), *odd, *later]) != ()


def test_a_component_that_failed_is_not_suspicious_as_well() -> None:
    failed = replace(taken(0, user_data=files(1), complete=False), failures=(
        Failure("user_data.01", "SourceRefused", "no permission", NOW),))
    assert judged(failed, week(user_data=files(100))) == ()


def test_what_is_trusted_is_the_normal_size_from_then_on() -> None:
    shrunk = taken(1, database=database(10), suspicious=("database: 10 rows, …",))
    before = [*week(database=database(900))[1:], shrunk]
    next_set = taken(0, database=database(10))
    assert judged(next_set, before) != ()
    assert judged(next_set, before, trusted=frozenset({shrunk.set_id})) == ()
    assert judged(taken(0, database=database(4)), before, trusted=frozenset({shrunk.set_id})) != ()


def test_trust_is_of_the_components_that_were_suspicious() -> None:
    before = week(database=database(900), redis=redis(100))
    before[0] = replace(before[0], suspicious=("redis: 9 keys, …",))
    now, trusted = taken(0, database=database(3), redis=redis(3)), frozenset({before[0].set_id})
    found = judged(now, before, trusted=trusted)
    assert [reason.partition(":")[0] for reason in found] == ["database", "redis"]


def test_a_manifest_from_before_is_not_suspicious() -> None:
    text = (b'{"format_version": 1, "set_id": "daily/20261123T020000Z", "run_id": "daily-20261123T020000Z", '
            b'"complete": false, "opened_at": "2026-11-23T02:00:00Z", "settled_at": "2026-11-23T02:01:00Z", '
            b'"encrypted_for": null, "host": "h", "tag": null, "components": {}, "artifacts": []}')
    assert parse(text, source="manifest.json").suspicious == ()


@pytest.fixture
def run(site: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command on the site, by the real clock."""
    for name, value in {**site.environ, "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    return lambda *words: CliRunner().invoke(nightscan, words)


def test_a_shrunken_set_is_marked_told_and_logged_and_stops_rotation_until_it_is_trusted(
        site: Any, run: Callable[..., Result], caplog: pytest.LogCaptureFixture) -> None:
    site.forward(days=-10)
    for _ in range(3):
        site.forward(days=1)
        assert site.save("user_data").suspicious == ()
    site.forward(days=7)
    site.write(4)
    with caplog.at_level(logging.ERROR):
        outcome = site.save("user_data")
    reason = "user_data: 4 files, where the last 3 sets had in the median 20 files"
    set_id, system = outcome.set_id, site.system()
    assert reason in outcome.suspicious
    assert f"suspicious: {reason}" in outcome.notes
    assert f"{set_id} is suspicious: {reason}" in caplog.messages
    for store in system.stores:
        assert system.catalog(store.name).get(set_id).suspicious == outcome.suspicious
        plan = rotation.rotate(system, store, RETENTION)
        assert plan.remove == ()
        assert f"the newest set, {set_id}, is suspicious" in str(plan.held)
    listed, status = run("list"), run("status")
    assert (listed.exit_code, status.exit_code) == (3, 2)
    assert "SUSPICIOUS" in listed.stdout
    assert reason in " ".join(status.stdout.split())
    assert run("trust", str(set_id), "--why", "we cleaned up").exit_code == 0
    assert run("list").exit_code == 0
    assert reason not in " ".join(run("status").stdout.split())
    assert "trusted by" in run("list").stdout
    assert rotation.rotate(system, system.primary, RETENTION).held is None
    site.forward(days=1)
    assert site.save("user_data").suspicious == ()


def test_a_later_set_of_a_normal_size_unfreezes(site: Any) -> None:
    for files_now in (20, 20, 3, 20):
        site.write(files_now)
        outcome = site.save("user_data")
        site.forward(days=1)
    assert outcome.suspicious == ()
    system = site.system()
    assert rotation.plan(system, system.primary, RETENTION).held is None


def test_a_backup_whose_set_is_suspicious_ends_with_3_and_says_what_next(
        site: Any, run: Callable[..., Result]) -> None:
    words = ("backup", "manual", "--component", "user_data", "--local")
    assert run(*words).exit_code == 0
    site.write(2)
    done = run(*words)
    assert done.exit_code == 3
    assert "user_data: 2 files, where the last set had 20 files" in done.stdout
    assert "if it is as it should be: nightscan trust manual/" in done.stdout
    assert json.loads(run(*words, "--json").stdout)["suspicious"] != []


def test_a_good_set_needs_no_trust(site: Any) -> None:
    (good,) = site.days(1)
    with pytest.raises(NightscanError, match="nothing to trust it for"):
        rotation.trust(site.system(), good, why="x")


def test_holds_are_listed_and_a_hold_says_why(site: Any, run: Callable[..., Result]) -> None:
    site.forward(days=-1)
    (old,) = site.days(1)
    assert run("hold").stdout.strip() == "No set is held."
    assert run("hold", str(old)).exit_code == 2
    assert run("hold", str(old), "--why", "x", "--until", "2020-01-01").exit_code == 2
    held = run("hold", str(old), "--why", "case 12", "--until", "2099-01-01")
    assert held.exit_code == 0
    assert "until 2099-01-01 00:00 UTC: case 12" in held.stdout
    for words in (("hold",), ("list",), ("rotate", "--dry-run")):
        assert "case 12" in run(*words).stdout
    assert "1 set held" in run("status").stdout
    (listed,) = json.loads(run("list", "--json").stdout)["sets"]
    assert [each["why"] for each in listed["holds"]] == ["case 12"]
    assert run("release", str(old)).exit_code == 0
    assert run("release", str(old)).exit_code == 1


def test_the_clock_or_a_set_is_trusted_not_both(run: Callable[..., Result]) -> None:
    assert run("trust", "--why", "x").exit_code == 2
    assert run("trust", "daily/20261123T020000Z", "--clock", "--why", "x").exit_code == 2
    assert run("trust", "--clock", "--why", "the server was off").exit_code == 0
