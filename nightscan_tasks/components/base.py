"""The narrow port that every component is.

A component is read in parts. A part is what one task dumps: it is opened, its streams are read one
after the other to their ends, and then it reports what it read. Streams are plain; compressing,
encrypting, counting and storing are not a component's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nightscan_tasks.model import Artifact, Chunks, Report, SetId


@dataclass(frozen=True)
class PlainStream:
    """One plain byte stream of a part, and the name of the artifact it becomes (`database.sql`).

    One that is not `hashed` is an archive, whose list has the hash of each of its files.
    """

    name: str
    chunks: Chunks
    hashed: bool = True


@dataclass(frozen=True)
class Base:
    """The set that a part may refer to, instead of saving again what did not change.

    `set_id` is the set that is made now; `artifacts` are the part's in the earlier one, each with the set
    in whose folder it lies. `rehash`: what seems not to have changed is read all the same, and compared.
    """

    set_id: SetId
    artifacts: tuple[Artifact, ...] = ()
    rehash: bool = False


@dataclass(frozen=True)
class Shared:
    """What the parts of one run share, whichever host reads them.

    `announce` records that the database's snapshot is taken, from which moment files may be listed;
    `listing` gives the run's one list of files: it calls the function it is given, which yields the
    list's lines as bytes without the newline, unless another part's list is there already. `base` is there
    where archives of earlier sets may be referred to, now or by later ones.
    """

    announce: Callable[[], None]
    listing: Callable[[str, Callable[[], Iterator[bytes]]], AbstractContextManager[Iterator[bytes]]]
    base: Base | None = None


class Dump(Protocol):
    """One opened part."""

    def streams(self) -> Iterator[PlainStream]:
        """The part's streams; each must be read to its end before the next is asked for.

        A source that fails raises out of the stream's `chunks`, at the latest at its end: a stream
        that ends without an error is whole.
        """

    def report(self) -> Report:
        """What was read. Call it after the last stream's end.

        Raises `DumpIncomplete` when something could not be read though the rest was.
        """


@runtime_checkable
class Referring(Protocol):
    """A part that may refer to archives of earlier sets."""

    def refers(self) -> tuple[Artifact, ...]:
        """What belongs to the part, and lies with earlier sets. Call it after the last stream's end."""


class Component(Protocol):
    """One thing that is saved."""

    @property
    def name(self) -> str:
        """Which of `model.COMPONENTS` it is."""

    def parts(self) -> tuple[str, ...]:
        """The names of its parts: `("database",)`, or `("user_data.00", "user_data.01")`."""

    def predicted_bytes(self, part: str) -> int:
        """About how many plain bytes the part has, once it is open; 0 when it cannot be known."""

    def open(self, part: str, shared: Shared) -> AbstractContextManager[Dump]:
        """Open a part for reading; leaving the context ends every process and connection of it."""
