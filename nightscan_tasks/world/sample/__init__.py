"""A believable NightScan of any size, the same again for the same seed and time.

`plan` decides purely what there will be; `uploads`, `application`, `oddities`, `source` and `system`
write the files, `database` the rows that name them, `cache` the Redis. `fill` runs them side by side.
"""

from nightscan_tasks.world.sample.fill import Target, fill
from nightscan_tasks.world.sample.size import parse_size

__all__ = ["Target", "fill", "parse_size"]
