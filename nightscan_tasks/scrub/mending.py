"""Replacing a damaged artifact by a whole one from another store. What is good is never replaced."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field

from nightscan_tasks.errors import DigestMismatch, NightscanError, NotFound
from nightscan_tasks.model import Artifact, Buffer, SetId
from nightscan_tasks.scrub.pieces import Pair
from nightscan_tasks.stores.base import Store
from nightscan_tasks.verification import checked, read_back

Seen = Callable[[int], None]


@dataclass
class Mending:
    """One damaged artifact of a set in `store`, and the stores that may have it whole.

    After `mend`, `damaged` has the stores whose copies are damaged too, each with what is wrong there, and
    `reasons` why none could be used.
    """

    store: Store
    others: tuple[Store, ...]
    set_id: SetId
    artifact: Artifact
    announce: Callable[[str], None] = lambda _source: None
    """Told the source before anything is replaced; what it raises keeps everything as it is."""
    seen: Seen | None = None
    damaged: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Its key in every store."""
        return self.set_id.key(self.artifact.name)

    def mend(self) -> str:
        """Replace it, read it back, and name the stores it came from; empty where nobody could give it.

        A copy is read whole before anything is replaced, and its bytes are checked once more on their way:
        what is there stays until the new one is whole.
        """
        for other in self.others:
            if self._is_whole(other) and self._replace(other.name, self._from(other)):
                return other.name
        return self._mend_together()

    def _is_whole(self, other: Store) -> bool:
        try:
            self._read(other)
        except NotFound:
            self.reasons.append(f"{other.name} has none")
        except DigestMismatch as exc:
            self.damaged[other.name] = str(exc)
            self.reasons.append(str(exc))
        except NightscanError as exc:
            self.reasons.append(f"{other.name} could not be read: {exc}")
        else:
            return True
        return False

    def _mend_together(self) -> str:
        """From pieces of this one and of another damaged one, or of two others."""
        copies = [self.store, *(other for other in self.others if other.name in self.damaged)]
        for number, one in enumerate(copies):
            for other in copies[number + 1:]:
                pair = Pair(one, other, self.key, self.artifact)
                try:
                    choices = pair.choose()
                except NightscanError as exc:  # this one may be missing, and then has no pieces
                    self.reasons.append(str(exc))
                    continue
                source = f"{one.name} and {other.name} together"
                if choices is not None and self._replace(source, pair.joined(choices)):
                    return source
        return ""

    def _replace(self, source: str, chunks: Generator[Buffer, None, None]) -> bool:
        whole = checked(chunks, self.store, self.key, sha256=self.artifact.stored_sha256,
                        stored_bytes=self.artifact.stored_bytes)
        try:
            self.announce(source)
            with closing(chunks):
                self.store.put(self.key, whole)
            self._read(self.store)
        except NightscanError as exc:
            self.reasons.append(f"it could not be replaced from {source}: {exc}")
            return False
        return True

    def _from(self, other: Store) -> Generator[Buffer, None, None]:
        with other.open(self.key) as chunks:
            yield from chunks

    def _read(self, store: Store) -> None:
        read_back(store, self.key, sha256=self.artifact.stored_sha256,
                  stored_bytes=self.artifact.stored_bytes, seen=self.seen)
