"""Whether what is live works: looked at now, without changing anything.

`checking` runs every check side by side with the doctor's tools, each with a time limit. `servers` asks
database and Redis, `schema` compares tables with what a set recorded, `folders` and `space` look at the
disks, `services` runs the commands of the settings, `sets` says how old the newest set is.
"""

from nightscan_tasks.health.checking import Health, check
from nightscan_tasks.health.services import run_services

__all__ = ["Health", "check", "run_services"]
