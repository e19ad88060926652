"""Metrics as Prometheus' text."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from nightscan_tasks.report.metrics import recoveries, runs, sets, stores, watching
from nightscan_tasks.report.metrics.metric import Metric
from nightscan_tasks.watch.overview import Overview

METRICS: tuple[Metric, ...] = (*watching.METRICS, *sets.METRICS, *runs.METRICS, *stores.METRICS,
                               *recoveries.METRICS)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `metrics_text`, for whoever serves it."""


def metrics_text(overview: Overview) -> str:
    """All that is known, in Prometheus' text format; what is not known is absent.

    Nothing of this process is in it, nor of other overviews: each text has a registry of its own.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(overview))
    return generate_latest(registry).decode()


def samples(overview: Overview) -> Iterator[tuple[str, dict[str, str], float]]:
    """The same as values: name, labels and figure of each."""
    for each in METRICS:
        for labels, value in each.rows(overview):
            yield each.name, dict(zip(each.labels, map(str, labels), strict=True)), value


class _Read(Collector):
    """One overview, as Prometheus' library asks for it."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def describe(self) -> Iterator[Family]:
        """Nothing: then the library does not read it just to learn the names."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """Each metric that has rows."""
        for each in METRICS:
            says = f"{each.says[0].upper()}{each.says[1:]}."
            family = GaugeMetricFamily(each.name, says, labels=each.labels)
            for labels, value in each.rows(self._overview):
                family.add_metric([str(label) for label in labels], value)
            if family.samples:
                yield family
