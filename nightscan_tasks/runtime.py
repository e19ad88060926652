"""What the processes of one host share: small files in a folder that is theirs alone.

Nothing in them outlives its meaning: locks end with whoever holds them, and numbers say which boot they
are from. Removed while nobody works, they are made again.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def folder_of(settings: Settings) -> Path:
    """`NIGHTSCAN_RUNTIME_DIR`, or this user's own folder where temporary files are."""
    return settings.runtime_dir or settings.temp_dir / f"nightscan-{os.geteuid()}"


@contextmanager
def opened(settings: Settings, name: str) -> Iterator[int]:
    """A file of the folder, made where it is missing, as a descriptor that no program inherits.

    `SettingsError` where it cannot be had, or where others could change what is in the folder.
    """
    folder = folder_of(settings)
    try:
        descriptor = _open(_ready(folder, own=settings.runtime_dir is None), name)
    except OSError as exc:
        raise SettingsError(f"{folder / name} cannot be used: {exc.strerror}; the processes of this host "
                            f"keep limits there that they share: let NIGHTSCAN_RUNTIME_DIR name a folder "
                            f"that all their users may write to") from exc
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Alone with a file, for as long as it takes to read and write a number. Ends with the process."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def taken(descriptor: int) -> bool:
    """Take a file until it is closed, or its process ends; False where another has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ready(folder: Path, *, own: bool) -> Path:
    folder.mkdir(mode=0o700 if own else 0o770, parents=True, exist_ok=True)
    found = folder.lstat()
    if own and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid()
                or found.st_mode & _OTHERS_WRITE):
        # Anybody may make a folder of that name where temporary files are.
        raise SettingsError(f"{folder} is not this user's alone, so others could stop every backup there: "
                            f"remove it, or let NIGHTSCAN_RUNTIME_DIR name another folder")
    return folder


def _open(folder: Path, name: str) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        descriptor = os.open(folder / name, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(folder / name, flags | os.O_CREAT, 0o600)
    # It belongs to whom the folder belongs: root's command line is often the first to need it.
    around = folder.stat()
    with suppress(PermissionError):
        os.fchown(descriptor, around.st_uid, around.st_gid)
    os.fchmod(descriptor, around.st_mode & 0o660)
    return descriptor
