"""Archives, indexes and dumps of any bytes: refused in our own words, and nothing is written elsewhere."""

from __future__ import annotations

import contextlib
import io
import socket
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from nightscan_tasks.components.database_filler import Filler
from nightscan_tasks.components.database_guard import Guard
from nightscan_tasks.components.database_script import NotUnderstood, ObjectBytes, Rows, items
from nightscan_tasks.components.database_statements import Handling, plan_statement
from nightscan_tasks.components.entry import read_index_line
from nightscan_tasks.components.extraction import extract
from nightscan_tasks.components.rdb import Replication, ReplicationForbidden, rdb_version
from nightscan_tasks.components.roles import _ATTRIBUTES, _statements
from nightscan_tasks.components.tar_reader import Stream, members
from nightscan_tasks.errors import ManifestInvalid, NightscanError
from tests.fuzz.mutation import chunked, mutated, scaled

_ODD = ["a", "../x", "/etc/x", "a/b", "é" * 60, "x" * 200, "a\nb", "\x1b[2J", "a/../b", "-rf",
        " ", "up", "up/in"]
_TYPES = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
          tarfile.CHRTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"V", b"g"]


def an_archive(form: int, names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.type = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE)[number % 3]
            info.linkname = "a" if number % 3 == 2 else ""
            info.size = 700 if number % 3 == 0 else 0
            if form == tarfile.PAX_FORMAT:
                info.pax_headers = {"SCHILY.xattr.user.x": "1", "mtime": "1.5"}
            archive.addfile(info, io.BytesIO(b"x" * 700))
    return buffer.getvalue()


def a_sparse_archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("GNUSparseFile.0/data")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "holes",
                            "GNU.sparse.realsize": "100000"}
        content = b"2\n0\n4\n100000\n0\n".ljust(512, b"\0") + b"data"
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVES = (*(an_archive(form, ["one", "two", "three", "é" * 80]) for form in (
    tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)[:2]), a_sparse_archive())
INDEX = (b'{"path": "a", "type": "file", "bytes": 4, "sha256": "00", "mode": "0644", "mtime_ns": 1, '
         b'"uid": 0, "gid": 0, "user": "", "group": "", "target": "", "problem": ""}')
DUMP = b"""--
-- PostgreSQL database dump
--

\\restrict abc

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;
COMMENT ON EXTENSION citext IS 'it''s';
CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $_$BEGIN RETURN NEW; END$_$;
ALTER FUNCTION public.f(integer, text) OWNER TO nightscan;
CREATE TABLE public."user" (
    id integer NOT NULL, -- it's
    name text DEFAULT E'a\\'b'::text
);
ALTER TABLE public."user" OWNER TO nightscan;
COPY public."user" (id, name) FROM stdin;
1\ta\\nb
\\.

ALTER TABLE ONLY public."user"
    ADD CONSTRAINT user_pkey PRIMARY KEY (id);
GRANT SELECT ON TABLE public."user" TO reader;

\\unrestrict abc
"""
ROLES = (b"CREATE ROLE a;\n"
         b"ALTER ROLE a WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x' VALID UNTIL 'x';\n")
RDB = b"$18\r\nREDIS0011\xfe\x00\x00\x01a\x01b\xff" + bytes(8)


@contextlib.contextmanager
def a_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "out").mkdir()
        (folder / "secret").write_text("secret")
        yield folder / "out"
        assert sorted(path.name for path in folder.iterdir()) == ["out", "secret"]
        assert (folder / "secret").read_text() == "secret"
        assert (folder / "secret").stat().st_nlink == 1


@scaled
@given(st.one_of(mutated(ARCHIVES), st.binary(max_size=2000)), st.integers(1, 3000))
def test_an_archive_of_any_bytes_is_read_or_refused(data: bytes, size: int) -> None:
    taken = 0
    with contextlib.suppress(NightscanError):
        for entry, content in members(Stream(chunked(data, size))):
            for _, length in entry.extents:
                taken += sum(map(len, content(length)))
    assert taken <= len(data)


@scaled
@given(mutated(ARCHIVES))
def test_an_archive_of_any_bytes_is_unpacked_into_its_folder_or_refused(data: bytes) -> None:
    with a_folder() as out, contextlib.suppress(NightscanError, OSError):  # `refusal` has words for those
        extract(iter([data]), out)


