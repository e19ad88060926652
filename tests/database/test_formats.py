"""Both formats of a dump: whatever PostgreSQL can hold comes back, compared by content."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.database_fingerprint import compare_fingerprints, fingerprint_database
from nightscan_tasks.errors import RestoreRefused

FORMATS = ("sql", "directory")
EXTENSIONS = ("bloom", "btree_gin", "btree_gist", "citext", "cube", "earthdistance", "fuzzystrmatch",
              "hstore", "intarray", "isn", "lo", "ltree", "pg_trgm", "pgcrypto", "seg", "tablefunc",
              "unaccent", "uuid-ossp")
RICH = (
    "CREATE ROLE test_reader", "CREATE SCHEMA audit", 'CREATE SCHEMA "Odd one"',
    "CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')",
    """CREATE TABLE "user" (id int GENERATED ALWAYS AS IDENTITY (START 7) PRIMARY KEY, name text NOT NULL,
       mail email UNIQUE, mood mood DEFAULT 'sad', both_of pair, bytes bytea, many int[])""",
    """INSERT INTO "user" (name, mail, mood, both_of, bytes, many) SELECT E'n\\t\\n\\\\.' || g, g || '@x',
       'happy', (g, E'q"\\\\')::pair, sha256(g::text::bytea), ARRAY[g, NULL]
       FROM generate_series(1, 300) g""",
    """CREATE TABLE audit.entry (id bigserial PRIMARY KEY, user_id int REFERENCES "user" ON DELETE CASCADE
       DEFERRABLE INITIALLY DEFERRED, at timestamptz DEFAULT now(), size bigint,
       twice bigint GENERATED ALWAYS AS (size * 2) STORED, CHECK (size > 0), CHECK (twice > 0) NO INHERIT)""",
    "INSERT INTO audit.entry (user_id, size) SELECT 7 + g % 300, g FROM generate_series(1, 3000) g",
    "CREATE TABLE p (d date, x int, PRIMARY KEY (d, x)) PARTITION BY RANGE (d)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO ('2026-02-01') PARTITION BY LIST (x)",
    "CREATE TABLE p1a PARTITION OF p1 FOR VALUES IN (1, 2)", "CREATE TABLE p1b PARTITION OF p1 DEFAULT",
    "CREATE TABLE p2 PARTITION OF p DEFAULT",
    "INSERT INTO p VALUES ('2026-01-05', 1), ('2026-01-05', 9), ('2030-01-01', 2)",
    "CREATE TABLE hashed (x int) PARTITION BY HASH (x)",
    *(f"CREATE TABLE hashed{n} PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER {n})"
      for n in (0, 1)),
    "INSERT INTO hashed SELECT generate_series(1, 100)", "CREATE TABLE child () INHERITS (audit.entry)",
    "INSERT INTO child (id, size) VALUES (1, 5)", 'CREATE TABLE "Odd one"."a;b" ("c""d" text)',
    """INSERT INTO "Odd one"."a;b" VALUES (E'\\\\.'), (''), (NULL)""", "CREATE TABLE nothing ()",
    'CREATE TABLE "Odd one".empty (x int)', "CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS x",
    "CREATE MATERIALIZED VIEW audit.m AS SELECT count(*) AS n FROM audit.entry",
    "CREATE INDEX ON audit.m (n)",
    "CREATE MATERIALIZED VIEW audit.never AS SELECT 1 AS x WITH NO DATA",
    "CREATE VIEW v AS SELECT * FROM audit.entry JOIN audit.m ON true",
    ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
     "'BEGIN NEW.size := NEW.size + 1; RETURN NEW; END'"),
    "CREATE TRIGGER tr BEFORE INSERT ON audit.entry FOR EACH ROW EXECUTE FUNCTION f()",
    "ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON audit.entry TO test_reader USING (user_id = 7)",
    "GRANT SELECT ON audit.entry TO test_reader", "COMMENT ON TABLE p IS 'it''s; \\ ours'",
    "COMMENT ON COLUMN p.x IS 'x'", "CREATE SEQUENCE audit.s INCREMENT 5", "SELECT nextval('audit.s')",
    "CREATE STATISTICS about ON d, x FROM p", "CREATE RULE quiet AS ON DELETE TO p DO INSTEAD NOTHING",
    "SELECT lo_from_bytea(4711, decode(repeat('00ff0a5c', 300000), 'hex'))", "SELECT lo_create(4712)",
    "SELECT lo_from_bytea(4713, '\\x0a')", "COMMENT ON LARGE OBJECT 4713 IS 'a newline'",
    "GRANT SELECT ON LARGE OBJECT 4711 TO test_reader",
    "CREATE COLLATION audit.plain (provider = libc, locale = 'C')",
    "CREATE TABLE sorted (t text COLLATE audit.plain)",
    "CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int)",
    "CREATE OPERATOR === (PROCEDURE = int4eq, LEFTARG = int, RIGHTARG = int)",
)
# What a fingerprint does not say.
SHAPE = """
SELECT 'large object', oid::text, encode(sha256(lo_get(oid)), 'hex') FROM pg_largeobject_metadata
UNION ALL SELECT 'rights', oid::text, replace(lomacl::text, 'nightscan_restored', 'postgres')
    FROM pg_largeobject_metadata
