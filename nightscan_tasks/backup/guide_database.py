"""The part of a guide that restores the database: roles, the new database, what a dump leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote
from typing import cast

from nightscan_tasks.backup.guide_text import bash, plain_words, psql
from nightscan_tasks.model import Artifact, Json, Manifest

_PROVIDERS = {"i": "--locale-provider icu --icu-locale", "b": "--locale-provider builtin --builtin-locale"}
_RESTORED = "nightscan_restored"
_LOAD = ('psql --no-psqlrc --quiet --output /dev/null --set ON_ERROR_STOP=1 --single-transaction '
         '--dbname "$DATABASE"')
_ERRORS = ("Roles that exist are reported as errors: that is harmless; they get the passwords that they had. "
           "Every other error ends it, and leaves the new database {}: before another try, `dropdb` it.")
_EMPTY, _HALF_FULL = "empty", "half full"
_RESTORE = """\
pg_restore --no-password --exit-on-error --jobs "${JOBS:-2}" --dbname "$DATABASE" "$RESTORED/database\""""
_ONE_TABLE = ("For one table alone, give `pg_restore` the option `--table NAME`. **The folder "
              "`$RESTORED/database` holds all rows in plain**: remove it when they are restored.")
_LEFT_OUT = ("A dump leaves out the rights and settings of the database itself. In `psql --dbname postgres` "
             f"(where you gave the new database another name than `{_RESTORED}`, write that):")
_LIVE = ("To make it live, stop the application, and let it take the place of `{0}`, which stays as "
         "`{0}_before`. In `psql --dbname postgres`:")


def write_database(manifest: Manifest) -> str:
    """The section of the database."""
    report = manifest.components["database"]
    environment = cast("dict[str, Json]", report.fingerprint.get("environment") or {})
    artifacts = manifest.of("database")
    roles = next((each for each in artifacts if ".roles." in each.name), None)
    rest = {each.name.split(".")[1]: each for each in artifacts if ".roles." not in each.name}
    name = str(report.facts.get("database") or "nightscan")
    words = _needs(manifest, environment, _HALF_FULL if "toc" in rest else _EMPTY)
    sections = ["## Database", words, bash(_roles(roles, environment))]
    if "sql" in rest:
        sections.append(bash(f"{_create(environment)}\n{plain_words(rest['sql'])} | {_LOAD}"))
    if {"toc", "data"} <= set(rest):
        sections += [_directory(report.versions.get("pg_dump", "")),
                     bash(f"{_create(environment)}\n{_unpack(rest['toc'], rest['data'])}\n{_RESTORE}"),
                     _ONE_TABLE]
    if furnished := "\n".join(_furnish(environment)):
        sections += [_LEFT_OUT, psql(furnished)]
    if counts := _counts(report.fingerprint):
        sections += ["Are all rows there? Every line has to say `t`:", psql(counts)]
    return "\n\n".join([*sections, _LIVE.format(name), psql(_rename(name))])


def _directory(version: str) -> str:
    """What is special about this format."""
    dumped = f", {version.partition(' ')[0]} or newer" if version else ""
    return (f"The database was saved in `pg_dump`'s directory format: you need `pg_restore`{dumped}, `rm`, "
            "and room for all rows below `$RESTORED`. Large files come in pieces, which are put together in "
            "the order of their numbers. `JOBS` says how many connections restore, 2 unless set.")


def _unpack(contents: Artifact, data: Artifact) -> str:
    """The folder that pg_dump wrote."""
    return (f'mkdir -m 700 -p "$RESTORED/database"\n'
            f'{plain_words(contents)} > "$RESTORED/database/toc.dat"\n'
            f'{plain_words(data)} | tar --extract --directory "$RESTORED/database"\n'
            'for piece in "$RESTORED"/database/*.????????; do case "$piece" in\n'
            '    *.dat.[0-9]*|*.toc.[0-9]*) cat "$piece" >> "${piece%.*}" && rm "$piece" ;;\n'
            'esac; done')


def _needs(manifest: Manifest, environment: Mapping[str, Json], left: str) -> str:
    server = environment.get("server_version") or manifest.versions.get("postgresql", "")
    extensions = sorted(set(cast("dict[str, str]", environment.get("extensions") or {})) - {"plpgsql"})
    words = [_ERRORS.format(left)]
    if extensions:
        words.insert(0, f"The server needs the packages of these extensions: {', '.join(extensions)}.")
    if server:
        words.insert(0, f"Dumped from PostgreSQL {server}: use a server, and a `psql`, that are not older.")
    return " ".join(words)


