"""A signed letter: what was said, by whom, when, and its number.

It goes over the wire as Celery's `auth` serializer writes it, whose classes do the cryptography.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery.exceptions import SecurityError
from celery.security.certificate import Certificate
from celery.security.key import PrivateKey
from celery.security.serialization import SecureSerializer
from kombu.serialization import disable_insecure_serializers, registry
from kombu.utils.json import loads

from nightscan_tasks.errors import SettingsError
from nightscan_tasks.settings import Settings
from worker.signed.certificates import Certificates

NAME = "auth"
_CONTENT = ("application/json", "utf-8")


@dataclass(frozen=True)
class Letter:
    """One message, after its signature was found to be right."""

    signer: str
    """As the certificate's file is called: `operator.alice`."""
    sent_at: float
    """Seconds since 1970, by the sender's clock."""
    number: str
    """Given once, by the sender."""
    data: Any

    @property
    def role(self) -> str:
        """`operator`."""
        return self.signer.partition(".")[0]


class LetterBox(SecureSerializer):  # type: ignore[misc]  # Celery has no types
    """Signs what is sent, and reads what is signed by a certificate of the folder."""

    def __init__(self, key: PrivateKey, certificate: Certificate, trusted: Certificates, *,
                 clock: Callable[[], float] = time.time) -> None:
        super().__init__(key=key, cert=certificate, cert_store=trusted)
        self._clock = clock

    def serialize(self, data: Any) -> Any:
        """A signed letter."""
        return super().serialize({"sent_at": self._clock(), "number": secrets.token_hex(16), "data": data})

    def deserialize(self, data: Any) -> Any:
        """What a letter says; `SecurityError` if it is nobody's whom we know, or was changed."""
        return self.read(data).data

    def read(self, data: Any) -> Letter:
        """A letter; `SecurityError` if it is nobody's whom we know, or was changed."""
        try:
            fields = self._unpack(data)
            signer = fields["signer"].decode()
            # What the body is, is said outside the signature: it is ours, or nothing.
            if (fields["content_type"], fields["content_encoding"]) != _CONTENT:
                raise SecurityError(f"a signed {fields['content_type']}: only JSON is taken")  # noqa: TRY301 - one way out
            self._cert_store[signer].verify(fields["body"], fields["signature"], self._digest)
            said = loads(fields["body"])
            return Letter(self._cert_store.name(signer), float(said["sent_at"]), str(said["number"]),
                          said["data"])
        except SecurityError:
            raise
        except Exception as exc:  # whatever a forger thought of
            raise SecurityError(f"not a signed letter: {type(exc).__name__}: {exc}") from exc


def letter_box(settings: Settings) -> LetterBox:
    """The one that the settings describe; `SettingsError` where a file of it is wrong or missing."""
    if not (settings.message_key and settings.message_certificate and settings.message_certificates):
        raise SettingsError("NIGHTSCAN_MESSAGE_KEY is not set: messages are not signed")
    password = settings.message_passphrase.get_secret_value()
    try:
        key = PrivateKey(_text(settings.message_key), password or None)
    except (OSError, ValueError, TypeError, SecurityError) as exc:
        raise SettingsError(f"NIGHTSCAN_MESSAGE_KEY names {settings.message_key}, which is no RSA key that "
                            f"can be read: {exc}; nightscan doctor tells more") from exc
    try:
        certificate = Certificate(_text(settings.message_certificate))
    except (OSError, ValueError, SecurityError) as exc:
        raise SettingsError(f"NIGHTSCAN_MESSAGE_CERTIFICATE names {settings.message_certificate}, which is "
                            f"no certificate that can be read: {exc}; nightscan doctor tells more") from exc
    return LetterBox(key, certificate, Certificates(settings.message_certificates))


def install(box: LetterBox) -> None:
    """Make `auth` the only serializer there is, for this process."""
    registry.register(NAME, box.serialize, box.deserialize, content_type="application/data",
                      content_encoding="utf-8")
    disable_insecure_serializers([NAME])
    registry._set_default_serializer(NAME)  # noqa: SLF001 - as `app.setup_security` does it


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii")
