"""A small NightScan full of secrets, with real workers, beat, Flower and a Sentry, and all that they say."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from nightscan_tasks import programs
from nightscan_tasks.codec.keys import end_agent
from nightscan_tasks.world import environment
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.world import World

_UNTIL_SECONDS = 180
_AWS = "[default]\naws_access_key_id={}\naws_secret_access_key={}\n"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
# The words of commands come on standard input, so that they are on no argument list.
_CLI = "import json, sys\nfrom nightscan_tasks.cli import nightscan\nnightscan(json.load(sys.stdin))"
_MANY = """
import json, os, sys, traceback
from nightscan_tasks.cli import nightscan

for words, more in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(more)
    print("$", *words[:3], flush=True)
    try:
        nightscan(["--debug", *words], standalone_mode=False)
    except BaseException:
        traceback.print_exc()
    os.environ.clear()
    os.environ.update(before)
"""
# Loaded by every Python of this world: which programs it starts, with which arguments and environment.
_SITE = """
import json, os, sys

def _told(event, args):
    if event == "subprocess.Popen":
        program, argv, _, env = args
        given = dict(os.environ if env is None else env)
        text = {os.fsdecode(name): os.fsdecode(value) for name, value in given.items()}
        line = json.dumps({"argv": [os.fsdecode(word) for word in argv], "env": text}) + chr(10)
        fd = os.open(os.environ["PROGRAMS_TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line.encode(errors="replace"))
        os.close(fd)

if os.environ.get("PROGRAMS_TOLD"):
    sys.addaudithook(_told)
"""


class Needles:
    """The secrets by name: each has odd characters around a core that nothing else has."""

    def __init__(self, *names: str) -> None:
        self.core = {name: f"{name.capitalize()}Core{secrets.token_hex(6)}" for name in names}

    def value(self, name: str) -> str:
        return f"a@b/c#{self.core[name]}:%20?d"

    def plant(self, name: str, value: str) -> None:
        """One that somebody else made up."""
        self.core[name] = value

    def found(self, text: str) -> set[str]:
        """Which are in a text, as they are or under what messages put around them."""
        return {name for layer in _layers(text) for name, core in self.core.items() if core in layer}


def _layers(text: str, depth: int = 3) -> Iterator[str]:
    """A text; what is in it as base64, as JSON within JSON, and as a URL."""
    yield text
    if not depth:
        return
    for run in set(_BASE64.findall(text)):
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            with suppress(ValueError):
                yield from _layers(decode(run + "=" * (-len(run) % 4)).decode("latin-1"), depth - 1)
    if "%" in text:
        yield unquote(text)


@dataclass
class Evidence:
    """All that was written, printed or sent, by place, and the secrets that must not be in it."""

    needles: Needles
    places: dict[str, str] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    sentry_headers: str = ""

    def add(self, place: str, *texts: str | bytes) -> None:
        for text in texts:
            said = text.decode("latin-1") if isinstance(text, bytes) else text
            self.places[place] = f"{self.places.get(place, '')}\n{said}"


def wait_until(seen: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + _UNTIL_SECONDS
    while not (found := seen()):
        assert time.monotonic() < deadline, f"waited {_UNTIL_SECONDS} s in vain for {what}"
        time.sleep(0.05)
    return found


class Place:
    """One such world while it runs."""

    def __init__(self, folder: Path, world: World, evidence: Evidence) -> None:
        self.folder, self.world, self.evidence = folder, world, evidence
        self.name = f"secret_{secrets.token_hex(4)}"
        self.environ: dict[str, str] = {}
        self.processes: list[subprocess.Popen[bytes]] = []
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.flower_port = found.getsockname()[1]

    def write(self, name: str, content: str) -> str:
        path = self.folder / "secret" / name
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text(content)
        return str(path)

    def processes_environ(self, more: Mapping[str, str]) -> dict[str, str]:
        env = {**environment.of_processes(self.folder), **self.environ, **more}
        return {**env, "PYTHONPATH": f"{self.folder / 'site'}{os.pathsep}{env['PYTHONPATH']}",
                "PROGRAMS_TOLD": str(self.folder / "programs.jsonl"), "COLUMNS": "200"}

    def start(self, log: str, *words: str, **more: str) -> Path:
        """A process of Celery's, whose output is kept."""
        path = self.folder / "logs" / log
        with path.open("wb") as output:
            self.processes.append(subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "worker", *words], env=self.processes_environ(more),
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True))
        return path

    def celery(self, *words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "celery", "-A", "worker", *words], check=False,
                              env=self.processes_environ({}), cwd=self.folder, capture_output=True, text=True)
        return done.stdout + done.stderr

    def typed(self, *words: str, status: int, more: Mapping[str, str] | None = None) -> None:
        """A command in a process of its own."""
        self.ended(self.begun(*words, more=more), status)

    def begun(self, *words: str, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return self._fed(_CLI, list(words), more or {})

    def ended(self, process: subprocess.Popen[str], status: int) -> None:
        out, err = process.communicate(timeout=_UNTIL_SECONDS)
        self.evidence.add("cli", out, err)
        assert process.returncode == status, f"{out}{err}"

    def here(self, *commands: tuple[tuple[str, ...], Mapping[str, str]]) -> str:
        """Commands that need no worker, one after the other in one process, with their tracebacks."""
        out, err = self._fed(_MANY, commands, {}).communicate(timeout=_UNTIL_SECONDS)
        self.evidence.add("cli", out, err)
        return out

    def _fed(self, code: str, given: object, more: Mapping[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder,
                                   env=self.processes_environ(more))
        assert process.stdin
        process.stdin.write(json.dumps(given))
        process.stdin.close()
        process.stdin = None
        return process

    def fetched(self, path: str) -> str:
        """A page of Flower's."""
        password = self.evidence.needles.core["flower"]
        secret = base64.b64encode(f"nightscan:{password}".encode()).decode()
        asked = urllib.request.Request(f"http://127.0.0.1:{self.flower_port}{path}",
                                       headers={"Authorization": f"Basic {secret}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=20) as answer:
            return str(answer.read().decode())

    def close(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def needles() -> Needles:
    return Needles("database", "cache", "broker", "results", "passphrase", "wrongphrase", "slack", "smtp",
                   "apprise", "ping", "sentry", "sentrysecret", "target", "drill", "message", "flower",
                   "decoy")


@pytest.fixture(scope="module")
def evidence(needles: Needles, servers: Callable[..., World],
             tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What was said while backups, restores and a drill went well, and while all of them failed."""
    world = servers("postgres", "redis", "broker", "s3")
    evidence = Evidence(needles)
    place = Place(tmp_path_factory.mktemp("s"), world, evidence)
    with (_sentry(evidence) as sentry, _roles(place), _passwords(place), _key(place),
          _listening(place), _sampling(evidence)):
        _settle_in(place, sentry)
        try:
            _go_well(place)
            _go_wrong(place)
            wait_until(lambda: "FAILED" in evidence.places["cli"] and "sentry" in evidence.places,
                       "Sentry to hear of it")
        finally:
            place.close()
    _collect(place)
    return evidence


def _settle_in(place: Place, sentry: int) -> None:
    """Settings whose every secret is in a file, and the processes of a NightScan."""
    needles, world, given = place.evidence.needles, place.world, place.world.environ()
    trees = Trees(place.folder)
    trees.create()
    for name in ("logs", "site", "tmp", "home"):
        (place.folder / name).mkdir(exist_ok=True)
    (place.folder / "site/sitecustomize.py").write_text(_SITE)
    (trees.root / "uploads/a.wav").write_bytes(b"sound" * 100)
    (trees.etc / "crontab").write_text("# nothing\n")
    needles.plant("s3", given["AWS_SECRET_ACCESS_KEY"])
    broker = urlsplit(given["NIGHTSCAN_BROKER_URL"]).port
    pg, cache = urlsplit(world.dsn()), urlsplit(given["REDIS_URL"])
    files = {
        "NIGHTSCAN_DATABASE_URI": _uri(place.name, needles.value("database"), pg.port, place.name),
        "NIGHTSCAN_DB_PASSWORD": needles.value("database"), "REDIS_PASSWORD": needles.value("cache"),
        "REDIS_URL": f"redis://:{quote(needles.value('cache'), safe='')}@127.0.0.1:{cache.port}/0",
        "NIGHTSCAN_BROKER_URL": f"redis://:{quote(needles.value('broker'), safe='')}@127.0.0.1:{broker}/0",
        "NIGHTSCAN_RESULT_BACKEND":
            f"redis://:{quote(needles.value('results'), safe='')}@127.0.0.1:{broker}/1",
        "NIGHTSCAN_DRILL_DATABASE_URI": _uri(f"{place.name}_drill", needles.value("drill"), pg.port,
                                             f"{place.name}_drill"),
        "SLACK_WEBHOOK_URL": f"https://127.0.0.1:1/services/{needles.core['slack']}",
        "NIGHTSCAN_SMTP_PASSWORD": needles.value("smtp"),
        "NIGHTSCAN_ALERT_URLS": f"json://u:{needles.core['apprise']}@127.0.0.1:1/{needles.core['apprise']} "
                                f"{needles.core['apprise']}://127.0.0.1",
        "NIGHTSCAN_PING_URL": f"http://127.0.0.1:1/{needles.core['ping']}/{{tier}}",
        "SENTRY_DSN": f"http://{needles.core['sentry']}:{needles.core['sentrysecret']}@127.0.0.1:{sentry}/1",
        "NIGHTSCAN_MESSAGE_PASSPHRASE": needles.value("message"),
    }
    aws = _AWS.format(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"])
    server = {name: given[name] for name in given if name in {"AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"}}
    place.environ.update({
        **server, **{f"{name}_FILE": place.write(name, f"{value}\n") for name, value in files.items()},
        "AWS_SHARED_CREDENTIALS_FILE": place.write("aws", aws),
        "AWS_BACKUP_BUCKET": given["AWS_BACKUP_BUCKET"],
        "AWS_MAX_ATTEMPTS": "1", "NIGHTSCAN_PRIMARY": "", "NIGHTSCAN_BACKUP_DIR": str(trees.backups),
        "NIGHTSCAN_ROOT": str(trees.root), "NIGHTSCAN_ETC": str(trees.etc),
        "NIGHTSCAN_TEMP_DIR": str(place.folder / "tmp"), "NIGHTSCAN_RETRIES": "0",
        "NIGHTSCAN_RECONCILE": "held.filename=uploads", "BACKUP_EMAIL": "admin@nightscan.com",
        "NIGHTSCAN_SMTP_USER": "nightscan", "NIGHTSCAN_SMTP_HOST": "127.0.0.1", "NIGHTSCAN_SMTP_PORT": "1",
        "NIGHTSCAN_RETRY_SECONDS": "1", "NIGHTSCAN_LEASE_SECONDS": "30", "NIGHTSCAN_DEADLINE_SECONDS": "300",
        "NIGHTSCAN_VISIBILITY_SECONDS": "310"})
    node = ("--without-gossip", "--without-mingle", "--loglevel", "DEBUG")
    logs = [place.start("fast.log", "worker", "-n", "fast@secret", "-Q", "nightscan.fast", "-c", "1", *node),
            place.start("rest.log", "worker", "-n", "rest@secret", "-c", "2", *node, "-Q",
                        "nightscan.heavy,nightscan.control,nightscan.restore")]
    place.start("beat.log", "beat", "--schedule", str(place.folder / "schedule"), "--pidfile", "",
                "--loglevel", "DEBUG")
    place.start("flower.log", "flower", "--address=127.0.0.1", f"--port={place.flower_port}",
                FLOWER_BASIC_AUTH=f"nightscan:{needles.core['flower']}")
    for log in logs:
        wait_until(partial(_ready, log), f"{log.name} to be ready")


def _ready(log: Path) -> bool:
    return " ready." in log.read_text()


def _uri(role: str, password: str, port: int | None, database: str) -> str:
    return f"postgresql://{role}:{quote(password, safe='')}@127.0.0.1:{port}/{database}"


def _go_well(place: Place) -> None:
    """A backup that is looked at from all sides while it runs, and all that can be done with its set."""
    evidence, decoy = place.evidence, place.evidence.needles.core["decoy"]
    with psycopg.connect(place.world.superuser_dsn(place.name)) as holder:
        holder.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        taking = place.begun("backup", "manual", "--tag", decoy, "--wait")
        wait_until(lambda: _dumping(place), "pg_dump to wait")
        nodes = ("-d", "fast@secret,rest@secret", "-t", "10")
        asked = [("inspect", what, *nodes) for what in ("active", "reserved", "conf", "stats")]
        with ThreadPoolExecutor(2) as pool:
            evidence.add("inspect", *pool.map(lambda words: place.celery(*words), [*asked, ("report",)]))
        wait_until(lambda: "fast@secret" in _told(place, "/api/workers?refresh=1"), "Flower to see a worker")
        wait_until(lambda: "dump_database" in _told(place, "/api/tasks"), "Flower to see a task")
        tasks = json.loads(place.fetched("/api/tasks"))
        evidence.add("flower", *map(place.fetched, (
            "/", "/workers", "/tasks", "/broker", "/metrics", "/worker/fast@secret", "/worker/rest@secret",
            "/api/workers", "/api/queues/length", "/api/task/types", "/api/tasks",
            *(f"/task/{each}" for each in tasks), *(f"/api/task/info/{each}" for each in tasks))))
        holder.rollback()
    place.ended(taking, 0)
    target = _uri(f"{place.name}_target", evidence.needles.value("target"),
                  urlsplit(place.world.dsn()).port, f"{place.name}_target")
    place.typed("drill", "--json", status=0)
    place.typed("restore", "user_data", "--no-safety", status=0)
    said = place.here(
        (("restore", "database", "--target-db", target, "--local"), {}),
        *(((*words.split(), "--json"), {}) for words in (
            "list", "status", "files", "rotate --dry-run", "restore runs", "audit", "audit --check")))
    assert "restored from primary" in said


def _told(place: Place, path: str) -> str:
    with suppress(OSError):
        return place.fetched(path)
    return ""


def _dumping(place: Place) -> bool:
    with psycopg.connect(place.world.superuser_dsn(), autocommit=True) as admin:
        row = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                            "datname = %s", (place.name,)).fetchone()
    return row is not None and row[0] > 0


def _go_wrong(place: Place) -> None:
    """Every server refuses, is down, or is not who it should be: through workers, and here."""
    needles, uri = place.evidence.needles, place.environ["NIGHTSCAN_DATABASE_URI_FILE"]
    local = ("backup", "manual", "--local", "--component")
    secret = Path(uri).read_text()
    down = {"NIGHTSCAN_DATABASE_URI_FILE": place.write("pg-down", re.sub(r":\d+/", ":1/", secret)),
            "REDIS_URL_FILE": place.write("redis-down", f"redis://:{quote(needles.value('cache'))}@127.0.0.1:1")}
    bad_s3 = _AWS.format("nobody", needles.core["s3"])
    place.here(
        ((*local, "database"), down), ((*local, "redis"), down), (("health", "--local"), down),
        ((*local, "system_config"), {"AWS_SHARED_CREDENTIALS_FILE": place.write("aws-bad", bad_s3)}),
        ((*local, "system_config"), {"NIGHTSCAN_GPG_RECIPIENT": "nobody@example.org"}),
        ((*local, "system_config"), {"NIGHTSCAN_DB_PORT": secret}))
    broker = Path(place.environ["NIGHTSCAN_BROKER_URL_FILE"]).read_text()
    for name, url in {"broker-down": re.sub(r":\d+/0", ":1/0", broker),
                      "broker-bad": broker.replace("%3F", "%3F%3F")}.items():
        place.typed("backup", "daily", status=1, more={"NIGHTSCAN_BROKER_URL_FILE": place.write(name, url)})
    with psycopg.connect(place.world.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'another'").format(sql.Identifier(place.name)))
    with redis.Redis.from_url(place.world.environ()["REDIS_URL"]) as cache:
        cache.execute_command("ACL", "SETUSER", "default", f"<{needles.value('cache')}")
    place.typed("backup", "manual", "--component", "database", "--component", "redis", "--wait", status=1)
    place.typed("alert", "test", "--json", status=1)
    said = place.here((("doctor", "--json"), {}), (("health", "--local", "--json"), {}),
                      (("alert", "test", "--local"), {}), (("backup", "daily", "--local"), {}))
    assert said.count("NOT SENT") == 4  # mail, webhook, and two by Apprise
    Path(place.environ["NIGHTSCAN_GPG_PASSPHRASE_FILE"]).write_text(f"{needles.value('wrongphrase')}\n")
    _end_agent(place)
    place.typed("restore", "user_data", "--no-safety", status=1)
    place.here((("restore", "user_data", "--no-safety", "--local"), {}), ((*local, "system_config"), {}))


@contextmanager
def _roles(place: Place) -> Iterator[None]:
    """Roles with passwords of their own, each with a database."""
    names = {place.name: "database", f"{place.name}_target": "target", f"{place.name}_drill": "drill"}
    with psycopg.connect(place.world.superuser_dsn(), autocommit=True) as admin:
        for role, needle in names.items():
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(place.evidence.needles.value(needle))))
            admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(role)))
            if role != place.name:  # what is restored there keeps its owner
                admin.execute(sql.SQL("GRANT {} TO {}").format(*map(sql.Identifier, (place.name, role))))
        with psycopg.connect(place.world.superuser_dsn(place.name), autocommit=True) as inside:
            inside.execute("CREATE TABLE held (filename text)")
            inside.execute(sql.SQL("ALTER TABLE held OWNER TO {}").format(sql.Identifier(place.name)))
        try:
            yield
        finally:
            left = admin.execute("SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) LIKE %s",
                                 (f"{place.name}%",))
            for (database,) in left.fetchall():
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
            for role in names:
                admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@contextmanager
def _passwords(place: Place) -> Iterator[None]:
    """Further passwords of the Redis servers, for this world alone; both begin empty."""
    given, needles = place.world.environ(), place.evidence.needles
    planted = [(given["REDIS_URL"], "cache"), (given["NIGHTSCAN_BROKER_URL"], "broker"),
               (given["NIGHTSCAN_BROKER_URL"], "results")]
    for url, name in planted:
        with redis.Redis.from_url(url) as client:
            client.flushall()
            client.execute_command("ACL", "SETUSER", "default", f">{needles.value(name)}")
    try:
        yield
    finally:
        for url, name in planted:
            with redis.Redis.from_url(url) as client, suppress(redis.ResponseError):
                client.execute_command("ACL", "SETUSER", "default", f"<{needles.value(name)}")


@contextmanager
def _key(place: Place) -> Iterator[None]:
    """A key that signs and encrypts, and needs its passphrase."""
    home = place.folder / "k"
    home.mkdir(mode=0o700)
    phrase = place.write("passphrase", f"{place.evidence.needles.value('passphrase')}\n")
    subprocess.run([programs.find("gpg").path, "--homedir", home, "--batch", "--quiet", "--pinentry-mode",
                    "loopback", "--passphrase-file", phrase, "--quick-generate-key", "secret@example.org",
                    "future-default", "default", "0"], check=True, capture_output=True)
    place.environ |= {"NIGHTSCAN_GPG_HOME": str(home), "NIGHTSCAN_GPG_RECIPIENT": "secret@example.org",
                      "NIGHTSCAN_GPG_PASSPHRASE_FILE": phrase, "NIGHTSCAN_SIGNING_KEY": "secret@example.org",
                      "NIGHTSCAN_SIGNING_PASSPHRASE_FILE": phrase}
    try:
        yield
    finally:
        _end_agent(place)


def _end_agent(place: Place) -> None:
    end_agent(Path(place.environ["NIGHTSCAN_GPG_HOME"]))


@contextmanager
def _listening(place: Place) -> Iterator[None]:
    """Every command that the broker is given."""
    given = urlsplit(place.world.environ()["NIGHTSCAN_BROKER_URL"])
    listener = socket.create_connection((given.hostname or "", given.port or 0))
    listener.sendall(f"AUTH {given.password}\r\nMONITOR\r\n".encode())
    heard: list[bytes] = []
    thread = threading.Thread(target=lambda: heard.extend(listener.makefile("rb")), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with redis.Redis.from_url(given._replace(path="/1").geturl()) as results:
            for key in results.scan_iter(_type="string"):
                place.evidence.add("results", key, results.get(key) or b"")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        place.evidence.add("broker", *map(_unescaped, heard))


def _unescaped(line: bytes) -> str:
    """A line of MONITOR as it was sent: it escapes quotes, and what cannot be printed."""
    said = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), line)
    return re.sub(rb"\\(.)", rb"\1", said).decode("latin-1")


@contextmanager
def _sampling(evidence: Evidence) -> Iterator[None]:
    """Every argument list on this machine, as anybody can read it."""
    ended = threading.Event()
    seen: set[bytes] = set()

    def sample() -> None:
        while not ended.wait(0.1):
            for entry in os.scandir("/proc"):
                if entry.name.isdigit():
                    with suppress(OSError):
                        seen.add(Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" "))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        evidence.add("processes", *seen)


@contextmanager
def _sentry(evidence: Evidence) -> Iterator[int]:
    """What a Sentry server is sent. The DSN's key is in its header by design."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            evidence.sentry_headers += f"{self.headers}\n"
            evidence.add("sentry", self.path, body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_args: object) -> None:
            """Nobody needs to know."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _collect(place: Place) -> None:
    """What is left in files and in the bucket."""
    evidence = place.evidence
    for log in (place.folder / "logs").iterdir():
        evidence.add("logs", log.read_bytes())
    evidence.started += [json.loads(line) for line
                         in (place.folder / "programs.jsonl").read_text().splitlines()]
    evidence.add("programs", *("\0".join(each["argv"]) for each in evidence.started))
    evidence.add("files", *_contents(place.folder, {"secret", "k", "logs", "programs.jsonl", "site"}))
    client = place.world.s3_client()
    bucket = place.environ["AWS_BACKUP_BUCKET"]
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            evidence.add("bucket", entry["Key"], body)
            client.delete_object(Bucket=bucket, Key=entry["Key"])
    client.close()


def _contents(folder: Path, without: set[str]) -> Iterable[bytes]:
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).parts[0] not in without:
            yield os.fsencode(path)
            yield path.read_bytes()
