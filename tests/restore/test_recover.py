"""Everything from nothing: a machine that has this program, the private key and the bucket's name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from nightscan_tasks.components.redis_scratch_target import scratch_target
from nightscan_tasks.model import Tier

pytestmark = pytest.mark.long

STAGES = ["find", "fetch", "database", "redis", "user_data", "system_config", "source_code", "services",
          "health"]
_DEAD = "redis://127.0.0.1:1/0"


@pytest.fixture
def bare(site: Any, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A new machine's settings: empty servers, no folder of the application's, no broker, no records."""
    database = urlsplit(site.environ["NIGHTSCAN_DATABASE_URI"])
    new = tmp_path / "new"
    (new / "temp").mkdir(parents=True)
    (new / "etc").mkdir()
    with scratch_target("valkey 9.1.0", temp_dir=tmp_path) as server:
        yield {
            "NIGHTSCAN_DATABASE_URI": database._replace(path=f"{database.path}_new").geturl(),
            "REDIS_URL": server.url.get_secret_value(), "NIGHTSCAN_BROKER_URL": _DEAD,
            "NIGHTSCAN_ROOT": str(new / "opt/nightscan"), "NIGHTSCAN_ETC": str(new / "etc"),
            "NIGHTSCAN_BACKUP_DIR": str(new / "opt/nightscan/backups"),
            "NIGHTSCAN_TEMP_DIR": str(new / "temp"),
            "NIGHTSCAN_GPG_HOME": site.environ["NIGHTSCAN_GPG_HOME"],
            **{name: value for name, value in site.environ.items()
               if name.startswith("AWS_") and name != "AWS_BACKUP_BUCKET"}}
    site.sql(f'DROP DATABASE IF EXISTS "{database.path[1:]}_new" WITH (FORCE)')


def recover(bare: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "AWS_CONFIG_FILE",
                                                "AWS_SHARED_CREDENTIALS_FILE")}
    return subprocess.run([sys.executable, "-m", "nightscan_tasks.cli", "recover", *words], check=False,
                          capture_output=True, text=True, env={**kept, **bare, "COLUMNS": "100"})


def test_from_nothing_but_the_buckets_name_everything_comes_back(site: Any, bare: dict[str, str]) -> None:
    site.save(tier=Tier.WEEKLY)
    site.sql("INSERT INTO prediction (filename) VALUES ('2026/3.wav')")
    daily = site.save("database", "redis", "user_data", tier=Tier.DAILY)
    done = recover(bare, "--from", f"s3://{site.environ['AWS_BACKUP_BUCKET']}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(daily) in done.stdout
    for stage in STAGES:
        assert any(line.split()[:1] == [stage] for line in done.stdout.splitlines()), stage
    with psycopg.connect(bare["NIGHTSCAN_DATABASE_URI"]) as connection:
        assert connection.execute("SELECT count(*) FROM prediction").fetchone() == (21,)
    with redis.Redis.from_url(bare["REDIS_URL"]) as client:
        assert client.get("species") == b"owl"
    root = Path(bare["NIGHTSCAN_ROOT"])
    assert (root / "uploads/2026/3.wav").read_bytes().startswith(b"sound 3")
    assert (root / "web/app.py").read_text() == "print('night')\n"
    assert Path(bare["NIGHTSCAN_ETC"], "crontab").read_text() == "# nothing\n"
    assert (Path(bare["NIGHTSCAN_BACKUP_DIR"]) / str(daily) / "manifest.json").exists()


def test_it_may_be_repeated_and_says_how_long_each_stage_took(site: Any, bare: dict[str, str]) -> None:
    site.save()
    for _ in range(2):
        done = recover(bare, "--from", f"s3://{site.environ['AWS_BACKUP_BUCKET']}/nightscan", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [stage["name"] for stage in found["stages"]] == STAGES
    assert all(stage["elapsed_seconds"] >= 0 and not stage["problem"] for stage in found["stages"])


def test_where_there_is_no_set_it_says_what_to_give(site: Any, bare: dict[str, str]) -> None:
    done = recover(bare, "--from", f"s3://{site.environ['AWS_BACKUP_BUCKET']}")
    assert done.returncode == 1
    assert "the folder that holds the tiers" in " ".join(done.stderr.split())


def test_without_the_private_key_nothing_is_made(site: Any, bare: dict[str, str], tmp_path: Path) -> None:
    site.save()
    (tmp_path / "ring").mkdir(mode=0o700)
    done = recover(bare | {"NIGHTSCAN_GPG_HOME": str(tmp_path / "ring")},
                   "--from", f"s3://{site.environ['AWS_BACKUP_BUCKET']}")
    assert done.returncode == 1
    assert "private key" in done.stderr
    assert not (Path(bare["NIGHTSCAN_ROOT"]) / "uploads").exists()
