"""`RESTORE.md` and the signatures of a set: what is known of them, and how they are made anew.

A guide follows from the manifest, so a damaged one is written again. The signature of a manifest can only
be copied: a scrub signs no manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from nightscan_tasks.audit import Action
from nightscan_tasks.backup.guide import write_guide
from nightscan_tasks.catalog import Catalog, signature_name
from nightscan_tasks.codec.signing import Verdict, inspect_signature
from nightscan_tasks.errors import NightscanError, NotFound
from nightscan_tasks.ledger.reads import Kind
from nightscan_tasks.model import GUIDE_NAME, MANIFEST_NAME, Manifest, SetId
from nightscan_tasks.scrub.book import Book
from nightscan_tasks.scrub.holding import Listed
from nightscan_tasks.stores.base import Store

_LARGEST_BYTES = 4 << 20
_BEGIN, _END = b"-----BEGIN PGP SIGNATURE-----", b"-----END PGP SIGNATURE-----"


@dataclass
class Guides:
    """The guides and signatures of one store."""

    book: Book
    others: tuple[Store, ...]
    repair: bool

    def look(self, manifest: Manifest, data: bytes, listed: Listed) -> None:
        """Read the guide and the signatures of one set, whose manifest is `data`, and mend them."""
        self._look_at_signature(manifest, data, listed)
        problem = self._guide_problem(manifest, listed) and self._guide_problem(manifest, listed)
        if problem:
            self._mend_guide(manifest, data, listed, problem)

    def _look_at_signature(self, manifest: Manifest, data: bytes, listed: Listed) -> None:
        set_id, name = manifest.set_id, signature_name(MANIFEST_NAME, data)
        if name not in listed and not self._known(set_id, name) and not list(self._signatures(set_id, data)):
            return  # it never was signed
        problem = self._signature_problem(set_id, name, data) and self._signature_problem(set_id, name, data)
        if not problem:
            return
        self.book.damaged(set_id, name, problem, 0)
        for other, signature in self._signatures(set_id, data) if self.repair else ():
            if not self._flaw(data, signature, self._known(set_id, name)):
                self._announce(set_id.key(name), other.name, problem)
                self.book.store.put(set_id.key(name), [signature])
                self.book.paper(set_id, name, signature, mended_from=other.name)
                self.book.tell(Kind.MENDED, set_id.key(name), problem, other.name)
                return
        self.book.tell(Kind.DAMAGED, set_id.key(name), f"{problem}; not replaced")

    def _signature_problem(self, set_id: SetId, name: str, data: bytes) -> str:
        where = f"{self.book.store.name} {set_id.key(name)}"
        signature = self._small(set_id, name)
        if signature is None:
            return f"{where} is missing, though the manifest was signed"
        flaw = self._flaw(data, signature, self._known(set_id, name))
        if flaw:
            return f"{where} is damaged: {flaw}"
        self.book.paper(set_id, name, signature)
        return ""

    def _flaw(self, data: bytes, signature: bytes, known: str) -> str:
        """What is wrong with a signature of `data`; its hash may be known from an earlier reading."""
        if known:
            return "" if known == sha256(signature).hexdigest() else "it is not what it was when last read"
        if not (signature.startswith(_BEGIN) and signature.strip().endswith(_END)):
            return "it is no signature"
        system = self.book.system
        if system.signatures.wanted:
            found = inspect_signature(data, signature, system.settings.gpg_home)
            return "it is not of this manifest" if found.verdict is Verdict.BAD else ""
        return ""

    def _guide_problem(self, manifest: Manifest, listed: Listed) -> str:
        set_id, where = manifest.set_id, f"{self.book.store.name} {manifest.set_id.key(GUIDE_NAME)}"
        guide = self._small(set_id, GUIDE_NAME)
        if guide is None:
            return f"{where} is missing"
        name, known = signature_name(GUIDE_NAME, guide), self._known(set_id, GUIDE_NAME)
        if not (known == sha256(guide).hexdigest() if known else self._is_guide(manifest, guide, listed)):
            return f"{where} is damaged: it is not what was written"
        if name in listed:
            signature = self._small(set_id, name) or b""
            if flaw := self._flaw(guide, signature, self._known(set_id, name)):
                return f"{where} has a damaged signature: {flaw}"
            self.book.paper(set_id, name, signature)
        elif _is_signed(listed):
            return f"{where} has lost its signature"
        self.book.paper(set_id, GUIDE_NAME, guide)
        return ""

    def _is_guide(self, manifest: Manifest, guide: bytes, listed: Listed) -> bool:
        """Whether a guide that was never read before can be right. An older version worded it otherwise."""
        signed = [name for name in listed if name.startswith(f"{GUIDE_NAME}.")]
        if signed:
            return signature_name(GUIDE_NAME, guide) in signed
        written = {store.url: write_guide(manifest, store.url).encode()
                   for store in (self.book.store, *self.others)}
        if guide in written.values():
            return True
        for other in self.others:
            with suppress(NightscanError):  # a store that is down has no say
                if self._small(manifest.set_id, GUIDE_NAME, other) in written.values():
                    return False  # this version wrote the one there, and so the one here
        try:
            text = guide.decode()
        except UnicodeDecodeError:
            return False
        return all(artifact.name in text for artifact in manifest.artifacts) and str(manifest.set_id) in text

    def _mend_guide(self, manifest: Manifest, data: bytes, listed: Listed, problem: str) -> None:
        set_id, key = manifest.set_id, manifest.set_id.key(GUIDE_NAME)
        self.book.damaged(set_id, GUIDE_NAME, problem, 0)
        source = self._replace_guide(manifest, data, listed, problem) if self.repair else ""
        if source:
            self.book.forget_papers(set_id, f"{GUIDE_NAME}.")
            self.book.paper(set_id, GUIDE_NAME, self._small(set_id, GUIDE_NAME) or b"", mended_from=source)
            self.book.tell(Kind.MENDED, key, problem, source)
        else:
            why = "scrub on the host that signs it" if self.repair else "repairs were not asked for"
            self.book.tell(Kind.DAMAGED, key, f"{problem}; not replaced: {why}")

    def _replace_guide(self, manifest: Manifest, data: bytes, listed: Listed, problem: str) -> str:
        """Write the guide anew, or copy a signed one where nobody here can sign; what it was made from."""
        set_id, key, source = manifest.set_id, manifest.set_id.key(GUIDE_NAME), "its manifest"
        system, catalog = self.book.system, Catalog(self.book.store)
        if not _is_signed(listed):
            self._announce(key, source, problem)
            catalog.write_guide(set_id, write_guide(manifest, self.book.store.url))
            return source
        if system.signer is not None and system.signatures.of(catalog, set_id, data).sound:
            text = write_guide(manifest, self.book.store.url, signer=system.signer.fingerprint)
            self._announce(key, source, problem)
            catalog.write_guide(set_id, text, sign=system.signer.sign)
            return source
        return self._copy_guide(set_id, problem)

    def _copy_guide(self, set_id: SetId, problem: str) -> str:
        """Take the guide and its signature from another store; empty where none has both."""
        for other in self.others:
            with suppress(NightscanError):  # a store that is down cannot help tonight
                guide = Catalog(other).guide(set_id)
                signature = Catalog(other).signature(set_id, guide, name=GUIDE_NAME)
                if signature is not None and not self._flaw(guide, signature, ""):
                    self._announce(set_id.key(GUIDE_NAME), other.name, problem)
                    self.book.store.put(set_id.key(signature_name(GUIDE_NAME, guide)), [signature])
                    self.book.store.put(set_id.key(GUIDE_NAME), [guide])
                    return other.name
        return ""

    def _signatures(self, set_id: SetId, data: bytes) -> Iterator[tuple[Store, bytes]]:
        """The signatures that other stores have of a manifest's very bytes."""
        for other in self.others:
            with suppress(NightscanError):  # a store that is down cannot help tonight
                signature = Catalog(other).signature(set_id, data)
                if signature is not None:
                    yield other, signature

    def _known(self, set_id: SetId, name: str) -> str:
        """The hash of a paper when it was last read whole; empty where it never was."""
        known = self.book.of_set(set_id).of(name)
        return known.sha256 if known else ""

    def _announce(self, key: str, source: str, problem: str) -> None:
        self.book.system.audit.record(Action.REPAIR, key, store=self.book.store.name, source=source,
                                      problem=problem)

    def _small(self, set_id: SetId, name: str, store: Store | None = None) -> bytes | None:
        """A small file, cut off where it is far too long; None where there is none."""
        found = bytearray()
        try:
            with (store or self.book.store).open(set_id.key(name)) as chunks:
                for chunk in chunks:
                    found += chunk
                    if len(found) > _LARGEST_BYTES:
                        break
        except NotFound:
            return None
        return bytes(found)


def _is_signed(listed: Listed) -> bool:
    """Whether the manifest of a set was signed, and so its guide."""
    return any(name.startswith(f"{MANIFEST_NAME}.") for name in listed)
