"""A world as a whole: up, status, down. Everything is below one folder, and nothing else is touched."""

from __future__ import annotations

import dataclasses
import fcntl
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from nightscan_tasks import programs
from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import blueprint, damage, environment, sample
from nightscan_tasks.world.blueprint import CELERY, SERVERS, TREES
from nightscan_tasks.world.builder import Builder, Told, stop_all
from nightscan_tasks.world.files import Trees
from nightscan_tasks.world.keyring import KeyRing
from nightscan_tasks.world.postgres import DATABASE
from nightscan_tasks.world.service import Record
from nightscan_tasks.world.state import STATE_NAME, Filled, State

_LOCK_NAME = "world.lock"
_LOCK_SECONDS = 5
_OWN_NAMES = (*SERVERS, *TREES, "celery", "opt", "etc", "backups", "home", "run", "tmp",
              environment.ENV_NAME, f"{environment.ENV_NAME}.new", _LOCK_NAME,
              f"{STATE_NAME}.new", STATE_NAME)  # the state goes last


@dataclass(frozen=True)
class Status:
    """How one service of a world is. `port` is the one that clients use; `since` is None when down."""

    name: str
    up: bool
    pid: int | None
    port: int | None
    since: datetime | None
    version: str
    origin: str


@dataclass(frozen=True)
class World:
    """A world that is up: where its parts are, and what its clients need."""

    folder: Path
    state: State

    @classmethod
    def up(cls, folder: Path, *, services: Collection[str] = (*SERVERS, *TREES),
           celery: bool | Collection[str] = True, settings: Mapping[str, str] | None = None,
           now: datetime | None = None, told: Told = lambda _line: None) -> World:
        """Start what does not run yet, and return when all of it answers.

        `services` are names of SERVERS and TREES; `celery` is all of CELERY, or some of its names,
        or none. `settings` are further settings for clients and workers. `told` gets a line for
        each step. When anything fails, all that was started here is stopped again, and
        `WorldError` names the service, with the end of its output.
        """
        folder = folder.absolute()
        chosen = CELERY if celery is True else tuple(celery or ())
        _check_names((*services, *chosen))
        made = _enter(folder)
        with _locked(folder):
            state = State.load(folder) or State.new(now=now or datetime.now(UTC), made_folder=made)
            builder = Builder(folder, state, told)
            try:
                builder.build(services, chosen, settings or {})
            except BaseException:
                builder.abandon()
                raise
            return cls(folder, builder.state)

    @staticmethod
    def down(folder: Path, *, purge: bool = False, told: Told = lambda _line: None) -> None:
        """Stop all of a world, whoever started it and however that ended. Again is no error.

        The data stays, for another `up`, unless `purge`. A folder that holds no world is refused.
        """
        folder = folder.absolute()
        if not folder.exists() or not any(folder.iterdir()):
            return
        _refuse_foreign(folder)
        with _locked(folder):
            state = State.load(folder)
            if state is not None:
                stop_all(state.records.values(), told)
                if "gpg" in state.trees:
                    KeyRing(folder / "gpg").close()
            if purge:
                _purge(folder)
        if purge and state is not None and state.made_folder and not any(folder.iterdir()):
            folder.rmdir()

    @classmethod
    def open(cls, folder: Path) -> World:
        """The world in `folder`, up or down; `WorldError` if there is none."""
        state = State.load(folder)
        if state is None:
            raise WorldError(f"there is no world in {folder}: `nightscan world up --dir {folder}`")
        return cls(folder.absolute(), state)

    def status(self) -> tuple[Status, ...]:
        """Every service, by name, in the order in which they were started."""
        return (*(_status(record) for record in self.state.records.values()),
                *(_tree_status(self.folder, name) for name in self.state.trees))

    def environ(self) -> dict[str, str]:
        """What a client or worker needs; the same as `DIR/env`."""
        return blueprint.environ(self.folder, self.state)

    def processes_environ(self) -> dict[str, str]:
        """The whole environment of a process of this world's, as the workers have it."""
        return {**environment.of_processes(self.folder), **self.environ()}

    def dsn(self, database: str = "nightscan") -> str:
        """A database as the application's role reaches it."""
        return blueprint.postgres(self.folder, self.state).dsn(self._ports("postgres"), database)

    def superuser_dsn(self, database: str = "postgres") -> str:
        """A database as the superuser reaches it."""
        return blueprint.postgres(self.folder, self.state).superuser_dsn(self._ports("postgres"), database)

    def s3_client(self) -> Any:
        """boto3's client for the bucket; close it after use."""
        return blueprint.s3(self.folder, self.state).client(self._ports("s3"))

    def fill(self, sample_bytes: int, *, now: datetime, seed: int = 1) -> World:
        """Fill it with a sample of about that size, unless it was filled with just that before.

        A world that holds another sample is refused: nothing of it is overwritten.
        """
        with _locked(self.folder):
            before = self.state.sample
            if before == Filled(sample_bytes, seed, whole=True):
                return self
            if before is not None:
                raise WorldError(
                    f"{self.folder} holds a sample of {before.sample_bytes} bytes"
                    f"{'' if before.whole else ' that was not finished'}; for another one: "
                    f"`nightscan world down --dir {self.folder} --purge`")
            self._holding(Filled(sample_bytes, seed, whole=False))
            sample.fill(sample.Target.of(self.environ()), sample_bytes, now=now, seed=seed)
            return self._holding(Filled(sample_bytes, seed, whole=True))

    def _holding(self, filled: Filled) -> World:
        state = dataclasses.replace(self.state, sample=filled)
        state.save(self.folder)
        return World(self.folder, state)

    def stop(self, *names: str) -> None:
        """Stop some services; `up` with the same names starts them again, on the same data."""
        with _locked(self.folder):
            stop_all([self.state.records[name] for name in names], lambda _line: None)

    def destroy(self) -> None:
        """Lose everything that a backup is for: database, Redis, uploads, models, config, logs."""
        damage.drop_database(self.superuser_dsn(), DATABASE)
        damage.flush_redis(self.environ()["REDIS_URL"])
        damage.remove_files(self.trees.root)

    @property
    def trees(self) -> Trees:
        """The application's folders."""
        return Trees(self.folder)

    def _ports(self, name: str) -> Mapping[str, int]:
        return self.state.records[name].ports


