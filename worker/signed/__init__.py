"""Messages that are signed: who wrote one, when, and that it is the very one that was sent.

Celery's `auth` serializer signs a message's body, and takes it from whoever has a certificate. Here three
things are added. A `letter` also carries when it was written and a number of its own, so that one that was
recorded on the broker does nothing when it is played again. A task's name, id and times stand in Celery's
unsigned headers: a copy of them is signed with the body (`requests`), so that nobody makes a restore out of
another's harmless message. And each certificate has a role, the first word of its file's name, with a list
of what it may ask for (`roles`): what was refused is logged, and does nothing.

`application` puts it together; without the settings `NIGHTSCAN_MESSAGE_*` none of it is in use.
"""

from worker.signed.application import SignedCelery
from worker.signed.letter import letter_box

__all__ = ["SignedCelery", "letter_box"]
