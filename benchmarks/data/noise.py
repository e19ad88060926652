"""Random bytes from a name, as fast as the processor encrypts: AES in counter mode."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_KEY_BYTES = 16


class Noise:
    """An endless row of random bytes; the same name gives the same row, another name another one."""

    def __init__(self, name: str) -> None:
        key = hashlib.sha256(name.encode()).digest()[:_KEY_BYTES]
        self._stream = Cipher(AES(key), CTR(bytes(_KEY_BYTES))).encryptor()

    def take(self, count: int) -> bytes:
        """The next `count` of them."""
        return self._stream.update(bytes(count))

    def below(self, limit: int) -> int:
        """A number from 0 to below `limit`, which is at most 2**32."""
        return int.from_bytes(self.take(8), "little") % limit
