"""Builds everything from the settings: the one place that knows all parts.

It stands below `backup`, `restore` and `replication`, which take a System, and above the parts it is
made of (docs/adr/0002).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from pydantic import SecretStr

from nightscan_tasks import settings as settings_module
from nightscan_tasks.audit import Audit, Doing, LocalCopy, doing_now
from nightscan_tasks.catalog import Catalog
from nightscan_tasks.codec import Codec, Signer
from nightscan_tasks.components.base import Component
from nightscan_tasks.errors import SettingsError
from nightscan_tasks.lease import Leases
from nightscan_tasks.ledger import Ledger
from nightscan_tasks.ledger.restores import Restores
from nightscan_tasks.model import COMPONENTS
from nightscan_tasks.settings import Settings
from nightscan_tasks.signatures import Signatures
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.build import build_store

PRIMARY = "primary"
_shared_store = lru_cache(maxsize=16)(build_store)  # an S3 client costs 50 ms and 10 MB: one a process


def utc_now() -> datetime:
    """The clock of this machine, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class System:
    """Everything that one process needs, made from one set of settings."""

    settings: Settings
    clock: Callable[[], datetime] = utc_now
    doing: Doing = field(default_factory=doing_now, repr=False, compare=False)
    auditor: Audit | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_env(cls) -> System:
        """The system that the environment describes; `SettingsError` says what is wrong with it."""
        system = cls(settings_module.load())
        refuse_shared_redis(system.settings)
        return system

    @property
    def portable(self) -> bool:
        """Whether its settings, and whom it acts for, are enough to have the same in another process."""
        return self.clock is utc_now and self.auditor is None

    @property
    def host(self) -> str:
        """The name of this machine, as manifests and the ledger record it."""
        return socket.gethostname()

    @property
    def site(self) -> str:
        """What people call this installation."""
        return self.settings.site or f"NightScan on {self.host}"

    @cached_property
    def primary(self) -> Store:
        """The store where sets are made, and where the ledger and the leases live."""
        return _shared_store(PRIMARY, self.settings.primary, self.settings)

    @cached_property
    def offsites(self) -> tuple[Store, ...]:
        """The stores that get a copy: `offsite`, `offsite2`, …."""
        return tuple(_shared_store(name, url, self.settings)
                     for name, url in zip(self.store_names[1:], self.settings.offsites, strict=True))

    @property
    def store_names(self) -> tuple[str, ...]:
        """What the stores are called, which is known before any of them is built."""
        offsites = range(1, len(self.settings.offsites) + 1)
        return (PRIMARY, *(f"offsite{number if number > 1 else ''}" for number in offsites))

    @property
    def stores(self) -> tuple[Store, ...]:
        """All of them, the primary first."""
        return (self.primary, *self.offsites)

    def store(self, name: str) -> Store:
        """A store by its name, or by its URL where it is none of ours; `SettingsError` lists the names."""
        for store in self.stores:
            if name in {store.name, store.url}:
                return store
        if "://" in name or name.startswith("/"):
            return _shared_store("given", name, self.settings)
        raise SettingsError(f"there is no store called {name}; there are: {', '.join(self.store_names)}")

    def catalog(self, name: str = PRIMARY) -> Catalog:
        """The catalog of a store."""
        return Catalog(self.store(name))

    @cached_property
    def ledger(self) -> Ledger:
        """The record of every run."""
        return Ledger(self.primary)

    @cached_property
    def restores(self) -> Restores:
        """The record of every restore and drill."""
        return Restores(self.primary)

    @cached_property
    def leases(self) -> Leases:
        """Who runs what."""
        return Leases(self.primary, self.clock, seconds=self.settings.lease_seconds)

    @cached_property
    def audit(self) -> Audit:
        """Who did what, when, and from where; a scratch NightScan has its host's, as `auditor`."""
        settings = self.settings
        copy = LocalCopy(settings.audit_copy, owner=settings.owner)
        return self.auditor or Audit(self.primary, copy, self.clock, host=self.host, doing=self.doing)

    @cached_property
    def codec(self) -> Codec:
        """Plain bytes to stored bytes, and back."""
        return Codec(self.settings.gpg_recipient, self.settings.gpg_home,
                     self.settings.gpg_passphrase_file, self.settings.squeeze_percent)

    @cached_property
    def signer(self) -> Signer | None:
        """What signs manifests and guides; None where no key is set."""
        settings = self.settings
        return Signer(settings.signing_key, settings.gpg_home,
                      settings.signing_passphrase_file) if settings.signing_key else None

    @cached_property
    def signatures(self) -> Signatures:
        """Whose signatures count, and what becomes of a set that has none."""
        settings = self.settings
        return Signatures(settings.trusted_signers, settings.signing_key, settings.gpg_home)

    def component(self, name: str, *, archives: int | None = None) -> Component:
        """A component by its name. `archives` is the run's own number, which may not be this host's."""
        settings = self.settings
        if archives is not None:
            settings = settings.model_copy(update={"user_data_archives": archives})
        return _component(name, settings, self.clock)


def _component(name: str, settings: Settings, clock: Callable[[], datetime]) -> Component:
    # Imported where needed: a process that dumps a database has no use for the rest.
    match name:
        case "database":
            from nightscan_tasks.components.database import Database
            return Database(settings)
        case "redis":
            from nightscan_tasks.components.redis import Redis
            return Redis(settings)
        case "user_data":
            from nightscan_tasks.components.user_data import UserData
            return UserData(settings, clock)
        case "system_config":
            from nightscan_tasks.components.system_config import SystemConfig
            return SystemConfig(settings)
        case "source_code":
            from nightscan_tasks.components.source_code import SourceCode
            return SourceCode(settings)
    raise SettingsError(f"there is no component {name}; there are: {', '.join(COMPONENTS)}")


def refuse_shared_redis(settings: Settings) -> None:
    """`SettingsError` when the broker, or the results, live in the Redis that is backed up.

    A backup would carry its own queue, and a restore would put old messages back into it.
    """
    backed_up = server_of(settings.redis)
    for name, url in (("NIGHTSCAN_BROKER_URL", settings.broker_url),
                      ("NIGHTSCAN_RESULT_BACKEND", settings.results)):
        if backed_up and server_of(url) == backed_up:
            raise SettingsError(
                f"{name} is on {backed_up[0]}:{backed_up[1]}, which is the Redis that is backed up: a "
                f"restore would bring old messages back. Start another Redis for it (append-only file on, "
                f"maxmemory-policy noeviction), for example {name}=redis://localhost:6380/0")


def server_of(url: SecretStr) -> tuple[str, int] | None:
    """Host and port of a Redis URL, its loopback names made one; None for what is no TCP address."""
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in {"redis", "rediss"}:
        return None
    host = (parts.hostname or "localhost").lower()
    return ("localhost" if host in {"127.0.0.1", "::1"} else host), parts.port or 6379
