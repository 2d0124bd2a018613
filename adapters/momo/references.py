"""Our own ids at MoMo: the X-Reference-Id of what we ask for, which is its idempotency key and its name in one. Pure.

Source: momodeveloper.mtn.com, API description: a UUID of version 4; a second request under it is refused with HTTP 409,
and it is readable only on the platform that created it.
"""

from __future__ import annotations

import hashlib
import uuid

# How the ids of ours are told to the books.
REFERENCE_ID = "momo.reference_id"


def reference_id(name: str) -> str:
    """The X-Reference-Id of the payout or prompt that we call `name`: the same for ever, so that whatever is sent again
    is sent under the same one, also by a process that does not know whether it was sent before."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"daftari/{name}".encode()).digest()[:16], version=4))
