"""Which files are meant, by patterns as a person writes them: for a restore of parts, and for a listing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from fnmatch import translate

from nightscan_tasks.components.problems import shown
from nightscan_tasks.errors import RestoreRefused

_NEAREST = 3
_CANDIDATES = 20_000


class Paths:
    """Shell patterns for the names in an archive; none at all means everything.

    `*` and `?` also match `/`, so that `uploads/2026/*` is all below that folder, and `*.wav` every
    recording. A pattern that names a folder means all in it. Leading and trailing `/` do not count.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.patterns = tuple(patterns)
        self._each = [(pattern, _compiled(pattern)) for pattern in self.patterns]
        self._unmatched = set(self.patterns)
        self._seen: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def matches(self, path: bytes) -> bool:
        """Whether this path is meant."""
        if not self._each:
            return True
        found = False
        for pattern, expression in self._each:
            if expression.match(path):
                self._unmatched.discard(pattern)
                found = True
        if self._unmatched and len(self._seen) < _CANDIDATES:
            self._seen.append(shown(path))
        return found

    def check(self, what: str) -> None:
        """`RestoreRefused` if a pattern matched none of the paths asked for so far; names near ones."""
        for pattern in self.patterns:
            if pattern in self._unmatched:
                near = get_close_matches(pattern, self._seen, _NEAREST, cutoff=0.3)
                hint = f"; near it: {', '.join(near)}" if near else ""
                raise RestoreRefused(f"{pattern} matches nothing in {what}{hint}; `nightscan files` lists "
                                     f"what a set has")


def _compiled(pattern: str) -> re.Pattern[bytes]:
    # Bytes as text and back, one character for each, as fnmatch itself does it.
    text = os.fsencode(pattern).strip(b"/").decode("latin-1")
    return re.compile(f"(?:{translate(text)})|(?:{translate(text + '/*')})".encode("latin-1"))
