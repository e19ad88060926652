"""The file that node_exporter's textfile collector reads."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from nightscan_tasks.errors import NightscanError
from nightscan_tasks.report.metrics.exposition import metrics_text
from nightscan_tasks.watch.overview import Overview

_READABLE_BY_ALL = 0o644  # node_exporter is another user; no secret is in it


class MetricsUnwritten(NightscanError):
    """The file of metrics could not be written; the one before is still there."""


def write_metrics(path: Path, overview: Overview) -> None:
    """Replace the file by what is known now: a reader sees the old one or the new one, and never a part.

    The folder has to be there. `MetricsUnwritten` if anything is in the way.
    """
    text = metrics_text(overview)
    try:
        # Its name does not end in `.prom`, so that the collector does not read it.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
        draft = Path(name)
        try:
            with open(handle, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), _READABLE_BY_ALL)  # whatever the umask
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
    except OSError as exc:
        raise MetricsUnwritten(f"the metrics could not be written to {path}: {exc.strerror or exc}\n"
                               f"make its folder, and let the user of these tasks write it; or correct "
                               f"NIGHTSCAN_METRICS_FILE") from exc
