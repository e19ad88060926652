"""Lists of files that the archives of one run share: made by whoever comes first, read by all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice

from isal import isal_zlib

from nightscan_tasks.errors import AlreadyExists
from nightscan_tasks.model import Chunks
from nightscan_tasks.stores.base import Store

_GZIP_WBITS = 31
_LINES = 1000
_UNPACKED_BYTES = 256 << 10  # at a time: a chunk of a mebibyte may hold two hundred thousand lines
_one_at_a_time = threading.Lock()


@contextmanager
def shared_lines(store: Store, key: str, produce: Callable[[], Iterator[bytes]]) -> Iterator[Iterator[bytes]]:
    """The lines, without newlines, of the list at `key`; `produce` makes it where there is none yet."""
    with _one_at_a_time:  # a second thread would walk the same files, and throw away what it found
        if store.stat(key) is None:
            with suppress(AlreadyExists):  # another part was first: its list is everybody's
                store.put(key, _packed(produce()), if_absent=True)
    with store.open(key) as chunks:
        yield _unpacked(chunks)


def _packed(lines: Iterator[bytes]) -> Iterator[bytes]:
    packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _GZIP_WBITS)
    while some := list(islice(lines, _LINES)):  # a call for each line would cost more than its packing
        if packed := packer.compress(b"\n".join(some) + b"\n"):
            yield packed
    yield packer.flush()


def _unpacked(chunks: Chunks) -> Iterator[bytes]:
    unpacker = isal_zlib.decompressobj(_GZIP_WBITS)
    rest = b""
    for chunk in chunks:
        packed = bytes(chunk)
        while packed:
            *lines, rest = (rest + unpacker.decompress(packed, _UNPACKED_BYTES)).split(b"\n")
            yield from lines
            packed = unpacker.unconsumed_tail
    *lines, rest = (rest + unpacker.flush()).split(b"\n")
    yield from lines
