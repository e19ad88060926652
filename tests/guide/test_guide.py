"""The commands of a set's RESTORE.md restore it, with no program but those that it names."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from nightscan_tasks import programs, settings
from nightscan_tasks.backup.guide import write_guide
from nightscan_tasks.backup.local import run_local
from nightscan_tasks.backup.opening import Request
from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.components.files import fingerprint_tree
from nightscan_tasks.components.postgres import connect
from nightscan_tasks.components.redis_fingerprint import compare_redis, fingerprint_redis
from nightscan_tasks.model import COMPONENTS, FOREVER, Json, Manifest, Plan, Tier
from nightscan_tasks.system import System
from nightscan_tasks.world.world import World

BLOCK = re.compile(r"^```(bash|sql)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BASIC = ("bash", "sh", "gpg", "gunzip", "gzip", "tar", "sha256sum", "find", "wc", "sed", "mkdir", "mv", "cat",
         "sleep")
Followed = Callable[..., subprocess.CompletedProcess[str]]
SERVERS = {"psql": "psql", "createdb": "createdb", "redis-server": "valkey-server", "redis-cli": "redis-cli"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with what the guide names, and nothing else."""
    folder = tmp_path / "path"
    folder.mkdir()
    for name in BASIC:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    for name, program in SERVERS.items():
        (folder / name).symlink_to(programs.find(program).path)
    return folder


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory, clean_home: Path) -> Iterator[World]:
    """Another PostgreSQL, which knows nothing of the application but a role of its name."""
    folder = tmp_path_factory.mktemp("b")
    yield World.up(folder, services=("postgres",), celery=False)
    World.down(folder)


