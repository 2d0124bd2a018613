"""The SQL of prompts, each statement for a whole set: asking, locking, changing, and finding whose a receipt is.
Decides nothing but that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ledger.collections import announcing
from ledger.collections.prompt import OPEN_STATES, Event, State, masks_agree, payer_hash, transition
from ledger.collections.reference import ReceiptKeys
from ledger.collections.writing import LockedReceipt
from ledger.database import Driver
from ledger.ids import IdSource
from ledger.journal.books import Ledger
from ledger.money import Money
from ledger.outbox import queue
from ledger.outbox.collecting import Payer
from ledger.outbox.statements import Subject
from ledger.sms import announcing as texting

PREFIX = "prm"
MATCHING = "daftari.matching"
# A receipt is that of a prompt if it was completed within this of its asking: providers list what came in for two days.
REACH = timedelta(days=2)
# Providers tell times in whole seconds, and by clocks of their own.
CLOCKS_APART = timedelta(minutes=1)

_ADD = """
WITH added AS (
    INSERT INTO prompts (ledger_id, id, partner_id, order_id, rail, shortcode, party_id, payer_index, payer_shown,
        currency, amount, reference, reference_index, description, expires_at, state, version, created_at, updated_at)
    VALUES (%(ledger)s, %(id)s, %(partner)s, %(order)s, %(rail)s, %(shortcode)s, %(party)s, %(payer_index)s,
        %(payer_shown)s, %(currency)s, %(amount)s, %(reference)s, %(reference_index)s, %(description)s, %(expires)s,
        'REQUESTED', 1, %(now)s, %(now)s)
)
INSERT INTO prompt_events (ledger_id, prompt_id, version, state, event, actor, recorded_at)
VALUES (%(ledger)s, %(id)s, 1, 'REQUESTED', 'requested', %(actor)s, %(now)s)
"""
_READ = """
SELECT id, partner_id, order_id, rail, shortcode, party_id, payer_index, payer_shown, currency, amount, reference,
    reference_index, description, expires_at, state, version, checkout_index, checkout_sealed, told_paid_at, receipt_id,
    failure_code, failure_text, created_at, updated_at FROM prompts
WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id
"""
_LOCK = """
SELECT id, partner_id, order_id, rail, shortcode, party_id, payer_index, payer_shown, currency, amount, reference,
    reference_index, description, expires_at, state, version, checkout_index, checkout_sealed, told_paid_at, receipt_id,
    failure_code, failure_text, created_at, updated_at FROM prompts
