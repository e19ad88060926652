"""The edge to the world that is told: mail, Slack and other services, the dead man's switch, Sentry.

It delivers what others decided to say, and knows nothing of backups. `channels` reads from the settings
whom there is to tell, `delivery` tells one of them through Apprise (`mail`, `services`), and `answers`
says why that did not work. `pinging` speaks Healthchecks' protocol, `sentry` Sentry's. What cannot be
delivered is an error that the caller records: it never becomes a failure of what is told of. Apprise is
loaded by the first delivery, not before: it is half a second, and 10 MB, of all its services 20 MB.
"""

from nightscan_tasks.notify.channels import Channel, channels
from nightscan_tasks.notify.delivery import NotDelivered, NotDeliveredYet, deliver, prove
from nightscan_tasks.notify.message import Attachment, Message

__all__ = ["Attachment", "Channel", "Message", "NotDelivered", "NotDeliveredYet", "channels", "deliver",
           "prove"]
