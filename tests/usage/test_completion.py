"""Completion as it is typed: in real shells, which read the script that the program prints."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from nightscan_tasks.cli import nightscan
from nightscan_tasks.cli.completing import VARIABLE, Bash

Complete = Callable[..., list[str]]
_SETS = ("daily/20261122T020000Z", "daily/20261123T020000Z", "weekly/20261122T020000Z")
_RESTORE = "restore-20261123T160255050525Z"
_SHELLS = [pytest.param(shell, marks=pytest.mark.skipif(
    shutil.which(shell) is None, reason=f"there is no {shell}; apt-get install {shell}"))
    for shell in ("bash", "zsh", "fish")]
_BASH = r"""
source {script}
COMP_WORDS=({words}) COMP_CWORD={at}
_nightscan_completion nightscan
printf '%s\n' "${{COMPREPLY[@]}}"
"""
_FISH = r"""
source {script}
complete --do-complete {line} | string split -f1 \t
"""
_TYPE_SECONDS = 60


@pytest.fixture(scope="module")
def shell_environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A shell's environment: the program in its path, and three sets and a restore in the primary store."""
    home = tmp_path_factory.mktemp("shell")
    store = home / "backups"
    for set_id in _SETS:
        (store / set_id).mkdir(parents=True)
        (store / set_id / "manifest.json").touch()
    (store / "restores" / _RESTORE).mkdir(parents=True)
    (store / "restores" / _RESTORE / "opened.json").touch()
    (home / "bin").mkdir()
    program = home / "bin" / "nightscan"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c '
                       f'"from nightscan_tasks.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    return {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(home), "TERM": "xterm", "PS1": "> ",
            "PYTHONPATH": str(Path(__file__).parents[2]), "LC_ALL": "C.UTF-8",
            "NIGHTSCAN_BACKUP_DIR": str(store), "AWS_BACKUP_BUCKET": "nightscan-backups"}


@pytest.fixture
def completed(shell_environ: dict[str, str], tmp_path: Path) -> Complete:
    """What a shell offers for a line whose last word is being typed: `completed("bash", "nightscan li")`."""
    def complete(shell: str, line: str, **environ: str) -> list[str]:
        script = tmp_path / f"script.{shell}"
        script.write_text(CliRunner().invoke(nightscan, ["completion", shell]).stdout)
        done = _RUN[shell](line, script, {**shell_environ, **environ})
        assert done.stderr == ""
        return done.stdout.split()

    return complete