def _roles(roles: Artifact | None, environment: Mapping[str, Json]) -> str:
    """Roles, but never the one that is logged in: it would get its old password back, and be shut out."""
    if roles:
        return ("# Your own role is left as it is.\n"
                f'{plain_words(roles)} | sed "/^ALTER ROLE \\"\\{{0,1\\}}$PGUSER\\"\\{{0,1\\}} /d" '
                "| psql --no-psqlrc --quiet --output /dev/null --dbname postgres")
    needed = [str(role) for role in cast("list[Json]", environment.get("roles") or [])]
    lines = ["# Roles were not saved: these are needed. Give them passwords: psql's \\password ROLE."]
    for role in needed:
        statement = quote(f"CREATE ROLE {_identifier(role)} LOGIN")
        lines.append(f"psql --no-psqlrc --dbname postgres --command {statement} || true")
    return "\n".join(lines)


def _create(environment: Mapping[str, Json]) -> str:
    words = ["createdb", "--maintenance-db postgres", "--template template0"]
    provider = _PROVIDERS.get(str(environment.get("provider")), "")
    for option, key in (("--encoding", "encoding"), ("--lc-collate", "collate"), ("--lc-ctype", "ctype"),
                        (provider, "locale"), ("--owner", "owner")):
        if option and environment.get(key):
            words.append(f"{option} {quote(str(environment[key]))}")
    return " ".join(words) + ' "$DATABASE"'


def _furnish(environment: Mapping[str, Json]) -> Iterator[str]:
    grants = cast("list[tuple[str, str, bool]]", environment.get("grants") or [])
    if grants:
        yield f"REVOKE ALL ON DATABASE {_RESTORED} FROM PUBLIC;"
    for role, privilege, grantable in grants:
        option = " WITH GRANT OPTION" if grantable and role else ""
        yield (f"GRANT {privilege} ON DATABASE {_RESTORED} TO "
               f"{_identifier(role) if role else 'PUBLIC'}{option};")
    for role, setting, value in cast("list[tuple[str, str, str]]", environment.get("settings") or []):
        whose = f"ROLE {_identifier(role)} IN DATABASE {_RESTORED}" if role else f"DATABASE {_RESTORED}"
        # FROM CURRENT leaves the quoting of lists such as search_path to the server.
        name = ".".join(map(_identifier, setting.split(".")))
        yield (f"BEGIN; SELECT set_config({_literal(setting)}, {_literal(value)}, true);\n"  # noqa: S608 - quoted
               f"ALTER {whose} SET {name} FROM CURRENT; COMMIT;")


def _counts(fingerprint: Mapping[str, Json]) -> str:
    """One line a table; labels are quoted as SQL has them."""
    tables = cast("dict[str, dict[str, Json]]", fingerprint.get("tables") or {})
    if not tables:
        return ""
    lines = [f"    SELECT {_literal(label)}, {int(str(facts['rows']))}, "  # noqa: S608 - quoted
             f"(SELECT count(*) FROM ONLY {label})" for label, facts in tables.items()]
    return (f"\\connect {_RESTORED}\nSELECT name, expected, found, expected = found AS same FROM (\n"
            + "\n    UNION ALL\n".join(lines) + "\n) AS compared (name, expected, found) ORDER BY name;")


def _rename(name: str) -> str:
    live, before = _identifier(name), _identifier(f"{name}_before")
    return (f"\\connect postgres\n\\set ON_ERROR_STOP on\n"
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity\n"
            f"    WHERE datname IN ({_literal(name)}, '{_RESTORED}') AND pid <> pg_backend_pid();\n"
            f"SELECT {_literal(f'ALTER DATABASE {live} RENAME TO {before}')}\n"
            f"    WHERE EXISTS (SELECT FROM pg_database WHERE datname = {_literal(name)}) \\gexec\n"
            f"ALTER DATABASE {_RESTORED} RENAME TO {live};")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f" E'{escaped.replace(chr(92), chr(92) * 2)}'" if "\\" in escaped else f"'{escaped}'"
