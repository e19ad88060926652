"""How fast, how small: `make bench`. Ratios within one run, against what a user would use instead.

Each contest runs all its ways in turn, three times over, and compares their medians: what else the
machine does meanwhile hits all of them. Nothing here is a test; no test asserts on time.
"""
