"""Workers whose messages are signed, each with a key, a broker user and a trust of its own.

One site serves the whole module: a broker with the users of `docs/privileges/redis/broker.acl`, a small
NightScan, and what each role knows: its key, its password, and whose messages it takes.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from psycopg import sql

from nightscan_tasks.settings import load
from nightscan_tasks.system import System
from nightscan_tasks.world import sample
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.sample import Target
from nightscan_tasks.world.service import embedded
from nightscan_tasks.world.world import World
from tests.hands import Hand, environ_in, started, wait_until, worker

ACL = Path(__file__).resolve().parents[2] / "docs" / "privileges" / "redis" / "broker.acl"
ROLES = {"operator": "operator.alice", "beat": "beat", "fast": "fast", "heavy": "heavy",
         "control": "control", "restore": "restore", "flower": "flower"}
WORKERS = ("fast", "heavy", "control", "restore")
_TRUSTED_BY_RESTORE = ("operator.alice", "beat", "restore")
_SMALL_BYTES = 300_000
_SHORT = {"NIGHTSCAN_LEASE_SECONDS": "4", "NIGHTSCAN_RETRY_SECONDS": "1", "NIGHTSCAN_RETRIES": "0",
          "NIGHTSCAN_DEADLINE_SECONDS": "60", "NIGHTSCAN_VISIBILITY_SECONDS": "90"}


def make_pair(folder: Path, name: str, *, days: int = 400) -> None:
    """A key and its certificate, as the openssl lines of docs/SECURITY.md make them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "nightscan"),
                         x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - timedelta(days=400)).not_valid_after(now + timedelta(days=days))
                   .sign(key, hashes.SHA256()))
    path = folder / f"{name}.key"
    path.touch()
    path.chmod(0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()))
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@dataclass
class Broker:
    """A Redis with the users of an ACL file; `default` may everything, for the test's own use."""

    folder: Path
    acl: str
    passwords: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.passwords = {name: secrets.token_hex(8)
                          for name in [*re.findall(r"^user (\w+)", self.acl, re.MULTILINE), "default"]}
        text = re.sub(r"#SHA256-OF-(\w+)", lambda found: f">{self.passwords[found[1]]}", self.acl)
        users = "\n".join(line for line in text.splitlines()
                          if line.startswith("user ") and not line.startswith("user default"))
        everything = f"user default on >{self.passwords['default']} ~* &* +@all"
        (self.folder / "users.acl").write_text(f"{users}\n{everything}\n")
        log = (self.folder / "redis.log").open("wb")
        self.process = subprocess.Popen(
            [str(embedded("valkey-server", "redis-server").path), "--port", str(self.port), "--bind",
             "127.0.0.1", "--dir", str(self.folder), "--aclfile", str(self.folder / "users.acl"),
             "--appendonly", "no", "--save", ""], stdout=log, stderr=log, start_new_session=True)
        log.close()
        with self.client() as client:
            wait_until(lambda: _pings(client), "the broker to answer")

    def url(self, user: str, database: int = 0) -> str:
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/{database}"

    def client(self, user: str = "default", database: int = 0) -> Any:
        return redis.Redis.from_url(self.url(user, database))

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def _pings(client: Any) -> bool:
    with suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


