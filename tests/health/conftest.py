from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from nightscan_tasks import health, settings
from nightscan_tasks.backup.local import run_local
from nightscan_tasks.backup.opening import Request
from nightscan_tasks.doctor import Finding
from nightscan_tasks.model import FOREVER, Manifest, Plan, Tier
from nightscan_tasks.system import System

Checked = Callable[..., dict[str, Finding]]


@pytest.fixture
def live(environ: dict[str, str]) -> dict[str, str]:
    """An application with folders, and no offsite store: nothing here needs one."""
    for name in ("uploads", "models", "config", "logs"):
        folder = Path(environ["NIGHTSCAN_ROOT"], name)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    return {name: value for name, value in environ.items() if name != "AWS_BACKUP_BUCKET"}


@pytest.fixture
def checked(live: dict[str, str]) -> Checked:
    """Check the application with some settings changed; the findings by name."""

    def run(changes: Mapping[str, str] | None = None, *, clock: Callable[[], datetime] | None = None,
            manifest: Manifest | None = None, services: bool = True) -> dict[str, Finding]:
        system = System(settings.load({**live, **(changes or {})}))
        if clock:
            system = replace(system, clock=clock)
        found = health.check(system, manifest=manifest, services=services)
        assert found.level == max((each.level for each in found.findings), key=["ok", "warn", "fail"].index)
        return {each.name: each for each in found.findings}

    return run


@pytest.fixture
def saved(live: dict[str, str]) -> Callable[[], Manifest]:
    """Take a set of the database."""

    def take() -> Manifest:
        system = System(settings.load(live))
        outcome = run_local(system, Request(Plan(Tier.MANUAL, ("database",), FOREVER)))
        return system.catalog().get(outcome.set_id)

    return take
