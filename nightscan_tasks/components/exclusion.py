"""What is left out, by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Exclusion:
    """Shell patterns for names. `cache/` is a folder of that name anywhere, `*.tmp` anything.

    A `/` at the start or inside means that the pattern is for the whole path, from the root on:
    `/logs/` is the folder `logs` directly below the root, and no other.
    """

    patterns: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Exclusion:
        """From patterns as settings hold them."""
        return cls(tuple(os.fsencode(pattern) for pattern in patterns))

    def matches(self, path: bytes, *, folder: bool) -> bool:
        """Whether this path, relative to the root, is left out; what is in it then is too."""
        return any(_matches(path, pattern, folder=folder) for pattern in self.patterns)


def _matches(path: bytes, pattern: bytes, *, folder: bool) -> bool:
    if pattern.endswith(b"/") and not folder:
        return False
    bare = pattern.rstrip(b"/")
    if b"/" not in bare:
        return fnmatchcase(path.rpartition(b"/")[2], bare)
    steps, names = bare.strip(b"/").split(b"/"), path.split(b"/")
    return len(steps) == len(names) and all(map(fnmatchcase, names, steps))
