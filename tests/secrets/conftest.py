"""A small NightScan full of secrets, with real workers, beat, Flower and a Sentry, and all that they say."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from nightscan_tasks import programs
from nightscan_tasks.codec.keys import end_agent
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.world import World
from tests.hands import wait_until
from tests.secrets.evidence import Evidence, Needles
from tests.secrets.place import UNTIL_SECONDS, Place
from tests.secrets.watching import collect, listening, sampling, sentry

_AWS = "[default]\naws_access_key_id={}\naws_secret_access_key={}\n"
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

_wait = partial(wait_until, seconds=UNTIL_SECONDS)


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
    with (sentry(evidence) as port, _roles(place), _passwords(place), _key(place),
          listening(place), sampling(evidence)):
        _settle_in(place, port)
        try:
            _go_well(place)
            _go_wrong(place)
            _wait(lambda: "FAILED" in evidence.places["cli"] and "sentry" in evidence.places,
                       "Sentry to hear of it")
        finally:
            place.close()
    collect(place)
    return evidence


def _settle_in(place: Place, sentry_port: int) -> None:
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
        "SENTRY_DSN": f"http://{needles.core['sentry']}:{needles.core['sentrysecret']}@127.0.0.1:{sentry_port}/1",
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
        _wait(partial(_ready, log), f"{log.name} to be ready")


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
        _wait(lambda: _dumping(place), "pg_dump to wait")
        nodes = ("-d", "fast@secret,rest@secret", "-t", "10")
        asked = [("inspect", what, *nodes) for what in ("active", "reserved", "conf", "stats")]
        with ThreadPoolExecutor(2) as pool:
            evidence.add("inspect", *pool.map(lambda words: place.celery(*words), [*asked, ("report",)]))
        _wait(lambda: "fast@secret" in _told(place, "/api/workers?refresh=1"), "Flower to see a worker")
        _wait(lambda: "dump_database" in _told(place, "/api/tasks"), "Flower to see a task")
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
