"""Putting a set back.

`request` says what is wanted, `choosing` finds the set, `planning` looks at source and target, `restoring`
does it: a safety set, everything staged beside what is live and compared with the manifest, the
application stopped, all swapped in, the application started, its health looked at. `journal` is where
restores are recorded, `interrupted` finishes what was cut off, `aftermath` puts the old state back or lets
it go. `restorers` are the components' own (components/restorer.py).
"""

from nightscan_tasks.restore.aftermath import Decided, accept, resume, rollback
from nightscan_tasks.restore.choosing import Choice, choose
from nightscan_tasks.restore.planning import RestorePlan
from nightscan_tasks.restore.reaping import reap_restores
from nightscan_tasks.restore.request import FULL, LIVE, Request, Targets, components_of, has_password
from nightscan_tasks.restore.restoring import Restored, plan_restore, restore

__all__ = ["FULL", "LIVE", "Choice", "Decided", "Request", "RestorePlan", "Restored", "Targets", "accept",
           "choose", "components_of", "has_password", "plan_restore", "reap_restores", "restore", "resume",
           "rollback"]
