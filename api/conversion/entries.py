"""Journal entries across the wire: a draft becomes a value that balances, an entry in the books becomes a message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from daftari.v1 import journal_pb2 as pb

from api.conversion.enums import SIDE_NUMBERS, side_of
from api.conversion.fields import located
from api.conversion.money import money_message, same_money_of
from api.conversion.times import moment_of, shared_timestamp_of, timestamp_of
from ledger.errors import EntryNotFound, EntryTooLong, LedgerError
from ledger.ids import decode, encode
from ledger.journal.decide import Posted
from ledger.journal.entries import ENTRY_PREFIX, EntryView
from ledger.journal.entry import POSTINGS_MAX, JournalEntry, Posting, Source, Subject, check_path
from ledger.journal.entry_search import EntryFilter
from ledger.journal.reserved import check_not_reserved
from ledger.money import Money, exponent_of

# Where the words of the ledger's refusals stand in a request or an item that carries an entry.
ENTRY_FIELDS = {"request_id": "request_id", "effective_at": "entry.effective_time"}
_SEPARATOR = "\x1f"  # check_text lets no text hold it
_CONTENT_VERSION = "1"
_API = Source.API  # looked up once: an enum's members are slow to get at
_API_NAME = _API.value


def entry_of(draft: pb.EntryDraft, *, now: datetime) -> JournalEntry:
    """The entry to post; `now` is when it happened where the draft names no time. Raises what makes it unpostable, with
    the field's path from the request on ("entry.postings[1].amount")."""
    try:
        kind, facts = draft.kind, draft.facts
        subject = Subject(draft.subject.kind, draft.subject.id) if draft.HasField("subject") else None
        check_not_reserved(kind=kind, subject=subject)
        return JournalEntry(
            kind=kind,
            postings=_postings_of(draft.postings),
            effective_at=moment_of(draft.effective_time, field="effective_at") if _has_time(draft) else now,
            source=_API,
            subject=subject,
            reference=draft.reference or None,
            narrative=draft.narrative or None,
            facts=dict(facts) if facts else None,
        )
    except LedgerError as error:
        raise located(error, within="entry", names=ENTRY_FIELDS) from None


def content_of(draft: pb.EntryDraft, entry: JournalEntry) -> bytes:
    """What the draft asks for, in a form that never changes: two requests under one key are the same when this is.

    Fields joined by U+001F, in this order: version of this form, kind, effective time (microseconds since 1970; empty
    where the draft names none), subject kind and id, reference, narrative, number of postings, four fields per posting
    (account, side, currency, minor units), then facts by name. Output-only and unknown fields of the message do not
    count.
    """
    stamp, subject = draft.effective_time, entry.subject
    micros = str(stamp.seconds * 1_000_000 + stamp.nanos // 1000) if _has_time(draft) else ""
    about = (subject.kind, subject.id) if subject is not None else ("", "")
    parts = [_CONTENT_VERSION, entry.kind, micros, *about, entry.reference or "", entry.narrative or ""]
    parts.append(str(len(entry.postings)))
    for posting in entry.postings:
        parts += (posting.account, posting.side.value, posting.money.currency, str(posting.money.minor_units))
    for name, value in sorted((entry.facts or {}).items()):
        parts += (name, value)
    return _SEPARATOR.join(parts).encode()


def _has_time(draft: pb.EntryDraft) -> bool:
    return draft.HasField("effective_time")


def _postings_of(messages: Sequence[pb.Posting]) -> tuple[Posting, ...]:
    if len(messages) > POSTINGS_MAX:
        raise EntryTooLong(f"a journal entry has at most {POSTINGS_MAX} postings", field="postings")
    postings: list[Posting] = []
    money: Money | None = None
    for message in messages:
        try:
            # A line mostly has the amount of the line before it, and then takes that.
            money = same_money_of(message.amount, money, field="amount")
            postings.append(Posting(message.account, side_of(message.side, field="side"), money))
        except LedgerError as error:
            raise located(error, within=f"postings[{len(postings)}]") from None
    return tuple(postings)


def entry_id_of(text: str, *, field: str) -> int:
    """Raises EntryNotFound for what no entry's id looks like, just as for an id that no entry has."""
    entry_id = decode(ENTRY_PREFIX, text)
    if entry_id is None:
        raise EntryNotFound(f"no entry {text:.40} in this ledger", field=field)
    return entry_id


def entry_id_text(entry_id: int) -> str:
    """ "ent_" and 13 characters."""
    return encode(ENTRY_PREFIX, entry_id)


def filter_of(request: pb.ListEntriesRequest) -> EntryFilter:
    """Which entries a list request wants. Raises TextInvalid, TimeInvalid, PathInvalid, CurrencyUnknown."""
    if request.account:
        check_path(request.account, field="account")
    if request.currency:
        exponent_of(request.currency)
    since = (
        moment_of(request.record_time_from, field="record_time_from") if request.HasField("record_time_from") else None
    )
    until = moment_of(request.record_time_to, field="record_time_to") if request.HasField("record_time_to") else None
    return EntryFilter(
        subject_kind=request.subject.kind or None,
        subject_id=request.subject.id or None,
        kind=request.kind or None,
        account=request.account or None,
        currency=request.currency or None,
        recorded_from=since,
        recorded_to=until,
        reference=request.reference or None,
    )


def posted_message(draft: pb.EntryDraft, entry: JournalEntry, posted: Posted, *, actor: str) -> pb.JournalEntry:
    """An entry that was just posted, as a reader would find it. What the books keep as it was asked for is copied from
    the draft, message by message, at half the price of making it anew."""
    message = pb.JournalEntry(
        id=encode(ENTRY_PREFIX, posted.entry_id),
        kind=entry.kind,
        postings=draft.postings,
        effective_time=timestamp_of(entry.effective_at),
        record_time=shared_timestamp_of(posted.recorded_at),
        business_date=posted.business_date.isoformat(),
        subject=draft.subject if entry.subject is not None else None,
        reference=draft.reference,
        narrative=draft.narrative,
        facts=draft.facts if entry.facts else None,
        source=_API_NAME,
        actor=actor,
    )
    for line, after in zip(message.postings, posted.lines, strict=True):
        line.account_version, line.balance_after_minor_units = after
    message.DiscardUnknownFields()
    return message


def entry_message(view: EntryView) -> pb.JournalEntry:
    """An entry as the books hold it."""
    message = pb.JournalEntry(
        id=encode(ENTRY_PREFIX, view.id),
        kind=view.kind,
        effective_time=timestamp_of(view.effective_at),
        record_time=timestamp_of(view.recorded_at),
        business_date=view.business_date.isoformat(),
        reference=view.reference or "",
        narrative=view.narrative or "",
        facts=view.facts,
        source=view.source.value,
        actor=view.actor,
        reverses=encode(ENTRY_PREFIX, view.reverses_id) if view.reverses_id else "",
        reversed_by=[encode(ENTRY_PREFIX, entry_id) for entry_id in view.reversed_by],
    )
    if view.subject is not None:
        message.subject.kind, message.subject.id = view.subject.kind, view.subject.id
    for line in view.lines:
        posting = line.posting
        message.postings.add(
            account=posting.account,
            side=SIDE_NUMBERS[posting.side],
            amount=money_message(posting.money.currency, posting.money.minor_units),
            balance_after_minor_units=line.balance_after,
            account_version=line.account_version,
        )
    return message
