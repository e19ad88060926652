"""What can be set (`values`), and how it is read from the environment (`loading`)."""

from nightscan_tasks.settings.brokers import is_rabbitmq
from nightscan_tasks.settings.loading import PREFIX, load, without_secret
from nightscan_tasks.settings.values import Settings, variables

__all__ = ["PREFIX", "Settings", "is_rabbitmq", "load", "variables", "without_secret"]
