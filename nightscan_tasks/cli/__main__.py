"""`python -m nightscan_tasks.cli`: the same as `nightscan`."""

from nightscan_tasks.cli import main

main()
