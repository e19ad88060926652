"""Connections that fill one database side by side.

A block of rows goes to whichever is free, so that one large table takes as long as several small ones;
indexes are built side by side where they do not wait for each other's locks. The first error ends all.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from nightscan_tasks.components.database_script import ObjectBytes, Rows
from nightscan_tasks.components.postgres import Connection
from nightscan_tasks.streams import Abandoned

_WAITING_BLOCKS = 4
_CANCEL_SECONDS = 5
_TRIES = 5
_PUT = "SELECT pg_catalog.lo_put(%s, %s, %b)"

Block = Rows | ObjectBytes
"""What is copied by whichever connection is free."""


@dataclass(frozen=True)
class Job:
    """A statement that may run beside others which touch none of its tables."""

    statement: bytes
    tables: frozenset[bytes]


class StatementFailed(Exception):
    """The server did not take a statement; `__cause__` is what it said."""

    def __init__(self, statement: bytes) -> None:
        super().__init__(statement)
        self.statement = statement


class Crew:
    """Runs statements over its connections; the first one does what has an order."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections

    def one(self, statement: bytes) -> None:
        """Run a statement on the first connection."""
        run_statement(self._connections[0], statement)

    def each(self, statement: bytes) -> None:
        """Run a statement on every connection: a setting, for what comes next."""
        for connection in self._connections:
            run_statement(connection, statement)

    def fill(self, rows: Iterable[Block]) -> None:
        """Copy blocks of rows and of large objects, wherever they belong; their order is open."""
        blocks = _Blocks()
        with self._pool() as pool:
            copying = [pool.submit(_copy, connection, blocks) for connection in self._connections]
            try:
                for block in rows:
                    blocks.put(block)
                blocks.end()
            except Abandoned:
                pass  # by one that failed: its error comes next
            except BaseException:
                blocks.abandon()
                raise
            wait(copying, return_when=FIRST_EXCEPTION)
            for done in copying:
                done.result()

    def build(self, jobs: Iterable[Job]) -> None:
        """Run statements side by side, none beside another that touches the same table."""
        waiting, running = list(jobs), dict[Future[None], tuple[Connection, Job]]()
        free = list(self._connections)
        with self._pool() as pool:
            while waiting or running:
                busy = frozenset[bytes]().union(*(job.tables for _, job in running.values()))
                ready = [job for job in waiting if not job.tables & busy]
                if free and ready:
                    waiting.remove(ready[0])
                    connection = free.pop()
                    alone = not running and len(ready) == 1
                    running[pool.submit(_patiently, connection, ready[0].statement, alone=alone)] = (
                        connection, ready[0])
                    continue
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    free.append(running.pop(done)[0])
                    done.result()

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        """A thread for each connection; on the way out with an error, whatever still runs is cancelled."""
        with ThreadPoolExecutor(len(self._connections), "crew") as pool:
            try:
                yield pool
            except BaseException:
                for connection in self._connections:
                    with suppress(psycopg.Error):  # the error that is on its way says more
                        connection.cancel_safe(timeout=_CANCEL_SECONDS)
                raise


class _Blocks:
    """Blocks of rows on their way to whoever is free, a few at a time."""

    def __init__(self) -> None:
        self._waiting: deque[Block] = deque()
        self._changed = threading.Condition()
        self._ended = self._abandoned = False

    def put(self, rows: Block) -> None:
        """Wait for room; `Abandoned` once somebody gave up."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _WAITING_BLOCKS or self._abandoned)
            if self._abandoned:
                raise Abandoned
            self._waiting.append(rows)
            self._changed.notify_all()

    def take(self) -> Block | None:
        """The next block; None at the end."""
        return self._take(lambda _: True)

    def take_of(self, copy: bytes) -> Rows | None:
        """The next block, if it is of the table of `copy`."""
        found = self._take(lambda block: isinstance(block, Rows) and block.copy == copy)
        return found if isinstance(found, Rows) else None

    def _take(self, wanted: Callable[[Block], bool]) -> Block | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended or self._abandoned)
            if self._abandoned:
                raise Abandoned
            if not self._waiting or not wanted(self._waiting[0]):
                return None
            self._changed.notify_all()
            return self._waiting.popleft()

    def end(self) -> None:
        """No more blocks come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Whoever gives or takes raises `Abandoned`."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()


def _copy(connection: Connection, blocks: _Blocks) -> None:
    """Copy blocks to their tables until there are no more."""
    statement = b""
    try:
        while (block := blocks.take()) is not None:
            if isinstance(block, ObjectBytes):
                statement = b"SELECT pg_catalog.lo_put(%d, ...)" % block.oid
                connection.execute(_PUT, (block.oid, block.offset, block.block), binary=True)
                continue
            rows: Rows | None = block
            statement = block.copy
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                while rows is not None:
                    copy.write(rows.block)
                    rows = blocks.take_of(statement)
    except Abandoned:
        return
    except psycopg.Error as exc:
        blocks.abandon()
        raise StatementFailed(statement) from exc
    except BaseException:
        blocks.abandon()
        raise


def _patiently(connection: Connection, statement: bytes, *, alone: bool) -> None:
    """Run a statement, again where the server ended it because two waited for each other.

    One that is `alone` may take workers of the server's; beside another they would only crowd each other.
    """
    run_statement(connection, b"SET max_parallel_maintenance_workers TO " + (b"DEFAULT" if alone else b"0"))
    for tries_left in reversed(range(_TRIES)):
        try:
            return run_statement(connection, statement)
        except StatementFailed as exc:
            if not tries_left or not isinstance(exc.__cause__, psycopg.errors.DeadlockDetected):
                raise
    return None


def run_statement(connection: Connection, statement: bytes) -> None:
    """Run one statement of a dump; `StatementFailed` if the server does not take it, or takes it for two."""
    try:
        # A binary answer is asked for in the protocol that knows of one statement at a time.
        connection.execute(statement, binary=True)
    except psycopg.Error as exc:
        raise StatementFailed(statement) from exc
