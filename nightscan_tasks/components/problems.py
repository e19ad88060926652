"""What was noticed while files were read."""

from __future__ import annotations

import os

from nightscan_tasks.errors import DumpIncomplete

_NAMED = 20
_NOTES = 100


class Problems:
    """Notes, and files that could not be read. Memory does not grow with their number."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._more_notes = 0
        self._unreadable: list[str] = []
        self._more_unreadable = 0

    def note(self, text: str) -> None:
        """A fact that does not spoil the archive."""
        if len(self._notes) < _NOTES:
            self._notes.append(text)
        else:
            self._more_notes += 1

    def note_file(self, path: bytes, fact: str) -> None:
        """The same, of one file."""
        self.note(f"{shown(path)} {fact}")

    def note_listed(self, text: bytes) -> None:
        """A note that the list of files has."""
        self.note(os.fsdecode(text))

    def unreadable(self, what: bytes) -> None:
        """Remember a file, and why it could not be read."""
        if len(self._unreadable) < _NAMED:
            self._unreadable.append(shown(what))
        else:
            self._more_unreadable += 1

    @property
    def notes(self) -> tuple[str, ...]:
        """The first 100 notes, and how many more there were."""
        more = (f"and {self._more_notes} more",) if self._more_notes else ()
        return (*self._notes, *more)

    def check(self, part: str) -> None:
        """`DumpIncomplete` if anything could not be read: names the first 20, and how many more."""
        if not self._unreadable:
            return
        count = len(self._unreadable) + self._more_unreadable
        more = f"; and {self._more_unreadable} more" if self._more_unreadable else ""
        raise DumpIncomplete(
            f"{part}: {count} could not be read, the rest is saved: {'; '.join(self._unreadable)}"
            f"{more}; let the user that runs the worker read them, or exclude them")


def shown(path: bytes) -> str:
    """A path for people: one line of printable text, whatever its bytes are."""
    text = os.fsdecode(path)
    return text if text.isprintable() else ascii(text)[1:-1]
