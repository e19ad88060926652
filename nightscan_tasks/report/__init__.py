"""What people and programs are shown: the status, the page, the monthly report, the metrics.

All of it is made of one `watch.Overview`, and adds nothing to what that knows.
"""
