from __future__ import annotations

import hashlib
import os
import subprocess
import time
import wave
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import damage
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.sample import Target, cache, oddities
from nightscan_tasks.world.sample.application import write_application
from nightscan_tasks.world.sample.database import write_database
from nightscan_tasks.world.sample.plan import plan_sample
from nightscan_tasks.world.sample.source import write_source
from nightscan_tasks.world.sample.uploads import write_uploads
from nightscan_tasks.world.world import World

Environ = dict[str, str]
SIZE_BYTES = 2_000_000
NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled_world(clean_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of this file's own, filled; its tests only read it."""
    folder = tmp_path_factory.mktemp("f")
    world = World.up(folder, services=("postgres", "redis", "files"), celery=False)
    yield world.fill(SIZE_BYTES, now=datetime.now(UTC))
    World.down(folder)


@pytest.fixture
def filled(filled_world: World) -> Environ:
    return filled_world.environ()


def _rows(environ: Environ, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(environ["NIGHTSCAN_DATABASE_URI"]) as connection:
        return connection.execute(query.encode()).fetchall()


def _client(environ: Environ, database: int) -> redis.Redis:
    return redis.Redis.from_url(environ["REDIS_URL"].removesuffix("/0") + f"/{database}")


def test_every_prediction_names_a_file_of_its_size_and_every_detection_a_picture(
        filled: Environ) -> None:
    uploads = Path(filled["NIGHTSCAN_ROOT"]) / "uploads"
    predictions = _rows(filled, "SELECT filename, file_size FROM prediction")
    assert len(predictions) > 20
    for name, size in predictions:
        assert (uploads / str(name)).stat().st_size == size
    pictures = _rows(filled, "SELECT DISTINCT image_url FROM detection "
                                      "WHERE image_url IS NOT NULL")
    assert len(pictures) > 3
    for (url,) in pictures:
        path = Path(filled["NIGHTSCAN_ROOT"]) / str(url).lstrip("/")
        assert path.read_bytes().startswith(b"\xff\xd8\xff\xe0\x00\x10JFIF")


def test_the_database_has_what_real_ones_have(filled: Environ) -> None:
    kinds = dict(_rows(filled, """
        SELECT relkind::text, count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
        GROUP BY relkind"""))
    assert {"r", "v", "S", "i"} <= set(kinds)
    constraints = {kind for kind, in _rows(filled, "SELECT contype::text FROM pg_constraint "
                                           "WHERE connamespace = 'public'::regnamespace")}
    assert {"p", "f", "u", "c"} <= constraints
    assert _rows(filled, "SELECT typname FROM pg_type WHERE typtype = 'e'")
    for table in ('"user"', "prediction", "detection", "user_session", "audit_log"):
        assert _rows(filled, f"SELECT 1 FROM {table} LIMIT 1"), table  # noqa: S608 - ours
    assert _rows(filled, "SELECT * FROM species_summary")


def test_redis_has_every_type_in_several_databases_with_and_without_an_end(
        filled: Environ) -> None:
    types, expiring, databases = set(), 0, set()
    for database in (cache.CACHE, cache.SESSIONS, cache.LIMITS):
        with _client(filled, database) as client:
            for key in client.scan_iter():
                types.add(client.type(key))
                expiring += client.ttl(key) > 3600
                databases.add(database)
    assert types == {b"string", b"list", b"set", b"zset", b"hash", b"stream"}
    assert len(databases) == 3
    assert expiring > 50
    with _client(filled, 0) as client:
        assert client.ttl("species") == -1
        assert {group["name"] for group in client.xinfo_groups("events")} == {b"notify", b"export"}
        assert client.xpending("events", "export")["pending"] == 23
        assert client.pfcount("visitors:today") > 2900
        assert client.bitcount("logged-in:today") == 715
        assert client.geodist("stations", "orsay", "vercors", unit="km") > 400
        assert client.fcall("count_upload", 1, "scratch", 2) == 2
        client.delete("scratch")


def test_recordings_are_valid_and_hardly_shrink(filled: Environ) -> None:
    recordings = list(Path(filled["NIGHTSCAN_ROOT"]).glob("uploads/2*/*/*.wav"))
    assert recordings
    with wave.open(str(recordings[0])) as sound:
        assert (sound.getsampwidth(), sound.getnchannels()) == (2, 1)
        assert sound.getnframes() * 2 == recordings[0].stat().st_size - 44
    content = recordings[0].read_bytes()
    assert len(zlib.compress(content)) > 0.98 * len(content)


def test_logs_go_back_thirty_days_and_what_is_left_out_is_there(filled: Environ) -> None:
    root = Path(filled["NIGHTSCAN_ROOT"])
    ages = [(time.time() - path.stat().st_mtime) / 86400 for path in (root / "logs").glob("*.log")]
    assert len(ages) == 30
    assert max(ages) == pytest.approx(29, abs=0.5)
    for pattern in ("logs/*.log.gz", "uploads/**/*.tmp", "uploads/cache/**/*.jpg",
                    "node_modules/**/*.js", "web/__pycache__/*.pyc"):
        assert list(root.glob(pattern)), pattern
    for pattern in ("nginx/sites-available/nightscan", "systemd/system/nightscan*",
                    "ssl/certs/nightscan*", "crontab", "logrotate.d/nightscan"):
        assert list(Path(filled["NIGHTSCAN_ETC"]).glob(pattern)), pattern


def test_among_the_uploads_are_links_holes_and_strange_names(filled: Environ) -> None:
    folder = Path(filled["NIGHTSCAN_ROOT"]) / "uploads" / oddities.FOLDER
    assert set(oddities.NAMES) <= {os.fsencode(path.name) for path in folder.iterdir()}
    assert (folder / "first-name.wav").stat().st_nlink == 2
    assert (folder / "link.wav").is_symlink()
    assert not (folder / "dangling.wav").exists()
    sparse = (folder / "sparse.wav").stat()
    assert sparse.st_size == oddities.SPARSE_BYTES > sparse.st_blocks * 512


def test_the_source_is_a_clean_checkout(filled: Environ) -> None:
    root = filled["NIGHTSCAN_ROOT"]

    def git(*arguments: str) -> str:
        return subprocess.run(["/usr/bin/env", "git", "-C", root, *arguments], check=True, text=True,
                              capture_output=True).stdout

    assert git("log", "--format=%s%d").strip() == "Release 1.4.2 (HEAD -> main, tag: v1.4.2)"
    assert not git("status", "--porcelain")


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        trees = Trees(tmp_path / name)
        trees.world.mkdir()
        trees.create()
        plan = plan_sample(1_000_000, seed=7, now=NOW)
        write_uploads(trees.root / "uploads", plan)
        write_application(trees.root, plan)
        write_source(trees.root, plan)
        digests.append({str(path.relative_to(trees.root)): (hashlib.sha256(path.read_bytes())
                                                            .hexdigest())
                        for path in trees.root.rglob("*")
                        if path.is_file() and path.name != "index"})
    assert digests[0] == digests[1]


def test_the_same_seed_writes_the_same_rows(database: str) -> None:
    digests = []
    for _ in range(2):
        with psycopg.connect(database) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        write_database(database, plan_sample(1_000_000, seed=7, now=NOW))
        digests.append(_rows({"NIGHTSCAN_DATABASE_URI": database}, """
            SELECT (SELECT sum(hash_record_extended(t, 0)) FROM prediction t),
                   (SELECT sum(hash_record_extended(t, 0)) FROM detection t),
                   (SELECT sum(hashtextextended(t::text, 0)) FROM "user" t)"""))
    assert digests[0] == digests[1]


def test_a_world_is_filled_once(filled_world: World) -> None:
    again = World.open(filled_world.folder).fill(SIZE_BYTES, now=NOW)
    assert again.state.sample == filled_world.state.sample
    with pytest.raises(WorldError, match=f"holds a sample of {SIZE_BYTES} bytes"):
        filled_world.fill(2 * SIZE_BYTES, now=NOW)


def test_damage_loses_the_database_redis_and_files(sampled_environ: Environ, database: str,
                                                   postgres_server: World) -> None:
    target = Target.of(sampled_environ)
    with psycopg.connect(database):  # somebody is still connected
        damage.drop_database(postgres_server.superuser_dsn(), database.rpartition("/")[2])
    damage.flush_redis(target.redis_url)
    damage.remove_files(target.root)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(database)
    with _client(sampled_environ, 1) as client:
        assert client.dbsize() == 0
        assert client.function_list() == []
    assert not [name for name in ("uploads", "models", "config", "logs")
                if (target.root / name).exists()]
