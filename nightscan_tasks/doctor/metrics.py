"""Whether the file of metrics can be written where node_exporter reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from nightscan_tasks.doctor.finding import Check, Finding, ok, warn
from nightscan_tasks.system import System


def metrics(system: System) -> Iterator[Finding]:
    """Nothing where there is to be no such file. What writes it is the worker of the control queue."""
    path = system.settings.metrics_file
    if path is None:
        return
    if path.suffix != ".prom":
        yield warn("metrics", f"{path} is not read by node_exporter: its name does not end in .prom",
                   f"NIGHTSCAN_METRICS_FILE={path}.prom")
    elif not path.parent.is_dir():
        yield warn("metrics", f"there is no folder {path.parent}",
                   f"install -d -o nightscan -g nightscan -m 0755 {path.parent}")
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        yield warn("metrics", f"{path.parent} cannot be written",
                   f"chown it to the user of the workers: chown nightscan {path.parent}")
    elif path.is_dir():
        yield warn("metrics", f"{path} is a folder", "name a file in it, or remove it")
    else:
        yield ok("metrics", f"are written to {path}")


CHECKS = (Check("metrics", metrics),)