UNION ALL SELECT 'comment', objoid::text, description FROM pg_description
    WHERE classoid = 'pg_largeobject'::regclass
UNION ALL SELECT 'comment', objoid::regclass::text || objsubid, description FROM pg_description
    WHERE classoid = 'pg_class'::regclass AND objoid >= 16384
UNION ALL SELECT 'column', attrelid::regclass || '.' || attname, format('%s %s %s %s %s', atttypid::regtype,
    attnotnull, attidentity, attgenerated, pg_get_expr(adbin, adrelid)) FROM pg_attribute
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND c.oid >= 16384
    AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL SELECT 'constraint', conrelid::regclass || conname, pg_get_constraintdef(oid) || convalidated
    FROM pg_constraint WHERE conrelid >= 16384
UNION ALL SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) || indisvalid FROM pg_index
    WHERE indexrelid >= 16384 AND indrelid NOT IN (SELECT oid FROM pg_class WHERE relkind = 't')
UNION ALL SELECT 'trigger', tgrelid::regclass || tgname, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE NOT tgisinternal
UNION ALL SELECT 'rule', tablename || rulename, definition FROM pg_rules WHERE schemaname <> 'pg_catalog'
UNION ALL SELECT 'view', viewname, definition FROM pg_views WHERE schemaname IN ('public', 'audit')
UNION ALL SELECT 'policy', polrelid::regclass || polname,
    pg_get_expr(polqual, polrelid) || polroles::regrole[]::text FROM pg_policy
UNION ALL SELECT 'relation', oid::regclass::text, format('%s %s %s %s %s %s', relkind, relpersistence,
    relrowsecurity, relforcerowsecurity, replace(relacl::text, 'nightscan_restored', 'postgres'),
    pg_get_expr(relpartbound, oid)) FROM pg_class
    WHERE oid >= 16384 AND relkind NOT IN ('t', 'i') AND relnamespace <> 'pg_toast'::regnamespace
UNION ALL SELECT 'sequence', schemaname || '.' || sequencename, format('%s %s', last_value, increment_by)
    FROM pg_sequences
