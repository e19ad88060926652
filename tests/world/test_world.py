from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from nightscan_tasks import settings
from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import daemon
from nightscan_tasks.world.world import World

LivingIn = Callable[[Path], dict[int, str]]
ODD = "it's a $H \"w\" `x`"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a test may raise a world, which is down afterwards; its name is odd."""
    folder = tmp_path_factory.mktemp("w") / ODD  # short: a socket's path may not be long
    yield folder
    if (folder / "world.json").exists():
        World.down(folder)


def _write(world: World) -> None:
    with psycopg.connect(world.dsn()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with redis.Redis.from_url(world.environ()["REDIS_URL"]) as client:
        client.set("kept", "yes")
    client = world.s3_client()
    client.put_object(Bucket="nightscan-backups", Key="kept", Body=b"yes")
    client.close()


def _read(world: World) -> tuple[object, ...]:
    with psycopg.connect(world.dsn()) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    with redis.Redis.from_url(world.environ()["REDIS_URL"]) as client:
        value = client.get("kept")
    client = world.s3_client()
    body = client.get_object(Bucket="nightscan-backups", Key="kept")["Body"].read()
    client.close()
    return row, value, body


def test_a_world_comes_up_goes_down_and_comes_back_with_its_data_and_ports(
        folder: Path, living_in: LivingIn) -> None:
    world = World.up(folder, celery=False)
    assert all(status.up for status in world.status())
    _write(world)
    ring = world.status()[-2]
    ports = [status.port for status in world.status()]

    World.down(folder)
    assert not living_in(folder)
    assert [status.up for status in World.open(folder).status()
            if status.name not in ("gpg", "files")] == [False] * 4
    World.down(folder)

    again = World.up(folder, celery=False)
    assert _read(again) == ((42,), b"yes", b"yes")
    assert [status.port for status in again.status()] == ports
    assert (again.status()[-2].name, ring.name) == ("gpg", "gpg")

    World.down(folder, purge=True)
    assert not folder.exists()
    World.down(folder)


def test_what_was_killed_is_started_again_and_the_rest_is_left_alone(folder: Path) -> None:
    names = ("postgres", "redis")
    before = {one.name: one for one in World.up(folder, services=names, celery=False).status()}
    killed = before["postgres"].pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    daemon.wait_until(lambda: not World.open(folder).status()[1].up, 20, "its end")
    after = {one.name: one for one in World.up(folder, services=names, celery=False).status()}
    assert after["redis"].pid == before["redis"].pid
    assert after["postgres"].pid != killed
    assert after["postgres"].up


def test_a_stopped_service_comes_back_where_it_was(folder: Path) -> None:
    world = World.up(folder, services=("redis",), celery=False)
    world.stop("redis")
    assert not world.status()[0].up
    assert World.up(folder, services=("redis",), celery=False).environ() == world.environ()


def test_env_is_for_a_shell_and_for_its_owner_only(folder: Path) -> None:
    world = World.up(folder, services=("redis", "files", "gpg"), celery=False,
                     settings={"BACKUP_EMAIL": "o'neil $(date) \\ é@example.org"})
    assert (folder / "env").stat().st_mode & 0o077 == 0
    printed = subprocess.run(["/bin/bash", "-c", '. "$0" && env -0', str(folder / "env")], check=True,
                             capture_output=True, env={"PATH": "/here:/usr/bin:/bin"}).stdout
    sourced = dict(os.fsdecode(line).split("=", 1) for line in printed.split(b"\0") if line)
    assert sourced["PATH"] == "/here:/usr/bin:/bin"
    assert "HOME" not in world.environ()
    assert {name: sourced[name] for name in world.environ()} == world.environ()
    loaded = settings.load(sourced)
    assert (loaded.root, loaded.gpg_home) == (folder / "opt/nightscan", folder / "gpg")
    assert loaded.email == "o'neil $(date) \\ é@example.org"


def test_nothing_of_a_world_is_readable_by_others(folder: Path) -> None:
    World.up(folder, services=("redis", "gpg", "files"), celery=False)
    for name in ("world.json", "env", "redis/redis.conf", "gpg"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name


@pytest.mark.parametrize("command", [lambda folder: World.up(folder, celery=False),
                                     lambda folder: World.down(folder, purge=True)])
def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(
        tmp_path: Path, command: Callable[[Path], object]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WorldError, match="not a world's"):
        command(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_purging_leaves_what_a_world_did_not_make(folder: Path) -> None:
    World.up(folder, services=("files",), celery=False)
    (folder / "thesis.txt").write_text("years of work")
    World.down(folder, purge=True)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_failure_names_the_service_and_leaves_nothing_running(
        folder: Path, living_in: LivingIn) -> None:
    World.up(folder, services=("postgres",), celery=False)
    World.down(folder)
    (folder / "postgres/data/global/pg_control").unlink()
    with pytest.raises(WorldError, match=r"(?s)postgres did not start: .*pg_control"):
        World.up(folder, services=("redis", "postgres"), celery=False)
    assert not living_in(folder)


def test_a_failure_stops_only_what_this_up_started(folder: Path) -> None:
    running = World.up(folder, services=("redis",), celery=False)
    long = "x" * (107 - len(str(folder)))
    with pytest.raises(WorldError, match="no service"):
        World.up(folder, services=("redis", long), celery=False)
    assert running.status()[0].up


def test_a_key_ring_whose_path_is_too_long_for_a_socket_is_refused_with_what_to_do(
        tmp_path: Path) -> None:
    with pytest.raises(WorldError, match=r"too long .* choose a shorter DIR"):
        World.up(tmp_path / ("long" * 30), services=("gpg",), celery=False)


def test_two_commands_do_not_work_on_one_world_at_once(folder: Path) -> None:
    refused: list[str] = []

    def meanwhile(_line: str) -> None:
        with pytest.raises(WorldError, match="another `nightscan world` is at work") as error:
            World.down(folder)
        refused.append(str(error.value))

    assert World.up(folder, services=("files",), celery=False, told=meanwhile).status()[0].up
    assert refused


def test_the_role_is_no_superuser_and_may_make_databases(postgres_server: World) -> None:
    with psycopg.connect(postgres_server.dsn()) as connection:
        assert connection.execute("SELECT rolsuper, rolcreatedb FROM pg_roles "
                                  "WHERE rolname = current_user").fetchone() == (False, True)


def test_no_password_is_in_an_argument_of_any_process(servers: Callable[..., World],
                                                      living_in: LivingIn) -> None:
    world = servers("postgres", "redis", "broker", "s3")
    secrets = json.loads((world.folder / "world.json").read_text())["secrets"].values()
    commands = living_in(world.folder)
    assert len(commands) >= 4
    assert not [command for command in commands.values() for secret in secrets if secret in command]
