"""What is known of the key that backups are encrypted for."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.codec import Codec, inspect_recipient
from nightscan_tasks.errors import ProcessKilled


def test_a_usable_key_is_told_with_its_fingerprint(ring: Any) -> None:
    key = inspect_recipient("backup@nightscan.com", ring.home)
    assert (key.usable, key.problem, key.user_id) == (True, "", "backup@nightscan.com")
    assert len(key.fingerprint) == 40
    assert inspect_recipient(key.fingerprint, ring.home) == key


def test_the_end_of_a_key_is_told(ring: Any) -> None:
    key = inspect_recipient("ending@nightscan.com", ring.home)
    assert key.usable
    assert key.expires_at is not None
    assert timedelta(days=9) < key.expires_at - datetime.now(UTC) <= timedelta(days=10)


@pytest.mark.parametrize(("name", "problem"), [
    ("nobody", "no public key for nobody@nightscan.com in the key ring"),
    ("expired", "it expired"),
    ("revoked", "it was revoked"),
    ("signing", "it cannot encrypt"),
])
def test_what_is_wrong_with_a_key_is_told_with_the_remedy(
        ring: Any, name: str, problem: str) -> None:
    key = inspect_recipient(f"{name}@nightscan.com", ring.home)
    assert not key.usable
    assert problem in key.problem
    assert f"gpg --homedir {ring.home} --import KEY.asc" in key.problem


def test_an_expired_key_says_when(ring: Any) -> None:
    key = inspect_recipient("expired@nightscan.com", ring.home)
    assert key.expires_at == datetime(2020, 1, 2, tzinfo=UTC)


def test_a_renewed_key_is_preferred_to_the_expired_one_of_the_same_name(ring: Any) -> None:
    key = inspect_recipient("renewed@nightscan.com", ring.home)
    assert key.usable
    with Codec("renewed@nightscan.com", ring.home).encode(iter([b"x"])) as stored:
        assert b"".join(stored)


def test_a_key_ring_that_is_not_there_is_an_answer(tmp_path: Path) -> None:
    key = inspect_recipient("backup@nightscan.com", tmp_path / "none")
    assert not key.usable
    assert str(tmp_path / "none") in key.problem
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("when", ["--list-config", "--list-keys"])
def test_a_gpg_that_is_killed_says_nothing_of_the_ring(
        ring: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    gpg = tmp_path / "gpg"
    gpg.write_text(f'#!/bin/sh\ncase "$*" in *{when}*) kill -9 $$;; esac\nexec {shutil.which("gpg")} "$@"\n')
    gpg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ProcessKilled):
        inspect_recipient("backup@nightscan.com", ring.home)