UNION ALL SELECT 'extension', extname, extversion || extnamespace::regnamespace FROM pg_extension
UNION ALL SELECT 'labels', enumtypid::regtype::text, enumlabel FROM pg_enum
UNION ALL SELECT 'content of m', n::text, '' FROM audit.m
ORDER BY 1, 2, 3
"""
LARGE = ("CREATE TABLE large AS SELECT g, repeat(md5(g::text), 30) AS t "
         "FROM generate_series(1, 60000) g")
Saving = Callable[..., Any]


@pytest.fixture
def saving(scratch: Any, tmp_path: Path) -> Saving:
    """Save the database in a format, and find nothing of it in the temporary folder afterwards."""
    temp = tmp_path / "temp"
    temp.mkdir()

    def save(form: str, **settings: object) -> Any:
        saved = scratch.source(*scratch.dump(NIGHTSCAN_DATABASE_FORMAT=form, NIGHTSCAN_TEMP_DIR=str(temp),
                                             **settings))
        assert not list(temp.iterdir())
        return saved

    return save


def shape(scratch: Any) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = scratch.rows(SHAPE)
    return rows


def put_back(scratch: Any, saved: Any, tmp_path: Path, **options: Any) -> None:
    restorer = scratch.restorer(temp_dir=tmp_path / "temp", **options)
    assert restorer.examine(saved).problems == ()
    restorer.stage(saved)
    restorer.swap()
    restorer.accept()
    assert not list((tmp_path / "temp").iterdir())


@pytest.mark.parametrize("form", FORMATS)
def test_whatever_postgresql_holds_comes_back_by_content(
        scratch: Any, saving: Saving, tmp_path: Path, form: str) -> None:
    scratch.run(*RICH)
    there = {name for (name,) in scratch.rows("SELECT name FROM pg_available_extensions")}
    scratch.run(*(f'CREATE EXTENSION "{name}" CASCADE SCHEMA public' for name in EXTENSIONS if name in there))
    scratch.run("CREATE TABLE extended (c citext, h hstore, t ltree, v int[])",
                "INSERT INTO extended VALUES ('Ab', 'a=>1', 'x.y', '{1}')",
                "CREATE INDEX ON extended USING gin (c gin_trgm_ops)")
    before = shape(scratch)
    saved = saving(form)
    assert set(saved.streams) - {"database.roles.sql"} == (
        {"database.sql"} if form == "sql" else {"database.data.tar", "database.toc"})
    scratch.run("DROP SCHEMA audit CASCADE", 'DROP TABLE "user" CASCADE', "SELECT lo_unlink(4711)")
    put_back(scratch, saved, tmp_path)
    with scratch.connect() as connection:
        found = fingerprint_database(connection, content=True)
    assert compare_fingerprints(saved.report.fingerprint, found) == []
    assert shape(scratch) == before


@pytest.mark.parametrize("form", FORMATS)
def test_one_table_comes_back_from_either_format(
        scratch: Any, saving: Saving, tmp_path: Path, form: str) -> None:
    scratch.run("CREATE TABLE a AS SELECT g, 'saved' AS x FROM generate_series(1, 900) g",
                "CREATE TABLE b AS SELECT 'saved' AS x")
    saved = saving(form)
    scratch.run("UPDATE a SET x = 'later'", "UPDATE b SET x = 'later'")
    put_back(scratch, saved, tmp_path, tables=("a",))
    assert scratch.rows("SELECT count(*) FROM a WHERE x = 'saved'") == [(900,)]
    assert scratch.rows("SELECT x FROM b") == [("later",)]


def test_a_large_table_comes_in_pieces_and_never_lies_on_disk_as_a_whole(
        scratch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightscan_tasks.components.database_spool.MOST_BYTES", 4 << 20)
    scratch.run(LARGE)
    most, streams = 0, {}
    with scratch.opened(NIGHTSCAN_DATABASE_FORMAT="directory", NIGHTSCAN_TEMP_DIR=str(tmp_path)) as dump:
        for stream in dump.streams():
            data = bytearray()
            for chunk in stream.chunks:
                data += chunk
                most = max(most, lying(tmp_path))
            streams[stream.name] = bytes(data)
        report = dump.report()
    with tarfile.open(fileobj=io.BytesIO(streams["database.data.tar"])) as tar:
        names = [name for name in tar.getnames() if ".dat." in name]
    assert len(names) > 10
    assert len(streams["database.data.tar"]) > 50_000_000
    assert most < 40_000_000
    scratch.run("TRUNCATE large")
    scratch.restorer(temp_dir=tmp_path).stage(scratch.source(streams, report))


def lying(folder: Path) -> int:
    """Bytes of disk that the files below a folder take."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
            assert path.is_file() or path.stat().st_mode & 0o077 == 0
        except FileNotFoundError:
            continue
    return total


