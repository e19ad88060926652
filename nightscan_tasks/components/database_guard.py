"""Stands between a dump and the server: each statement goes to whom it belongs, or nowhere.

What the dump says of owners is kept until the end, when it is done by whoever handed the filling over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from psycopg import sql

from nightscan_tasks.components.database_crew import run_statement
from nightscan_tasks.components.database_filler import Filler
from nightscan_tasks.components.database_script import Item, ObjectBytes, Rows
from nightscan_tasks.components.database_statements import Handling, Step, is_plain_copy, plan_statement
from nightscan_tasks.components.postgres import Connection
from nightscan_tasks.errors import RestoreRefused

_SHOWN_BYTES = 200
_OPTIONAL = {Handling.OPTIONAL, Handling.ABOUT}
_BEFORE_OBJECTS = {Handling.SCENE, Handling.EXTENSION, Handling.ABOUT}


class Optional(bytes):
    """A statement that is done only where the role that fills has the right."""


@dataclass(frozen=True)
class Later:
    """A statement for the end; `by` is the role in whose name it was given, empty for nobody's."""

    step: Step
    statement: bytes
    by: str = ""


@dataclass
class Guard:
    """What passes into one database. `administrator` makes there what only a superuser may make.

    `extensions` are those that may be made.
    """

    filler: Filler
    administrator: Connection
    extensions: Collection[str] = ()
    later: list[Later] = field(default_factory=list)
    _by: str = ""
    _objects: bool = False
    _extended: set[str] = field(default_factory=set)

    def admitted(self) -> AbstractContextManager[None]:
        """Whoever fills may log in meanwhile."""
        return self.filler.admitted()

    def sifted(self, source: Iterable[Item]) -> Iterator[Item]:
        """What the role that fills is to run; `RestoreRefused` at what no dump has."""
        checked = b""
        for item in source:
            if isinstance(item, ObjectBytes):  # a number and bytes, and no statement
                yield item
                continue
            if not isinstance(item, Rows):
                yield from self._sifted(item)
                continue
            if item.copy != checked and not is_plain_copy(item.copy):
                raise _refused(item.copy)
            checked = item.copy
            yield item

    def _sifted(self, statement: bytes) -> Iterator[bytes]:
        step = plan_statement(statement)
        if step.handling is Handling.REFUSED:
            raise _refused(statement)
        if self.filler.role and self._belongs_later(step, statement):
            return
        if step.handling is Handling.EXTENSION and not self._objects and self._extend(step):
            return
        if step.handling is Handling.ABOUT and step.name in self._extended:
            run_statement(self.administrator, statement)
            return
        self._objects = self._objects or step.handling not in _BEFORE_OBJECTS
        yield Optional(statement) if step.handling in _OPTIONAL else statement

    def _belongs_later(self, step: Step, statement: bytes) -> bool:
        if step.handling is Handling.BEHALF:
            self._by = step.role
            return True
        if step.handling in {Handling.OWNER, Handling.DEFAULTS} or self._by:
            if self._by and not statement.startswith((b"GRANT ", b"REVOKE ")):
                raise _refused(statement)
            self.later.append(Later(step, statement, self._by))
            return True
        return False

    def _extend(self, step: Step) -> bool:
        """Make what only a superuser may make, before anything of the dump is there to be mistaken for it."""
        if not self.filler.role:
            return False
        row = self.administrator.execute(
            "SELECT superuser AND NOT trusted FROM pg_available_extension_versions v "
            "JOIN pg_available_extensions USING (name) WHERE version = default_version AND name = %s",
            (step.name,)).fetchone()
        if row is None or not row[0]:
            return False
        if step.name not in self.extensions:
            raise RestoreRefused(f"the dump asks for the extension {step.name}, which must not be made "
                                 f"for it; the live database was not touched")
        where = sql.SQL(" WITH SCHEMA {}").format(sql.Identifier(step.schema)) if step.schema else sql.SQL("")
        statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(step.name)) + where
        run_statement(self.administrator, statement.as_bytes(self.administrator))
        self._extended.add(step.name)
        return True


def refusal(statement: bytes) -> str:
    """What is said of a statement that no dump has."""
    words = shown(statement)
    return (f"the dump was tampered with, or was not made by pg_dump, which writes no `{words}`: it "
            f"was not run; the live database was not touched: choose another set; for a set whose origin is "
            f"certain, --unguarded runs whatever it says")


def shown(statement: bytes) -> str:
    """The beginning of a statement, on one line, without anything that moves a cursor."""
    text = " ".join(statement[:_SHOWN_BYTES].decode(errors="replace").split())
    text = "".join(char if char.isprintable() else "�" for char in text)
    return text + (" …" if len(statement) > _SHOWN_BYTES else "")


def _refused(statement: bytes) -> RestoreRefused:
    return RestoreRefused(refusal(statement))


