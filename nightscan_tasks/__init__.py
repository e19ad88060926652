"""Backup and disaster recovery for NightScan.

`settings` reads the environment; `system` builds everything from it; `backup` takes a set part by
part and settles it; `restore` puts one back. `tasks` are their Celery shells, `workflows` say what
runs when, `cli` is what a person types, and `world` is a whole NightScan on loopback to try it on.
"""
