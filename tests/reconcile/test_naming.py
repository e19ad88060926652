"""A row names a file in many ways; each is read as the file it means, or as none of ours."""

import pytest

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.reconcile import Column, parse_columns
from nightscan_tasks.reconcile.naming import Name, Namer, read_names

NAMER = Namer(b"uploads", (b"/opt/nightscan", b"/srv/app"))


@pytest.mark.parametrize(("value", "path"), [
    ("2026/a.wav", "uploads/2026/a.wav"),
    ("./2026//a.wav", "uploads/2026/a.wav"),
    ("uploads/2026/a.wav", "uploads/2026/a.wav"),
    ("étang/夜.wav", "uploads/étang/夜.wav"),
    ("50% louder.wav", "uploads/50% louder.wav"),
    (" a.wav", "uploads/ a.wav"),
    ("call: at night.wav", "uploads/call: at night.wav"),
    ("/opt/nightscan/uploads/a.wav", "uploads/a.wav"),
    ("/srv/app/uploads/a?b#c.wav", "uploads/a?b#c.wav"),
    ("/uploads/a.jpg", "uploads/a.jpg"),
    ("/uploads/a%20b.jpg?v=2#top", "uploads/a b.jpg"),
    ("file:///opt/nightscan/uploads/a.wav", "uploads/a.wav"),
])
def test_a_value_that_names_a_file_of_ours(value: str, path: str) -> None:
    name = NAMER.read(value.encode())
    assert name
    assert name.sure
    assert name.paths[0] == path.encode()


@pytest.mark.parametrize(("value", "path"), [
    ("https://nightscan.example.org/uploads/a%20b.jpg?v=2", "uploads/a b.jpg"),
    ("HTTP://nightscan.example.org:8080/uploads/a.jpg", "uploads/a.jpg"),
    ("//cdn.example.org/uploads/a.jpg", "uploads/a.jpg"),
    ("/2026/a.wav", "uploads/2026/a.wav"),
])
def test_a_value_that_may_name_a_file_of_ours(value: str, path: str) -> None:
    name = NAMER.read(value.encode())
    assert name
    assert not name.sure
    assert name.paths[0] == path.encode()


@pytest.mark.parametrize("value", [
    "https://other.example.org/images/a.jpg", "s3://bucket/uploads/a.jpg", "data:image/png;base64,AAAA",
    "../secret", "uploads/../../etc/passwd", "/uploads/%2e%2e/%2e%2e/etc/passwd", "/opt/nightscan/../x",
    "2026/", "uploads/", ".", "/uploads/a%00b", "https://", "file:///uploads/../x"])
def test_a_value_that_names_nothing_of_ours(value: str) -> None:
    assert NAMER.read(value.encode()) is None


def test_a_value_with_two_readings_keeps_both() -> None:
    name = NAMER.read(b"uploads/a%20b.wav")
    assert name == Name((b"uploads/a%20b.wav", b"uploads/uploads/a%20b.wav", b"uploads/a b.wav",
                         b"uploads/uploads/a b.wav"))


def test_empty_values_name_nothing_and_are_not_counted() -> None:
    assert list(read_names([b"", b"  ", b"../x"], NAMER)) == [None]


def test_columns_are_written_with_a_folder() -> None:
    assert parse_columns(("prediction.filename=uploads", 'app."user".avatar=uploads/faces/')) == (
        Column("prediction", "filename", "uploads"), Column("user", "avatar", "uploads/faces", "app"))


@pytest.mark.parametrize("word", ["prediction", "prediction.filename", "a.b=", "a.b=../x", "=uploads",
                                  "a.b=.", "a.b=/", "a.b.c.d=uploads"])
def test_a_column_that_cannot_be_read_shows_how_one_is_written(word: str) -> None:
    with pytest.raises(SettingsError, match=r"prediction\.filename=uploads"):
        parse_columns((word,))
