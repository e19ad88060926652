"""Sunday the 1st on a whole world: three runs due at once, one asked for twice, seen from everywhere.

One such night is spent once, with the first run held in mid-dump for a while; each test looks at one
side of it.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from nightscan_tasks.ledger import Ending, Outcome, Run
from nightscan_tasks.model import SetId
from nightscan_tasks.world.world import World

TIERS = ("daily", "weekly", "monthly")
_QUEUE_OF = {
    "fast": {"dump_database", "dump_redis"},
    "heavy": {"archive_user_data", "archive_system_config", "archive_source_code", "upload", "verify",
              "replicate"},
    "control": {"backup_daily", "backup_weekly", "backup_monthly", "settle", "reap", "rotate", "notify",
                "check_freshness"},
}


@dataclass
class Night:
    """What was asked, answered and seen."""

    world: World
    crew: Any
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    joined: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    progress: list[dict[str, Any]] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    commands: set[str] = field(default_factory=set)
    shown: dict[str, Any] = field(default_factory=dict)

    def run(self, tier: str) -> Run:
        found: Run = self.crew.system.ledger.opened(self.answers[tier]["run_id"])
        return found


@pytest.fixture(scope="module")
def night(celery_world: World, crews: Callable[..., Any], until: Any, held: Any,
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    world = World.up(celery_world.folder, celery=("flower",))
    night = Night(world, crews(tmp_path_factory.mktemp("night"), world.environ()))
    crew, url = night.crew, world.environ()["NIGHTSCAN_RESULT_BACKEND"]
    until(lambda: not crew.system.ledger.open_runs(now=crew.system.clock()), "other runs to end",
          meanwhile=crew.reap)
    with redis.Redis.from_url(url) as results, results.pubsub() as channel, \
            ExitStack() as slow:
        channel.psubscribe("celery-task-meta-*")
        with held(world.environ()["NIGHTSCAN_DATABASE_URI"]) as waits:
            first = _call(world, "nightscan.backup_daily")
            ids = {"daily": first} | {tier: crew.send(f"backup_{tier}") for tier in TIERS[1:]}
            until(waits, "the first run to dump")
            night.joined = crew.answer(crew.send("backup_daily"))
            _look(night)
            slow.enter_context(_slowed(world))
        night.shown = until(lambda: _in_progress(world, "nightscan.dump_redis"), "Flower to show progress")
        slow.close()
        for tier in TIERS:
            night.answers[tier] = crew.answer(ids[tier])
            night.outcomes[tier] = crew.outcome(night.answers[tier]["run_id"])
        until(lambda: all(_verified(night, tier) for tier in TIERS), "all sets to be verified")
        night.tasks = _flower(world)
        night.progress = _heard(channel)
        _look(night)
        yield night
    world.stop("flower")


@pytest.fixture(autouse=True)
def credentials(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 looks for in this process too."""
    for name, value in night.world.environ().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


def _call(world: World, task: str) -> str:
    """As an operator calls it."""
    done = subprocess.run([sys.executable, "-m", "celery", "-A", "worker", "call", task], check=True,
                          capture_output=True, text=True, env=world.processes_environ(), cwd=world.folder)
    return done.stdout.strip().splitlines()[-1]


def _verified(night: Night, tier: str) -> bool:
    outcome = night.outcomes[tier]
    return all(night.crew.system.ledger.verified(outcome.run_id, store) for store in outcome.stores)


