"""What is sent to S3, slice by slice, as fast as the host's limit allows.

botocore reads a body more than once: to sign it, to send it, and again when it repeats the request. Only
what is sent takes time on the line; it says by events when it begins and ends to prepare a request.
"""

from __future__ import annotations

import io
from typing import IO, Any

from nightscan_tasks.stores.pacing import Pace

_CREATED = "request-created.s3"


class PacedBody:
    """`source`, of `stored_bytes`, as a file whose reading waits for its turns, once it is being sent."""

    def __init__(self, source: bytearray | IO[bytes], stored_bytes: int, pace: Pace) -> None:
        self._source = source
        self._stored_bytes = stored_bytes
        self._pace = pace
        self._at = 0
        self._granted = 0
        self.sending = False

    def __len__(self) -> int:
        return self._stored_bytes

    def read(self, amount: int | None = -1) -> bytes:
        """Up to so many bytes from where it stands; none at the end."""
        left = self._stored_bytes - self._at
        count = left if amount is None or amount < 0 else min(amount, left)
        if self.sending and count:
            if not self._granted:
                self._granted = self._pace.take(left)
            count = min(count, self._granted)
            self._granted -= count
        data = self._piece(count)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Stand elsewhere: at the beginning, to be sent once more."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stored_bytes}[whence]
        self._at = min(max(base + offset, 0), self._stored_bytes)
        return self._at

    def tell(self) -> int:
        """Where it stands."""
        return self._at

    def _piece(self, count: int) -> bytes:
        if isinstance(self._source, bytearray):
            return bytes(memoryview(self._source)[self._at:self._at + count])
        self._source.seek(self._at)
        return self._source.read(count)


def connect(client: Any) -> None:
    """Let a client's bodies know when they are prepared, and when they are sent."""
    client.meta.events.register_first(_CREATED, _preparing)
    client.meta.events.register_last(_CREATED, _sending)


def _preparing(request: Any, **_event: Any) -> None:
    if isinstance(request.body, PacedBody):
        request.body.sending = False


def _sending(request: Any, **_event: Any) -> None:
    if isinstance(request.body, PacedBody):
        request.body.sending = True
