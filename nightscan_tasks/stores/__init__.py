"""Where sets live. `base` is the port, `directory` and `s3` are stores, `build` makes one from a URL.

Stores know nothing of sets: they hold objects under keys, whole or not at all.
"""
