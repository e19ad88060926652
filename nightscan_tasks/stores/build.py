"""A store from a URL, as the settings write it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.model import Tier
from nightscan_tasks.settings import Settings
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.stores.paced import Paced, network_of
from nightscan_tasks.stores.pacing import Paces
from nightscan_tasks.stores.retrying import Retrying

_AS_OF = "as_of="
_AUDIT = "audit"
FOLDERS = (*(tier.value for tier in Tier), _AUDIT, "leases", "runs", "open", "restores", "open-restores",
           "drills", "holds", "trusted", "reads", "scrubs", "rotation", "alerts", "samples", "pings",
           "reports", "probe")
"""Everything that is ever made at a store's root; `docs/privileges/s3` names the same."""


def build_store(name: str, url: str, settings: Settings) -> Store:
    """The store at `s3://bucket/prefix`, `file:///path` or a path; `SettingsError` for another URL.

    `s3://bucket/prefix?as_of=2026-11-23T02:00:00Z` is a versioned bucket as it was then, to be read only.
    Nothing is asked of a server or disk yet, except for the user and group of `NIGHTSCAN_OWNER`.
    """
    parts = urlsplit(url)
    if not {"@", ":"}.isdisjoint(parts.netloc):
        raise SettingsError(f"the {name} store's URL cannot be used: keys do not belong in it, set "
                            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; valid is for example "
                            f"s3://nightscan-backups/nightscan")
    if "://" not in url:
        return _directory(name, url, settings)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return _directory(name, unquote(parts.path), settings)
    if parts.scheme == "s3" and parts.netloc:
        return _s3(name, parts, settings)
    raise SettingsError(f"the {name} store's URL cannot be used: {parts.scheme}://…; valid are for "
                        "example s3://nightscan-backups/nightscan, /opt/nightscan/backups and "
                        "file:///mnt/nas/backups")


def _directory(name: str, path: str, settings: Settings) -> Store:
    if not path:
        raise SettingsError(f"the {name} store has no path; for example /opt/nightscan/backups")
    store = DirectoryStore(name, Path(path), owner=settings.owner)
    paces = Paces.of(settings)
    # Asked only where it matters: a mount that does not answer would be waited for.
    if paces != Paces() and network_of(Path(path)):
        return Retrying(Paced(store, paces))
    return Retrying(store)


def is_s3(url: str) -> bool:
    """Whether a store's URL names a bucket."""
    return url.startswith("s3://")


def reads_at_most(url: str, settings: Settings) -> int:
    """How many bytes a second are read from a store; 0 where nothing limits it: a disk of this machine."""
    limit = settings.download_bytes_per_second
    return limit if limit and (is_s3(url) or network_of(Path(url))) else 0


def as_of(url: str, moment: datetime) -> str:
    """The URL of a bucket as it was at a moment; `SettingsError` for another store's URL."""
    if not is_s3(url):
        raise SettingsError(f"{url} is not s3://…: only a versioned bucket can be read as it was at a moment")
    return f"{url.partition('?')[0]}?{_AS_OF}{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _s3(name: str, parts: SplitResult, settings: Settings) -> Store:
    # Imported here: boto3 costs a process 30 MB, which one with directories only need not pay.
    from nightscan_tasks.stores.parts import Cutter
    from nightscan_tasks.stores.s3 import S3Store, Transfer
    from nightscan_tasks.stores.s3_keeping import Keeping

    moment = _moment(name, unquote(parts.query))
    store = S3Store(name, parts.netloc, unquote(parts.path), endpoint=settings.s3_endpoint,
                    storage_class=settings.s3_storage_class,
                    transfer=Transfer(cutter=Cutter(temp_dir=settings.temp_dir), paces=Paces.of(settings)),
                    keeping=Keeping(settings.s3_lock_mode, _days(settings), folders=FOLDERS))
    return Retrying(store if moment is None else store.as_of(moment))


def _days(settings: Settings) -> dict[str, int]:
    """For how many days what is in each folder is locked. Audit records are, as long as any set.

    Leases and the ledger are not: they say what is going on now, and are replaced all the time.
    """
    days = {tier.value: number for tier, number in settings.lock_days.items()}
    return days | {_AUDIT: max(days.values(), default=0)}


def _moment(name: str, query: str) -> datetime | None:
    if not query:
        return None
    try:
        moment = datetime.fromisoformat(query.removeprefix(_AS_OF)) if query.startswith(_AS_OF) else None
    except ValueError:
        moment = None
    if moment is None:
        raise SettingsError(f"the {name} store's URL ends in ?{query}, which means nothing; an s3:// URL may "
                            f"end for example in ?{_AS_OF}2026-11-23T02:00:00Z")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
