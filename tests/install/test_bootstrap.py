"""An environment is made once, repaired when broken, and nothing else is touched."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import bootstrap as bootstrap_module

pytestmark = pytest.mark.long

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a bare environment is kept between the tests of this file: making one takes seconds."""
    return tmp_path_factory.mktemp("environment") / "venv"


@pytest.fixture
def venv(made: Path, bootstrap: Run) -> Path:
    done = bootstrap("--bare", str(made))
    assert done.returncode == 0, done.stderr
    return made


def answers(venv: Path) -> bool:
    return subprocess.run([venv / "bin" / "python", "-m", "pip", "--version"], check=False,
                          capture_output=True).returncode == 0


def test_a_second_run_does_nothing(venv: Path, bootstrap: Run) -> None:
    before = (venv / "installed").stat().st_mtime_ns
    done = bootstrap("--bare", str(venv))
    assert done.stdout.endswith("is up to date\n")
    assert (venv / "installed").stat().st_mtime_ns == before


def test_an_interrupted_one_is_made_anew(venv: Path, bootstrap: Run) -> None:
    (venv / "installing").touch()
    (venv / "lib" / "left-over").touch()
    assert bootstrap("--bare", str(venv)).returncode == 0
    assert answers(venv)
    assert not (venv / "installing").exists()
    assert not (venv / "lib" / "left-over").exists()


def test_one_without_pip_is_made_anew(venv: Path, bootstrap: Run) -> None:
    (package,) = venv.glob("lib/python*/site-packages/pip")
    shutil.rmtree(package)
    (venv / "installed").unlink()
    assert bootstrap("--bare", str(venv)).returncode == 0
    assert answers(venv)


def test_one_that_was_moved_is_made_anew(venv: Path, tmp_path: Path, bootstrap: Run) -> None:
    shutil.copytree(venv, tmp_path / "moved", symlinks=True)
    assert "was moved" in bootstrap("--bare", str(tmp_path / "moved")).stdout
    first = (tmp_path / "moved" / "bin" / "pip").read_text().splitlines()[0]
    assert str(tmp_path / "moved") in first


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path, bootstrap: Run) -> None:
    mine = tmp_path / "documents"
    mine.mkdir()
    (mine / "letter").touch()
    done = bootstrap("--bare", str(mine))
    assert done.returncode == 1
    assert "is not a virtual environment" in done.stderr
    assert [entry.name for entry in mine.iterdir()] == ["letter"]


def programs(folder: Path, *names: str) -> str:
    """A PATH with only these programs: small scripts that write down how they were called."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text(
            f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n'
            f'[ "{name} $1" = "apt-get install" ] || exit 0\n'
            f"printf '#!/bin/sh\\n' > {folder}/gpg\n/bin/chmod +x {folder}/gpg\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_a_missing_gpg_is_installed_by_root_and_asked_for_by_others(
    tmp_path: Path, bootstrap: Run,
) -> None:
    folder = tmp_path / "bin"
    # An environment that is refused: so that the run ends after the check of gpg.
    (tmp_path / "no-venv").mkdir()
    (tmp_path / "no-venv" / "mine").touch()
    done = bootstrap(str(tmp_path / "no-venv"), PATH=programs(folder, "apt-get"))
    assert done.returncode == 1
    command = "apt-get install --yes --no-install-recommends gnupg"
    if os.geteuid() == 0:
        assert command in (folder / "calls").read_text().splitlines()
        assert f"GnuPG is missing: {command} …" in done.stdout
        assert "is not a virtual environment" in done.stderr
    else:
        assert not (folder / "calls").exists()
        assert command in done.stderr


def test_without_apt_a_missing_gpg_is_explained(tmp_path: Path, bootstrap: Run) -> None:
    done = bootstrap(str(tmp_path / "venv"), PATH=programs(tmp_path / "bin"))
    assert done.returncode == 1
    assert "no program `gpg`" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_sources_are_compiled_for_users_who_may_not_write_here(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs a command of root's checkout would compile it each time."""
    monkeypatch.setattr(bootstrap_module, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap_module, "python_of", lambda _target: sys.executable)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    source = tmp_path / "nightscan_tasks/some.py"
    source.parent.mkdir()
    for changed_at, text in enumerate(("A = 1", "A = 'longer'")):
        source.write_text(text)
        os.utime(source, (changed_at, changed_at))
        bootstrap_module.compile_sources(tmp_path)
        cached = Path(importlib.util.cache_from_source(str(source)))
        assert int.from_bytes(cached.read_bytes()[12:16], "little") == len(text)  # of which source it is


def test_sources_that_cannot_be_compiled_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap_module, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap_module, "python_of", lambda _target: sys.executable)
    (tmp_path / "beat_schedule.py").write_text("half a (")
    with pytest.raises(bootstrap_module.BootstrapError, match=r"beat_schedule\.py"):
        bootstrap_module.compile_sources(tmp_path)
