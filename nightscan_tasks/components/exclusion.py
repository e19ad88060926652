"""What is left out, by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase, translate
from functools import cached_property


@dataclass(frozen=True)
class Exclusion:
    """Shell patterns for names. `cache/` is a folder of that name anywhere, `*.tmp` anything.

    A `/` at the start or inside means that the pattern is for the whole path, from the root on:
    `/logs/` is the folder `logs` directly below the root, and no other.
    """

    patterns: tuple[bytes, ...] = ()

    @cached_property
    def _names(self) -> re.Pattern[bytes]:
        return _any(pattern for pattern in self.patterns if b"/" not in pattern)

    @cached_property
    def _folder_names(self) -> re.Pattern[bytes]:
        return _any(bare for pattern in self.patterns if b"/" not in (bare := pattern.rstrip(b"/")))

    @cached_property
    def _paths(self) -> tuple[bytes, ...]:
        return tuple(pattern for pattern in self.patterns if b"/" in pattern.rstrip(b"/"))

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Exclusion:
        """From patterns as settings hold them."""
        return cls(tuple(os.fsencode(pattern) for pattern in patterns))

    def matches(self, path: bytes, *, folder: bool) -> bool:
        """Whether this path, relative to the root, is left out; what is in it then is too."""
        names = self._folder_names if folder else self._names
        if names.match(path.rpartition(b"/")[2]):
            return True
        return bool(self._paths) and any(_matches(path, pattern, folder=folder) for pattern in self._paths)


def _any(patterns: Iterable[bytes]) -> re.Pattern[bytes]:
    """One expression for many shell patterns: a name is looked at once, not once for each."""
    # Bytes as text and back, one character for each, as fnmatch itself does it.
    translated = [translate(pattern.decode("latin-1")) for pattern in patterns]
    return re.compile(("|".join(translated) or "(?!)").encode("latin-1"))


def _matches(path: bytes, pattern: bytes, *, folder: bool) -> bool:
    if pattern.endswith(b"/") and not folder:
        return False
    steps, names = pattern.strip(b"/").split(b"/"), path.split(b"/")
    return len(steps) == len(names) and all(map(fnmatchcase, names, steps))
