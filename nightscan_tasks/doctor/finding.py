"""What a check found, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nightscan_tasks.system import System


class Level(StrEnum):
    """How bad it is: a backup will work, will work but not well, or will fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, what was found, and what to do."""

    name: str
    level: Level
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Check:
    """One thing to look at. `look` may raise: then that is what was found."""

    name: str
    look: Callable[[System], Iterable[Finding]]
    seconds: float = 20


def ok(name: str, found: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, found)


def warn(name: str, found: str, advice: str) -> Finding:
    """A backup will work, but not as well as it should."""
    return Finding(name, Level.WARN, found, advice)


def fail(name: str, found: str, advice: str = "") -> Finding:
    """A backup will fail, or must not be relied on."""
    return Finding(name, Level.FAIL, found, advice)


def worst(findings: Sequence[Finding]) -> Level:
    """The worst level there is; ok where there is none."""
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)
