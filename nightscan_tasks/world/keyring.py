"""A GPG key ring with two keys that need no passphrase: one to encrypt for, and one that signs.

gpg starts an agent for it when one is needed, which lives until `close`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from nightscan_tasks.errors import WorldError
from nightscan_tasks.world import daemon

RECIPIENT = "backup@nightscan.com"
SIGNER = "host@nightscan.example.org"
_LONGEST_SOCKET = "S.gpg-agent.browser"
_SOCKET_PATH_BYTES = 107  # sockaddr_un, see unix(7)
_END_SECONDS = 10
_KEYS = {RECIPIENT: f"""\
%no-protection
Key-Type: eddsa
Key-Curve: ed25519
Key-Usage: sign
Subkey-Type: ecdh
Subkey-Curve: cv25519
Subkey-Usage: encrypt
Name-Real: NightScan backup
Name-Email: {RECIPIENT}
Expire-Date: 2y
%commit
""", SIGNER: f"""\
%no-protection
Key-Type: eddsa
Key-Curve: ed25519
Key-Usage: sign
Name-Real: NightScan host
Name-Email: {SIGNER}
Expire-Date: 2y
%commit
"""}


@dataclass(frozen=True)
class KeyRing:
    """The key ring in `home`."""

    home: Path

    def create(self) -> None:
        """Make the key ring and its keys unless they are there."""
        if shutil.which("gpg") is None:
            raise WorldError("gpg: it is not installed: `apt-get install gnupg`")
        longest = os.fsencode(self.home / _LONGEST_SOCKET)
        if len(longest) > _SOCKET_PATH_BYTES:
            excess = len(longest) - _SOCKET_PATH_BYTES
            raise WorldError(f"gpg: {self.home} is too long a path for its agent's socket by "
                             f"{excess} bytes; choose a shorter DIR, for example /tmp/world")
        self.home.mkdir(mode=0o700, exist_ok=True)
        (self.home / "gpg-agent.conf").write_text("disable-scdaemon\n")
        for owner, key in _KEYS.items():
            if not self.fingerprint(owner):
                self._gpg("--generate-key", feed=key)
            if not self.fingerprint(owner):
                raise WorldError(f"gpg: {self.home} has no key for {owner} though it was just made")

    def fingerprint(self, owner: str = RECIPIENT) -> str:
        """The fingerprint of the key of that address; empty if there is none."""
        listing = self._gpg("--with-colons", "--list-secret-keys", f"<{owner}>", must=False)
        return next((line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")), "")

    def agent(self) -> int | None:
        """The id of the agent's process, or None while there is none."""
        answer = self._run("gpg-connect-agent", "--no-autostart", "GETINFO pid", "/bye")
        numbers = [line.split()[1] for line in answer.stdout.splitlines() if line.startswith("D ")]
        return int(numbers[0]) if numbers else None

    def close(self) -> None:
        """End the agent, if there is one, and wait until it is gone."""
        if not self.home.exists() or self.agent() is None:
            return
        self._run("gpgconf", "--kill", "all")
        daemon.wait_until(lambda: self.agent() is None, _END_SECONDS, "the agent of gpg to end")

    def _gpg(self, *arguments: str, feed: str = "", must: bool = True) -> str:
        done = self._run("gpg", "--batch", "--no-tty", "--quiet", *arguments, feed=feed)
        if done.returncode and must:
            raise WorldError(f"gpg: {arguments[0]} failed with exit status {done.returncode}: "
                             f"{done.stderr.strip()}")
        return done.stdout

    def _run(self, program: str, *arguments: str, feed: str = "") -> subprocess.CompletedProcess[str]:
        # gpgconf of GnuPG 2.2 takes --homedir only as its first option.
        return subprocess.run([program, "--homedir", str(self.home), *arguments], input=feed,
                              capture_output=True, text=True, errors="replace", check=False,
                              env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C",
                                   "HOME": str(self.home)})
