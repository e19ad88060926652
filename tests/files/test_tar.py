"""Headers, read back by Python and by GNU tar: any name, any size, any time."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightscan_tasks.components import tar
from nightscan_tasks.components.entry import (
    Entry,
    Indexed,
    Kind,
    agrees,
    index_line,
    quoted,
    read_index_line,
    unquoted,
)
from nightscan_tasks.components.restored import restored
from nightscan_tasks.errors import ManifestInvalid

GnuTar = Callable[..., bytes]  # described in conftest.py

step = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in {b".", b".."})
paths = st.lists(step, min_size=1, max_size=6).map(b"/".join)
owners = st.binary(max_size=60).filter(lambda name: 0 not in name)
xattrs = st.lists(st.tuples(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).map(
        lambda name: b"user." + name.encode()), st.binary(max_size=300)),
    max_size=3, unique_by=lambda pair: pair[0]).map(tuple)
entries = st.builds(
    Entry, path=paths, kind=st.sampled_from(Kind), mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(-(2**62), 2**63 - 1), uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2), user=owners, group=owners,
    content_bytes=st.integers(0, 2**63 - 1), target=paths, xattrs=xattrs)


def read(header: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024)), mode="r|", encoding="utf-8",
                      errors="surrogateescape") as archive:
        member = archive.next()
        assert member is not None
        return member


@settings(max_examples=200, deadline=None)
@given(entries)
def test_python_reads_every_header(entry: Entry) -> None:
    header = tar.header(entry)
    member = read(header)
    back = restored(member)
    assert len(header) % 512 == 0
    assert (back.path, back.kind, back.mode, back.mtime_ns, back.xattrs) == (
        entry.path, entry.kind, entry.mode, entry.mtime_ns, entry.xattrs)
    assert (member.uid, member.gid) == (entry.uid, entry.gid)
    assert os.fsencode(member.uname) == entry.user
    if entry.kind is Kind.FILE:
        assert member.size == entry.content_bytes
    if entry.kind in {Kind.SYMLINK, Kind.HARD_LINK}:
        assert back.target == entry.target


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(entries.map(lambda entry: entry._replace(
    content_bytes=0, mtime_ns=entry.mtime_ns % 2**61)), min_size=1, max_size=12))
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_gnu_tar_reads_every_header(gnu_tar: GnuTar, locale: str, many: list[Entry]) -> None:
    archive = b"".join(map(tar.header, many))
    listed = gnu_tar(archive + tar.end(len(archive)), "-t", "--quoting-style=literal", "--null",
                     "--absolute-names", "--show-transformed-names", locale=locale)
    names = [entry.path + (b"/" if entry.kind is Kind.DIRECTORY else b"") for entry in many]
    assert listed == b"".join(name + b"\n" for name in names)


@given(st.integers(2**33 - 2, 2**63 - 1))
def test_gnu_tar_agrees_on_large_sizes(size: int) -> None:
    entry = Entry(b"large", Kind.FILE, 0o644, 0, 0, 0, b"", b"", size)
    assert read(tar.header(entry)).size == size


@settings(deadline=None)
@given(paths, st.lists(st.integers(1, 5000), min_size=2, max_size=20), st.binary(min_size=1))
def test_python_reads_sparse_files_with_any_name(
        path: bytes, steps: list[int], data: bytes) -> None:
    extents, position = [], 0
    for hole, length in zip(steps[::2], steps[1::2], strict=False):
        extents.append((position + hole, length))
        position += hole + length
    size = position + 7
    extents.append((size, 0))
    content = b"".join((data * length)[:length] for _, length in extents)
    entry = Entry(path, Kind.FILE, 0o600, 1, 0, 0, b"", b"", size)
    archive = tar.sparse_header(entry, extents) + tar.padded(content)
    with tarfile.open(fileobj=io.BytesIO(archive + tar.end(len(archive))), encoding="utf-8",
                      errors="surrogateescape") as opened:
        member = opened.getmembers()[0]
        expected = bytearray(size)
        for offset, length in extents:
            expected[offset:offset + length] = (data * length)[:length]
        file = opened.extractfile(member)
        assert file is not None
        assert os.fsencode(member.name) == path
        assert file.read() == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_times_survive_as_text(time_ns: int) -> None:
    assert tar.nanoseconds(tar.seconds(time_ns).decode()) == time_ns


def test_a_plain_file_costs_one_block_and_a_fraction_of_a_second_two_more() -> None:
    entry = Entry(b"uploads/a.wav", Kind.FILE, 0o644, 10**18, 1000, 1000, b"nightscan", b"backup", 5)
    assert len(tar.header(entry)) == 512
    assert len(tar.header(entry._replace(mtime_ns=10**18 + 1))) == 3 * 512


@given(st.binary())
def test_any_name_fits_into_json_and_comes_back(name: bytes) -> None:
    assert quoted(name).isprintable()
    assert not set(quoted(name)) & set('"\\')
    assert unquoted(quoted(name)) == name


@given(entries, st.text(st.characters(codec="utf-8")))
def test_an_index_line_comes_back(entry: Entry, problem: str) -> None:
    line = index_line(Indexed(entry, "ab" * 32, problem))
    assert line.count(b"\n") == 1
    assert read_index_line(line) == Indexed(entry._replace(xattrs=()), "ab" * 32, problem)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"path": 1}', b"\xff", b'{"path": "a'])
def test_what_is_no_index_line_is_refused(line: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="not a line of an index"):
        read_index_line(line)


@pytest.mark.parametrize("block", [bytes(512), b"\xff" * 512, bytes(range(256)) * 2], ids=["0", "255", "all"])
def test_the_sum_of_a_header_is_that_of_its_bytes(block: bytes) -> None:
    assert tar.byte_sum(block) == sum(block)


@pytest.mark.parametrize("path", [b"uploads/a.wav", b'od"d %41\n.wav', b"caf\xe9"])
def test_a_line_agrees_with_its_own_entry_alone(path: bytes) -> None:
    entry = Entry(path, Kind.FILE, 0o640, 17, 1, 2, b"night", b"scan", 5)
    line, digest = index_line(Indexed(entry, "ab" * 32)), "ab" * 32
    assert agrees(line, path, Kind.FILE, digest)
    assert agrees(line, path, Kind.FILE, "")
    assert not agrees(line, path, Kind.FILE, "cd" * 32)
    assert not agrees(line, path, Kind.HARD_LINK, digest)
    assert not agrees(line, path + b"x", Kind.FILE, digest)
    assert not agrees(line, path[:-1], Kind.FILE, digest)
