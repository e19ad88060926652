"""Which columns name files, and the values that stand in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from nightscan_tasks.components.postgres import Connection
from nightscan_tasks.errors import SettingsError

_ROWS = 10_000
_WORD = re.compile(r"(?:(?P<schema>[^.=]+)\.)?(?P<table>[^.=]+)\.(?P<name>[^.=]+)=(?P<folder>[^=]+)")
_EXAMPLE = "for example NIGHTSCAN_RECONCILE=prediction.filename=uploads"
_COLUMNS = """
SELECT n.nspname, c.relname, a.attname
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY n.nspname <> 'public', 1, 2, 3
"""


@dataclass(frozen=True)
class Column:
    """A column whose values name files below `folder`, which is relative to the application's root."""

    table: str
    name: str
    folder: str
    schema: str = ""

    def __str__(self) -> str:
        schema = f"{self.schema}." if self.schema else ""
        return f"{schema}{self.table}.{self.name}"


def parse_columns(words: Sequence[str]) -> tuple[Column, ...]:
    """`TABLE.COLUMN=FOLDER`, or with a schema before it; `SettingsError` shows how one is written."""
    return tuple(_parse(word) for word in words)


def find_columns(connection: Connection, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The same with their schemas; `SettingsError` names each that is not there, and the nearest."""
    there = [(schema, table, name) for schema, table, name in connection.execute(_COLUMNS).fetchall()]
    found, problems = [], []
    for column in columns:
        match = next((each for each in there if each[1:] == (column.table, column.name)
                      and column.schema in {"", each[0]}), None)
        if match:
            found.append(Column(column.table, column.name, column.folder, match[0]))
        else:
            problems.append(f"NIGHTSCAN_RECONCILE: the database has no column {column}; "
                            f"{_nearest(column, there)}")
    if problems:
        raise SettingsError("\n".join(problems))
    return tuple(found)


def read_values(connection: Connection, column: Column) -> Iterator[bytes]:
    """Every value that is not null, as UTF-8, a batch of rows at a time. Needs a transaction."""
    # As bytes: a database of no known encoding holds what is no text.
    query = sql.SQL("SELECT convert_to({name}::text, 'UTF8') FROM {table} WHERE {name} IS NOT NULL").format(
        name=sql.Identifier(column.name), table=sql.Identifier(column.schema, column.table))
    with connection.cursor("nightscan_reconcile") as cursor:
        cursor.itersize = _ROWS
        cursor.execute(query, binary=True)
        for (value,) in cursor:
            yield value


def _parse(word: str) -> Column:
    match = _WORD.fullmatch(word.strip())
    if not match:
        raise SettingsError(f"NIGHTSCAN_RECONCILE: {word!r} is not TABLE.COLUMN=FOLDER; {_EXAMPLE}")
    folder = match["folder"].strip().strip("/")
    if not folder or {"", ".", ".."} & set(folder.split("/")):
        raise SettingsError(f"NIGHTSCAN_RECONCILE: {match['folder']!r} of {word!r} is no folder below "
                            f"NIGHTSCAN_ROOT; {_EXAMPLE}")
    return Column(table=_unquoted(match["table"]), name=_unquoted(match["name"]), folder=folder,
                  schema=_unquoted(match["schema"] or ""))


def _unquoted(name: str) -> str:
    return name.strip().strip('"')


def _nearest(column: Column, there: Sequence[tuple[str, str, str]]) -> str:
    names = {f"{table}.{name}" if schema == "public" else f"{schema}.{table}.{name}"
             for schema, table, name in there}
    close = difflib.get_close_matches(str(column), names, n=1, cutoff=0.4)
    return f"did you mean {close[0]}?" if close else f"it has {len(names)} columns, none of such a name"
