"""The figures of an overview for Prometheus: as text for its scrapes, and as a file for node_exporter.

`metric` is one of them; `watching`, `sets`, `runs`, `stores` and `recoveries` are all there are, each a
function from an overview to rows; `exposition` writes them as text, `file` into a file. Labels are names of
tiers, components, stores, queues, tasks and kinds: never an id, so there are always about as many.
docs/METRICS.md lists them.
"""

from nightscan_tasks.report.metrics.exposition import CONTENT_TYPE, METRICS, metrics_text, samples
from nightscan_tasks.report.metrics.file import MetricsUnwritten, write_metrics
from nightscan_tasks.report.metrics.metric import Metric

__all__ = ["CONTENT_TYPE", "METRICS", "Metric", "MetricsUnwritten", "metrics_text", "samples",
           "write_metrics"]