def _bash(line: str, script: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = line.replace("=", " = ").split(" ")  # as readline breaks them
    return _run(["bash", "--norc", "-c", _BASH.format(script=script, words=shlex.join(words),
                                                      at=len(words) - 1)], environ)


def _fish(line: str, script: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return _run(["fish", "--no-config", "-c", _FISH.format(script=script, line=shlex.quote(line))], environ)


def _zsh(line: str, script: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Zsh completes only at a terminal: what `compadd` is given is written down on the way."""
    out = script.with_suffix(".found")
    source = (f"autoload -Uz compinit; compinit -D; source {script}\n"
              f"_write() {{ local -a completions completions_with_descriptions\n"
              f"  compadd() {{ print -rl -- $completions ${{completions_with_descriptions%%:*}} >> {out} }}\n"
              f"  _describe() {{ compadd }}\n  _nightscan_completion 2>> {out}; print done >> {out} }}\n"
              f"compdef _write nightscan\n")
    script.with_suffix(".rc").write_text(source)
    terminal, end = pty.openpty()
    with subprocess.Popen([str(shutil.which("zsh")), "-f", "-i"], env=environ, stdin=end, stdout=end,
                          stderr=end, start_new_session=True) as process:
        try:
            os.write(terminal, f"source {script.with_suffix('.rc')}; print rea''dy\n".encode())
            _until(terminal, lambda seen: b"ready" in seen)
            os.write(terminal, f"{line}\t".encode())
            _until(terminal, lambda _: out.exists() and out.read_text().endswith("done\n"))
        finally:
            process.kill()
            os.close(end)
            os.close(terminal)
    found = [each for each in out.read_text().split() if each != "done"]
    return subprocess.CompletedProcess(["zsh"], 0, "\n".join(dict.fromkeys(found)), "")


def _until(terminal: int, reached: Callable[[bytes], bool]) -> None:
    seen, deadline = b"", time.monotonic() + _TYPE_SECONDS
    while not reached(seen):
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.05)[0]:
            seen += os.read(terminal, 4096)


def _run(words: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=180)


_RUN = {"bash": _bash, "zsh": _zsh, "fish": _fish}


@pytest.mark.parametrize("shell", _SHELLS)
@pytest.mark.parametrize(("line", "offered"), [
    ("nightscan re", ["report", "restore", "recover", "reconcile", "release"]),
    ("nightscan restore database --set daily/", list(reversed(_SETS[:2]))),
    ("nightscan list --tier=w", ["weekly"]),
])
def test_a_shell_completes_what_is_typed(completed: Complete, shell: str, line: str, offered: list[str],
                                         ) -> None:
    expected = [f"--tier={each}" for each in offered] if "=" in line and shell != "bash" else offered
    assert sorted(completed(shell, line)) == sorted(expected)


@pytest.mark.parametrize(("line", "offered"), [
    ("nightscan backup pre-", {"pre_deploy"}),
    ("nightscan backup manual --component d", {"database"}),
    ("nightscan backup daily --wa", {"--wait"}),
    ("nightscan restore user-", {"user_data"}),
    ("nightscan list --store ", {"primary", "offsite"}),
    ("nightscan restore full --from o", {"offsite"}),
    ("nightscan verify w", {_SETS[2]}),
    ("nightscan restore rollback ", {_RESTORE}),
    ("nightscan completion f", {"fish"}),
    ("nightscan --col", {"--color"}),
    ("nightscan list --tier=daily --store=p", {"primary"}),
    ("nightscan alert test --channel ", {"mail", "slack"}),
])
def test_everything_that_has_a_name_is_completed(shell_environ: dict[str, str], line: str, offered: set[str],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    words = line.replace("=", " = ").split(" ")  # what the script of a bash gives, in this process
    for name, value in {**shell_environ, "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1),
                        "BACKUP_EMAIL": "admin@example.org",
                        "SLACK_WEBHOOK_URL": "https://hooks.example.org/services/x"}.items():
        monkeypatch.setenv(name, value)
    found = Bash(nightscan, {}, "nightscan", VARIABLE).complete()
    assert {each.removeprefix("plain,") for each in found.splitlines()} == offered


@pytest.mark.parametrize("environ", [
    {"REDIS_PORT": "zero"}, {"NIGHTSCAN_PRIMARY": "s3://nowhere", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}])
def test_where_nothing_is_known_nothing_is_printed(completed: Complete, environ: dict[str, str]) -> None:
    assert completed("bash", "nightscan verify ", **environ) == []  # and `completed` saw no error


def test_a_store_that_never_answers_is_not_waited_for(completed: Complete) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert completed("bash", "nightscan verify ", NIGHTSCAN_PRIMARY="s3://nightscan",
                         AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_ACCESS_KEY_ID="a",
                         AWS_SECRET_ACCESS_KEY="b") == []
        silent.settimeout(0)
        silent.accept()[0].close()  # it was asked


@pytest.mark.parametrize(("shell", "variable", "path"), [
    ("bash", "XDG_DATA_HOME", "bash-completion/completions/nightscan"),
    ("zsh", "ZDOTDIR", ".zfunc/_nightscan"), ("fish", "XDG_CONFIG_HOME", "fish/completions/nightscan.fish")])
def test_it_installs_itself_where_the_shell_looks(shell: str, variable: str, path: str,
                                                  tmp_path: Path) -> None:
    environ = {variable: str(tmp_path), "SHELL": f"/usr/bin/{shell}"}
    installed = CliRunner().invoke(nightscan, ["completion", "--install"], env=environ)
    assert f"{tmp_path / path} is written." in installed.stdout
    assert (tmp_path / path).read_text() == CliRunner().invoke(nightscan, ["completion", shell]).stdout


def test_a_shell_that_nobody_knows_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "which shell? bash, zsh, fish" in CliRunner().invoke(nightscan, ["completion"]).stderr
    assert "did you mean zsh?" in CliRunner().invoke(nightscan, ["completion", "zhs"]).stderr
