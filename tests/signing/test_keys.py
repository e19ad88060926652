"""What the host's key signs, gpg alone confirms; what it did not sign, nobody takes for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightscan_tasks.codec.signing import (
    Signer,
    Verdict,
    inspect_signature,
    inspect_signing_key,
    own_fingerprints,
)
from nightscan_tasks.errors import SigningFailed

HOST = "host@nightscan.example.org"
DATA = b'{"set_id": "daily/20261123T020000Z"}\n'


def test_what_is_signed_is_good_and_a_person_can_check_it_with_gpg_alone(keys: Any, tmp_path: Path) -> None:
    signed = Signer(HOST, keys.home).sign(DATA)
    found = inspect_signature(DATA, signed, keys.home)
    assert (found.verdict, found.fingerprint, found.primary) == (
        Verdict.GOOD, keys.fingerprint(HOST), keys.fingerprint(HOST))
    (tmp_path / "manifest.json").write_bytes(DATA)
    (tmp_path / "manifest.asc").write_bytes(signed)
    keys.gpg("--verify", str(tmp_path / "manifest.asc"), str(tmp_path / "manifest.json"))


def other_bytes(keys: Any) -> bytes:
    return bytes(keys.sign(HOST, DATA + b" "))


def damaged(keys: Any) -> bytes:
    signed = bytearray(keys.sign(HOST, DATA))
    signed[len(signed) // 2] ^= 1
    return bytes(signed)


def two_of_them(keys: Any) -> bytes:
    return bytes(keys.gpg("--local-user", HOST, "--local-user", "other@nightscan.example.org", "--armor",
                          "--detach-sign", feed=DATA))


def one_after_the_other(keys: Any) -> bytes:
    binary = [keys.gpg("--local-user", each, "--detach-sign", feed=DATA)
              for each in (HOST, "other@nightscan.example.org")]
    return b"".join(binary)


def a_message_with_its_own_content(keys: Any) -> bytes:
    return bytes(keys.gpg("--local-user", HOST, "--armor", "--sign", feed=DATA))


def clear_text(keys: Any) -> bytes:
    return bytes(keys.gpg("--local-user", HOST, "--clearsign", feed=DATA))


def nothing(_keys: Any) -> bytes:
    return b""


def rubbish(_keys: Any) -> bytes:
    return b"\x1b[31m\x00" * 1000


@pytest.mark.parametrize("forge", [other_bytes, damaged, two_of_them, one_after_the_other,
                                   a_message_with_its_own_content, clear_text, nothing, rubbish])
def test_anything_but_one_detached_signature_of_these_bytes_is_bad(keys: Any, forge: Callable[[Any], bytes],
                                                                   ) -> None:
    assert inspect_signature(DATA, forge(keys), keys.home).verdict is Verdict.BAD


def test_a_key_that_is_not_in_the_ring_is_unknown_and_named(keys: Any, new_ring: Callable[[], Any]) -> None:
    found = inspect_signature(DATA, keys.sign(HOST, DATA), new_ring().home)
    assert found.verdict is Verdict.UNKNOWN
    assert found.fingerprint in keys.fingerprint(HOST)
    assert found.fingerprint


def test_a_key_that_has_expired_since_and_one_that_was_revoked_are_told_apart(keys: Any) -> None:
    then = keys.sign("expired@nightscan.example.org", DATA, "--faked-system-time", "20240110T000000")
    assert inspect_signature(DATA, then, keys.home).verdict is Verdict.EXPIRED
    name = "revoked@nightscan.example.org"
    signed = keys.sign(name, DATA)
    assert inspect_signature(DATA, signed, keys.home).verdict is Verdict.GOOD
    keys.revoke(name)
    assert inspect_signature(DATA, signed, keys.home).verdict is Verdict.REVOKED


@pytest.mark.parametrize(("name", "problem"), [
    ("nobody@nightscan.example.org", "no private key for nobody@"),
    ("expired@nightscan.example.org", "it expired"),
    ("backup@nightscan.com", "no part that can sign")])
def test_a_key_that_cannot_sign_is_told_with_what_to_do(keys: Any, name: str, problem: str) -> None:
    assert problem in inspect_signing_key(name, keys.home).problem
    with pytest.raises(SigningFailed, match=problem):
        Signer(name, keys.home).sign(DATA)


def test_a_passphrase_comes_from_its_file_and_nobody_is_asked_for_it(keys: Any) -> None:
    name = "locked@nightscan.example.org"
    with pytest.raises(SigningFailed):
        Signer(name, keys.home).sign(DATA)
    signed = Signer(name, keys.home, keys.home / "secret").sign(DATA)
    assert inspect_signature(DATA, signed, keys.home).verdict is Verdict.GOOD


def test_an_address_is_that_address_and_no_part_of_another(keys: Any, new_ring: Callable[[], Any]) -> None:
    ring = new_ring()
    ring.make("ghost@nightscan.example.org")
    assert own_fingerprints(HOST, ring.home) == frozenset()
    with pytest.raises(SigningFailed, match="no private key"):
        Signer(HOST, ring.home).sign(DATA)
    assert own_fingerprints("ab" * 20) == {"AB" * 20}


def test_the_public_half_alone_is_no_key_of_ones_own(keys: Any, new_ring: Callable[[], Any]) -> None:
    ring = new_ring()
    ring.gpg("--import", feed=keys.gpg("--export", HOST))
    assert own_fingerprints(HOST, ring.home) == frozenset()
    assert inspect_signature(DATA, keys.sign(HOST, DATA), ring.home).verdict is Verdict.GOOD
