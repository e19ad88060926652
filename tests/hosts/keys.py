"""A key that signs messages, and the folder of the one certificate that is trusted: its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def message_key(folder: Path, name: str) -> dict[str, str]:
    """The settings of whoever signs and trusts with it; it is made the first time."""
    private, trusted = folder / f"{name}.key", folder / "trusted"
    if not private.exists():
        trusted.mkdir()
        _make(private, trusted / f"{name}.pem")
    return {"NIGHTSCAN_MESSAGE_KEY": str(private), "NIGHTSCAN_MESSAGE_CERTIFICATES": str(trusted),
            "NIGHTSCAN_MESSAGE_CERTIFICATE": str(trusted / f"{name}.pem")}


def _make(private: Path, certificate: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, private.stem)])
    now = datetime.now(UTC)
    signed = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
              .public_key(key.public_key()).serial_number(x509.random_serial_number())
              .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
              .sign(key, hashes.SHA256()))
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()))
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
