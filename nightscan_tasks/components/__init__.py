"""What is saved, one file a component. `base` is the port; `archive` is the tar that files go into.

A component turns a live source into plain streams and a report; it knows neither stores nor runs.
"""
