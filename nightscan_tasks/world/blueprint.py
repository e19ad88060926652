"""What a world is made of, by name, and what a client needs to know of each part."""

from __future__ import annotations

from pathlib import Path

from nightscan_tasks.world import environment
from nightscan_tasks.world.celery_services import FLOWER_USER, QUEUES, Beat, Flower, Worker
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.keyring import RECIPIENT, SIGNER, KeyRing
from nightscan_tasks.world.postgres import Postgres
from nightscan_tasks.world.redis_server import RedisServer
from nightscan_tasks.world.s3 import BUCKET, REGION, S3Server
from nightscan_tasks.world.service import Service
from nightscan_tasks.world.state import State

SERVERS = ("s3", "redis", "broker", "postgres")
TREES = ("gpg", "files")
CELERY = (*QUEUES, "beat", "flower")
_HEAVY_CONCURRENCY = 2


def service_of(folder: Path, state: State, name: str) -> Service:
    """The service of that name; all of its files are in a folder of its own."""
    secret = state.secrets
    match name:
        case "postgres":
            return postgres(folder, state)
        case "redis" | "broker":
            return redis_server(folder, state, name)
        case "s3":
            return s3(folder, state)
        case "beat":
            return Beat(folder / "celery/beat")
        case "flower":
            return Flower(folder / "celery/flower", secret["flower"])
        case _:
            concurrency = _HEAVY_CONCURRENCY if name.endswith("heavy") else 1
            return Worker(folder / "celery" / name.rpartition(".")[2], name, concurrency)


def postgres(folder: Path, state: State) -> Postgres:
    """The database server."""
    return Postgres(folder / "postgres", state.secrets["superuser"], state.secrets["role"])


def redis_server(folder: Path, state: State, name: str) -> RedisServer:
    """The application's Redis, or the broker's."""
    return RedisServer(name, folder / name, state.secrets[name], broker=name == "broker")


def s3(folder: Path, state: State) -> S3Server:
    """The S3 server."""
    return S3Server(folder / "s3", state.secrets["s3_access"], state.secrets["s3_secret"])


def tree(folder: Path, name: str) -> KeyRing | Trees:
    """What is a folder, not a server: the key ring, or the application."""
    return KeyRing(folder / "gpg") if name == "gpg" else Trees(folder)


def environ(folder: Path, state: State) -> dict[str, str]:
    """Everything a client or worker needs of the services that were ever started here."""
    ports = {name: record.ports for name, record in state.records.items()}
    found = {"NIGHTSCAN_TEMP_DIR": str(folder / "tmp"), "NIGHTSCAN_RUNTIME_DIR": str(folder / "run"),
             **environment.nobodys(folder / "home")}
    if "postgres" in ports:
        found["NIGHTSCAN_DATABASE_URI"] = postgres(folder, state).dsn(ports["postgres"])
    if "redis" in ports:
        found["REDIS_URL"] = redis_server(folder, state, "redis").url(ports["redis"])
    if "broker" in ports:
        broker = redis_server(folder, state, "broker")
        found["NIGHTSCAN_BROKER_URL"] = broker.url(ports["broker"], 0)
        found["NIGHTSCAN_RESULT_BACKEND"] = broker.url(ports["broker"], 1)
    if "s3" in ports:
        found |= {"AWS_BACKUP_BUCKET": BUCKET, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
                  "AWS_ENDPOINT_URL": s3(folder, state).url(ports["s3"]),
                  "AWS_ACCESS_KEY_ID": state.secrets["s3_access"],
                  "AWS_SECRET_ACCESS_KEY": state.secrets["s3_secret"],
                  "NIGHTSCAN_S3_STORAGE_CLASS": "STANDARD_IA"}
    if "gpg" in state.trees:
        found |= {"NIGHTSCAN_GPG_RECIPIENT": RECIPIENT, "NIGHTSCAN_GPG_HOME": str(folder / "gpg"),
                  "NIGHTSCAN_SIGNING_KEY": SIGNER}
    if "files" in state.trees:
        trees = Trees(folder)
        found |= {"NIGHTSCAN_ROOT": str(trees.root), "NIGHTSCAN_ETC": str(trees.etc),
                  "NIGHTSCAN_BACKUP_DIR": str(trees.backups)}
    if "flower" in ports:
        flower = Flower(folder, state.secrets["flower"])
        found |= {"FLOWER_URL": flower.url(ports["flower"]),
                  "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{flower.password}"}
    return {**found, **state.settings}
