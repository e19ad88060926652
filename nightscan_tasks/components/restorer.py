"""The narrow port through which every component is put back.

A restorer belongs to one restore run, one component and one target. Everything it leaves at the target
carries the run's id, so that another process, after a crash, finds out from the target alone how far it
was: no step depends on what the process that did the step before remembers.

    examine → stage → swap → accept
                │        └──→ undo → accept
                └──→ discard
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from nightscan_tasks.model import Artifact, Chunks, Json, Report


class Source(Protocol):
    """One component of one set, as something to restore from."""

    @property
    def report(self) -> Report:
        """What was said of it when it was saved: fingerprint, versions of servers and tools."""

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Its artifacts, in the order of their names."""

    def open(self, artifact: Artifact) -> AbstractContextManager[Chunks]:
        """The plain bytes of an artifact; `DigestMismatch`, at the latest at the end, if it is damaged.

        Leaving early is allowed; then nothing is known of the rest.
        """


@dataclass(frozen=True)
class Outlook:
    """What a restore would meet and change, found without changing anything.

    `problems` are what would stop it, each with its remedy; `replaces` names, for people, what is there
    now and will be kept as the old state, empty where there is nothing. Bytes are None where unknown.
    """

    target: str
    replaces: str = ""
    replaced_bytes: int | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Staged:
    """What lies beside the live state, compared with what was saved, and ready to take its place."""

    fingerprint: Mapping[str, Json]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Swapped:
    """The new state is live. `before` names, for people, where the old one is kept; None if nothing was."""

    before: str | None
    notes: tuple[str, ...] = ()


class Position(StrEnum):
    """How far a run is with one component, read from the target itself."""

    ABSENT = "absent"      # nothing of this run is there: the old state is live
    STAGED = "staged"      # something lies beside the old state, which is live; whole, or not
    SWAPPING = "swapping"  # a swap of several steps was cut off: `swap` or `undo` completes it
    SWAPPED = "swapped"    # the new state is live, the old one is kept
    UNDONE = "undone"      # the old state is live again, the restored one is kept


class Restorer(Protocol):
    """Puts one component back at one target. Every step may be repeated, by another process too."""

    def examine(self, source: Source) -> Outlook:
        """Look at source and target; change nothing. A target that cannot be reached raises."""

    def stage(self, source: Source) -> Staged:
        """Fill a place beside what is live, and compare it with what was saved.

        Replaces what an earlier try of this run staged. Whatever fails removes it again and raises;
        nothing live was touched.
        """

    def swap(self) -> Swapped:
        """Let the staged state take the place of the live one, which is kept.

        Done already: the same answer. Cut off: goes on. `RestoreRefused` where it cannot be; then the old
        state is live.
        """

    def undo(self) -> None:
        """Put the kept old state back; the restored one is kept until `accept`.

        Done already, or never swapped: nothing happens, but what was staged is discarded.
        """

    def accept(self) -> tuple[str, ...]:
        """Remove the state of this run that is kept and not live; names, for people, what went."""

    def discard(self) -> None:
        """Remove what was staged and is not live; whatever is kept stays."""

    def position(self) -> Position:
        """Where this run is."""