def _flower(world: World) -> dict[str, dict[str, Any]]:
    environ = World.open(world.folder).environ()
    secret = base64.b64encode(environ["FLOWER_BASIC_AUTH"].encode()).decode()
    request = urllib.request.Request(f"{environ['FLOWER_URL']}/api/tasks?limit=500",  # noqa: S310 - http on loopback
                                     headers={"Authorization": f"Basic {secret}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=120) as answer:
        tasks: dict[str, dict[str, Any]] = json.load(answer)
    return tasks


def _in_progress(world: World, name: str) -> dict[str, Any] | None:
    return next((task for task in _flower(world).values()
                 if task["name"] == name and task["state"] == "PROGRESS"), None)


@contextmanager
def _slowed(world: World) -> Iterator[None]:
    """A Redis that hands its keys out slowly, and in the end cuts off whoever reads them."""
    with redis.Redis.from_url(world.environ()["REDIS_URL"]) as server:
        server.config_set("rdb-key-save-delay", 20_000)  # microseconds
        try:
            yield
        finally:
            server.config_set("rdb-key-save-delay", 0)
            server.client_kill_filter(_type="replica")


def _heard(channel: Any) -> list[dict[str, Any]]:
    heard = []
    while message := channel.get_message(timeout=0.1):
        if message["type"] == "pmessage":
            heard.append(json.loads(message["data"]))
    return [meta for meta in heard if meta["status"] == "PROGRESS"]


def _look(night: Night) -> None:
    """Everything that lies in the broker, and every command line of the moment."""
    for name in ("NIGHTSCAN_BROKER_URL", "NIGHTSCAN_RESULT_BACKEND"):
        with redis.Redis.from_url(night.world.environ()[name]) as server:
            for key in server.keys("*"):
                night.messages += _values(server, key)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            night.commands.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue


def _values(server: Any, key: bytes) -> list[bytes]:
    match server.type(key):
        case b"string":
            return [server.get(key) or b""]
        case b"list":
            return list(server.lrange(key, 0, -1))
        case b"hash":
            return list(server.hvals(key))
    return []


@pytest.mark.parametrize("tier", TIERS)
def test_each_run_ends_well_in_both_stores_verified_and_listed(night: Night, tier: str) -> None:
    outcome, system = night.outcomes[tier], night.crew.system
    assert outcome.ending == Ending.GOOD
    assert outcome.stores == ("primary", "offsite")
    for store in outcome.stores:
        assert outcome.set_id in system.catalog(store).ids()
        assert system.ledger.verified(outcome.run_id, store).problems == ()
        components = system.catalog(store).get(outcome.set_id).components
        assert {"database", "redis", "user_data"} <= set(components)
        assert (tier == "daily") == ("source_code" not in components)


def test_a_second_daily_is_answered_with_the_running_one(night: Night) -> None:
    assert night.joined["state"] == "joined"
    assert night.joined["run_id"] == night.answers["daily"]["run_id"]


def test_one_run_at_a_time(night: Night) -> None:
    spans = []
    for tier in TIERS:
        records = night.crew.system.ledger.state(night.run(tier).run_id).parts.values()
        spans.append((min(record.started_at for record in records),
                      max(record.finished_at for record in records)))
    spans.sort()
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_flower_shows_each_worker_doing_only_the_tasks_of_its_queue(night: Night) -> None:
    mine = [task for task in night.tasks.values() if task["name"] and task.get("worker")]
    did: dict[str, set[str]] = {}
    for task in mine:
        did.setdefault(task["worker"].partition("@")[0], set()).add(task["name"].removeprefix("nightscan."))
    assert set(did) == set(_QUEUE_OF)
    for queue, names in did.items():
        assert names <= _QUEUE_OF[queue]
    assert {"dump_database", "dump_redis"} == did["fast"]
    assert {"archive_user_data", "upload", "verify"} <= did["heavy"]
    assert all(task["state"] == "SUCCESS" for task in mine if task["name"].endswith(".dump_database"))


def test_progress_is_told_while_bytes_move(night: Night) -> None:
    told = {str(meta["result"].get("part")) for meta in night.progress}
    assert {"database", "user_data.00", "database@offsite"} <= told
    for meta in night.progress:
        assert {"phase", "bytes", "of_bytes", "bytes_per_second"} <= set(meta["result"])
        assert meta["result"]["bytes"] <= meta["result"]["of_bytes"]


def test_flower_shows_how_far_a_task_is_and_a_cut_connection_is_only_another_try(night: Night) -> None:
    assert re.fullmatch(r"'?reading [\d.]+ [kM]?B of about [\d.]+ [kM]?B(, [\d.]+ [kM]?B/s)?'?",
                        night.shown["result"])
    again = night.tasks[night.shown["uuid"]]
    assert again["state"] == "SUCCESS"
    assert int(again["retries"]) == 1


def test_results_are_small_json(night: Night) -> None:
    for tier in TIERS:
        assert SetId.parse(night.answers[tier]["set_id"]).tier == tier
    for task in night.tasks.values():
        assert len(task["result"] or "") < 2000
    with redis.Redis.from_url(night.world.environ()["NIGHTSCAN_RESULT_BACKEND"]) as server:
        for key in server.scan_iter("celery-task-meta-*"):
            result = json.loads(server.get(key) or b"{}")["result"]
            assert len(json.dumps(result)) < 2000


def test_no_secret_is_in_any_message_record_log_manifest_or_command(night: Night) -> None:
    secrets = {name: value.encode() for name, value in night.world.state.secrets.items()
               if name != "s3_access"}  # an access key's name is no secret
    assert len(secrets) >= 6
    places: dict[str, bytes] = {f"message {number}": data for number, data in enumerate(night.messages)}
    places |= {f"command {command[:60]}": command.encode() for command in night.commands}
    folders = (night.world.folder / "celery", night.world.folder / "backups")
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        places[str(path)] = path.read_bytes()
    for store in night.crew.system.stores[1:]:
        for entry in store.list(""):
            if entry.key.endswith((".json", ".md")):
                with store.open(entry.key) as chunks:
                    places[f"{store.name} {entry.key}"] = b"".join(bytes(chunk) for chunk in chunks)
    assert any("manifest.json" in place for place in places if place.startswith("offsite"))
    assert any("output.log" in place for place in places)
    leaks = [(name, place) for place, data in places.items() for name, secret in secrets.items()
             if secret in data]
    assert leaks == []
