"""The edge to the world that is told: mail, Slack and other services, the dead man's switch, Sentry.

It delivers what others decided to say, and knows nothing of backups. What cannot be delivered is an error
that the caller records: it never becomes a failure of what is told of.
"""
