"""Requests to post and to reverse, and the verdicts on them, across the wire."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from daftari.v1 import journal_pb2 as pb

from api.caller import Call
from api.conversion.entries import ENTRY_FIELDS, content_of, entry_id_of, entry_id_text, entry_of
from api.conversion.fields import check_set_size, located
from api.conversion.refusals import item_error
from api.conversion.times import moment_of, shared_timestamp_of
from ledger.errors import LedgerError, ReversalInvalid
from ledger.idempotency import KeyClaim, claim
from ledger.journal.decide import Posted, PostRequest, Refused, Replayed
from ledger.journal.entry import POSTINGS_MAX
from ledger.journal.post import PostResult

# The method names under which keys are stored. PostEntry, PostEntries and StreamEntries share one: the same request may
# be repeated by any of them.
POST_METHOD = "PostEntry"
REVERSE_METHOD = "ReverseEntry"
_SEPARATOR = "\x1f"


def post_request_of(item: pb.PostEntryRequest | pb.EntryItem, *, call: Call, now: datetime) -> PostRequest:
    """The entry to post under the caller's key. Raises what makes it unpostable, with the field's path in the item."""
    entry = entry_of(item.entry, now=now)
    content = content_of(item.entry, entry)
    key = claim(client_id=call.caller.client_id, key=item.request_id, method=POST_METHOD, content=content)
    return PostRequest(entry, call.caller.name, key)


def entry_refusal(refused: Refused) -> LedgerError:
    """Why an entry was not posted, with the field's path in the request or item that carried it."""
    return located(refused.error, within="entry", names=ENTRY_FIELDS)


def entry_result(request_id: str, outcome: PostResult | LedgerError) -> pb.EntryResult:
    """The verdict on one item of a set."""
    match outcome:
        case Posted():
            posted = pb.PostedEntry(
                id=entry_id_text(outcome.entry_id), record_time=shared_timestamp_of(outcome.recorded_at)
            )
            return pb.EntryResult(request_id=request_id, posted=posted)
        case Replayed():
            replayed = pb.PostedEntry(id=entry_id_text(outcome.entry_id), replayed=True)
            return pb.EntryResult(request_id=request_id, posted=replayed)
        case Refused():
            return pb.EntryResult(request_id=request_id, error=item_error(entry_refusal(outcome)))
        case LedgerError():
            return pb.EntryResult(request_id=request_id, error=item_error(outcome))
        case _:
            assert_never(outcome)


def reversed_lines_of(request: pb.ReverseEntryRequest) -> dict[int, int]:
    """Minor units to reverse by line. Raises SetTooLarge, and ReversalInvalid for a line that is named twice."""
    check_set_size(len(request.lines), maximum=POSTINGS_MAX, field="lines")
    parts: dict[int, int] = {}
    for index, part in enumerate(request.lines):
        if part.line in parts:
            raise ReversalInvalid(f"line {part.line} is named twice", field=f"lines[{index}].line")
        parts[part.line] = part.minor_units
    return parts


def reversal_time_of(request: pb.ReverseEntryRequest, *, now: datetime) -> datetime:
    """When the reversal happens: `now` where the request names no time. Raises TimeInvalid."""
    if not request.HasField("effective_time"):
        return now
    return moment_of(request.effective_time, field="effective_time")


def reversal_key_of(request: pb.ReverseEntryRequest, *, call: Call) -> KeyClaim:
    """The key of a reversal. Its content: version of this form, entry id, effective time (microseconds; empty: none),
    line and minor units of each part by line, then the reason, joined by U+001F. Raises TextInvalid."""
    stamp = request.effective_time
    micros = str(stamp.seconds * 1_000_000 + stamp.nanos // 1000) if request.HasField("effective_time") else ""
    parts = ["1", str(entry_id_of(request.entry_id, field="entry_id")), micros, str(len(request.lines))]
    for line, minor_units in sorted((part.line, part.minor_units) for part in request.lines):
        parts += (str(line), str(minor_units))
    content = _SEPARATOR.join([*parts, request.reason]).encode()
    return claim(client_id=call.caller.client_id, key=request.request_id, method=REVERSE_METHOD, content=content)
