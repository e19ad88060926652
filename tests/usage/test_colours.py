"""Colours are for terminals: a pipe, a file and who asked for none get plain text, of the same words."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from nightscan_tasks.cli import nightscan
from nightscan_tasks.cli.colours import (
    Text,
    critical,
    good,
    heading,
    hint,
    joined,
    painted,
    state,
    wanted,
    warning,
)
from nightscan_tasks.cli.tables import fold, table

_CODES = re.compile(r"\x1b\[[0-9;]*m")
_GREEN, _RED, _BOLD, _END = "\x1b[32m", "\x1b[31m\x1b[1m", "\x1b[1m", "\x1b[0m"


@pytest.fixture
def broken_store(tmp_path: Path) -> dict[str, str]:
    """A store with a set whose manifest is broken, and words in it that a terminal would obey."""
    folder = tmp_path / "backups" / "daily" / "20261123T020000Z"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"\x1b[32m good": 1}')
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "NIGHTSCAN_BACKUP_DIR": str(tmp_path / "backups"), "TERM": "xterm", "COLUMNS": "200"}


def on_terminal(environ: dict[str, str], *words: str) -> str:
    """What a command writes to a terminal, standard error too."""
    try:
        ours, theirs = pty.openpty()
    except OSError as exc:
        pytest.skip(f"this machine gives no terminals: {exc}")
    with subprocess.Popen([sys.executable, "-m", "nightscan_tasks.cli", *words], env=environ, stdout=theirs,
                          stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        seen = b"".join(_read(ours))
        process.wait(timeout=180)
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


def _read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(terminal, 65536)
        except OSError:  # its other end was closed
            return


def in_pipe(environ: dict[str, str], *words: str) -> str:
    """The same, in a pipe."""
    return subprocess.run([sys.executable, "-m", "nightscan_tasks.cli", *words], env=environ, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180).stdout


def test_a_terminal_has_colours_and_a_pipe_the_same_words_without(broken_store: dict[str, str]) -> None:
    seen, piped = on_terminal(broken_store, "list"), in_pipe(broken_store, "list")
    assert f"{_BOLD}SET " in seen
    assert f"{_RED}BROKEN{_END}" in seen
    assert "\x1b" not in piped
    assert _CODES.sub("", seen) == piped
    assert "BROKEN" in piped  # the word says it too


@pytest.mark.parametrize(("environ", "words"), [
    ({"NO_COLOR": "1"}, ()), ({"TERM": "dumb"}, ()), ({}, ("--color", "never")),
    ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, ())])
def test_a_terminal_has_none_where_somebody_said_so(broken_store: dict[str, str], environ: dict[str, str],
                                                    words: tuple[str, ...]) -> None:
    assert "Options:" in (seen := on_terminal({**broken_store, **environ}, *words, "--help"))
    assert "\x1b" not in seen


@pytest.mark.parametrize(("environ", "words"), [({"FORCE_COLOR": "1"}, ()), ({}, ("--color", "always"))])
def test_a_pipe_has_some_where_somebody_said_so(broken_store: dict[str, str], environ: dict[str, str],
                                                words: tuple[str, ...]) -> None:
    assert f"{_BOLD}Options:{_END}" in in_pipe({**broken_store, **environ}, *words, "--help")


def test_json_has_none_whatever_was_said(broken_store: dict[str, str]) -> None:
    assert "\x1b" not in in_pipe({**broken_store, "FORCE_COLOR": "1"}, "list", "--json")


def test_help_and_errors_are_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in runner.invoke(nightscan, ["--help"], color=True).output
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert f"{_BOLD}Options:{_END}" in runner.invoke(nightscan, ["list", "--help"], color=True).output
    refused = runner.invoke(nightscan, ["list"], color=True, env={"REDIS_PORT": "zero"})
    assert refused.stderr.startswith(f"{_RED}nightscan:{_END} REDIS_PORT")


@pytest.mark.parametrize(("when", "environ", "expected"), [
    ("auto", {}, None), ("auto", {"NO_COLOR": ""}, None), ("auto", {"NO_COLOR": "0"}, False),
    ("auto", {"FORCE_COLOR": "0"}, False), ("auto", {"FORCE_COLOR": "3", "TERM": "dumb"}, True),
    ("always", {"NO_COLOR": "1", "TERM": "dumb"}, True), ("never", {"FORCE_COLOR": "1"}, False)])
def test_who_decides(when: str, environ: dict[str, str], expected: bool | None) -> None:
    assert wanted(when, environ) is expected  # type: ignore[arg-type]


def test_what_is_given_a_style_is_the_same_text() -> None:
    for text in (good("ok"), warning("ok"), critical("ok"), heading("ok"), hint("ok"), state("ok")):
        assert text == "ok"
        assert len(text) == 2
        assert hash(text) == hash("ok")
        assert f"{text}" == "ok"
        assert painted(f"{text}") == "ok"  # an f-string is plain, and no code is lost in it
    assert state("nonsense") == "nonsense"
    assert not isinstance(state("nonsense"), Text)
    assert painted(state("FAILED")) == painted(critical("FAILED"))


def test_columns_are_as_wide_as_what_is_seen() -> None:
    rows = [["a", state("ok")], ["bcd", state("FAILED")]]
    lines = table(["NAME", "STATE"], rows, right=(1,))
    assert [str(line) for line in lines] == ["NAME   STATE", "a         ok", "bcd   FAILED"]
    assert painted("  " + lines[1]) == f"  a         {_GREEN}ok{_END}"


def test_folded_text_keeps_its_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    first, second = fold(critical("PROBLEM") + ": " + "words " * 8 + good("at the very end"), indent="  ")
    assert painted(first).startswith(f"  {_RED}PROBLEM{_END}: words")
    assert painted(second).endswith(f" {_GREEN}at the very end{_END}")
    assert fold(hint("")) == [""]


def test_what_a_terminal_would_obey_stays_written_out() -> None:
    assert painted(joined(" ", [good("a\x1b[31mb"), "c\x07"])) == f"{_GREEN}a\\x1b[31mb{_END} c\\x07"