def contents_of(saved: Any) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(saved.streams["database.data.tar"])) as tar:
        return {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def without_a_file(files: dict[str, bytes]) -> dict[str, bytes]:
    return dict(list(files.items())[1:])


def cut_rows(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data.removesuffix(b"\\.\n\n\n") for name, data in files.items()}


def one_more(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "9999.dat": b"1\n\\.\n\n\n"}


def elsewhere(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"../{name}": data for name, data in files.items()}


def other_content(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data.replace(b"saved", b"saveb") for name, data in files.items()}


def pieces_in_disorder(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.00000001": data for name, data in files.items()}


@pytest.mark.parametrize(("damage", "says"), [
    (without_a_file, "break off"), (cut_rows, "break off"), (one_more, "belongs to nothing of its contents"),
    (elsewhere, "is no file of a dump"), (other_content, "their content differs"),
    (pieces_in_disorder, "not the piece that comes next")])
def test_data_that_was_tampered_with_is_refused(
        scratch: Any, saving: Saving, tmp_path: Path, damage: Any, says: str) -> None:
    scratch.run("CREATE TABLE a AS SELECT g, 'saved' AS x FROM generate_series(1, 900) g",
                "CREATE TABLE b (x int)")
    saved = saving("directory")
    saved.streams["database.data.tar"] = packed(damage(contents_of(saved)))
    with pytest.raises(RestoreRefused, match=says):
        scratch.restorer(temp_dir=tmp_path / "temp").stage(saved)
    assert scratch.rows("SELECT count(*) FROM a") == [(900,)]


@pytest.mark.parametrize(("old", "new", "says"), [
    # Of the same length, as the contents count the bytes of each text.
    (b"CREATE TABLE public.trap", b"ALTER ROLE x SUPERUSER;;", "tampered with.*ALTER ROLE x"),
    (b"COPY public.trap (x) FROM stdin;", b"COPY public.trap (x) TO '/x/yz';", "COPY of another kind"),
    (b"{number}.dat", b"toc.dat\0", "cannot be read|no part of the dump|COPY of another|break off|psql"),
    (b"PGDMP", b"XXXXX", "cannot be read"),
])
def test_contents_that_were_tampered_with_are_refused(
        scratch: Any, saving: Saving, tmp_path: Path, old: bytes, new: bytes, says: str) -> None:
    scratch.run("CREATE TABLE trap (x int)")
    saved = saving("directory")
    (name,) = [name for name in contents_of(saved) if not name.startswith("blob")]
    old = old.replace(b"{number}", name.removesuffix(".dat").encode())
    assert old in saved.streams["database.toc"]
    saved.streams["database.toc"] = saved.streams["database.toc"].replace(old, new[:len(old)])
    with pytest.raises(RestoreRefused, match=says):
        scratch.restorer(temp_dir=tmp_path / "temp").stage(saved)
    assert scratch.rows("SELECT count(*) FROM trap") == [(0,)]


def test_a_set_of_one_format_is_restored_whatever_the_setting_is_now(
        scratch: Any, saving: Saving, tmp_path: Path) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    both = [saving(form) for form in FORMATS]
    for saved in both:
        scratch.run("TRUNCATE t")
        put_back(scratch, saved, tmp_path)
        assert scratch.rows("SELECT x FROM t") == [(1,)]


def test_contents_need_a_pg_restore_that_is_new_enough(scratch: Any, saving: Saving) -> None:
    scratch.run("CREATE TABLE t AS SELECT 1 AS x")
    saved = saving("directory")
    saved.report = replace(saved.report, versions={**saved.report.versions, "pg_dump": "99.1 (system)"})
    assert any("pg_restore 99 or newer" in problem for problem in scratch.restorer().examine(saved).problems)


def test_leaving_in_mid_dump_ends_every_program_and_leaves_no_file(scratch: Any, tmp_path: Path) -> None:
    scratch.run(LARGE)
    with scratch.opened(NIGHTSCAN_DATABASE_FORMAT="directory", NIGHTSCAN_TEMP_DIR=str(tmp_path)) as dump:
        next(next(dump.streams()).chunks)
        assert dumping(tmp_path)
    assert not dumping(tmp_path)
    assert not list(tmp_path.iterdir())


def dumping(folder: Path) -> list[int]:
    """Processes that were told of a folder, this one left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid() and os.fsencode(folder) in (
                    entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
