"""Looking, before a run needs it, at everything that a run will need.

A check is a small function that looks at one thing and says what it found, as `Finding`s. `looking`
runs many of them side by side, each with a time limit, so that one that fails or hangs hides no other;
`examining` names all that a backup needs. `health` looks with the same tools at what is live.
`settings`, `sources`, `stores`, `scrubs`, `keys`, `brokers`, `clocks`, `channels` and `metrics` hold the
checks.
None changes anything, but for the small object that a store's probe writes and removes.
"""

from nightscan_tasks.doctor.finding import Finding, Level

__all__ = ["Finding", "Level"]
