"""Whether the folders of user data are there, and the application can use them.

A set's listing knows every owner and mode, but only who has the private key can read it. So the measure
is the application's folder itself: each folder below it has to belong to the same owner, who may read,
write and enter it, and nobody else may write it. `nightscan validate` compares file by file.
"""

from __future__ import annotations

import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from nightscan_tasks.doctor.finding import Finding, fail, ok, warn
from nightscan_tasks.system import System


def user_data(system: System) -> Iterator[Finding]:
    """One finding for each folder that is not as it should be, or one that says that all are."""
    root, names = system.settings.root, system.settings.user_data
    if not root.is_dir():
        yield fail("user data", f"{root} is no folder", "nightscan restore user_data, or set NIGHTSCAN_ROOT")
        return
    owner = root.stat().st_uid
    found = [finding for name in names for finding in _folder(root / name, owner)]
    yield from found
    if not found:
        yield ok("user data", f"{', '.join(names)} in {root}, which belong to {_user(owner)}")


def _folder(path: Path, owner: int) -> Iterator[Finding]:
    name = f"folder {path.name}"
    if not path.is_dir():
        yield fail(name, f"{path} is missing", "nightscan restore user_data, or mkdir it")
        return
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != owner:
        yield warn(name, f"{path} belongs to {_user(status.st_uid)}, and {path.parent} to {_user(owner)}",
                   f"chown {_user(owner)} {path}")
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        yield fail(name, f"{path} has mode {mode:04o}: its owner cannot use it", f"chmod u+rwx {path}")
    if mode & stat.S_IWOTH:
        yield warn(name, f"{path} has mode {mode:04o}: everybody can write it", f"chmod o-w {path}")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
