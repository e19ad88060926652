"""Rules and dashboard fit the metrics that there are, and the settings."""

from __future__ import annotations

import inspect
import json
import re
import runpy
import shlex
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import flower.events
import pytest
import yaml

from nightscan_tasks.cli import nightscan
from nightscan_tasks.model import Tier
from nightscan_tasks.report.metrics import METRICS
from nightscan_tasks.settings import load

COMPOSE = Path(__file__).resolve().parents[2] / "compose"
RULES = COMPOSE / "prometheus" / "alerts.yml"
LABELS = {each.name: {*each.labels, "job", "instance"} for each in METRICS}
_METRIC = re.compile(r"\b((?:nightscan|flower)_\w+)(?:\{([^}]*)\})?")


def rules() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load(RULES.read_text())
    return {rule["alert"]: rule for group in content["groups"] for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((COMPOSE / "grafana/dashboards/nightscan.json").read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Where an expression stands, and the expression."""
    return [*((name, rule["expr"]) for name, rule in rules().items()),
            *((panel["title"], target["expr"]) for panel in panels() for target in panel["targets"])]


def flower_labels() -> dict[str, set[str]]:
    found = re.findall(r"'(flower_\w+)',.*?\[(.*?)\]", inspect.getsource(flower.events), re.DOTALL)
    return {name: {*re.findall(r"\w+", labels), "job", "instance"} for name, labels in found}


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_what_is_asked_for_is_there_with_its_labels(where: str, expression: str) -> None:
    there = {**LABELS, **flower_labels()}
    asked = _METRIC.findall(expression)
    assert asked or where == "NightscanPageDown"
    for name, matchers in asked:
        assert name in there, f"{where} asks for {name}"
        assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", matchers)) <= there[name]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_a_legend_names_labels_that_are_left(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert re.search(rf"by \([^)]*\b{label}\b[^)]*\)", target["expr"]), (label, target["expr"])


def test_the_dashboards_variables_are_of_metrics_that_there_are() -> None:
    variables = {each["name"]: each["query"] for each in dashboard()["templating"]["list"]}
    assert set(re.findall(r"\$(?:\{)?(\w+)", json.dumps(panels()))) == set(variables)
    for name in ("instance", "tier"):
        ((metric, label),) = re.findall(r"^label_values\((\w+), (\w+)\)$", variables[name]["query"])
        assert label in LABELS[metric]


def test_prometheus_takes_its_configuration(promtool: Callable[..., str]) -> None:
    configuration = COMPOSE / "prometheus" / "prometheus.yml"
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", str(configuration))
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(RULES))


def test_each_rule_fires_when_it_has_to_and_not_otherwise(promtool: Callable[..., str]) -> None:
    promtool("test", "rules", *(str(RULES.with_name(name)) for name in ("alerts_test.yml",
                                                                       "alerts_days_test.yml")))


@pytest.mark.parametrize("name", rules())
def test_each_rule_is_shown_to_fire_and_not_to_fire(name: str) -> None:
    shown = [{each["labels"] for each in sample.get("exp_samples", ())}
             for file in ("alerts_test.yml", "alerts_days_test.yml")
             for test in yaml.safe_load(RULES.with_name(file).read_text())["tests"] if name in test["name"]
             for sample in test["promql_expr_test"]]
    fired = f'{{alertname="{name}"}}'
    assert any(fired in each for each in shown)
    assert any(fired not in each for each in shown)


@pytest.mark.parametrize("name", rules())
def test_each_rule_says_how_bad_it_is_what_it_means_and_what_to_run(name: str) -> None:
    rule = rules()[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert re.search(r"\b(nightscan|celery|systemctl) ", rule["annotations"]["runbook"])


@pytest.mark.parametrize("line", sorted({
    each.strip() for rule in rules().values() for each in re.split(r"[;,]", rule["annotations"]["runbook"])
    if re.fullmatch(r"nightscan [a-z].*", each.strip())}))
def test_a_command_of_a_runbook_can_be_typed(line: str) -> None:
    filled = line.replace("{{ $labels.tier }}", "daily").replace("{{ $labels.store }}", "offsite")
    words = shlex.split(filled.replace("{{ $labels.component }}", "database"))[1:]
    command: click.Command = nightscan
    context = click.Context(command, info_name="nightscan")
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=found.name, parent=context)
    command.make_context("nightscan", words)


def test_the_limits_of_the_rules_are_the_defaults_of_the_settings() -> None:
    settings, found = load({}), rules()
    stale, very_stale = (found[name]["expr"] for name in ("NightscanBackupStale", "NightscanBackupVeryStale"))
    for tier in (Tier.DAILY, Tier.WEEKLY, Tier.MONTHLY):
        warning, critical = (seconds // 3600 for seconds in settings.stale_seconds(tier) or ())
        assert f'{{tier="{tier}"}} > {warning} * 3600 <= {critical} * 3600' in stale
        assert f'{{tier="{tier}"}} > {critical} * 3600' in very_stale
    assert f"> {settings.drill_days} * 86400" in found["NightscanDrillOverdue"]["expr"]
    assert f"< {settings.key_days} * 86400" in found["NightscanKeyExpires"]["expr"]
    assert f", {settings.full_days} * 86400)" in found["NightscanStoreFilling"]["expr"]
    assert f"> {settings.waiting_seconds}" in found["NightscanTasksWait"]["expr"]
    assert found["NightscanNoOffsiteCopy"]["for"] == f"{settings.copy_hours}h"
    assert found["NightscanUnverified"]["for"] == f"{settings.verify_hours}h"


def test_every_expression_of_the_dashboard_is_promql(promtool: Callable[..., str], tmp_path: Path) -> None:
    asked = [re.sub(r"\$\w+", "x", target["expr"]) for panel in panels() for target in panel["targets"]]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{number}", "expr": each} for number, each in enumerate(asked)]}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_the_panels_have_room_and_do_not_overlap() -> None:
    everything = dashboard()["panels"]
    ids = [panel["id"] for panel in everything]
    assert len(ids) == len(set(ids))
    for panel in everything:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24
        assert at["h"] >= 1
    for one, other in combinations((panel["gridPos"] for panel in everything), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: str(panel["title"]))
def test_a_panel_says_what_it_shows_and_asks_the_chosen_source(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    letters = [target["refId"] for target in panel["targets"]]
    assert len(letters) == len(set(letters)) > 0
    assert panel["fieldConfig"]["defaults"]["noValue"]  # what is not known says so


def test_a_state_is_told_in_words_not_by_its_colour_alone() -> None:
    told = [panel for panel in panels() if panel["type"] == "state-timeline" or panel["title"] == "Health"]
    assert len(told) == 3
    for panel in told:
        words = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        assert all(each["text"] for each in words.values())


def test_the_documents_list_every_metric_and_every_rule() -> None:
    text = (COMPOSE.parent / "docs/METRICS.md").read_text()
    tool = runpy.run_path(str(COMPOSE.parent / "tools/metrics_table.py"))
    assert tool["written_into"](text) == text, "run: python -m tools.metrics_table --write"
    listed = re.findall(r"^\| `(Nightscan\w+)` \| .* \| (\w+) \|$", text, re.MULTILINE)
    assert listed == [(name, rule["labels"]["severity"]) for name, rule in rules().items()]
