"""Reading every stored byte again within so many days, and replacing what is damaged by what is whole.

`scrubbing` decides what is read tonight. `holding` is a set as a store has it; `scrubber` reads the plan of
one store, and before it the papers of every set (`papers`, `guides`, `genuine`); `mending` replaces, from
another store or, with `pieces`, from two damaged copies; `book` keeps on record what was found.
"""

from nightscan_tasks.scrub.scrubber import Wish, preview, scrub

__all__ = ["Wish", "preview", "scrub"]
