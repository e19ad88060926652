"""No secret is in anything that the system writes, prints or sends; and if one were, it would be found."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.long

_PLACES = {
    "programs": "pg_dump",               # argument lists of every program that was started
    "processes": "--loglevel",           # argument lists as anybody sees them in /proc
    "broker": "nightscan.dump_database",  # messages, events, replies, results on their way
    "results": "celery-task-meta",
    "inspect": "broker_url",
    "flower": "fast@secret",
    "logs": "nightscan.settle",
    "sentry": "password authentication failed",
    "files": "key_use",                  # the store, ledger, guides, audit, journals, what is temporary
    "bucket": "manifest.json",
    "cli": "Traceback",
}
_WITH_DECOY = ("broker", "results", "flower", "files", "bucket", "cli")
_LIBPQ = {"PGPASSWORD"}


@pytest.mark.parametrize("place", _PLACES)
def test_no_secret_is_in(place: str, evidence: Any) -> None:
    said = evidence.places[place]
    assert _PLACES[place] in said  # it is what it should be, and not empty
    expected = {"decoy"} | ({"sentry"} if place == "sentry" else set())  # Sentry's key names its project
    assert evidence.needles.found(said) <= expected


@pytest.mark.parametrize("place", _WITH_DECOY)
def test_a_secret_that_goes_the_way_of_a_run_s_tag_is_found_in(place: str, evidence: Any) -> None:
    """The tag of the run is searched for like a secret: so every one of these places would tell on one."""
    assert "decoy" in evidence.needles.found(evidence.places[place])


def test_only_a_client_of_postgresql_has_a_secret_in_its_environment(evidence: Any) -> None:
    holders = {(program, name) for each in evidence.started for name, value in each["env"].items()
               if evidence.needles.found(value) and (program := _program(each["argv"]))}
    assert holders
    assert {name for _, name in holders} == _LIBPQ, holders
    assert all(program.startswith(("pg_", "psql")) for program, _ in holders), holders


def _program(argv: list[str]) -> str:
    """What was started: behind `setpriv --pdeathsig TERM`, or as it is."""
    words = argv[argv.index("--") + 1:] if "--" in argv[:5] else argv
    named = [word for word in words if not word.startswith("-") and word.upper() not in {"TERM", "KILL"}]
    return next(word.rpartition("/")[2] for word in named if not word.endswith("setpriv"))


def test_sentry_has_the_key_of_its_project_and_never_the_secret_beside_it(evidence: Any) -> None:
    found = evidence.needles.found(evidence.sentry_headers)
    assert "sentry" in found
    assert found <= {"sentry", "sentrysecret"}  # an old DSN's secret is its own header's


@pytest.mark.parametrize("wrapped", [
    str, quote, json.dumps, lambda value: base64.b64encode(f"x{value}".encode()).decode(),
    lambda value: json.dumps({"body": base64.b64encode(json.dumps([[], {"a": value}]).encode()).decode()}),
    lambda value: f"redis://:{quote(value, safe='')}@localhost:6379/0",
    lambda value: base64.urlsafe_b64encode(base64.b64encode(value.encode())).decode()])
def test_a_secret_is_found_however_it_is_wrapped(wrapped: Any, needles: Any) -> None:
    for name in needles.core:
        assert needles.found(f"before {wrapped(needles.value(name))} after") == {name}
    assert needles.found("nothing of that kind") == set()


def test_who_asked_travels_with_the_message(evidence: Any) -> None:
    asked = [json.loads(text) for text in evidence.places["files"].split("\n")
             if '"asker":{"origin"' in text and '"key_use"' in text]
    claims = [each["record"]["asker"]["claims"] for each in asked]
    assert any(each and each["doing"].endswith("drill") for each in claims), claims
    assert any(each["record"]["actor"]["doing"] == "nightscan.drill" and each["record"]["actor"]["task_id"]
               for each in asked)