def _status(record: Record) -> Status:
    process = record.process if record.up else None
    return Status(record.name, up=process is not None, pid=process.pid if process else None,
                  port=next(iter(record.ports.values()), None),
                  since=process.started_at() if process else None,
                  version=record.version, origin=record.origin)


def _tree_status(folder: Path, name: str) -> Status:
    if name == "gpg":
        ring, tool = KeyRing(folder / "gpg"), programs.find("gpg")
        return Status(name, up=bool(ring.fingerprint()), pid=ring.agent(), port=None, since=None,
                      version=".".join(map(str, tool.version)), origin=tool.origin)
    return Status(name, up=Trees(folder).root.is_dir(), pid=None, port=None, since=None,
                  version="", origin="")


def _check_names(names: Collection[str]) -> None:
    known = (*SERVERS, *TREES, *CELERY)
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise WorldError(f"there is no service {', '.join(unknown)}; there are {', '.join(known)}")


def _enter(folder: Path) -> bool:
    """Make the folder, or take an empty one or a world's; whether it was made here."""
    made = not folder.exists()
    # Others may pass through it (PostgreSQL, as a user of its own), but not look around.
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    _refuse_foreign(folder)
    return made


def _refuse_foreign(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    if STATE_NAME not in names and names - {_LOCK_NAME}:
        raise WorldError(f"{folder} holds {len(names)} things and no {STATE_NAME}: it is not a "
                         f"world's; nothing was touched; give a new or an empty folder")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One command at a time. A command that was killed holds nothing, once its last child has become
    the program that it was started for: until then the child has what its parent had open.
    """
    with (folder / _LOCK_NAME).open("w") as lock:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise WorldError(f"another `nightscan world` is at work on {folder}: wait for it, or "
                                 f"end it")
            time.sleep(0.05)
        yield


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _purge(folder: Path) -> None:
    for name in _OWN_NAMES:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
