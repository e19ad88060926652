"""Whose messages are taken: a folder of certificates, read again as soon as anything in it changes.

A file is called `ROLE.pem` or `ROLE.NAME.pem`: `operator.alice.pem`. Who is taken off the list is refused
from that moment on, without a restart. A certificate that has expired, or cannot be read, keeps nobody else
out; Celery's own store would then refuse to start.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from pathlib import Path

from celery.exceptions import SecurityError
from celery.security.certificate import Certificate, CertStore

_SUFFIX = ".pem"
_log = logging.getLogger(__name__)


class Certificates(CertStore):  # type: ignore[misc]  # Celery has no types
    """The certificates of a folder, by what a message says of its signer."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._seen: object = None
        self._names: dict[str, str] = {}

    def __getitem__(self, signer: str | bytes) -> Certificate:
        """The certificate of a signer; `SecurityError` where there is none."""
        self._look()
        return super().__getitem__(signer)

    def name(self, signer: str) -> str:
        """The file's name without its ending: `operator.alice`."""
        return self._names[signer]

    def _look(self) -> None:
        try:
            found = sorted((entry.name, entry.stat().st_mtime_ns, entry.stat().st_ino)
                           for entry in os.scandir(self._folder) if entry.name.endswith(_SUFFIX))
        except OSError as exc:
            raise SecurityError(f"the certificates in {self._folder} cannot be read: {exc}") from exc
        if found != self._seen:
            self._read([name for name, *_ in found])
            self._seen = found

    def _read(self, files: list[str]) -> None:
        read = [(name, certificate) for name in files if (certificate := self._certificate(name))]
        counted = Counter(certificate.get_id() for _, certificate in read)
        for name, certificate in read:
            if counted[certificate.get_id()] > 1:
                _log.error("%s/%s is taken for nobody: another file has the same certificate, and a "
                           "certificate has one role", self._folder, name)
        once = [(name, each) for name, each in read if counted[each.get_id()] == 1]
        self._certs = {each.get_id(): each for _, each in once}
        self._names = {each.get_id(): name.removesuffix(_SUFFIX) for name, each in once}

    def _certificate(self, name: str) -> Certificate | None:
        try:
            return Certificate((self._folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError, SecurityError) as exc:
            _log.error("%s/%s is not read, its owner's messages are refused: %s", self._folder, name, exc)
            return None
