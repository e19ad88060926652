"""What is not well, and who was told: freshness, problems, alerts, and everything seen at a glance.

`gathering` reads ledger, stores and broker into one `Overview`; `problem` and the modules beside it decide
purely what in it is wrong; `alert` and its neighbours decide what is news to whom.
"""

from nightscan_tasks.watch.alert import Alert, Told
from nightscan_tasks.watch.overview import Overview
from nightscan_tasks.watch.problem import Health, Kind, Problem, Severity, health

__all__ = ["Alert", "Health", "Kind", "Overview", "Problem", "Severity", "Told", "health"]
