"""`nightscan metrics`."""

from __future__ import annotations

from pathlib import Path

import click

from nightscan_tasks.cli.session import Exit, Session, json_command


@json_command(name="metrics", short_help="the same in figures, for Prometheus", examples=(
    "nightscan metrics --thorough",
    "nightscan metrics --thorough --file /var/lib/prometheus/node-exporter/nightscan.prom",
    "nightscan metrics --json",
))
@click.option("--thorough", is_flag=True,
              help="Ask the broker, its workers and the key ring too, not only the ledger and the stores.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Replace this file, for node_exporter's textfile collector: its name has to end in .prom.")
def command(session: Session, *, thorough: bool, file: Path | None) -> None:
    """Print what is known as Prometheus' text, or write it into a file.

    What is not known is absent: without --thorough that is what only the broker and the key ring tell.
    `nightscan serve` has the same at /metrics; docs/METRICS.md tells what each means.
    """
    from nightscan_tasks.report.metrics import (  # late: help and completion need none of it
        metrics_text,
        samples,
        write_metrics,
    )
    from nightscan_tasks.tasks.glancing import glance

    app = None
    if thorough:
        from nightscan_tasks.cli.broker import application
        app = application()
    overview = glance(session.system, app, keys=thorough)
    if file is not None:
        write_metrics(file, overview)
        session.finish(Exit.DONE, {"file": str(file)}, [f"written: {file}"])
    session.finish(Exit.DONE, [{"name": name, "labels": labels, "value": value}
                               for name, labels, value in samples(overview)],
                   metrics_text(overview).rstrip("\n").split("\n"))
