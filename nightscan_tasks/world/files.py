"""The folders of an application: what is below `/opt/nightscan` and `/etc` on a real server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trees:
    """The application's folder and the system's configuration, below the world's folder."""

    world: Path

    @property
    def root(self) -> Path:
        """What `/opt/nightscan` is elsewhere."""
        return self.world / "opt/nightscan"

    @property
    def etc(self) -> Path:
        """What `/etc` is elsewhere."""
        return self.world / "etc"

    @property
    def backups(self) -> Path:
        """The primary store."""
        return self.world / "backups"

    def create(self) -> None:
        """Make what is not there yet, empty."""
        for name in ("uploads", "models", "config", "logs"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.etc.mkdir(exist_ok=True)
        self.backups.mkdir(mode=0o750, exist_ok=True)
