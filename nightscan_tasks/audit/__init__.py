"""Who did what, when, and from where: each restore, deletion, hold, and use of the private key.

`records` are the values. `actor` says who this process acts for. `chain` keeps one host's records in the
primary store, each with the hash of the one before it; `local` is the copy on this host, and the place
where records wait while the store is down. `book` is what everybody calls: recorded before it is done, so
that nothing happens unrecorded. `checking` finds what was changed or removed. Nothing here ever deletes.
"""

from nightscan_tasks.audit.actor import Doing, acting, doing_now
from nightscan_tasks.audit.book import Audit
from nightscan_tasks.audit.checking import Checked
from nightscan_tasks.audit.local import LocalCopy
from nightscan_tasks.audit.records import Action, Actor, Asker, Record

__all__ = ["Action", "Actor", "Asker", "Audit", "Checked", "Doing", "LocalCopy", "Record", "acting",
           "doing_now"]
