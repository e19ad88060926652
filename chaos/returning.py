"""How soon workers are back after the broker was away: as soon as whoever looks after them lets them."""

from __future__ import annotations

import configparser
import time
from pathlib import Path

from chaos.site import Site
from nightscan_tasks.world.world import World

_UNIT = Path(__file__).resolve().parents[1] / "worker" / "systemd" / "nightscan-worker@.service"
_AWAY_SECONDS = 8.0  # long enough for every worker to notice
_PATIENCE_SECONDS = 120
PROMISED_SECONDS = 30


def restart_seconds() -> float:
    """How long systemd waits before it starts a worker again."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(_UNIT, encoding="utf-8")
    if unit["Service"]["Restart"] != "always":
        raise ValueError(f"{_UNIT.name} does not start a worker again")
    return float(unit["Service"]["RestartSec"])


def seconds_until_back(site: Site, *, away_seconds: float = _AWAY_SECONDS) -> float:
    """Take the broker away and bring it back; the seconds from then until every worker answers."""
    wanted = {f"{name}@chaos" for name in site.crew.hands if not name.startswith("beat")}
    site.world.stop("broker")
    time.sleep(away_seconds)
    World.up(site.world.folder, services=("broker",), celery=False)
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < _PATIENCE_SECONDS:
        answers = site.app.control.ping(timeout=1.0) or []
        if wanted <= {node for answer in answers for node in answer}:
            return elapsed
    raise TimeoutError(f"of {sorted(wanted)} not all are back after {_PATIENCE_SECONDS} s")
