"""What the doctor says of keys and certificates."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from nightscan_tasks.doctor import Finding, Level
from nightscan_tasks.doctor.messages import signatures
from nightscan_tasks.settings import load
from nightscan_tasks.system import System


@pytest.fixture
def mine(keys: Path, tmp_path: Path) -> Path:
    """A copy of the keys that a test may spoil."""
    folder = tmp_path / "mine"
    shutil.copytree(keys, folder)
    return folder


def found(folder: Path, name: str = "fast", **more: str) -> dict[str, Finding]:
    system = System(load({"NIGHTSCAN_MESSAGE_KEY": str(folder / f"{name}.key"),
                          "NIGHTSCAN_MESSAGE_CERTIFICATE": str(folder / f"{name}.pem"),
                          "NIGHTSCAN_MESSAGE_CERTIFICATES": str(folder / "trusted"), **more}))
    return {each.name: each for each in signatures(system)}


def test_where_all_is_well_it_says_who_signs_and_who_is_trusted(mine: Path) -> None:
    says = found(mine)
    assert {each.level for each in says.values()} == {Level.OK}
    assert "CN=fast" in says["messages"].found
    assert says["messages from"].found == ("beat, control, fast, flower, heavy, operator.alice, restore, and "
                                           "nobody else")


@pytest.mark.parametrize(("mode", "level"), [
    (0o600, Level.OK), (0o640, Level.OK), (0o644, Level.FAIL), (0o660, Level.FAIL), (0o604, Level.FAIL)])
def test_a_key_that_others_can_read_or_replace_is_a_failure(mine: Path, mode: int, level: Level) -> None:
    (mine / "fast.key").chmod(mode)
    assert found(mine)["messages"].level is level


def test_a_folder_of_trust_that_others_can_write_is_a_failure(mine: Path) -> None:
    (mine / "trusted").chmod(0o775)
    said = found(mine)["messages"]
    assert said.level is Level.FAIL
    assert "others could say whom we trust" in said.found


@pytest.mark.parametrize(("days", "level"), [(-1, Level.FAIL), (10, Level.WARN), (90, Level.OK)])
def test_it_says_when_a_certificate_expires(
    mine: Path, pair: Callable[..., None], days: int, level: Level,
) -> None:
    pair(mine, "fast", days=days)
    pair(mine / "trusted", "beat", days=days)
    says = found(mine)
    assert says["messages"].level is level
    if level is not Level.OK:
        assert says["trust in beat"].level is level


def test_a_key_of_another_certificate_is_a_failure(mine: Path) -> None:
    shutil.copy(mine / "beat.key", mine / "fast.key")
    assert "is not that of the certificate" in found(mine)["messages"].found


def test_a_key_with_a_passphrase_needs_it(mine: Path) -> None:
    key = serialization.load_pem_private_key((mine / "fast.key").read_bytes(), None)
    (mine / "fast.key").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret")))
    assert found(mine)["messages"].level is Level.FAIL
    assert found(mine, NIGHTSCAN_MESSAGE_PASSPHRASE="secret")["messages"].level is Level.OK


@pytest.mark.parametrize("name", ["fast.key", "fast.pem"])
def test_what_is_missing_is_named(mine: Path, name: str) -> None:
    (mine / name).unlink()
    said = found(mine)["messages"]
    assert said.level is Level.FAIL
    assert str(mine / name) in said.found


def test_a_certificate_without_a_role_is_told(mine: Path) -> None:
    (mine / "trusted" / "fast.pem").rename(mine / "trusted" / "somebody.pem")
    assert "has no role" in found(mine)["trust in somebody"].found


@pytest.mark.parametrize(("broker", "level"), [
    ("redis://localhost:6380/0", Level.OK), ("redis://broker.example.org:6380/0", Level.WARN)])
def test_that_nothing_is_signed_is_told_where_the_broker_is_far(broker: str, level: Level) -> None:
    (said,) = signatures(System(load({"NIGHTSCAN_BROKER_URL": broker})))
    assert (said.level, "not signed" in said.found) == (level, True)