@scaled
@given(st.lists(st.tuples(st.sampled_from(_ODD), st.sampled_from(_TYPES),
                          st.sampled_from([*_ODD, "../secret"]), st.integers(0, 0o7777)), max_size=6),
       st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_members_of_any_names_and_kinds_leave_what_is_outside_alone(
        made: list[tuple[str, bytes, str, int]], form: int) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, kind, target, mode in made:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode = kind, target, mode
            archive.addfile(info)
    with a_folder() as out, contextlib.suppress(NightscanError, OSError):  # `refusal` has words for those
        extract(iter([buffer.getvalue()]), out)


@scaled
@example(INDEX.replace(b'"bytes": 4', b'"bytes": 1e999'))
@given(st.one_of(mutated((INDEX,)), st.binary(max_size=300)))
def test_a_line_of_an_index_is_read_or_refused(line: bytes) -> None:
    with contextlib.suppress(ManifestInvalid):
        read_index_line(line)


@scaled
@given(st.one_of(mutated((DUMP,)), st.binary(max_size=500)), st.integers(1, 700))
def test_a_dump_says_the_same_however_it_arrives(data: bytes, size: int) -> None:
    assert read(chunked(data, size)) == read(iter([data]))


def read(chunks: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """Statements, and rows put together again; whether it was understood to its end."""
    found: list[bytes] = []
    rows = False
    try:
        for item in items(chunks):
            if isinstance(item, Rows):
                found += [item.block] if not rows else []
                found[-1] = found[-1] if not rows else found[-1] + item.block
            elif not isinstance(item, ObjectBytes):  # plain SQL has none
                found.append(item)
            rows = isinstance(item, Rows)
    except NotUnderstood:
        return found, False
    return found, True


_WORDS = st.sampled_from([
    "ALTER TABLE ", "public.t ", "OWNER TO ", "x", ";", '"', "'", "$$", "--", "/*", "*/", "\n", "COPY ",
    "FROM stdin", "TO PROGRAM 'x'", "CREATE ", "FUNCTION ", "GRANT ", "ON ", "DATABASE ", "TO ", "SET ",
    "ROLE ",
    "ALTER ", "(", ")", "ADD COLUMN y int DEFAULT evil()", ", ", "DEFAULT PRIVILEGES ", "FOR ROLE ",
    "SCHEMA ",
    "EXTENSION ", "IF NOT EXISTS ", "COMMENT ", "IS ", "postgres", "SELECT ", "pg_catalog.", "setval(", "E'",
    "\\", "\\."])


@scaled
@given(st.one_of(st.lists(_WORDS, max_size=14).map(lambda words: "".join(words).encode()), mutated((DUMP,))))
def test_whatever_we_run_ourselves_for_a_dump_is_one_plain_statement(data: bytes) -> None:
    guard = Guard(Filler((), "nightscan_restore_x"), None)  # type: ignore[arg-type]  # no server is asked
    with contextlib.suppress(NightscanError, NotUnderstood, AttributeError):  # the last: an extension
        for _ in guard.sifted(items(iter([data]))):
            pass
    for later in guard.later:
        text = later.statement
        assert text.count(b";") == 1 or b'"' in text
        assert text.endswith(b";")
        if later.step.handling is Handling.OWNER:
            assert b"evil" not in text
            assert b"'" not in text or b'"' in text


@scaled
@given(st.one_of(st.binary(max_size=200), mutated(tuple(DUMP.split(b"\n")))))
def test_a_statement_of_any_bytes_is_judged(data: bytes) -> None:
    assert plan_statement(data).handling in Handling


@scaled
@given(st.one_of(mutated((ROLES,)), st.text("ABWITH ;'\"-\n$R", max_size=400).map(str.encode)))
def test_roles_of_any_text_are_read_soon(data: bytes) -> None:
    text = data.decode(errors="replace")
    for statement in _statements(text):
        _ATTRIBUTES.fullmatch(statement)
    _ATTRIBUTES.fullmatch(f"ALTER ROLE a WITH {text}")


@scaled
@given(st.one_of(mutated((RDB, b"$EOF:" + b"m" * 40 + b"\r\nREDIS0011\xff" + bytes(8) + b"m" * 40)),
                 st.binary(max_size=200)))
def test_a_server_that_says_anything_is_no_rdb_or_refused(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"+OK\r\n" * 3 + b"+CONTINUE\r\n" + data)
        theirs.shutdown(socket.SHUT_WR)
        replication = Replication(SecretStr("redis://localhost"))
        with contextlib.suppress(NightscanError, ReplicationForbidden):
            replication.begin(ours, reads_version="9.0.0")
            for _ in replication.chunks():
                pass
    assert rdb_version(data) is None or isinstance(rdb_version(data), int)


@pytest.mark.parametrize("header", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_claims_a_gigabyte_takes_no_memory(header: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = header, 1 << 30
    claimed = info.tobuf(tarfile.GNU_FORMAT)
    read_bytes = 0

    def endless() -> Iterator[bytes]:
        nonlocal read_bytes
        yield claimed
        while read_bytes < 1 << 30:
            read_bytes += 1 << 20
            yield bytes(1 << 20)

    with pytest.raises(NightscanError):
        for _ in members(Stream(endless())):
            pass
    assert read_bytes < 100 << 20


def test_headers_without_end_are_damage() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    one = info.tobuf(tarfile.GNU_FORMAT) + b"x\0".ljust(512, b"\0")
    with pytest.raises(NightscanError):
        for _ in members(Stream(iter([one * 5000]))):
            pass
