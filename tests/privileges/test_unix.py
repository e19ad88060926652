"""Unix users: who reads a store, who writes it, who reads a key. Needs root, to become others."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from nightscan_tasks.world.files import Trees

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

BACKUP, WRITER, MEMBER, STRANGER = 64000, 64001, 64002, 64003  # the group, and three users
_STORE = """
import sys
from io import BytesIO
from pathlib import Path
from nightscan_tasks.stores.directory import DirectoryStore
store = DirectoryStore("primary", Path(sys.argv[1]), owner=sys.argv[4])
what = sys.argv[2]
if what == "put":
    store.put(sys.argv[3], BytesIO(b"saved"))
elif what == "get":
    with store.open(sys.argv[3]) as data:
        print(b"".join(bytes(chunk) for chunk in data) if not hasattr(data, "read") else data.read())
else:
    store.delete(sys.argv[3])
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="nightscan-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter that another user may run, and that has the packages."""
    for found in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run([*be(WRITER), found, "-c", "import psycopg, celery, boto3"], env=environ(),
                               cwd="/", capture_output=True, check=False)
        if tried.returncode == 0:
            return found
    pytest.skip("other users may run no Python that has the packages: they lie in a closed folder")


def be(user: int, *groups: int) -> list[str]:
    """Become a user with these groups, and with no capability."""
    given = f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups"
    return ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", given, "--inh-caps=-all",
            "--bounding-set=-all", "--", "/usr/bin/env"]


def environ() -> dict[str, str]:
    modules = [sysconfig.get_path("purelib"), str(Path(__file__).parents[2])]
    path = [str(Path(sys.prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
    return {"PATH": os.pathsep.join(path), "PYTHONPATH": os.pathsep.join(modules),
            "PYTHONDONTWRITEBYTECODE": "1"}


def succeeds(user: int, groups: tuple[int, ...], *argv: str) -> bool:
    done = subprocess.run([*be(user, *groups), *argv], env=environ(), cwd="/", capture_output=True, text=True,
                          check=False, timeout=180)
    return done.returncode == 0


def test_a_directory_store_is_written_by_one_user_and_read_by_its_group(
    open_folder: Path, python: str,
) -> None:
    store = open_folder / "backups"
    store.mkdir()
    os.chown(store, WRITER, BACKUP)
    store.chmod(0o750)

    def may(user: int, what: str, key: str, *groups: int) -> bool:
        return succeeds(user, groups, python, "-c", _STORE, str(store), what, key,
                        f"{user}:{BACKUP}" if BACKUP in groups else "")

    assert may(WRITER, "put", "daily/a", BACKUP)
    made = store / "daily" / "a"
    assert (made.stat().st_mode & 0o777, made.parent.stat().st_mode & 0o777) == (0o640, 0o750)
    assert made.stat().st_gid == BACKUP
    assert may(MEMBER, "get", "daily/a", BACKUP)
    assert not may(MEMBER, "put", "daily/b", BACKUP)
    assert not may(MEMBER, "put", "daily/a", BACKUP)
    assert not may(MEMBER, "delete", "daily/a", BACKUP)
    assert not may(STRANGER, "get", "daily/a")
    assert made.read_bytes() == b"saved"


def test_a_key_is_read_by_its_worker_alone(open_folder: Path) -> None:
    key = open_folder / "fast.key"
    key.write_text("key")
    os.chown(key, 0, WRITER)
    key.chmod(0o640)
    assert succeeds(WRITER, (BACKUP,), "cat", str(key))
    assert not succeeds(MEMBER, (BACKUP,), "cat", str(key))
    assert not succeeds(WRITER, (BACKUP,), "sh", "-c", f"echo x >> {key}")


def test_two_workers_that_are_two_users_work_together_through_s3(
    open_folder: Path, python: str, bucket: Any, postgres_server: Any, broker_redis: str, app_redis: str,
) -> None:
    trees = Trees(open_folder)
    trees.create()
    name = f"users_{secrets.token_hex(4)}"
    shared = {**bucket.environ, "NIGHTSCAN_PRIMARY": f"s3://{bucket.name}/nightscan",
              "NIGHTSCAN_DATABASE_URI": postgres_server.dsn(name), "REDIS_URL": app_redis,
              "NIGHTSCAN_BROKER_URL": broker_redis, "NIGHTSCAN_ROOT": str(trees.root),
              "NIGHTSCAN_ETC": str(trees.etc), "AWS_EC2_METADATA_DISABLED": "true"}
    shared.pop("AWS_BACKUP_BUCKET")
    (trees.etc / "crontab").write_text("x")
    workers = {"fast": WRITER, "heavy,nightscan.control": MEMBER}
    running: list[subprocess.Popen[bytes]] = []
    with psycopg.connect(postgres_server.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER nightscan").format(sql.Identifier(name)))
        try:
            for queue, user in workers.items():
                running.append(_worker(open_folder, python, shared, queue, user))
            for user, process in zip(workers.values(), running, strict=True):
                _until_ready(open_folder / f"{user}.log", process)
            said = subprocess.run(
                [*be(STRANGER), python, "-m", "nightscan_tasks.cli", "backup", "manual", "--component",
                 "database", "--component", "system_config", "--wait", "--json"],
                env={**environ(), **shared, "HOME": str(_home(open_folder, STRANGER))}, cwd="/",
                capture_output=True, text=True, check=False, timeout=120)
        finally:
            for process in running:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            _empty(bucket)
    assert '"good"' in said.stdout, said.stdout + said.stderr


def _home(folder: Path, user: int) -> Path:
    home = folder / f"home-{user}"
    home.mkdir(exist_ok=True)
    os.chown(home, user, user)
    home.chmod(0o700)
    return home


def _worker(folder: Path, python: str, shared: dict[str, str], queue: str, user: int) -> Any:
    home = _home(folder, user)
    log = folder / f"{user}.log"
    with log.open("wb") as output:
        return subprocess.Popen(
            [*be(user, BACKUP), python, "-m", "celery", "-A", "worker", "worker", "-Q",
             f"nightscan.{queue}", "-n", f"{user}@test", "-c", "1", "--without-gossip", "--without-mingle",
             "--loglevel", "INFO"],
            env={**environ(), **shared, "HOME": str(home), "TMPDIR": str(home)}, cwd=home,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


def _until_ready(log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while " ready." not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def _empty(bucket: Any) -> None:
    for page in bucket.client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
        for each in page.get("Contents", ()):
            bucket.client.delete_object(Bucket=bucket.name, Key=each["Key"])
