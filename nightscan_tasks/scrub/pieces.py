"""Two damaged copies of one artifact, of which each has what the other lacks: put together they are whole.

Both are read side by side. Where they differ, one of them is right, and the hash of the whole tells which:
it is followed for both, so that each place where they differ doubles the number of hashes. One reading is
enough for a handful of places, and more than that is no bit that fell over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import zip_longest

from nightscan_tasks.model import Artifact, Buffer, Chunks
from nightscan_tasks.stores.base import Store

_BLOCK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 12  # what disks damage at once
_MOST_PLACES = 6

Choices = tuple[bool, ...]
"""For each place where two copies differ, whether the other one is right there."""


@dataclass(frozen=True)
class Pair:
    """The same artifact in two stores."""

    one: Store
    other: Store
    key: str
    artifact: Artifact

    def choose(self) -> Choices | None:
        """What makes them whole, or None where nothing of the two does."""
        guesses = [_Guess()]
        for place, mine, theirs in self._pieces():
            if place is not None and place == len(guesses[0].choices):
                if place == _MOST_PLACES:
                    return None
                guesses = [fork for guess in guesses for fork in guess.forked()]
            for guess in guesses:
                guess.digest.update(theirs if place is not None and guess.choices[place] else mine)
        return next((guess.choices for guess in guesses
                     if guess.digest.hexdigest() == self.artifact.stored_sha256), None)

    def joined(self, choices: Choices) -> Generator[Buffer, None, None]:
        """The artifact, as these choices make it."""
        for place, mine, theirs in self._pieces():
            yield theirs if place is not None and choices[place] else mine

    def _pieces(self) -> Iterator[tuple[int | None, bytes, bytes]]:
        """What both have, piece by piece, and for those that differ the number of the place.

        Neighbours that differ are one place. Where only one copy has anything, that is what both get.
        """
        places, within = 0, False
        with ExitStack() as stack:
            streams = [_cut(stack.enter_context(store.open(self.key)), self.artifact.stored_bytes)
                       for store in (self.one, self.other)]
            for blocks in zip_longest(*streams, fillvalue=b""):
                for mine, theirs in _compared(*blocks):
                    differs = mine != theirs
                    places += differs and not within
                    within = differs
                    yield (places - 1 if differs else None), mine, theirs


@dataclass
class _Guess:
    choices: Choices = ()
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def forked(self) -> Iterator[_Guess]:
        for choice in (False, True):
            yield _Guess((*self.choices, choice), self.digest.copy())


def _compared(mine: bytes, theirs: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Two blocks at once where they are equal, else in pieces."""
    if mine == theirs:
        yield mine, theirs
        return
    for start in range(0, max(len(mine), len(theirs)), _PIECE_BYTES):
        one, other = mine[start:start + _PIECE_BYTES], theirs[start:start + _PIECE_BYTES]
        if len(one) != len(other):  # one was cut off here
            one = other = max(one, other, key=len)
        yield one, other


def _cut(chunks: Chunks, length: int) -> Iterator[bytes]:
    """The first `length` bytes of a stream, in blocks of one size."""
    kept, left = bytearray(), length
    for chunk in chunks:
        kept += chunk[:left]
        left -= min(len(chunk), left)
        while len(kept) >= _BLOCK_BYTES:
            yield bytes(kept[:_BLOCK_BYTES])
            del kept[:_BLOCK_BYTES]
        if not left:
            break
    if kept:
        yield bytes(kept)
