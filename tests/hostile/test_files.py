"""What an archive may not leave behind, and how much an artifact may hold."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.components.extraction import extract, lines
from nightscan_tasks.components.redis_server import Flavour
from nightscan_tasks.components.scratch_redis import started
from nightscan_tasks.errors import DigestMismatch, ManifestInvalid, RestoreRefused
from nightscan_tasks.programs import candidates
from nightscan_tasks.restore.reading import _exactly
from nightscan_tasks.streams import Tally

_NOBODY = 65534


def archive(**values: Any) -> Iterator[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        info = tarfile.TarInfo("uploads-x")
        info.size = 4
        for name, value in values.items():
            setattr(info, name, value)
        made.addfile(info, io.BytesIO(b"evil"))
    return iter([buffer.getvalue()])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to root")
@pytest.mark.parametrize(("mode", "uid", "gid", "refused"), [
    (0o4755, 0, 0, True), (0o2755, _NOBODY, 0, True), (0o6755, 0, _NOBODY, True), (0o4755, _NOBODY, 0, False),
    (0o2755, 0, _NOBODY, False), (0o755, 0, 0, False)])
def test_no_program_with_the_rights_of_root_is_put_back(tmp_path: Path, mode: int, uid: int, gid: int,
                                                        refused: bool) -> None:
    made = archive(mode=mode, uid=uid, gid=gid)
    if refused:
        with pytest.raises(RestoreRefused, match=r"uploads-x would run with the rights of root.*by hand"):
            extract(made, tmp_path)
        assert list(tmp_path.iterdir()) == []
    else:
        extract(made, tmp_path)
        assert (tmp_path / "uploads-x").stat().st_mode & 0o7777 == mode


def test_capabilities_of_a_file_are_not_put_back(tmp_path: Path) -> None:
    capability = b"\1\0\0\2\x80\0\0\0" + bytes(12)
    headers = {"SCHILY.xattr.security.capability": capability.decode("latin-1")}
    done = extract(archive(pax_headers=headers), tmp_path)
    assert "lost its capabilities" in done.notes[0]
    assert os.listxattr(tmp_path / "uploads-x") == []


def test_more_than_was_saved_is_stopped_before_it_fills_a_disk() -> None:
    given = 0

    def bomb() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += 1 << 20
            yield bytes(1 << 20)

    with pytest.raises(DigestMismatch, match="more than the 5000000 bytes that were saved"):
        list(_exactly(bomb(), Tally(), "00", "x", most_bytes=5_000_000))
    assert given <= 6 << 20


def test_an_index_that_is_one_endless_line_takes_no_memory() -> None:
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        while given < 1 << 30:
            given += 1 << 16
            yield b"x" * (1 << 16)

    with pytest.raises(ManifestInvalid, match="longer than"):
        list(lines(endless()))
    assert given < 4 << 20


HEAD = b"REDIS0010\xfe\x00"
HUGE = b"\x81" + (1 << 50).to_bytes(8, "big")


@pytest.mark.parametrize("body", [
    b"\x00\x03key" + HUGE, b"\x00" + HUGE, b"\x01\x03key" + HUGE, b"\x07" + HUGE, b"\xf5" + HUGE,
    b"\xf5\x40\x40#!lua name=x\nos.execute('touch marker')".ljust(66, b" "), b"\xfd",
    b"\x06\x03key\x81" + bytes(8)],
    ids=["string", "key", "list", "module", "function", "program", "cut", "old"])
def test_an_rdb_that_claims_what_it_has_not_is_refused_and_nothing_is_left(
        tmp_path: Path, body: bytes) -> None:
    tool = next(iter((*candidates("valkey-server"), *candidates("redis-server"))))
    name = tool.path.name.removesuffix("-server")
    with started(tool, Flavour(name if name in {"valkey", "redis"} else "valkey", tool.version),
                 temp_dir=tmp_path) as scratch, pytest.raises(RestoreRefused, match="cannot load this RDB"):
        scratch.load_rdb(iter([HEAD + body + b"\xff" + bytes(8)]))
    assert list(tmp_path.rglob("*")) == []
