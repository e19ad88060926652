"""What may become of each statement of a dump: decided by its words alone, before any server sees it.

A dump is written by `pg_dump`, which uses few kinds of statements, always spelled alike. Whatever is spelled
otherwise was not written by it, and is not run. This keeps out what reaches beyond the database that is
filled (other databases, roles, files and programs of the server); what a function may do once it runs is
limited by the rights of the role that runs it, not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_PART = rb'(?:"(?:[^"]|"")+"|[a-z_\x80-\xff][a-z0-9_$\x80-\xff]*)'
_NAME = _PART + rb"(?:\." + _PART + rb")?"
_OBJECT = (
    rb"(?:ACCESS METHOD|AGGREGATE|CAST|COLLATION|COLUMN|CONSTRAINT|CONVERSION|DOMAIN|FOREIGN DATA WRAPPER|"
    rb"FOREIGN TABLE|FUNCTION|INDEX|LANGUAGE|LARGE OBJECT|MATERIALIZED VIEW|OPERATOR|OPERATOR CLASS|"
    rb"OPERATOR FAMILY|POLICY|PROCEDURAL LANGUAGE|PROCEDURE|RULE|SCHEMA|SEQUENCE|SERVER|STATISTICS|TABLE|"
    rb"TEXT SEARCH (?:CONFIGURATION|DICTIONARY|PARSER|TEMPLATE)|TRANSFORM|TRIGGER|TYPE|USER MAPPING|VIEW)\b")
_RARE = rb"(?:EVENT TRIGGER|PUBLICATION|SUBSCRIPTION)\b"

_RUN = re.compile(
    rb"CREATE (?:OR REPLACE )?(?:UNIQUE |UNLOGGED |CONSTRAINT |TRUSTED |DEFAULT )?" + _OBJECT
    + rb"|ALTER " + _OBJECT
    + rb"|SELECT pg_catalog\.(?:setval|lo_create|lo_open|lowrite|lo_close)\("
    + rb"|SELECT \* FROM pg_catalog\.pg_restore_(?:relation|attribute)_stats\("
    + rb"|ALTER DEFAULT PRIVILEGES |INSERT INTO |REFRESH MATERIALIZED VIEW |(?:BEGIN|COMMIT);\Z")
_OPTIONAL = re.compile(
    rb"(?:CREATE|ALTER) " + _RARE + rb"|SECURITY LABEL "
    + rb"|COMMENT ON (?:EXTENSION\b|" + _OBJECT + rb"|" + _RARE + rb")"
    + rb"|(?:GRANT|REVOKE) [A-Za-z ,()\"0-9_$\x80-\xff]*? ON (?!DATABASE\b|TABLESPACE\b|PARAMETER\b)")
_COPY = re.compile(rb"COPY " + _NAME + rb" ?(?: \(" + _PART + rb"(?:, " + _PART + rb")*\))? FROM stdin;")

# As strict as can be: what follows is run by whoever handed the filling over, with more rights.
_OWNED = re.compile(
    rb"ALTER (?P<kind>AGGREGATE|COLLATION|CONVERSION|DOMAIN|FOREIGN TABLE|FUNCTION|LARGE OBJECT|"
    rb"MATERIALIZED VIEW|PROCEDURE|SCHEMA|SEQUENCE|STATISTICS|TABLE|TEXT SEARCH (?:CONFIGURATION|DICTIONARY)|"
    rb"TYPE|VIEW) (?:" + _NAME + rb"|[0-9]+)(?P<of>\([^;]*\))? OWNER TO (?P<role>" + _PART + rb");")
_OWNED_OPERATOR = re.compile(
    rb"ALTER (?P<kind>OPERATOR|OPERATOR CLASS|OPERATOR FAMILY) [^;'\"]+ OWNER TO (?P<role>" + _PART + rb");")
_DEFAULTS = re.compile(rb"ALTER DEFAULT PRIVILEGES FOR ROLE (?P<role>" + _PART + rb") (?:IN SCHEMA "
                       + _PART + rb" )?(?:GRANT|REVOKE) [^;]*;")
_EXTENSION = re.compile(rb"CREATE EXTENSION IF NOT EXISTS (?P<name>" + _PART
                        + rb")(?: WITH SCHEMA (?P<schema>" + _PART + rb"))?;")
_ABOUT = re.compile(rb"COMMENT ON EXTENSION (?P<name>" + _PART + rb") IS '(?:[^'\\\\]|'')*';")
_SETTING = rb"SET (?!ROLE\b|SESSION\b|LOCAL\b)[a-z_.]+ (?:=|TO) |SELECT pg_catalog\.set_config\("
# A collation is all that pg_dump makes before extensions; it runs nothing.
_SCENE = re.compile(rb"CREATE SCHEMA " + _PART + rb";\Z|CREATE COLLATION " + _NAME + rb" \([^;()]*\);\Z"
                    + rb"|COMMENT ON (?:SCHEMA|COLLATION) |" + _SETTING)
_BEHALF = re.compile(rb"SET SESSION AUTHORIZATION (?P<role>" + _PART + rb");|RESET SESSION AUTHORIZATION;")
_WITH_ARGUMENTS = (b"AGGREGATE", b"FUNCTION", b"PROCEDURE")


class Handling(Enum):
    """What becomes of a statement."""

    RUN = auto()        # by the role that fills
    OPTIONAL = auto()   # the same; where it lacks the right, that is a note
    OWNER = auto()      # `role` is to own something: at the end
    DEFAULTS = auto()   # what `role` will grant from now on: at the end
    EXTENSION = auto()  # `name` is wanted, in `schema`
    ABOUT = auto()      # a comment on the extension `name`
    SCENE = auto()      # as RUN; it makes nothing that could be called, or taken for something else
    BEHALF = auto()     # what comes next was granted by `role`; empty: no more
    REFUSED = auto()    # pg_dump does not write it


_WHOLE = ((Handling.OWNER, _OWNED), (Handling.OWNER, _OWNED_OPERATOR), (Handling.DEFAULTS, _DEFAULTS),
          (Handling.EXTENSION, _EXTENSION), (Handling.ABOUT, _ABOUT), (Handling.BEHALF, _BEHALF))
_BEGINNING = ((Handling.SCENE, _SCENE), (Handling.RUN, _RUN), (Handling.OPTIONAL, _OPTIONAL))


@dataclass(frozen=True)
class Step:
    """A statement, and what becomes of it."""

    handling: Handling
    kind: str = ""
    role: str = ""
    name: str = ""
    schema: str = ""


def plan_statement(statement: bytes) -> Step:
    """What becomes of one statement, which ends with its semicolon."""
    for handling, pattern in _WHOLE:
        if found := pattern.fullmatch(statement):
            return _step(handling, found)
    for handling, pattern in _BEGINNING:
        if pattern.match(statement):
            return Step(handling)
    return Step(Handling.REFUSED)


def _step(handling: Handling, found: re.Match[bytes]) -> Step:
    words = {name: value or b"" for name, value in found.groupdict().items()}
    kind = words.get("kind", b"")
    if words.get("of") and kind not in _WITH_ARGUMENTS:
        return Step(Handling.REFUSED)
    return Step(handling, kind.decode(), *(_plain(words.get(key, b"")) for key in ("role", "name", "schema")))


def is_plain_copy(statement: bytes) -> bool:
    """Whether it takes rows from us into one table, and does nothing else."""
    return _COPY.fullmatch(statement) is not None


def _plain(name: bytes) -> str:
    text = name.decode(errors="surrogateescape")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
