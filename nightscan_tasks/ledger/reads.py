"""The record of what was read of each store, and of what that found: small JSON files in the primary store.

`reads/<store>/<set_id>.json` has every file of a set as it was last read there; `scrubs/<store>.json` how
the last scrub of a store went, and what it found that nobody has read whole since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from nightscan_tasks import wire
from nightscan_tasks.ledger import record
from nightscan_tasks.model import SetId
from nightscan_tasks.stores.base import Store

READS, SCRUBS = "reads", "scrubs"


@dataclass(frozen=True)
class Read:
    """One file of a set, as it was when it was last read; sound when there is no problem.

    `whole_at` is when it was last read whole. `sha256` is kept of the papers (manifest, guide, signatures),
    since nothing else says what they have to be. `mended_from` names where it was replaced from, until it
    is read whole once more.
    """

    name: str
    read_at: datetime
    read_bytes: int
    whole_at: datetime | None = None
    sha256: str = ""
    problem: str = ""
    mended_from: str = ""


@dataclass(frozen=True)
class SetReads:
    """The files of one set in one store. `url` is where the store was: a name may come to mean another."""

    set_id: SetId
    store: str
    url: str
    files: tuple[Read, ...] = ()

    def of(self, name: str) -> Read | None:
        """One file, or None where it was never read."""
        return next((each for each in self.files if each.name == name), None)

    def with_file(self, read: Read) -> SetReads:
        """The same, with one file as it was read now."""
        return replace(self, files=(*(each for each in self.files if each.name != read.name), read))

    def without(self, name: str) -> SetReads:
        """The same, with one file forgotten."""
        return replace(self, files=tuple(each for each in self.files if each.name != name))


class Kind(StrEnum):
    """What a scrub found of one file."""

    MENDED = "mended"    # it was damaged, and was replaced from a whole copy
    DAMAGED = "damaged"  # and no store has a whole copy, or it could not be replaced
    UNREAD = "unread"    # the store answered with an error: whether it is whole is not known
    WAVERED = "wavered"  # read wrong once, and whole when it was read again


@dataclass(frozen=True)
class Finding:
    """One file that was not as it has to be. `source` names the stores from which it was mended."""

    kind: Kind
    key: str
    what: str
    source: str = ""


@dataclass(frozen=True)
class Scrubbed:
    """How one scrub of a store went; `ended_at` is None while it runs, or when it was killed.

    `findings` are its own, `standing` all that nobody has read whole since. `oldest_at` is when the
    artifact was read that is unread longest, `needs_bytes` what each night has to read, `problem` why
    the store could not be scrubbed to the end.
    """

    store: str
    url: str
    began_at: datetime
    ended_at: datetime | None = None
    read_files: int = 0
    read_bytes: int = 0
    findings: tuple[Finding, ...] = ()
    standing: tuple[Finding, ...] = ()
    oldest_at: datetime | None = None
    oldest_key: str = ""
    needs_bytes: int = 0
    behind: str = ""
    problem: str = ""

    @property
    def unsettled(self) -> tuple[Finding, ...]:
        """What is to be told of until somebody reads it whole: what stands, and what could not be read."""
        return (*self.standing, *(each for each in self.findings if each.kind is Kind.UNREAD))


class Reads:
    """The records of reading, in the store that the ledger is in."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, store: Store) -> dict[SetId, SetReads]:
        """All sets that were read in a store, where it is now."""
        found = {}
        for entry in list(self._store.list(f"{READS}/{store.name}/")):
            reads = self._get(SetReads, entry.key)
            if reads is not None and reads.url == store.url:
                found[reads.set_id] = reads
        return found

    def of_set(self, store: Store, set_id: SetId) -> SetReads:
        """One set in a store; without files where it was never read there."""
        reads = self._get(SetReads, _key(store.name, set_id))
        return reads if reads and reads.url == store.url else SetReads(set_id, store.name, store.url)

    def record(self, reads: SetReads) -> None:
        """Keep what is known of a set in a store."""
        self._put(_key(reads.store, reads.set_id), reads)

    def forget(self, store: Store, set_id: SetId) -> None:
        """A set is no longer in a store."""
        self._store.delete(_key(store.name, set_id))

    def scrub(self, scrubbed: Scrubbed) -> None:
        """Keep how a scrub goes, or went."""
        self._put(f"{SCRUBS}/{scrubbed.store}.json", scrubbed)

    def scrubbed(self, store: Store) -> Scrubbed | None:
        """The last scrub of a store, where it is now; None where there was none."""
        found = self._get(Scrubbed, f"{SCRUBS}/{store.name}.json")
        return found if found and found.url == store.url else None

    def _put(self, key: str, value: object) -> None:
        record.write(self._store, key, value)

    def _get(self, kind: type[wire.T], key: str) -> wire.T | None:
        return record.read_leniently(self._store, kind, key)  # what is not known is read anew


def standing(reads: SetReads) -> Iterator[Finding]:
    """What is to be told of a set until its files are read whole again."""
    for each in reads.files:
        key = reads.set_id.key(each.name)
        if each.problem:
            yield Finding(Kind.DAMAGED, key, each.problem)
        elif each.mended_from:
            yield Finding(Kind.MENDED, key, "replaced by a whole copy, and read back", each.mended_from)


def _key(store: str, set_id: SetId) -> str:
    return f"{READS}/{store}/{set_id}.json"
