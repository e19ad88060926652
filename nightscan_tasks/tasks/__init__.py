"""The Celery tasks: shells of a few lines around functions that know nothing of Celery.

`backups` are what beat and people call, `parts` do the work of a run, `control` settles, tends,
rotates and reports, `restores` put sets back. `trying` decides what is worth another try.
"""
