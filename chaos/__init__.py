"""Chaos: real runs, real faults at random moments, and a model that the end state is checked against.

`story` decides by a seed which runs there are and what happens to them; `site` is a small NightScan with
its servers, `crew` its workers under a supervisor that starts them again as systemd does; `faults` break
things and mend them; `telling` plays the story; `model` says what must be true of each run and of
everything at the end. `make chaos` plays a hundred runs and prints the figures.
"""
