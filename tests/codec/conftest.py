"""Throw-away key rings, and what gpg and gunzip make of what was stored."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from nightscan_tasks.codec import end_agent


@dataclass(frozen=True)
class Ring:
    """A key ring of its own, with a private key for each of these names."""

    home: Path
    secret: Path  # holds the passphrase of `locked@nightscan.com`

    def gpg(self, *words: str, stored: bytes = b"") -> bytes:
        return subprocess.run(
            [_found("gpg"), "--homedir", str(self.home), "--batch", "--no-tty", "--quiet",
             "--pinentry-mode", "loopback", *words],
            input=stored, capture_output=True, check=True).stdout


def _found(name: str) -> str:
    return shutil.which(name) or name


@pytest.fixture(scope="session")
def ring() -> Iterator[Ring]:
    """Keys of every kind; in a short path, since the agent's socket has to fit into 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        home = Path(folder)
        home.chmod(0o700)
        (home / "secret").write_text("open sesame")
        ring = Ring(home, home / "secret")
        try:
            _fill(ring)
            yield ring
        finally:
            end_agent(home)


def _fill(ring: Ring) -> None:
    def make(name: str, *words: str, passphrase: str = "", expires: str = "never") -> None:
        ring.gpg(*words, "--passphrase", passphrase, "--quick-gen-key", f"{name}@nightscan.com",
                 "future-default", "default", expires)
    make("backup")
    make("locked", passphrase="open sesame")
    make("ending", expires="10d")
    make("expired", "--faked-system-time", "20200101T000000", expires="1d")
    make("renewed", "--faked-system-time", "20200101T000000", expires="1d")
    make("renewed", "--yes")
    make("revoked")
    ring.gpg("--passphrase", "", "--quick-gen-key", "signing@nightscan.com", "ed25519", "sign", "never")
    _revoke(ring, "revoked@nightscan.com")


def fingerprint_of(ring: Ring, name: str) -> str:
    listed = ring.gpg("--with-colons", "--list-keys", name).decode().splitlines()
    return next(line for line in listed if line.startswith("fpr")).split(":")[9]


def _revoke(ring: Ring, name: str) -> None:
    certificate = ring.home / "openpgp-revocs.d" / f"{fingerprint_of(ring, name)}.rev"
    ring.gpg("--import", stored=certificate.read_bytes().replace(b":-----BEGIN", b"-----BEGIN"))


@pytest.fixture
def public_home(ring: Ring) -> Iterator[Path]:
    """A key ring as on the host that backs up: the public half alone."""
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        home = Path(folder)
        home.chmod(0o700)
        half = Ring(home, ring.secret)
        half.gpg("--import", stored=ring.gpg("--export", "backup@nightscan.com"))
        end_agent(home)  # importing started one
        yield home
        end_agent(home)


@pytest.fixture
def gunzip() -> Callable[[bytes], bytes]:
    def run(stored: bytes) -> bytes:
        return subprocess.run([_found("gunzip")], input=stored, capture_output=True,
                              check=True).stdout
    return run


def children() -> set[int]:
    """The processes that this one started, whichever thread did."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            found |= set(map(int, (task / "children").read_text().split()))
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind(ring: Ring) -> Iterator[None]:
    """Every test ends with the threads, children and descriptors that it began with."""
    threads, before = set(threading.enumerate()), children()
    descriptors = _descriptors()
    yield
    assert set(threading.enumerate()) <= threads
    assert children() <= before
    assert _descriptors() <= descriptors


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
