"""A scratch NightScan: an application of a drill's own, beside the live one and with nothing of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from nightscan_tasks.components.private_folder import private_folder
from nightscan_tasks.errors import RestoreRefused
from nightscan_tasks.model import Manifest
from nightscan_tasks.restore.identity import same_database, same_redis
from nightscan_tasks.system import System
from nightscan_tasks.wording import size

_DATABASE = "nightscan_drill"


@dataclass(frozen=True)
class Scratch:
    """The scratch application as a system of its own, and what to know of its servers.

    `kept` says that one of them is the settings' own, and there when the drill is over.
    """

    system: System
    notes: tuple[str, ...]
    kept: bool


@contextmanager
def scratch(system: System, manifest: Manifest) -> Iterator[Scratch]:
    """Servers of the versions that were saved, where there are some, and empty folders; gone afterwards.

    `RestoreRefused` where a server is missing, or the disk has no room: nothing was started then.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(system.settings.temp_dir, manifest))
        notes: list[str] = []
        given = {"root": folder / "root", "etc": folder / "etc", "backup_dir": folder / "records",
                 "primary_url": "", "offsite_urls": (), "bucket": "", "owner": "",
                 "temp_dir": folder / "temp", "services_stop": "", "services_start": "",
                 "services_check": "", "quarantine_dir": None}
        for name in ("root", "etc", "backup_dir", "temp_dir"):
            Path(str(given[name])).mkdir()
        given |= {"database_uri": _database(stack, system, manifest, notes, folder),
                  "redis_url": _redis(stack, system, manifest, notes, folder)}
        kept = bool(system.settings.drill_database_uri.get_secret_value()
                    or system.settings.drill_redis_url.get_secret_value())
        inside = replace(system, settings=system.settings.model_copy(update=given),
                         auditor=system.audit.of_keys())
        yield Scratch(inside, tuple(notes), kept)


@contextmanager
def _folder(parent: Path, manifest: Manifest) -> Iterator[Path]:
    needed = manifest.plain_bytes
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise RestoreRefused(f"{parent} has {size(free)} free, and a drill with {manifest.set_id} needs "
                             f"{size(needed)}: let NIGHTSCAN_TEMP_DIR name a larger disk")
    with private_folder(parent, "nightscan-drill-") as folder:
        folder.chmod(0o711)  # PostgreSQL runs as a user of its own where we are root
        yield folder


def _database(stack: ExitStack, system: System, manifest: Manifest, notes: list[str],
              folder: Path) -> SecretStr:
    from nightscan_tasks.components.scratch_postgres import scratch_postgres

    given = system.settings.drill_database_uri
    if given.get_secret_value():
        if same_database(given, system.settings.dsn):
            raise RestoreRefused("NIGHTSCAN_DRILL_DATABASE_URI is the application's own database: name "
                                 "another")
        return given
    saved = manifest.components["database"].versions.get("postgresql", "0")
    server = stack.enter_context(scratch_postgres(int(saved.split(".")[0]), temp_dir=folder))
    notes += [server.note] if server.note else []
    return server.uri(_DATABASE)


def _redis(stack: ExitStack, system: System, manifest: Manifest, notes: list[str], folder: Path) -> SecretStr:
    from nightscan_tasks.components.redis_scratch_target import scratch_target

    given = system.settings.drill_redis_url
    if given.get_secret_value():
        if same_redis(given, system.settings.redis):
            raise RestoreRefused("NIGHTSCAN_DRILL_REDIS_URL is the application's own Redis: name another "
                                 "server")
        return given
    saved = manifest.components["redis"].versions.get("redis", "")
    server = stack.enter_context(scratch_target(saved, temp_dir=folder))
    notes += [server.note] if server.note else []
    return server.url
