from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import celery_services, daemon, service
from nightscan_tasks.world.celery_services import QUEUES, Worker
from nightscan_tasks.world.world import World

LivingIn = Callable[[Path], dict[int, str]]


def test_everything_together_comes_up_and_goes_down(celery_world: World,
                                                    living_in: LivingIn) -> None:
    world = World.up(celery_world.folder, celery=("beat", "flower"))
    try:
        assert {status.name for status in world.status() if status.up} >= {
            "postgres", "redis", "broker", "s3", "gpg", "files", *QUEUES, "beat", "flower"}
        url, secret = world.environ()["FLOWER_URL"], world.environ()["FLOWER_BASIC_AUTH"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(url, timeout=120)  # noqa: S310 - http on loopback
        assert not [line for line in living_in(world.folder).values() if secret in line]
    finally:
        world.stop("beat", "flower")
    assert {status.name for status in world.status() if not status.up} == {"beat", "flower"}
    assert not living_in(world.folder / "celery/beat")


def test_a_worker_that_does_not_take_from_its_queue_is_named(
        celery_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_services, "_ANSWER_SECONDS", 0)
    wrong = Worker(tmp_path, "elsewhere.fast")
    with pytest.raises(WorldError, match="fast@nightscan: no reply, or not from its queue"):
        celery_services.answer([wrong], env=celery_world.processes_environ())


def test_a_worker_that_cannot_reach_its_broker_is_named_with_its_output(tmp_path: Path) -> None:
    world = World.up(tmp_path / "w", services=("broker",), celery=False)
    try:
        world.stop("broker")
        worker = Worker(world.folder / "celery/fast", "nightscan.fast")
        env = world.processes_environ()
        records: list[service.Record] = []
        record = service.start(worker, env=env, remember=records.append)
        daemon.wait_until(lambda: "onnect" in record.log.read_text(), 60, "it to try")
        with pytest.raises(WorldError, match=r"(?s)nightscan.fast did not start: .*onnect"):
            service.answered(worker, record, env=env, remember=records.append, seconds=0)
    finally:
        World.down(world.folder)
