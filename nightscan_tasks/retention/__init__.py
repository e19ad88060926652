"""Which sets go, and why: decided purely. Removing needs proof; whatever is unclear keeps, and says so.

`evidence` is what is known, `standing` how good a set is by it, `freeze` why nothing goes, from a whole
store or of a tier, `clock` whether the clock may have jumped, `planning` the verdict on every set.
docs/RETENTION.md is the same for operators, docs/adr/0009 says why it is so.
"""

from nightscan_tasks.retention.clock import plan_look
from nightscan_tasks.retention.evidence import Elsewhere, Evidence, Policy, Sighting
from nightscan_tasks.retention.planning import Rotation, Verdict, plan_rotation
from nightscan_tasks.retention.standing import good_sets

__all__ = ["Elsewhere", "Evidence", "Policy", "Rotation", "Sighting", "Verdict", "good_sets", "plan_look",
           "plan_rotation"]
