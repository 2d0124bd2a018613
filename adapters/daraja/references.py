"""The ids that Daraja puts into its messages, by kind, and which of them is ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from adapters import documents

# Kinds of provider references: ids of Daraja's own that its later messages may come under.
CONVERSATION_ID = "daraja.conversation_id"
ORIGINATOR_CONVERSATION_ID = "daraja.originator_conversation_id"

# A question has ids too, which are never those of the payment it asks about.
QUERY_CONVERSATION_ID = "daraja.query_conversation_id"

# Ids the gateway makes itself: 29115-34620561-1, or f663-55dc-c417- with 12 hex and 7 decimal digits.
_GATEWAY_ID = re.compile(r"[0-9]+-[0-9]+-[0-9]+|[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}[0-9]{7}")

# Failures and queries carry the day's prefix and seven zeros where a receipt would stand.
_PLACEHOLDER = re.compile(r"[A-Z0-9]{3}0{7}")


def receipt(value: object) -> str | None:
    """A receipt; None for a placeholder and for what is no id at all."""
    found = documents.identifier(value)
    return None if found is None or _PLACEHOLDER.fullmatch(found) else found


def our_reference(originator_conversation_id: object) -> str | None:
    """The OriginatorConversationID where it may be ours; None where the gateway put one of its own."""
    found = documents.identifier(originator_conversation_id)
    return None if found is None or _GATEWAY_ID.fullmatch(found) else found


def references_of(told: Mapping[str, object], *, provider_reference: str | None) -> tuple[tuple[str, str], ...]:
    """Daraja's own ids of a payment: the ConversationID, and an OriginatorConversationID that is not ours."""
    found = (
        (CONVERSATION_ID, documents.identifier(told.get("ConversationID"))),
        (ORIGINATOR_CONVERSATION_ID, documents.identifier(told.get("OriginatorConversationID"))),
    )
    return tuple((kind, value) for kind, value in found if value is not None and value != provider_reference)


def query_references_of(told: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Daraja's id of a question, under a kind of its own."""
    found = documents.identifier(told.get("ConversationID"))
    return () if found is None else ((QUERY_CONVERSATION_ID, found),)