WHERE ledger_id = %s AND id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
_CHANGE = """
WITH change AS (
    SELECT * FROM unnest(%(id)s::bigint[], %(version)s::int[], %(state)s::text[], %(event)s::text[], %(detail)s::text[],
        %(actor)s::text[], %(index)s::bytea[], %(sealed)s::bytea[], %(receipt)s::bigint[], %(code)s::text[],
        %(text)s::text[])
        AS c (id, version, state, event, detail, actor, checkout_index, checkout_sealed, receipt_id, code, text)
), changed AS (
    UPDATE prompts AS p SET state = c.state, version = c.version,
        checkout_index = coalesce(p.checkout_index, c.checkout_index),
        checkout_sealed = coalesce(p.checkout_sealed, c.checkout_sealed),
        told_paid_at = CASE WHEN c.event = 'told_paid' THEN %(now)s ELSE p.told_paid_at END,
        receipt_id = coalesce(p.receipt_id, c.receipt_id), failure_code = coalesce(c.code, p.failure_code),
        failure_text = coalesce(c.text, p.failure_text), updated_at = %(now)s
    FROM change AS c WHERE p.ledger_id = %(ledger)s AND p.id = c.id AND p.version = c.version - 1
    RETURNING p.id
), told AS (
    INSERT INTO prompt_events (ledger_id, prompt_id, version, state, event, detail, actor, recorded_at)
    SELECT %(ledger)s, id, version, state, event, detail, actor, %(now)s FROM change
)
SELECT count(*) FROM changed
"""
# Prompts without their receipt that ask for what came in, by whom it may have come.
_CANDIDATES = """
SELECT r.id, p.id, p.state, p.told_paid_at IS NOT NULL, p.payer_index, p.payer_shown
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::bigint[], %s::timestamptz[])
    AS r (id, provider, shortcode, reference_index, currency, amount, completed_at)
JOIN prompts AS p ON p.ledger_id = %s AND p.reference_index = r.reference_index AND p.rail = r.provider
    AND p.shortcode = r.shortcode AND p.currency = r.currency AND p.amount = r.amount AND p.receipt_id IS NULL
    AND p.created_at BETWEEN r.completed_at - %s AND r.completed_at + %s
ORDER BY r.id, p.id
"""
_UNCLAIMED = """
SELECT p.id, r.id, r.payer_shown, p.payer_shown FROM prompts AS p
JOIN receipts AS r ON r.ledger_id = p.ledger_id AND r.provider = p.rail AND r.shortcode = p.shortcode
    AND r.currency = p.currency AND r.amount = p.amount AND r.reference_index = p.reference_index
    AND r.created_at >= p.created_at AND p.created_at BETWEEN r.completed_at - %s AND r.completed_at + %s
WHERE p.ledger_id = %s AND p.id = ANY(%s) AND NOT EXISTS (
    SELECT FROM prompts AS other WHERE other.ledger_id = r.ledger_id AND other.receipt_id = r.id)
ORDER BY p.id, r.id
"""
_OWNERS = "SELECT receipt_id, id FROM prompts WHERE ledger_id = %s AND receipt_id = ANY(%s)"
_ASKED = """
SELECT a.token_hash, i.prompt_id FROM attempts AS a
JOIN instructions AS i ON i.ledger_id = a.ledger_id AND i.id = a.instruction_id
WHERE a.ledger_id = %s AND a.token_hash = ANY(%s) AND i.kind = 'prompt.submit'
"""
_EVENTS = """
SELECT version, state, event, detail, actor, recorded_at FROM prompt_events
WHERE ledger_id = %s AND prompt_id = %s ORDER BY version
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrompt:
    """A prompt to ask for. `payer_hash` is the SHA-256 of the number; `payer_shown` hides its middle."""

    partner_id: int | None
    order_id: int | None
    rail: str
    shortcode: str
    party_id: int
    payer_hash: str
    payer_shown: str
    amount: Money
    reference: str
    description: str
    expires_at: datetime
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt as it was read, under its lock where it is to change."""

    id: int
    partner_id: int | None
    order_id: int | None
    rail: str
    shortcode: str
    party_id: int
    payer_index: bytes
    payer_shown: str
    amount: Money
    reference: str
    reference_index: bytes
    description: str
    expires_at: datetime
    state: State
    version: int
    checkout_index: bytes | None
    checkout_sealed: bytes | None
    told_paid_at: datetime | None
    receipt_id: int | None
    failure_code: str | None
    failure_text: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PromptEvent:
    """One change of a prompt."""

    version: int
    state: State
    event: str
    detail: str | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a locked prompt, with what is newly known of it."""

    prompt: Prompt
    event: Event
    state: State
    actor: str
    detail: str | None = None
    checkout: str | None = None
    receipt_id: int | None = None
    failure: tuple[str, str] | None = None


async def add_prompt(
    driver: Driver, *, ledger: Ledger, prompt: NewPrompt, keys: ReceiptKeys, ids: IdSource, now: datetime
) -> int:
    """Adds a prompt and the instruction to send it; its id."""
    prompt_id, reference_index = ids.next(now), keys.index(prompt.reference, ledger_id=ledger.id)
    assert reference_index is not None, "the reference was checked"
    parameters = {
        "ledger": ledger.id,
        "id": prompt_id,
        "partner": prompt.partner_id,
        "order": prompt.order_id,
        "rail": prompt.rail,
        "shortcode": prompt.shortcode,
        "party": prompt.party_id,
        "payer_index": keys.index_payer(prompt.payer_hash, ledger_id=ledger.id),
        "payer_shown": prompt.payer_shown,
        "currency": prompt.amount.currency,
        "amount": prompt.amount.minor_units,
        "reference": prompt.reference,
        "reference_index": reference_index,
        "description": prompt.description,
        "expires": prompt.expires_at,
        "actor": prompt.actor,
        "now": now,
    }
    await driver.execute(_ADD, parameters)
    await queue.enqueue(
        driver, ledger_id=ledger.id, kind=queue.PROMPT_SUBMIT, subject_ids=[prompt_id], ids=ids, now=now, due_at=now
    )
    return prompt_id


async def read_prompts(driver: Driver, *, ledger_id: int, prompt_ids: Collection[int]) -> dict[int, Prompt]:
    """Prompts by id, unlocked."""
    cursor = await driver.execute(_READ, (ledger_id, list(prompt_ids)))
    return {row[0]: _prompt(row) for row in await cursor.fetchall()}


async def lock_prompts(driver: Driver, *, ledger_id: int, prompt_ids: Collection[int]) -> dict[int, Prompt]:
    """Locks prompts in id order and reads them. Whoever books receipts as well does that before."""
    cursor = await driver.execute(_LOCK, (ledger_id, list(prompt_ids)))
    return {row[0]: _prompt(row) for row in await cursor.fetchall()}


async def write_changes(
    driver: Driver, *, ledger_id: int, changes: Sequence[Change], keys: ReceiptKeys, ids: IdSource, now: datetime
) -> None:
    """Changes locked prompts, at most once each, with their events, and tells partners and who paid; those that end are
    sent and asked about no more."""
    if not changes:
        return
    checkouts = [(one.prompt.id, one.checkout) for one in changes]
    parameters = {
        "ledger": ledger_id,
        "now": now,
        "id": [one.prompt.id for one in changes],
        "version": [one.prompt.version + 1 for one in changes],
        "state": [one.state.value for one in changes],
        "event": [one.event.value for one in changes],
        "detail": [one.detail[:200] if one.detail else None for one in changes],
        "actor": [one.actor for one in changes],
        "index": [keys.index_checkout(told, ledger_id=ledger_id) if told else None for _, told in checkouts],
        "sealed": [
            keys.seal_checkout(told, ledger_id=ledger_id, prompt_id=prompt_id) if told else None
            for prompt_id, told in checkouts
        ],
        "receipt": [one.receipt_id for one in changes],
        "code": [one.failure[0] if one.failure else None for one in changes],
        "text": [one.failure[1][:200] if one.failure else None for one in changes],
    }
    row = await (await driver.execute(_CHANGE, parameters)).fetchone()
    assert row is not None
    assert row[0] == len(changes), "a locked prompt changed"
    ended = [one.prompt.id for one in changes if one.state not in OPEN_STATES]
    await queue.complete(driver, ledger_id=ledger_id, subject_ids=ended, now=now, subject=Subject.PROMPT)
    told = [one.prompt.id for one in changes if one.event in announcing.PROMPT_EVENTS]
    await announcing.announce_prompts(driver, ledger_id=ledger_id, prompt_ids=told, ids=ids, now=now)
    paid = {order_id for one in changes if one.event is Event.PAID and (order_id := one.prompt.order_id) is not None}
    await texting.announce_orders(driver, ledger_id=ledger_id, order_ids=paid, ids=ids, now=now)


async def find_asked(driver: Driver, *, ledger_id: int, token_hashes: Sequence[bytes]) -> dict[bytes, int]:
    """The prompts whose payers were asked with these callback paths."""
    cursor = await driver.execute(_ASKED, (ledger_id, list(token_hashes)))
    return {bytes(token_hash): prompt_id for token_hash, prompt_id in await cursor.fetchall()}


async def find_owners(driver: Driver, *, ledger_id: int, receipt_ids: Collection[int]) -> dict[int, int]:
    """The prompts that are paid by these receipts, by receipt."""
    cursor = await driver.execute(_OWNERS, (ledger_id, list(receipt_ids)))
    return dict(await cursor.fetchall())


async def find_unclaimed(driver: Driver, *, ledger_id: int, prompt_ids: Collection[int]) -> dict[int, int]:
    """The one booked receipt that may be the money of each of these prompts and is no other's: by prompt, where there
    is just one."""
    cursor = await driver.execute(_UNCLAIMED, (REACH, CLOCKS_APART, ledger_id, list(prompt_ids)))
    found: dict[int, list[int]] = {}
    for prompt_id, receipt_id, told, wanted in await cursor.fetchall():
        if not told or masks_agree(told, wanted):
            found.setdefault(prompt_id, []).append(receipt_id)
    return {prompt_id: receipts[0] for prompt_id, receipts in found.items() if len(receipts) == 1}


async def list_events(driver: Driver, *, ledger_id: int, prompt_id: int) -> list[PromptEvent]:
    """What happened to a prompt, oldest first."""
    cursor = await driver.execute(_EVENTS, (ledger_id, prompt_id))
    return [PromptEvent(row[0], State(row[1]), *row[2:]) for row in await cursor.fetchall()]


async def match_receipts(
    driver: Driver,
    *,
    ledger: Ledger,
    receipts: Sequence[tuple[LockedReceipt, Payer | None]],
    keys: ReceiptKeys,
    ids: IdSource,
    now: datetime,
) -> None:
    """Pays the prompts whose money came in by another way than their own callback: same shortcode, reference and
    amount, a payer who may be the same, and no second prompt that it could be for."""
    candidates = await _find_candidates(
        driver, ledger, [(r, payer) for r, payer in receipts if r.reference_index], keys
    )
    chosen: dict[int, int] = {}
    for receipt_id, prompts in candidates.items():
        prompt_id = _choose(prompts)
        if prompt_id is not None and prompt_id not in chosen:
            chosen[prompt_id] = receipt_id
    if not chosen:
        return
    locked = await lock_prompts(driver, ledger_id=ledger.id, prompt_ids=chosen)
    changes = [
        Change(prompt=one, event=Event.PAID, state=state, actor=MATCHING, receipt_id=chosen[one.id])
        for one in locked.values()
        if isinstance(state := transition(Event.PAID, one.state, told_paid=one.told_paid_at is not None), State)
    ]
    await write_changes(driver, ledger_id=ledger.id, changes=changes, keys=keys, ids=ids, now=now)


async def _find_candidates(
    driver: Driver, ledger: Ledger, receipts: Sequence[tuple[LockedReceipt, Payer | None]], keys: ReceiptKeys
) -> dict[int, list[tuple[int, State, bool]]]:
    if not receipts:
        return {}
    payers = {receipt.id: payer for receipt, payer in receipts}
    columns = (
        [one.id for one, _ in receipts],
        [one.provider for one, _ in receipts],
        [one.shortcode for one, _ in receipts],
        [one.reference_index for one, _ in receipts],
        [one.amount.currency for one, _ in receipts],
        [one.amount.minor_units for one, _ in receipts],
        [one.completed_at for one, _ in receipts],
    )
    cursor = await driver.execute(_CANDIDATES, (*columns, ledger.id, REACH, CLOCKS_APART))
    found: dict[int, list[tuple[int, State, bool]]] = {}
    for receipt_id, prompt_id, state, told_paid, index, shown in await cursor.fetchall():
        if may_be_payer(payers[receipt_id], index=bytes(index), shown=shown, keys=keys, ledger_id=ledger.id):
            found.setdefault(receipt_id, []).append((prompt_id, State(state), told_paid))
    return found


def may_be_payer(payer: Payer | None, *, index: bytes, shown: str, keys: ReceiptKeys, ledger_id: int) -> bool:
    """Whether a payer as a message tells it may be the one who was asked."""
    if payer is None:
        return True
    told = payer_hash(payer)
    if told is None:
        return masks_agree(payer.number, shown)
    return keys.index_payer(told, ledger_id=ledger_id) == index


def _choose(prompts: Sequence[tuple[int, State, bool]]) -> int | None:
    """The one that is told to be paid, or the one still open, or the one that failed; none of several."""
    for fitting in (
        [prompt_id for prompt_id, _, told_paid in prompts if told_paid],
        [prompt_id for prompt_id, state, _ in prompts if state in OPEN_STATES],
        [prompt_id for prompt_id, _, _ in prompts],
    ):
        if fitting:
            return fitting[0] if len(fitting) == 1 else None
    return None


def _prompt(row: Sequence[Any]) -> Prompt:
    (
        prompt_id, partner_id, order_id, rail, shortcode, party_id, payer_index, payer_shown, currency, amount,
        reference, reference_index, description, expires_at, state, version, checkout_index, checkout_sealed,
        told_paid_at, receipt_id, failure_code, failure_text, created_at, updated_at,
    ) = row  # fmt: skip
    return Prompt(
        id=prompt_id, partner_id=partner_id, order_id=order_id, rail=rail, shortcode=shortcode, party_id=party_id,
        payer_index=bytes(payer_index), payer_shown=payer_shown, amount=Money(currency, amount), reference=reference,
        reference_index=bytes(reference_index), description=description, expires_at=expires_at, state=State(state),
        version=version, checkout_index=bytes(checkout_index) if checkout_index else None,
        checkout_sealed=bytes(checkout_sealed) if checkout_sealed else None, told_paid_at=told_paid_at,
        receipt_id=receipt_id, failure_code=failure_code, failure_text=failure_text, created_at=created_at,
        updated_at=updated_at,
    )  # fmt: skip
