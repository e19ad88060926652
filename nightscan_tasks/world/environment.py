"""What a client or worker needs to find a world: as a mapping, and as `DIR/env` for a shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

ENV_NAME = "env"
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")


def nobodys(home: Path) -> dict[str, str]:
    """Keeps every client from reading a user's own configuration; `home` has none."""
    return {
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true", "PSQLRC": os.devnull,
        # libpq takes a missing file without a word, but complains of /dev/null.
        "PGPASSFILE": str(home / "no-pgpass"), "PGSERVICEFILE": str(home / "no-pg-service"),
    }


def of_processes(folder: Path) -> dict[str, str]:
    """The environment of a world's own processes: nothing of its starter's but where programs are."""
    home = folder / "home"
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    package = str(Path(__file__).resolve().parents[2])
    modules = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {"PATH": os.defpath, **kept, **nobodys(home), "HOME": str(home),
            "TMPDIR": str(folder / "tmp"), "PYTHONPATH": modules, "PYTHONUNBUFFERED": "1"}


def write(folder: Path, environ: Mapping[str, str]) -> None:
    """Write `DIR/env`, whole or not at all, readable by its owner only: it holds every password."""
    path, new = folder / ENV_NAME, folder / f"{ENV_NAME}.new"
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environ.items()]
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                   encoding="utf-8", errors="surrogateescape") as file:
        file.writelines(["# What a client or worker needs: source it in a shell.\n", *lines])
    new.replace(path)
