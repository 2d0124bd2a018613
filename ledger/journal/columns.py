"""The rows that a set writes, column by column, each in PostgreSQL's text form of an array. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from ledger.journal.decide import LockedAccount, Posted, PostRequest
from ledger.journal.entry import Side
from ledger.session import plain_array, text_array

Accepted = Sequence[tuple[PostRequest, Posted]]


def _times(moments: Iterable[datetime]) -> str:
    """Each with its offset, which PostgreSQL reads."""
    return plain_array([moment.isoformat() for moment in moments])


def entry_columns(entries: Accepted) -> dict[str, str]:
    """Of the headers."""
    drafts = [request.entry for request, _ in entries]
    return {
        "e_id": plain_array([posted.entry_id for _, posted in entries]),
        "e_kind": text_array([draft.kind for draft in drafts]),
        "e_subject_kind": text_array([draft.subject.kind if draft.subject else None for draft in drafts]),
        "e_subject_id": text_array([draft.subject.id if draft.subject else None for draft in drafts]),
        "e_occurrence": plain_array([0 if request.entry.once else posted.entry_id for request, posted in entries]),
        "e_effective": _times([draft.effective_at for draft in drafts]),
        "e_recorded": _times([posted.recorded_at for _, posted in entries]),
        "e_date": plain_array([posted.business_date for _, posted in entries]),
        "e_count": plain_array([len(draft.postings) for draft in drafts]),
        "e_reverses": plain_array([draft.reverses_id for draft in drafts]),
        "e_source": plain_array([draft.source.value for draft in drafts]),
        "e_actor": text_array([request.actor for request, _ in entries]),
        "e_reference": text_array([draft.reference for draft in drafts]),
        "e_narrative": text_array([draft.narrative for draft in drafts]),
        "e_facts": text_array([json.dumps(dict(draft.facts)) if draft.facts else None for draft in drafts]),
    }


def key_columns(entries: Accepted) -> dict[str, str]:
    """Of the idempotency keys, for the entries that have one."""
    keyed = [(request.key, posted.entry_id) for request, posted in entries if request.key is not None]
    return {
        "k_client": plain_array([key.client_id for key, _ in keyed]),
        "k_key": text_array([key.key for key, _ in keyed]),
        "k_method": text_array([key.method for key, _ in keyed]),
        "k_hash": plain_array([f'"\\\\x{key.request_hash.hex()}"' for key, _ in keyed]),
        "k_entry": plain_array([entry_id for _, entry_id in keyed]),
    }


def posting_columns(entries: Accepted, accounts: Mapping[tuple[str, str], LockedAccount]) -> dict[str, str]:
    """Of the lines, and of what they change per account and day. Tells the accounts their last entry."""
    debit = Side.DEBIT  # looked up once: an enum's members are slow to get at
    rows: list[tuple[object, ...]] = []
    days: dict[tuple[int, date], list[int]] = {}
    for request, posted in entries:
        for number, (line, after) in enumerate(zip(request.entry.postings, posted.lines, strict=True), start=1):
            money = line.money
            account = accounts[(line.account, money.currency)]
            account.last_entry_id = posted.entry_id
            side = "D" if line.side is debit else "C"
            row = (
                posted.entry_id, number, account.id, money.currency, side, money.minor_units,
                after.account_version, after.balance_after,
            )  # fmt: skip
            rows.append(row)
            day = days.setdefault((account.id, posted.business_date), [0, 0])
            day[line.side is not debit] += money.minor_units
    names = ("p_entry", "p_line", "p_account", "p_currency", "p_side", "p_amount", "p_version", "p_balance")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return {name: plain_array(column) for name, column in columns} | _day_columns(days)


def _day_columns(days: dict[tuple[int, date], list[int]]) -> dict[str, str]:
    ordered = sorted(days.items())
    return {
        "d_account": plain_array([account_id for (account_id, _), _ in ordered]),
        "d_date": plain_array([day for (_, day), _ in ordered]),
        "d_debits": plain_array([debits for _, (debits, _) in ordered]),
        "d_credits": plain_array([credits for _, (_, credits) in ordered]),
    }


def balance_columns(touched: Sequence[LockedAccount]) -> dict[str, str]:
    """Of the balance rows, as the set leaves them."""
    return {
        "b_account": plain_array([account.id for account in touched]),
        "b_debits": plain_array([account.debits for account in touched]),
        "b_credits": plain_array([account.credits for account in touched]),
        "b_version": plain_array([account.version for account in touched]),
        "b_entry": plain_array([account.last_entry_id for account in touched]),
    }
