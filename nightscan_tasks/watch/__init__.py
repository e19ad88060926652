"""What is not well, and who was told: freshness, problems, alerts, and everything seen at a glance.

`gathering` reads ledger, stores and broker into one `Overview`; `problem` and the modules beside it decide
purely what in it is wrong; `alert` and its neighbours decide what is news to whom.

Nothing is imported here: every process that sends a message loads a little of this, and few all of it.
"""
