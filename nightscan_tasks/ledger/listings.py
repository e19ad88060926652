"""Lists of files that the archives of one run share: made by whoever comes first, read by all."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from nightscan_tasks.errors import AlreadyExists
from nightscan_tasks.model import Chunks
from nightscan_tasks.stores.base import Store


@contextmanager
def shared_lines(store: Store, key: str, produce: Callable[[], Iterator[bytes]]) -> Iterator[Iterator[bytes]]:
    """The lines, without newlines, of the list at `key`; `produce` makes it where there is none yet."""
    if store.stat(key) is None:
        with suppress(AlreadyExists):  # another part was first: its list is everybody's
            store.put(key, _packed(produce()), if_absent=True)
    with store.open(key) as chunks:
        yield _unpacked(chunks)


def _packed(lines: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    for line in lines:
        if packed := packer.compress(line + b"\n"):
            yield packed
    yield packer.flush()


def _unpacked(chunks: Chunks) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + unpacker.decompress(chunk)).split(b"\n")
        yield from lines
    *lines, rest = (rest + unpacker.flush()).split(b"\n")
    yield from lines
