"""A small NightScan with real servers, and sets of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from nightscan_tasks import backup
from nightscan_tasks.backup import Request
from nightscan_tasks.ledger import Ending
from nightscan_tasks.model import COMPONENTS, FOREVER, Plan, SetId, Tier
from nightscan_tasks.settings import load
from nightscan_tasks.system import System


class Site:
    """An application with a little of everything, its settings, and short ways to change it."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.environ = environ
        self.system = System(load(environ))
        self.root = Path(environ["NIGHTSCAN_ROOT"])

    def fill(self) -> None:
        self.sql("CREATE TABLE prediction (id serial PRIMARY KEY, filename text NOT NULL)",
                 "CREATE TABLE detection (id serial PRIMARY KEY, image_url text, "
                 "prediction_id int REFERENCES prediction (id))")
        for number in range(20):
            name = f"2026/{number}.wav"
            self.write(f"uploads/{name}", f"sound {number}".encode() * 50)
            self.sql(f"INSERT INTO prediction (filename) VALUES ('{name}')")  # noqa: S608 - ours
        self.write("models/birds.pt", b"weights" * 100)
        self.write("config/production.yaml", b"workers: 4\n")
        self.write("logs/nightscan.log", b"started\n")
        self.write("web/app.py", b"print('night')\n")
        (Path(self.environ["NIGHTSCAN_ETC"]) / "crontab").write_text("# nothing\n")
        with self.redis() as client:
            client.set("species", "owl")
            client.set("session", "1", ex=100_000)
        with self.redis(1) as client:
            client.set("other", "database")

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def sql(self, *statements: str) -> None:
        with psycopg.connect(self.environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.environ["NIGHTSCAN_DATABASE_URI"], autocommit=True) as connection:
            return list(connection.execute(query.encode()).fetchall())

    def redis(self, database: int = 0) -> redis.Redis:
        url = urlsplit(self.environ["REDIS_URL"])._replace(path=f"/{database}")
        return redis.Redis.from_url(url.geturl())

    def save(self, *components: str, tier: Tier = Tier.MANUAL) -> SetId:
        outcome = backup.run_local(self.system, Request(Plan(tier, components or COMPONENTS, FOREVER)))
        assert outcome.ending is Ending.GOOD, outcome.failures
        return outcome.set_id

    def with_settings(self, **more: str) -> System:
        return System(load({**self.environ, **more}))

    def change(self) -> None:
        """Make every component differ from what was saved."""
        self.sql("DELETE FROM detection", "DELETE FROM prediction WHERE id > 5")
        with self.redis() as client:
            client.set("species", "fox")
        self.write("uploads/2026/3.wav", b"spoilt")
        (self.root / "models/birds.pt").unlink()

    def state(self) -> dict[str, str]:
        """Which state each component is in: `saved`, `changed`, or what else it is."""
        count = self.rows("SELECT count(*) FROM prediction")[0][0]
        with self.redis() as client:
            species = client.get("species")
        sound, model = self.root / "uploads/2026/3.wav", self.root / "models/birds.pt"
        files = {(True, True): "saved", (False, False): "changed"}.get(
            (sound.read_bytes() != b"spoilt", model.exists()), "mixed")
        return {"database": {20: "saved", 5: "changed"}.get(int(str(count)), str(count)),
                "redis": {b"owl": "saved", b"fox": "changed"}.get(species, repr(species)),
                "user_data": files}


SAVED = dict.fromkeys(("database", "redis", "user_data"), "saved")
CHANGED = dict.fromkeys(("database", "redis", "user_data"), "changed")


@pytest.fixture
def site(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Site:
    """An application with a little of everything."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    made = Site(environ)
    made.fill()
    return made


@pytest.fixture
def saved(site: Site) -> Site:
    """The same, saved whole in both stores, and changed since."""
    site.save()
    site.change()
    return site


@pytest.fixture
def states() -> tuple[dict[str, str], dict[str, str]]:
    """What `Site.state` says of the saved and of the changed state."""
    return SAVED, CHANGED


@pytest.fixture
def killed() -> Callable[..., str]:
    """Restore in a process that ends itself by SIGKILL at a step; the run's id.

    `killed(site, "swapped database")`.
    """

    def run(site: Site, step: str, *, safety: bool = False, what: str = "full") -> str:
        done = subprocess.run([sys.executable, "-c", _KILLED, step, what, str(int(safety))], check=False,
                              env={**os.environ, **site.environ}, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        return site.system.restores.run_ids()[-1]

    return run


_KILLED = """
import os, signal, sys
from nightscan_tasks.restore import restore
from nightscan_tasks.system import System
from nightscan_tasks.workflows.restore import wanted

def step(done):
    if done == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

restore(System.from_env(), wanted(sys.argv[2], safety=sys.argv[3] == "1"), step=step)
"""
