"""Running a PostgreSQL server of our own.

PostgreSQL refuses to run as root; then it runs as `nobody`. That user may not be allowed to enter the
folders above its data or above the program (root's home, a temporary folder): where that is so, its
process gets the one capability that lets it pass, and nothing else of root's.
"""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nightscan_tasks import process
from nightscan_tasks.programs import ProgramMissing, Tool

SUPERUSER = "postgres"
_UNPRIVILEGED = "nobody"
_ENTER_FOR_OTHERS = 0o001


def as_unprivileged(tool: Tool, home: Path, *options: str) -> list[str]:
    """What goes before a program that refuses to run as root, with more options for `setpriv`.

    `ProgramMissing` where there is no way not to be root.
    """
    if os.geteuid() != 0:
        return []
    user, setpriv = _unprivileged(), shutil.which("setpriv")
    if setpriv is None:
        raise ProgramMissing("PostgreSQL refuses to run as root, and `setpriv`, which would change "
                             "the user, is missing: `apt-get install util-linux`, or do not be root")
    hidden = not (_reachable(home) and _reachable(tool.path))
    # Without the first, access(2), with which PostgreSQL looks for its programs, ignores the others.
    passing = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override",
               "--ambient-caps=+dac_override"]
    return [setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *options,
            *(passing if hidden else []), "--"]


def make_cluster(tool: Tool, data: Path, *, password: str, locale: str) -> None:
    """Make a cluster in the new folder `data`, with a superuser who needs a password.

    `tool` is the server; `initdb` lies beside it. `ProcessFailed` says what initdb said.
    """
    data.mkdir(mode=0o700)
    give(data)
    with _password_file(data.parent, password) as password_file:
        process.run([*as_unprivileged(tool, data.parent, "--pdeathsig=KILL"),
                     str(tool.path.with_name("initdb")), "-D", str(data),
                     "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}",
                     "--encoding=UTF8", f"--locale={locale}", "--no-sync"],
                    cwd=data.parent, env={"PATH": os.defpath, "LC_ALL": "C"})


def give(path: Path) -> None:
    """Let the server's user own a file or folder, where that is another than us."""
    if os.geteuid() == 0:
        user = _unprivileged()
        os.chown(path, user.pw_uid, user.pw_gid)


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_UNPRIVILEGED)
    except KeyError as exc:
        raise ProgramMissing(f"PostgreSQL refuses to run as root, and there is no user "
                             f"`{_UNPRIVILEGED}` to run it as: do not be root") from exc


def _reachable(path: Path) -> bool:
    """Whether everybody may go down to it."""
    return all(folder.stat().st_mode & _ENTER_FOR_OTHERS for folder in path.resolve().parents)


@contextmanager
def _password_file(folder: Path, password: str) -> Iterator[Path]:
    """The password where only the user of the server can read it, for as long as it is needed."""
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="password.") as file:
        file.write(password)
        file.flush()
        give(Path(file.name))
        yield Path(file.name)
