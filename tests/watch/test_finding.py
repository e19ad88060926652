"""Everything that can be wrong is found where it is, and not where it is not."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from nightscan_tasks.language import language, marked
from nightscan_tasks.ledger import Ending
from nightscan_tasks.ledger.reads import Finding, Scrubbed
from nightscan_tasks.ledger.reads import Kind as Read
from nightscan_tasks.ledger.restore_records import Part, Place, RestoreRun, RestoreState
from nightscan_tasks.model import Failure, SetId, Tier
from nightscan_tasks.restore.rates import Forecast, Recovery
from nightscan_tasks.settings import Settings
from nightscan_tasks.watch.finding import find_problems
from nightscan_tasks.watch.overview import (
    ComponentSeen,
    CopySeen,
    Filling,
    KeySeen,
    Overview,
    RunSeen,
    SetSeen,
    StoreSeen,
)
from nightscan_tasks.watch.problem import Kind, Problem, Severity
from nightscan_tasks.watch.queue import QueueSeen
from nightscan_tasks.watch.under_way import RunningSeen
from nightscan_tasks.watch.words import describe

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Change = Callable[[Overview], Overview]


def newest(seen: Overview, tier: Tier = Tier.DAILY) -> SetSeen:
    return next(each for each in seen.sets if each.set_id.tier is tier)


def with_set(seen: Overview, **changes: Any) -> Overview:
    """The newest daily set is otherwise."""
    first = newest(seen)
    return replace(seen, sets=tuple(replace(each, **changes) if each is first else each
                                    for each in seen.sets))


def with_store(seen: Overview, name: str, **changes: Any) -> Overview:
    return replace(seen, stores=tuple(replace(each, **changes) if each.name == name else each
                                      for each in seen.stores))


def with_run(seen: Overview, ending: Ending, **changes: Any) -> Overview:
    """The last daily run ended otherwise."""
    first = next(run for run in seen.runs if run.set_id.tier is Tier.DAILY)
    assert first.outcome is not None
    changed = replace(first, outcome=replace(first.outcome, ending=ending, **changes))
    return replace(seen, runs=tuple(changed if run is first else run for run in seen.runs))


def with_freshness(seen: Overview, *, level: Severity, none: bool = False) -> Overview:
    return replace(seen, freshness=tuple(
        replace(each, level=level, newest=None if none else each.newest) if each.tier is Tier.DAILY else each
        for each in seen.freshness))


def failed_at(seen: Overview) -> tuple[Failure, ...]:
    return tuple(Failure(part, "StoreError", "no such host", seen.now) for part in ("database", "redis"))


def not_copied(seen: Overview) -> Overview:
    first = newest(seen)
    without = with_set(seen, copies=tuple(each for each in first.copies if each.store != "offsite"))
    return with_run(without, Ending.DEGRADED,
                    failures=(Failure("database@offsite", "StoreError", "no such host", seen.now),))


def scrubbed(seen: Overview, *findings: Finding, oldest: timedelta) -> Scrubbed:
    return Scrubbed("primary", "/x", seen.now - DAY, seen.now, standing=findings, oldest_at=seen.now - oldest,
                    oldest_key="daily/x")


def restoring(seen: Overview) -> RestoreState:
    return RestoreState(RestoreRun("restore-1", newest(seen).set_id, "primary", "/x", ("database",), Place(),
                                   Part(), seen.now - DAY, "host"))


CASES: dict[Kind, tuple[Change, str, Severity]] = {
    Kind.NEVER: (lambda seen: with_freshness(seen, level=Severity.WARNING, none=True), "daily",
                 Severity.WARNING),
    Kind.STALE: (lambda seen: with_freshness(seen, level=Severity.CRITICAL), "daily", Severity.CRITICAL),
    Kind.FAILED: (lambda seen: with_run(seen, Ending.FAILED, failures=failed_at(seen)), "daily",
                  Severity.CRITICAL),
    Kind.DEGRADED: (lambda seen: with_run(seen, Ending.DEGRADED, notes=("the set is not signed: no key",)),
                    "daily", Severity.WARNING),
    Kind.STUCK: (lambda seen: replace(seen, running=(RunningSeen(
        "daily-x", SetId.at(Tier.DAILY, seen.now), seen.now - DAY, seen.now - HOUR, ()),)), "daily-x",
        Severity.CRITICAL),
    Kind.JUMP: (lambda seen: with_set(seen, components={
        **newest(seen).components, "redis": ComponentSeen(10**9, 10**9)}), "daily redis", Severity.WARNING),
    Kind.NO_OFFSITE: (lambda seen: replace(seen, stores=seen.stores[:1]), "offsite", Severity.WARNING),
    Kind.UNCOPIED: (not_copied, "offsite", Severity.WARNING),
    Kind.UNREACHABLE: (lambda seen: with_store(seen, "offsite", problem="refused"), "offsite",
                       Severity.WARNING),
    Kind.FROZEN: (lambda seen: replace(seen, frozen={"primary daily": "why", "offsite daily": "why"}),
                  "daily", Severity.WARNING),
    Kind.UNVERIFIED: (lambda seen: replace(with_set(seen, copies=(CopySeen("primary"), CopySeen("offsite"))),
                                           now=seen.now + DAY), "daily", Severity.WARNING),
    Kind.MENDED: (lambda seen: with_store(seen, "offsite", scrubbed=scrubbed(seen, Finding(
        Read.MENDED, "daily/x", "replaced", "primary"), oldest=DAY)), "offsite", Severity.WARNING),
    Kind.UNSCRUBBED: (lambda seen: with_store(seen, "primary", scrubbed=scrubbed(seen, oldest=32 * DAY)),
                      "primary", Severity.WARNING),
    Kind.UNDRILLED: (lambda seen: replace(seen, drills=()), "drill", Severity.WARNING),
    Kind.DRILL_FAILED: (lambda seen: replace(seen, drills=(replace(
        seen.drills[0], problems=("rows differ",)), *seen.drills)), "drill", Severity.CRITICAL),
    Kind.TOO_SLOW: (lambda seen: replace(seen, recovery=Recovery("daily/x", seen.now, (
        Forecast("database", 10, 2000.0, 1800, measured=True),))), "database", Severity.WARNING),
    Kind.UNFINISHED: (lambda seen: replace(seen, restores=(restoring(seen),)), "restore-1",
                      Severity.CRITICAL),
    Kind.KEY_EXPIRES: (lambda seen: replace(seen, keys=(
        KeySeen("encryption", "backup@x", seen.now + 20 * DAY),)), "encryption", Severity.WARNING),
    Kind.KEY_UNUSABLE: (lambda seen: replace(seen, keys=(
        KeySeen("signing", "host@x", None, "it was revoked"),)), "signing", Severity.CRITICAL),
    Kind.FILLING: (lambda seen: with_store(seen, "offsite", filling=Filling(
        10**13, None, seen.now, 5e11, date(2026, 12, 13))), "offsite", Severity.WARNING),
    Kind.NO_WORKER: (lambda seen: replace(seen, queues=(QueueSeen("nightscan.fast", (), 3, 10.0),)),
                     "nightscan.fast", Severity.CRITICAL),
    Kind.WAITING: (lambda seen: replace(seen, queues=(QueueSeen("nightscan.fast", ("a@b",), 3, 4000.0),)),
                   "nightscan.fast", Severity.WARNING),
}


def test_nothing_is_wrong_where_all_is_well(good: Overview) -> None:
    assert [each.key for each in good.problems] == []
    assert good.health == "good"


@pytest.mark.parametrize("kind", CASES, ids=str)
def test_what_is_wrong_is_found_and_nothing_else(good: Overview, settings: Settings, kind: Kind) -> None:
    change, subject, severity = CASES[kind]
    found = find_problems(change(good), settings)
    assert [(each.kind, each.subject, each.severity) for each in found] == [(kind, subject, severity)]
    assert all(each.since is None or each.since.tzinfo is UTC or each.since.utcoffset() is not None
               for each in found)


def test_damage_is_found_in_readings_in_scrubs_and_in_manifests(good: Overview, settings: Settings) -> None:
    first = newest(good)
    read = with_set(good, copies=(CopySeen("primary", good.now, ("redis.rdb.gz.gpg: differs",)),
                                  *first.copies[1:]))
    scrub = with_store(good, "offsite", scrubbed=scrubbed(good, Finding(Read.DAMAGED, "daily/x", "differs"),
                                                          oldest=DAY))
    manifest = with_set(good, complete=False, components={}, problem="not JSON")
    for seen, subject in ((read, f"{first.set_id}@primary"), (scrub, "files@offsite"),
                          (manifest, f"{first.set_id}@manifest")):
        damage = [each for each in find_problems(seen, settings) if each.kind is Kind.DAMAGED]
        assert [(each.subject, each.severity) for each in damage] == [(subject, Severity.CRITICAL)]


def test_a_suspicious_set_is_wrong_until_somebody_trusts_it(good: Overview, settings: Settings) -> None:
    odd = with_set(good, suspicious=("database: 3 rows",))
    assert [each.kind for each in find_problems(odd, settings)] == [Kind.SUSPICIOUS]
    assert not find_problems(with_set(good, suspicious=("database: 3 rows",), trusted=True), settings)


def test_parts_that_failed_for_one_reason_are_told_together(good: Overview, settings: Settings) -> None:
    seen = with_run(good, Ending.INCOMPLETE, failures=failed_at(good))
    facts = find_problems(seen, settings)[0].facts
    assert facts["failures"] == [{"parts": "database, redis", "message": "no such host"}]


def test_it_began_when_the_first_of_the_runs_in_a_row_failed(good: Overview, settings: Settings) -> None:
    daily = [run for run in good.runs if run.set_id.tier is Tier.DAILY]
    first = daily[1]
    assert daily[0].outcome
    assert first.outcome
    bad = {run.run_id: replace(run, outcome=replace(run.outcome, ending=Ending.FAILED))
           for run in daily[:2] if run.outcome}
    seen = replace(good, runs=tuple(bad.get(run.run_id, run) for run in good.runs))
    found = [each for each in find_problems(seen, settings) if each.kind is Kind.FAILED]
    assert [each.since for each in found] == [first.outcome.settled_at]


def test_copies_that_are_as_old_as_no_set_may_be_are_critical(good: Overview, settings: Settings) -> None:
    seen = not_copied(good)
    older = SetId.at(Tier.DAILY, good.now - 3 * DAY)
    late = replace(seen, freshness=tuple(
        replace(each, newest=older, level=Severity.CRITICAL)
        if (each.tier, each.store) == (Tier.DAILY, "offsite") else each for each in seen.freshness))
    assert [(each.kind, each.severity) for each in find_problems(late, settings)] == [
        (Kind.UNCOPIED, Severity.CRITICAL)]


def test_a_disk_without_room_for_another_set_is_critical_whatever_the_forecast(
        good: Overview, settings: Settings) -> None:
    need = max(each.stored_bytes for each in good.sets)
    seen = with_store(good, "primary", filling=Filling(need - 1, None, good.now))
    assert [(each.kind, each.severity) for each in find_problems(seen, settings)] == [
        (Kind.FILLING, Severity.CRITICAL)]
    seen = with_store(good, "primary", filling=Filling(10**13, None, good.now, 1e12,
                                                       good.now.date() + 6 * DAY))
    assert find_problems(seen, settings)[0].severity is Severity.CRITICAL


def test_a_key_that_ends_within_a_week_is_critical(good: Overview, settings: Settings) -> None:
    seen = replace(good, keys=(KeySeen("signing", "x", good.now + 6 * DAY),))
    assert find_problems(seen, settings)[0].severity is Severity.CRITICAL
    assert not find_problems(replace(good, keys=(KeySeen("signing", "x", good.now + 40 * DAY),)), settings)


def test_a_one_off_run_that_failed_weeks_ago_is_history(good: Overview, settings: Settings) -> None:
    at = SetId.at(Tier.MANUAL, good.now - 20 * DAY)
    template = next(run.outcome for run in good.runs if run.outcome)
    failed = RunSeen(at.run_id, at, replace(template, run_id=at.run_id, set_id=at, ending=Ending.FAILED,
                                            failures=failed_at(good)))
    runs = sorted((*good.runs, failed), key=lambda run: run.opened_at, reverse=True)
    assert not find_problems(replace(good, runs=tuple(runs)), settings)


@pytest.mark.parametrize("code", ["en", "fr"])
@pytest.mark.parametrize("kind", CASES, ids=str)
def test_every_problem_has_a_title_a_meaning_and_a_command(
        good: Overview, settings: Settings, kind: Kind, code: str) -> None:
    problem = find_problems(CASES[kind][0](good), settings)[0]
    words = describe(problem, language(code, settings.zone), now=good.now)
    text = f"{words.title} {words.meaning} {words.command}"
    assert not [field for _, field, _, _ in string.Formatter().parse(text) if field]
    assert all(command.startswith(("nightscan ", "systemctl ")) for command in words.command.splitlines())
    assert words.title
    assert not {"None", "[", "{", "datetime"} & set(text.split())
    assert (code == "fr") == (words.title != describe(problem, language("en", settings.zone),
                                                      now=good.now).title)


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_words_do_without_facts_that_are_not_known(kind: Kind, settings: Settings) -> None:
    words = describe(Problem(kind, "x", Severity.WARNING), language("en", settings.zone),
                     now=datetime(2026, 11, 23, tzinfo=UTC))
    assert words.title
    assert marked("unknown") in f"{words.title} {words.meaning}" or "{" not in words.meaning


def test_a_store_that_does_not_answer_is_judged_by_nothing_else(good: Overview, settings: Settings) -> None:
    seen = replace(good, stores=(good.stores[0], StoreSeen("offsite", "s3://x", problem="refused")))
    assert [each.kind for each in find_problems(seen, settings)] == [Kind.UNREACHABLE]
