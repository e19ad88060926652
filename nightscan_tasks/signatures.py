"""Whose signature counts, and what becomes of a set that has none: the one place that decides it.

Everything that reads a set to use what is in it (a restore, a drill, a reconciliation) asks here first, with
the exact bytes of the manifest as the store gives them now. A store is not believed: it may be written by
others. Listing, copying and counting sets do not ask, and do nothing with what they read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from nightscan_tasks.catalog import Catalog
from nightscan_tasks.codec.signing import Signature, Verdict, inspect_signature, own_fingerprints
from nightscan_tasks.errors import ManifestInvalid, Untrusted
from nightscan_tasks.model import GUIDE_NAME, MANIFEST_NAME, Manifest, SetId

TRUSTED = "NIGHTSCAN_TRUSTED_SIGNERS"


class Seal(StrEnum):
    """What a set's signature is worth here."""

    GOOD = "good"            # of a key that is trusted
    EXPIRED = "expired"      # of a key that is trusted, and has expired since
    UNCHECKED = "unchecked"  # there is one, and no key is trusted here that could be asked for
    MISSING = "missing"
    BAD = "bad"              # of other bytes, or damaged
    FOREIGN = "foreign"      # of a key that is not trusted
    REVOKED = "revoked"      # of a key that was revoked
    UNKNOWN = "unknown"      # of a key that is not in the key ring


_SOUND = frozenset({Seal.GOOD, Seal.EXPIRED})


@dataclass(frozen=True)
class Standing:
    """What is known of who wrote a set's manifest. `signer` is the key's fingerprint, where it is known."""

    seal: Seal
    signer: str = ""
    signed_at: datetime | None = None

    @property
    def sound(self) -> bool:
        """Whether a key that is trusted signed it."""
        return self.seal in _SOUND

    @property
    def refused(self) -> bool:
        """Whether the signature that is there speaks against the set."""
        return self.seal in {Seal.BAD, Seal.FOREIGN, Seal.REVOKED, Seal.UNKNOWN}

    def __str__(self) -> str:
        key = f"key {self.signer[-16:]}" if self.signer else "a key"
        return {Seal.GOOD: f"signed by {key}",
                Seal.EXPIRED: f"signed by {key}, which has expired since",
                Seal.UNCHECKED: "signed (not checked)",
                Seal.MISSING: "not signed",
                Seal.BAD: "BAD signature",
                Seal.FOREIGN: f"signed by {key}, which is NOT trusted",
                Seal.REVOKED: f"signed by {key}, which was REVOKED",
                Seal.UNKNOWN: f"signed by {key}, which is not in the key ring"}[self.seal]


class Signatures:
    """Checks manifests against the keys that are trusted; remembers which it has found in order.

    `trusted` are fingerprints of primary or signing keys. Empty, and no `own` key: nothing is asked for,
    and every set may be used, which is said wherever one is shown.
    """

    def __init__(self, trusted: tuple[str, ...] = (), own: str = "", home: Path | None = None) -> None:
        self._trusted = trusted
        self._own = own
        self._home = home
        self._accepted: dict[tuple[str, SetId], Manifest] = {}

    @property
    def wanted(self) -> bool:
        """Whether a set has to be signed to be used."""
        return bool(self._trusted or self._own)

    @cached_property
    def signers(self) -> frozenset[str]:
        """The fingerprints that count; `Untrusted` where the own key does not tell any."""
        if self._trusted or not self._own:
            return frozenset(self._trusted)
        found = own_fingerprints(self._own, self._home)
        if not found:
            raise Untrusted(f"whose signatures count is not known here: the key ring has no private key for "
                            f"{self._own}; set {TRUSTED} to the fingerprints of the hosts that back up")
        return found

    def standing(self, catalog: Catalog, set_id: SetId) -> Standing:
        """What the signature of a set's manifest is worth, as the store has both now."""
        return self.of(catalog, set_id, catalog.raw(set_id))

    def guide(self, catalog: Catalog, set_id: SetId) -> Standing:
        """The same of its `RESTORE.md`, which people type commands out of; `NotFound` where it has none."""
        return self.of(catalog, set_id, catalog.guide(set_id), name=GUIDE_NAME)

    def of(self, catalog: Catalog, set_id: SetId, data: bytes, *, name: str = MANIFEST_NAME) -> Standing:
        """The same for exact bytes."""
        try:
            signature = catalog.signature(set_id, data, name=name)
        except ManifestInvalid:  # far too large to be one
            return Standing(Seal.BAD)
        return self.judge(data, signature)

    def judge(self, data: bytes, signature: bytes | None) -> Standing:
        """What a signature of these bytes is worth."""
        if signature is None:
            return Standing(Seal.MISSING)
        return self._judged(inspect_signature(data, signature, self._home)) if self.wanted else (
            Standing(Seal.UNCHECKED))

    def manifest(self, catalog: Catalog, set_id: SetId, *, unsigned: bool = False) -> Manifest:
        """The manifest of a set that may be used. `Untrusted` says why not, and what to do.

        `unsigned`: a person answers for it, whatever its signature is worth.
        """
        data = catalog.raw(set_id)
        if self.wanted and not unsigned:
            standing = self.of(catalog, set_id, data)
            if not standing.sound:
                raise Untrusted(f"{catalog.store.name} {set_id} must not be used: "
                                f"{_WHY[standing.seal](standing)}")
        manifest = catalog.parse(set_id, data)
        self._accepted[catalog.store.url, set_id] = manifest
        return manifest

    def require(self, catalog: Catalog, manifest: Manifest, *, unsigned: bool = False) -> None:
        """That exactly this manifest may be used. Found once, it is not asked for again."""
        if not self.wanted or self._accepted.get((catalog.store.url, manifest.set_id)) == manifest:
            return
        if self.manifest(catalog, manifest.set_id, unsigned=unsigned) != manifest:
            raise ManifestInvalid(f"{catalog.store.name} {manifest.set_id}: its manifest was exchanged while "
                                  f"it was read; try again")

    def _judged(self, found: Signature) -> Standing:
        plain = {Verdict.BAD: Seal.BAD, Verdict.UNKNOWN: Seal.UNKNOWN}.get(found.verdict)
        if plain is not None:
            return Standing(plain, found.fingerprint)
        if not {found.fingerprint, found.primary} & self.signers:
            return Standing(Seal.FOREIGN, found.fingerprint, found.signed_at)
        seal = {Verdict.GOOD: Seal.GOOD, Verdict.EXPIRED: Seal.EXPIRED}.get(found.verdict, Seal.REVOKED)
        return Standing(seal, found.fingerprint, found.signed_at)


_WHY: Mapping[Seal, Callable[[Standing], str]] = {
    Seal.MISSING: lambda _: "it is not signed, so anybody who can write to the store may have made it",
    Seal.BAD: lambda _: "its signature is not of this manifest: one of the two was changed",
    Seal.FOREIGN: lambda found: (f"it is signed by key {found.signer}, which is not trusted here; if it "
                                 f"should be, add it to {TRUSTED}"),
    Seal.REVOKED: lambda found: f"it is signed by key {found.signer}, which was revoked",
    Seal.UNKNOWN: lambda found: (f"it is signed by key {found.signer}, which is not in the key ring: "
                                 f"`gpg --import` its public half, if it is one of yours"),
}

