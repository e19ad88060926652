"""Reading a dump: where statements end and rows begin, wherever the stream happens to be cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightscan_tasks.components import database_script
from nightscan_tasks.components.database_script import (
    BLOCK_BYTES,
    Item,
    NotUnderstood,
    ObjectBytes,
    Rows,
    items,
)

DUMP = rb"""--
-- PostgreSQL database dump; COPY nothing FROM stdin;
--

\restrict abc

SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$
COPY t FROM stdin;
\.
-- ' ; $$ "
SELECT $1;$_$;
CREATE FUNCTION g() RETURNS int LANGUAGE sql
    BEGIN ATOMIC
 SELECT CASE WHEN true THEN 1 ELSE 2 END AS ";";
 SELECT 'END;'::text;
END;
CREATE PROCEDURE begin() LANGUAGE sql AS 'SELECT (((1;';
CREATE RULE r AS ON INSERT TO t DO ( INSERT INTO u VALUES (';)');
 INSERT INTO v VALUES (1);
);
COMMENT ON TABLE t IS 'it''s; "odd" \';
COMMENT ON TABLE u IS E'back\\slash \' ; ';
CREATE TABLE "a;b" (x numeric(1,1) DEFAULT (1 - 2) / 3, $a$b int DEFAULT /* ; */ 1);
COPY public."a;b" (x) FROM stdin;
1\t;
\\.
\\N
2
\.


COPY public.empty (x) FROM stdin;
\.

SELECT pg_catalog.lowrite(0, '\x00ff');
--
-- PostgreSQL database dump complete
--

\unrestrict abc

""".replace(b"$a$b", b"a$a$b")

STARTS = [
    b"SET standard", b"SELECT pg_catalog.set", b"CREATE FUNCTION f", b"CREATE FUNCTION g",
    b"CREATE PROCEDURE begin", b"CREATE RULE r", b"COMMENT ON TABLE t", b"COMMENT ON TABLE u",
    b'CREATE TABLE "a;b"', b'COPY public."a;b"', b"SELECT pg_catalog.lowrite"]


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[start:start + size] for start in range(0, len(text), size)]


def read(text: bytes, size: int = 1 << 20) -> list[Item]:
    return list(items(cut(text, size)))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1 << 20])
def test_a_dump_is_the_same_however_it_is_cut(size: int) -> None:
    found = read(DUMP, size)
    heads = [item.copy if isinstance(item, Rows) else bytes(item) for item in found
             if not isinstance(item, ObjectBytes)]
    assert [head[:len(start)] for head, start in zip(heads, STARTS, strict=True)] == STARTS
    assert heads[5].endswith(b"(1);\n);")
    (rows,) = (item for item in found if isinstance(item, Rows))
    assert rows.block == b"1\\t;\n\\\\.\n\\\\N\n2\n"


@given(st.lists(st.text(st.sampled_from("ab\\.N;'$-\t\r")), max_size=30), st.integers(1, 9))
def test_rows_are_never_changed_and_never_cut(lines: list[str], size: int) -> None:
    rows = b"".join(line.encode().replace(b"\\.", b"") + b"\n" for line in lines)
    text = b"COPY t FROM stdin;\n" + rows + b"\\.\n\nSELECT 1;\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database_script, "BLOCK_BYTES", 4)
        *blocks, last = read(text, size)
    assert last == b"SELECT 1;"
    assert b"".join(block.block for block in blocks if isinstance(block, Rows)) == rows


@pytest.mark.parametrize("size", [1000, 65536, 1 << 20])
def test_many_rows_come_in_blocks_of_whole_rows(size: int) -> None:
    rows = b"".join(b"%d\tsome text\n" % number for number in range(200_000))
    found = read(b"COPY t FROM stdin;\n" + rows + b"\\.\n", size)
    blocks = [item for item in found if isinstance(item, Rows)]
    assert b"".join(item.block for item in blocks) == rows
    assert all(item.block.endswith(b"\n") and len(item.block) <= BLOCK_BYTES + size for item in blocks)
    assert len(blocks) > 2


@pytest.mark.parametrize("text", [
    b"SELECT 'never ends;\n", b"SELECT 1", b"\\connect other\n", b"COPY t FROM stdin WITH (FORMAT csv);\n",
    b"COPY t FROM stdin;\n1\n2\n", b"CREATE FUNCTION f() AS $x$ ; $y$;\n",
])
def test_what_is_not_understood_is_said(text: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read(text)
