"""Where sets live: objects under keys, whole or not at all. Stores know nothing of sets.

`base` is the port. `build` makes a store from a URL, wrapped in `retrying`. `directory` writes through
a `draft`, in `folders` that are held open, to a `disk`. `s3` sends an `s3_upload` in `parts`, reads an
`s3_download`, and asks all of it of an `s3_bucket`, which turns botocore's errors into ours.
"""
