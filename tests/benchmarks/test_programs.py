from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.programs import left_out, provide


def test_who_cannot_install_is_told_how_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                    capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    provide()
    told = capsys.readouterr().err
    assert "restic is left out" in told
    assert "apt-get install --yes --no-install-recommends borgbackup" in told
    assert len(left_out()) == 2


def test_an_installation_that_fails_fails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid():
        pytest.skip("only root is asked to install")
    program = tmp_path / "apt-get"
    program.write_text("#!/bin/sh\necho E: no such host; exit 100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    provide()
    assert "E: no such host" in capsys.readouterr().err


def test_what_is_there_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("restic", "borg"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    provide()
    assert capsys.readouterr() == ("", "")
    assert left_out() == ()
