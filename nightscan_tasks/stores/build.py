"""A store from a URL, as the settings write it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings
from nightscan_tasks.stores.base import Store
from nightscan_tasks.stores.directory import DirectoryStore
from nightscan_tasks.stores.retrying import Retrying


def build_store(name: str, url: str, settings: Settings) -> Store:
    """The store at `s3://bucket/prefix`, `file:///path` or a path; `SettingsError` for another URL.

    Nothing is asked of a server or disk yet, except for the user and group of `NIGHTSCAN_OWNER`.
    """
    parts = urlsplit(url)
    if "://" not in url:
        return _directory(name, url, settings)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return _directory(name, unquote(parts.path), settings)
    if parts.scheme == "s3" and parts.netloc:
        return _s3(name, parts.netloc, unquote(parts.path), settings)
    raise SettingsError(f"the {name} store's URL cannot be used: {parts.scheme}://…; valid are for "
                        "example s3://nightscan-backups/nightscan, /opt/nightscan/backups and "
                        "file:///mnt/nas/backups")


def _directory(name: str, path: str, settings: Settings) -> Store:
    if not path:
        raise SettingsError(f"the {name} store has no path; for example /opt/nightscan/backups")
    return Retrying(DirectoryStore(name, Path(path), owner=settings.owner))


def _s3(name: str, bucket: str, prefix: str, settings: Settings) -> Store:
    # Imported here: boto3 costs a process 30 MB, which one with directories only need not pay.
    from nightscan_tasks.stores.parts import Cutter
    from nightscan_tasks.stores.s3 import S3Store, Transfer

    return Retrying(S3Store(
        name, bucket, prefix, endpoint=settings.s3_endpoint,
        storage_class=settings.s3_storage_class,
        transfer=Transfer(cutter=Cutter(temp_dir=settings.temp_dir))))
