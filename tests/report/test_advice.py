"""Advice follows from figures: each rule speaks above its threshold, and is silent below."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from nightscan_tasks.language import Language
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import Failure, SetId, Tier
from nightscan_tasks.report import monthly_text
from nightscan_tasks.report.monthly import (
    Advice,
    ComponentMonth,
    DrillLine,
    Figure,
    Incident,
    Month,
    MonthlyReport,
    RecoveryTime,
    RunLine,
    StoreMonth,
    TierMonth,
)
from nightscan_tasks.report.monthly_advice import _SENTENCES, advise
from nightscan_tasks.report.monthly_advising import plan_advice
from nightscan_tasks.watch.problem import Kind, Problem, Severity

MOMENT = datetime(2026, 10, 15, 8, 0, tzinfo=UTC)
END = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
KNOWN = Figure(1.0, before=1.0)
TIER = TierMonth(Tier.DAILY, 20, 0, 0, 0, 0, (), KNOWN, KNOWN, KNOWN)
PRIMARY, OFFSITE = StoreMonth("primary", 20, 0, 20, 0), StoreMonth("offsite", 20, 0, 20, 0)
HELD = DrillLine(MOMENT, "routine", None, "primary", 60.0, 3600.0, ())
CALM = MonthlyReport(
    "here", Month(2026, 10), "UTC", END, datetime(2026, 11, 1, tzinfo=UTC), None, success_rate=KNOWN,
    average_bytes=Figure(100.0, before=100.0), average_seconds=Figure(100.0, before=100.0),
    growth=Figure(0.01), detection=Figure(None), recovery=Figure(60.0), drills_performed=1, drills_passed=1,
    tiers=(TIER,), drills=(HELD,), alerts_known=True, stores=(PRIMARY, OFFSITE), encrypted=True)
FAILED = RunLine(SetId(Tier.DAILY, MOMENT), Ending.FAILED, failures=(
    Failure("redis", "SourceUnavailable", "refused\nmore", MOMENT),))
ODD = RunLine(SetId(Tier.DAILY, MOMENT), Ending.GOOD, suspicious=("database: 1 row",))


def incident(late_hours: float) -> Incident:
    return Incident(Problem(Kind.FAILED, "daily", Severity.CRITICAL, MOMENT), Severity.CRITICAL,
                    MOMENT + timedelta(hours=late_hours), None)


def component(name: str, stored: float, plain: float) -> ComponentMonth:
    return ComponentMonth(name, 1, 0, Figure(plain), Figure(stored), Figure(0.0), Figure(1.0))


RULES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("success_rate", {"success_rate": Figure(0.94), "runs": (FAILED,)},
     {"success_rate": Figure(0.95), "runs": (FAILED,)}),
    ("missed", {"tiers": (replace(TIER, missed_at=(MOMENT,)),)}, {"tiers": (TIER,)}),
    ("suspicious", {"runs": (ODD,)}, {"runs": (replace(ODD, trusted=True),)}),
    ("damaged", {"stores": (replace(PRIMARY, damaged=1), OFFSITE)}, {}),
    ("unverified", {"stores": (replace(PRIMARY, verified=19), OFFSITE)}, {}),
    ("not_encrypted", {"encrypted": False}, {"encrypted": None}),
    ("no_drill", {"drills_performed": 0, "drills": ()},
     {"drills_performed": 0, "drills": (), "until": MOMENT}),
    ("drill_failed", {"drills": (HELD, replace(HELD, problems=("rows are missing",)))},
     {"drills": (replace(HELD, problems=("rows are missing",)), HELD)}),
    ("too_slow", {"recovery_times": (RecoveryTime("database", 101.0, 100),)},
     {"recovery_times": (RecoveryTime("database", 80.0, 100),)}),
    ("nearly_too_slow", {"recovery_times": (RecoveryTime("database", 81.0, 100),)},
     {"recovery_times": (RecoveryTime("database", 80.0, 100),)}),
    ("loss", {"drills": (replace(HELD, loss_seconds=86401.0),)},
     {"drills": (replace(HELD, loss_seconds=86400.0),)}),
    ("noticed_late", {"incidents": (incident(12.1),)}, {"incidents": (incident(11.9),)}),
    ("never_looked", {"alerts_known": False}, {}),
    ("no_offsite", {"stores": (PRIMARY,)}, {}),
    ("full_soon", {"stores": (PRIMARY, replace(OFFSITE, full_on=date(2027, 3, 1)))},
     {"stores": (PRIMARY, replace(OFFSITE, full_on=date(2027, 6, 1)))}),
    ("late_copies", {"stores": (PRIMARY, replace(OFFSITE, late=1))}, {}),
    ("old_sets", {"stores": (PRIMARY, replace(OFFSITE, stored_bytes=100, old_bytes=20))},
     {"stores": (PRIMARY, replace(OFFSITE, stored_bytes=100, old_bytes=19))}),
    ("doubling", {"growth": Figure(0.06)}, {"growth": Figure(0.059)}),
    ("incompressible", {"components": (component("database", 90, 100),)},
     {"components": (component("database", 89, 100), component("user_data", 99, 100))}),
    ("slower", {"average_seconds": Figure(126.0, before=100.0)},
     {"average_seconds": Figure(126.0, before=100.0), "average_bytes": Figure(111.0, before=100.0)}),
]


def test_a_calm_month_asks_for_nothing(spoken: Language) -> None:
    assert list(plan_advice(CALM)) == []
    assert spoken.text("No figure of this month asks for anything.") in monthly_text.render(CALM, spoken)


@pytest.mark.parametrize(("rule", "above", "below"), RULES, ids=[rule for rule, _, _ in RULES])
def test_a_rule_speaks_when_its_figures_do(rule: str, above: dict[str, Any], below: dict[str, Any],
                                           spoken: Language) -> None:
    (said,) = plan_advice(replace(CALM, **above))
    assert said.rule == rule
    sentence = advise(said, spoken)
    assert "{" not in sentence
    assert sentence != rule
    assert list(plan_advice(replace(CALM, **below))) == []


def test_every_rule_is_tested_and_has_its_sentence() -> None:
    assert {rule for rule, _, _ in RULES} == set(_SENTENCES)


def test_success_advice_names_the_component_that_failed_most_and_with_what(spoken: Language) -> None:
    database = Failure("database", "DumpIncomplete", "no end", MOMENT)
    copy = Failure("user_data.00@offsite", "StoreError", "away", MOMENT)
    runs = (FAILED, replace(FAILED, failures=(*FAILED.failures, database)),
            replace(FAILED, ending=Ending.DEGRADED, failures=(copy, copy, copy)))
    (said,) = plan_advice(replace(CALM, success_rate=Figure(0.5), runs=runs))
    assert (said.facts["component"], said.facts["error"], said.facts["times"]) == (
        "redis", "SourceUnavailable", 2)
    assert "refused" in advise(said, spoken)
    assert "more" not in str(said.facts["said"])


def test_a_month_without_records_is_given_no_advice_from_figures() -> None:
    assert list(plan_advice(replace(CALM, tiers=(), encrypted=False, stores=(PRIMARY,)))) == []


def test_advice_of_a_later_version_is_told_by_its_name(spoken: Language) -> None:
    assert advise(Advice("a_new_rule", {"times": 3}), spoken) == "a_new_rule: times 3"
