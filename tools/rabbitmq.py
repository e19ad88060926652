"""A RabbitMQ for the tests of that broker: the one that the system has.

    python3 -m tools.rabbitmq    installs Debian's where there is none, when one is root

Never fails for want of one: whoever needs it says why it is not there. What is installed is not started,
where the machine's own rules permit that; the tests start one of their own.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tools.providing import provide

INSTALL = "apt-get install --yes --no-install-recommends rabbitmq-server"
# The wrapper in PATH changes to a user of its own; this is what it starts.
_PROGRAMS = "lib/rabbitmq_server-*/sbin/rabbitmq-server"
_FOLDERS = (Path("/usr/lib/rabbitmq"), Path("/opt/rabbitmq"))


def main() -> int:
    """Status 0, whatever came of it: without a RabbitMQ the tests that need one are skipped, and say so."""
    if found() is not None:
        return 0
    return provide(INSTALL, doing="no RabbitMQ to try as a broker", missing=missing(),
                   without="tests of that broker are skipped")


def found() -> Path | None:
    """The server's own start script; None where there is none."""
    if shutil.which("erl") is None or shutil.which("epmd") is None:
        return None
    return next((path for folder in _FOLDERS
                 for path in (*sorted(folder.glob(_PROGRAMS)), folder / "sbin" / "rabbitmq-server")
                 if path.exists()), None)


def missing() -> str:
    """What a person is told who has none."""
    return f"no RabbitMQ on this machine; on Debian, as root: {INSTALL}"


if __name__ == "__main__":
    sys.exit(main())
