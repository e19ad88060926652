"""Which database belongs to which restore: a line in its comment, below what people wrote there.

So every later step, in another process or on another day, finds out from the server alone how far a
restore was. Object ids are written down too, because names may be changed by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Self

from psycopg import sql

from nightscan_tasks.components.postgres import Connection

_TAG = re.compile(r"(?s)^(?P<comment>.*?)\n?\[nightscan (?P<mark>\{.*\})\]$")


@dataclass(frozen=True)
class Mark:
    """What a database is to restores.

    `target` is the live name that it is for. `restored_by` is the run that made it, `before` where that
    run put what was live (empty: there was nothing), `accepted` that it was let go. `kept_by` is the
    run that put it aside, and `instead` the object id of what took its place.
    """

    target: str = ""
    restored_by: str = ""
    before: str = ""
    accepted: bool = False
    kept_by: str = ""
    instead: int = 0

    def attached(self, comment: str) -> str:
        """The comment that holds both, for `split` to read; without a mark, people's alone."""
        mark = {name: value for name, value in asdict(self).items() if value}
        if not self.restored_by and not self.kept_by:
            return comment
        tag = f"[nightscan {json.dumps(mark, ensure_ascii=False)}]"
        return f"{comment}\n{tag}" if comment else tag

    @classmethod
    def split(cls, text: str | None) -> tuple[str, Self]:
        """People's comment, and the mark; an empty one where there is none that can be read."""
        match = _TAG.match(text or "")
        try:
            values = json.loads(match["mark"]) if match else None
        except ValueError:
            values = None
        if match is None or not isinstance(values, dict):
            return text or "", cls()
        known = {field.name for field in fields(cls)}
        return match["comment"], cls(**{key: value for key, value in values.items() if key in known})


@dataclass(frozen=True)
class Marked:
    """A database, people's comment on it, and its mark."""

    oid: int
    name: str
    comment: str
    mark: Mark


@dataclass(frozen=True)
class Traces:
    """What a server has of one run and its target.

    `live` has the target's name, whatever it is; `staged` the name that the run fills; `restored` is
    what the run made, once it was live; `kept` is what it put aside, the newest first.
    """

    live: Marked | None
    staged: Marked | None
    restored: Marked | None
    kept: tuple[Marked, ...]

    @property
    def undone(self) -> bool:
        """Whether the run itself put aside what it had restored."""
        mark = self.restored.mark if self.restored else Mark()
        return mark.kept_by != "" and mark.kept_by == mark.restored_by


def databases(connection: Connection) -> tuple[Marked, ...]:
    """Every database of the server, with what its comment says."""
    rows = connection.execute("SELECT oid::bigint, datname, shobj_description(oid, 'pg_database') "
                              "FROM pg_database ORDER BY datname DESC").fetchall()
    return tuple(Marked(oid, name, *Mark.split(comment)) for oid, name, comment in rows)


def traces(everything: Collection[Marked], run_id: str, *, target: str, staged: str) -> Traces:
    """What belongs to `run_id` among the databases of a server."""
    ours = [found for found in everything if found.mark.target == target and found.name != staged]
    kept = tuple(found for found in ours
                 if found.mark.kept_by == run_id and found.mark.restored_by != run_id)
    instead = kept[0].mark.instead if kept else 0
    restored = [found for found in ours if found.mark.restored_by == run_id]
    # Somebody may have written a new comment over the mark of what is live.
    restored += [found for found in everything if found.oid == instead and found.name != staged]
    return Traces(live=_named(everything, target), staged=_named(everything, staged),
                  restored=restored[0] if restored else None, kept=kept)


def write_mark(connection: Connection, name: str, comment: str, mark: Mark) -> None:
    """Set a database's comment to people's and the mark."""
    connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(
        sql.Identifier(name), sql.Literal(mark.attached(comment) or None)))


def _named(everything: Collection[Marked], name: str) -> Marked | None:
    return next((found for found in everything if found.name == name), None)
