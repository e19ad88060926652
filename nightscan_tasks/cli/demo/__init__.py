"""`nightscan demo`: a whole NightScan, saved, destroyed, put back, and compared.

`play` is what happens, step by step, in the words of the command line. The comparison believes nobody:
`live_tables`, `live_keys` and `live_files` read what is live with nothing of what saves and restores
it, before and after, and `proof` compares.
"""

from nightscan_tasks.cli.demo.command import command

__all__ = ["command"]
