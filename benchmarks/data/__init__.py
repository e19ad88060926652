"""User data from a seed: the same bytes for the same seed, on every machine.

`plan` says which files there are; `noise` is where randomness comes from; `sound` and `media` are what
stands in the files; `tree` writes them, and changes some.
"""
