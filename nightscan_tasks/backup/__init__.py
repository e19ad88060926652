"""Taking a set: `opening` a run, `dumping` its parts, `settling` it, and `reaping` what is left over.

Each step reads the ledger, does one thing, and records it; any step may be repeated, by anybody, at any
time. None knows Celery: `tasks` calls them through a broker, `local` calls them in this process.
"""

from nightscan_tasks.backup.basing import known_in
from nightscan_tasks.backup.copying import upload
from nightscan_tasks.backup.dumping import dump, give_up
from nightscan_tasks.backup.local import run_local
from nightscan_tasks.backup.opening import Opened, Request, open_run, start
from nightscan_tasks.backup.reaping import Todo, reap
from nightscan_tasks.backup.settling import settle

__all__ = ["Opened", "Request", "Todo", "dump", "give_up", "known_in", "open_run", "reap", "run_local",
           "settle", "start", "upload"]
