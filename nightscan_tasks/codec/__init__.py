"""How plain bytes become stored ones, and back: gzip that `gunzip` reads, then GPG that `gpg` reads.

`members` makes gzip out of blocks of about 1 MiB, and does not spend time on what hardly shrinks;
`keys` finds the one key to encrypt for, and says what is wrong with it; `codec` joins both into a
stream in which reading, hashing, compressing and encrypting overlap. `signing` signs what a host writes,
and says what gpg thinks of a signature.
"""

from nightscan_tasks.codec.codec import Codec
from nightscan_tasks.codec.keys import RecipientKey, end_agent, inspect_recipient
from nightscan_tasks.codec.signing import Signer

__all__ = ["Codec", "RecipientKey", "Signer", "end_agent", "inspect_recipient"]
