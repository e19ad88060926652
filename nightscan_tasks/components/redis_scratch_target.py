"""An empty Redis of our own for a drill: restored into as if it were the live one, and gone afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from nightscan_tasks import programs
from nightscan_tasks.components.redis_server import Flavour
from nightscan_tasks.components.scratch_redis import started
from nightscan_tasks.errors import RestoreRefused

_SAID = re.compile(r"(?P<name>redis|valkey) (?P<version>\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class ScratchTarget:
    """The running server; `note` tells what is other than where the set was made, empty if nothing is."""

    url: SecretStr
    flavour: Flavour
    note: str


@contextmanager
def scratch_target(saved: str, *, temp_dir: Path) -> Iterator[ScratchTarget]:
    """A server of the flavour and major version that `saved` names, as a report does: `valkey 9.1.0`.

    Where there is none, one that reads what that one wrote, with a note; `RestoreRefused` if there is none
    either. It keeps nothing on disk.
    """
    tool, flavour, note = plan_scratch_target(saved, [tool for name in ("valkey-server", "redis-server")
                                                      for tool in programs.candidates(name)])
    with started(tool, flavour, temp_dir=temp_dir) as scratch:
        yield ScratchTarget(scratch.url, flavour, note)


def plan_scratch_target(saved: str, tools: Iterable[programs.Tool]) -> tuple[programs.Tool, Flavour, str]:
    """Which of the servers that are there to take, and what to say of it."""
    match = _SAID.fullmatch(saved.strip())
    if not match:
        raise RestoreRefused(f"no server can be chosen for a drill: the set says it was made from {saved!r}")
    wanted = Flavour(match["name"], tuple(map(int, match["version"].split("."))))
    found = [(Flavour(tool.name.removesuffix("-server"), tool.version), tool) for tool in tools]
    fitting = [(flavour, tool) for flavour, tool in found if flavour.reads(wanted.rdb_version)]
    if not fitting:
        raise RestoreRefused(
            f"the set was made from {wanted}, and no server here reads that (found "
            f"{', '.join(str(flavour) for flavour, _ in found) or 'none'}): install {wanted.name}-server, "
            f"for example `apt-get install {wanted.name}-server`, or set NIGHTSCAN_DRILL_REDIS_URL")
    flavour, tool = min(fitting, key=lambda pair: _distance(wanted, pair[0]))
    is_same = flavour.name == wanted.name and flavour.version[:1] == wanted.version[:1]
    return tool, flavour, "" if is_same else f"the set was made from {wanted}, the drill runs on {flavour}"


def _distance(wanted: Flavour, flavour: Flavour) -> tuple[bool, int]:
    return flavour.name != wanted.name, abs(flavour.version[0] - wanted.version[0])