@pytest.fixture
def taken(sampled_environ: dict[str, str]) -> Manifest:
    """A set of all components, of a database with rights and settings of its own."""
    name = conninfo_to_dict(sampled_environ["NIGHTSCAN_DATABASE_URI"])["dbname"]
    with psycopg.connect(sampled_environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE {name} SET search_path = public, "$user"'.encode())
        connection.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC".encode())
    with redis.Redis.from_url(sampled_environ["REDIS_URL"]) as client:
        client.execute_command("FUNCTION", "LOAD",
                               "#!lua name=lib\nserver.register_function('one', function() return 1 end)")
    environ = {key: value for key, value in sampled_environ.items() if key != "AWS_BACKUP_BUCKET"}
    system = System(settings.load(environ))
    outcome = run_local(system, Request(Plan(Tier.MANUAL, COMPONENTS, FOREVER)))
    return system.catalog().get(outcome.set_id)


@pytest.fixture
def folder(taken: Manifest, sampled_environ: dict[str, str], tmp_path: Path) -> Path:
    """The set as somebody fetched it."""
    return Path(shutil.copytree(Path(sampled_environ["NIGHTSCAN_BACKUP_DIR"], str(taken.set_id)),
                                tmp_path / "fetched"))


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def followed(path: Path, folder: Path, bare: World, gpg_home: Path, tmp_path: Path, port: int,
             ) -> Iterator[Followed]:
    """Run all that the guide says, from top to bottom; whatever server it started ends with the test."""
    def follow(**environ: str) -> subprocess.CompletedProcess[str]:
        server = conninfo_to_dict(bare.superuser_dsn())
        given = {"PATH": str(path), "HOME": str(tmp_path), "GNUPGHOME": str(gpg_home),
                 "PGHOST": str(server["host"]), "PGPORT": str(server["port"]), "PGUSER": str(server["user"]),
                 "PGPASSWORD": str(server["password"]), "REDIS_PORT": str(port), **environ}
        return subprocess.run([str(path / "bash"), "-c", script(folder)], text=True, cwd=folder, env=given,
                              capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL)

    yield follow
    stop(folder / "restored/redis", port)


def script(folder: Path) -> str:
    """The blocks of the guide, in order: bash as it stands, SQL in psql."""
    blocks = BLOCK.findall((folder / "RESTORE.md").read_text())
    assert {kind for kind, _ in blocks} == {"bash", "sql"}
    return "\n".join(text if kind == "bash" else
                     f"psql --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres <<'SQL'\n{text}SQL"
                     for kind, text in blocks)


def stop(data: Path, port: int) -> None:
    """End the server that the guide started, and wait until it has."""
    try:
        with redis.Redis(port=port) as client:
            pid = client.info()["process_id"]
    except redis.ConnectionError:
        return
    assert str(data.parent) in Path(f"/proc/{pid}/cwd").readlink().as_posix() + "/"
    os.kill(pid, signal.SIGKILL)
    with suppress(FileNotFoundError, ProcessLookupError):
        while not Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith(("Z", "X")):
            time.sleep(0.02)


def environment(fingerprint: Mapping[str, Json]) -> dict[str, Any]:
    """What a dump leaves out; the server that the tests share has its own roles."""
    found = dict(fingerprint["environment"])  # type: ignore[arg-type]  # it is one
    return {key: value for key, value in found.items() if key not in {"server_version", "roles"}}


def test_everything_comes_back_as_it_was(taken: Manifest, folder: Path, bare: World, app_redis: str,
                                         port: int, followed: Followed) -> None:
    done = followed()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| f\n" not in done.stdout
    name = str(taken.components["database"].facts["database"])
    try:
        with connect(SecretStr(bare.superuser_dsn(name))) as connection:
            found = fingerprint_database(connection, content=True)
    finally:
        with psycopg.connect(bare.superuser_dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name}".encode())
    expected = taken.components["database"].fingerprint
    assert compare_fingerprints(expected, found) == []
    assert environment(found) == environment(expected)
    for component in ("user_data", "system_config", "source_code"):
        assert fingerprint_tree(folder / "restored" / component) == taken.components[component].fingerprint
    with redis.Redis.from_url(app_redis) as live:
        was = fingerprint_redis(live)
    with redis.Redis(port=port) as client:
        assert compare_redis(was, fingerprint_redis(client)) == []
        assert client.fcall("one", 0) == 1


def test_a_damaged_artifact_stops_it_before_anything_is_made(
        taken: Manifest, folder: Path, bare: World,
        followed: Followed) -> None:
    artifact = folder / next(each.name for each in taken.artifacts if each.name.startswith("database.sql"))
    data = bytearray(artifact.read_bytes())
    data[len(data) // 2] ^= 1
    artifact.chmod(0o600)
    artifact.write_bytes(data)
    done = followed()
    assert done.returncode != 0
    assert f"{artifact.name}: FAILED" in done.stdout
    assert not (folder / "restored").exists()
    with psycopg.connect(bare.superuser_dsn()) as connection:
        there = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    assert "nightscan_restored" not in there


def test_without_the_private_key_it_says_so_at_once(folder: Path, tmp_path: Path,
                                                    followed: Followed,
                                                    ) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    done = followed(GNUPGHOME=str(tmp_path / "other"))
    assert done.returncode != 0
    assert "No secret key" in done.stderr
    assert not (folder / "restored").exists()


def test_every_program_that_it_runs_is_in_its_list(folder: Path) -> None:
    text = (folder / "RESTORE.md").read_text()
    for name in (*BASIC, *SERVERS):
        if name != "sh":  # gunzip is a script
            assert f"`{name}`" in text


def test_it_says_where_to_fetch_the_set_and_what_fits_its_kind(taken: Manifest) -> None:
    guide = write_guide(taken, "s3://bucket/nightscan")
    assert f"aws s3 sync s3://bucket/nightscan/{taken.set_id}/" in guide
    assert "aws" not in write_guide(taken, "/opt/nightscan/backups")
    plain = replace(taken, encrypted_for=None, artifacts=tuple(
        replace(each, name=each.name.removesuffix(".gpg").replace(".rdb.", ".resp."))
        for each in taken.artifacts if ".roles." not in each.name))
    guide = write_guide(plain)
    assert "**not encrypted**" in guide
    assert "gpg --" not in guide
    assert '| redis-cli -p "$REDIS_PORT" --pipe' in guide
    assert 'CREATE ROLE "nightscan" LOGIN' in guide
