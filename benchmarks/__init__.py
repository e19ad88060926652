"""How fast, how small: `make bench`. Ratios within one run, against what a user would use instead.

A contest (`user_data`, `database`, …) says who takes part and what each of them does. `contest` runs all of
them in turn, round after round; `measuring` measures each command; `outcome` is what came of it, as JSON;
`showing` and `document` make tables, and `docs/PERFORMANCE.md`, of that. `data` makes what is saved, from a
seed. Nothing here is a test; no test asserts on time.
"""
