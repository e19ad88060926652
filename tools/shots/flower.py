"""Flower, while a backup runs."""

from __future__ import annotations

from tools.shots.studio import Studio


def shoot(studio: Studio) -> None:
    """The list of tasks of a run that goes on."""
    raise NotImplementedError(studio)
