"""What is compared, on disk: rows and files may be more than memory should hold.

An SQLite file without a name: it is gone with the process, however that ends.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_TABLES = """
CREATE TABLE value (path BLOB NOT NULL, sure INTEGER NOT NULL);
CREATE TABLE other (path BLOB NOT NULL, reading BLOB NOT NULL);
CREATE TABLE named (path BLOB PRIMARY KEY, sure INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE reading (path BLOB NOT NULL, reading BLOB NOT NULL, PRIMARY KEY (path, reading)) WITHOUT ROWID;
CREATE TABLE there (path BLOB PRIMARY KEY, kind TEXT NOT NULL, bytes INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL, inode INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE held (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE missing (id INTEGER PRIMARY KEY, path BLOB NOT NULL, sure INTEGER NOT NULL, source INTEGER,
    stored BLOB, target BLOB, fetched INTEGER NOT NULL DEFAULT 0);
CREATE INDEX missing_source ON missing (source, stored);
CREATE INDEX missing_target ON missing (source, target) WHERE target IS NOT NULL;
CREATE TABLE orphan (path BLOB PRIMARY KEY, bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL, moved INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
"""
_PRAGMAS = ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "cache_size = -32000")


@contextmanager
def scratch(temp_dir: Path | None) -> Iterator[sqlite3.Connection]:
    """An empty scratch database in `temp_dir`, all in one transaction; only its owner could read it."""
    descriptor, name = tempfile.mkstemp(prefix="nightscan-reconcile-", dir=temp_dir)
    os.close(descriptor)
    try:
        connection = sqlite3.connect(name, isolation_level=None)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.executescript(_TABLES)
    finally:
        Path(name).unlink()
    with closing(connection):
        connection.execute("BEGIN")
        yield connection