@dataclass
class Site:
    """All of it, and how each role sees it."""

    folder: Path
    broker: Broker
    keys: Path
    environ: dict[str, str]
    running: dict[str, Hand] = field(default_factory=dict)

    def of(self, role: str, *, trusted: str = "trusted", key: str = "", user: str = "") -> dict[str, str]:
        """The environment of a role; or of one that has the broker password of another."""
        name = key or ROLES[role]
        folder = "trusted-restore" if role == "restore" else trusted
        return {**self.environ, "NIGHTSCAN_BROKER_URL": self.broker.url(user or role),
                "NIGHTSCAN_RESULT_BACKEND": self.broker.url(user or role, 1),
                "NIGHTSCAN_MESSAGE_KEY": str(self.keys / f"{name}.key"),
                "NIGHTSCAN_MESSAGE_CERTIFICATE": str(self.keys / f"{name}.pem"),
                "NIGHTSCAN_MESSAGE_CERTIFICATES": str(self.keys / folder)}

    def unsigned(self, user: str = "default") -> dict[str, str]:
        """The environment of somebody who reaches the broker and has no key."""
        return {**self.environ, "NIGHTSCAN_BROKER_URL": self.broker.url(user),
                "NIGHTSCAN_RESULT_BACKEND": self.broker.url(user, 1)}

    def start(self, name: str, environ: Mapping[str, str], *words: str) -> Hand:
        self.running[name] = hand = started(self.folder, name, environ, *words)
        return hand

    def hire(self, role: str) -> Hand:
        """Start the worker of a queue, as its systemd unit does; its log tells of each task too."""
        self.running[role] = hand = worker(self.folder, role, self.of(role), [role], loglevel="DEBUG")
        return hand

    def said(self, name: str) -> str:
        return self.running[name].said()

    def end(self, name: str) -> None:
        self.running[name].end()

    def ran(self, environ: Mapping[str, str], *words: str, status: int | None = 0) -> str:
        """Run Python to its end; what it wrote to standard output."""
        done = subprocess.run([sys.executable, *words], env=environ_in(self.folder, environ), cwd=self.folder,
                              capture_output=True, text=True, check=False, timeout=120)
        assert status is None or done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr if status else done.stdout

    def send(self, environ: Mapping[str, str], task: str, **kwargs: Any) -> str:
        """Send a task as whoever has this environment would, with our own application; its id."""
        return self.ran(environ, "-c", "import json, sys; from worker import app; "
                        "print(app.send_task(sys.argv[1], kwargs=json.loads(sys.argv[2])).id)",
                        task, json.dumps(kwargs)).strip()

    @property
    def system(self) -> System:
        return System(load(self.of("operator")))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key for each role, one for a stranger, and the folders of whom each takes messages from."""
    folder = tmp_path_factory.mktemp("keys")
    for name in (*ROLES.values(), "stranger"):
        make_pair(folder, name)
    for trusted, names in (("trusted", ROLES.values()), ("trusted-restore", _TRUSTED_BY_RESTORE)):
        (folder / trusted).mkdir()
        for name in names:
            (folder / trusted / f"{name}.pem").write_bytes((folder / f"{name}.pem").read_bytes())
    return folder


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with a user for each role."""
    broker = Broker(tmp_path_factory.mktemp("broker"), ACL.read_text())
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


@pytest.fixture(scope="module")
def site(servers: Callable[..., World], keys: Path, broker: Broker,
         tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A small NightScan, with nobody at work yet."""
    world = servers("postgres", "redis", "gpg")
    folder = tmp_path_factory.mktemp("site")
    name = f"signed_{secrets.token_hex(4)}"
    trees = Trees(folder)
    trees.create()
    (folder / "scratch").mkdir()
    given = world.environ()
    with redis.Redis.from_url(given["REDIS_URL"]) as server:
        server.flushall()
    environ = {key: value for key, value in given.items()
               if not key.startswith(("AWS_", "NIGHTSCAN_BROKER", "NIGHTSCAN_RESULT"))} | {
        "NIGHTSCAN_ROOT": str(trees.root), "NIGHTSCAN_ETC": str(trees.etc),
        "NIGHTSCAN_BACKUP_DIR": str(trees.backups), "NIGHTSCAN_TEMP_DIR": str(folder / "scratch"),
        "NIGHTSCAN_DATABASE_URI": world.dsn(name), **_SHORT}
    with psycopg.connect(world.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER nightscan").format(sql.Identifier(name)))
        sample.fill(Target.of(environ), _SMALL_BYTES, now=datetime.now(UTC))
        site = Site(folder, broker, keys, environ)
        try:
            yield site
        finally:
            for hand in site.running.values():
                hand.end()
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def crew(site: Site) -> Site:
    """The same with a worker for each queue, each as itself."""
    for hand in [site.hire(role) for role in WORKERS]:
        hand.ready()
    return site


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """`until(seen, "what for")`: wait for a condition."""
    return wait_until


@pytest.fixture(scope="session")
def pair() -> Callable[..., None]:
    """`pair(folder, "beat", days=30)`: make a key and its certificate there."""
    return make_pair
