"""Requesting payouts, as a set: claim the key, reserve the money, write the payout and its instruction, in one
transaction.

A refused item leaves nothing behind; its neighbours are judged without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from ledger import partners
from ledger.database import Driver
from ledger.errors import (
    CurrencyMismatch,
    LedgerError,
    PartnerReferenceReused,
    PartnerSuspended,
    RailNotFound,
    TextInvalid,
)
from ledger.idempotency import KeyClaim, StoredKey, find_keys, key_reused
from ledger.ids import IdSource, encode
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import Admission, Posted, PostRequest, Refused
from ledger.journal.post import post_entries
from ledger.money import Money
from ledger.outbox import queue
from ledger.parties import PartyKeys, find_or_add
from ledger.partners import Partner
from ledger.payee import Payee
from ledger.payouts import switches
from ledger.payouts.allowance import Demand, open_allowance
from ledger.payouts.limits import RailLimits, check_payable
from ledger.payouts.payout import PayoutMoney, reserve_entry
from ledger.payouts.rails import PayoutRoute, choose_route, find_routes
from ledger.text import check_text

PURPOSES = ("business", "salary", "promotion")
# Unique constraints a racing request of the same key, reference or payee may break, or one of another process that
# chose the same id in the same millisecond: the set is then run once more.
RACING_CONSTRAINTS = frozenset(
    {
        "idempotency_keys_pkey",
        "payouts_partner_reference_is_unique",
        "parties_payee_is_unique",
        "journal_entries_pkey",
        "postings_pkey",
        "payouts_pkey",
        "parties_pkey",
        "instructions_pkey",
    }
)
Limits: TypeAlias = Mapping[str, Mapping[str, RailLimits]]

_REFERENCES = "SELECT * FROM used_references(%s::integer, %s::bigint[], %s::text[])"
_WRITE = """
WITH keys AS (
    INSERT INTO idempotency_keys (ledger_id, client_id, key, method, request_hash, result_id, created_at)
    SELECT %(ledger)s, k.*, %(now)s
    FROM unnest(%(client)s::bigint[], %(key)s::text[], %(method)s::text[], %(hash)s::bytea[], %(id)s::bigint[]) AS k
), requested AS (
    INSERT INTO payouts (ledger_id, id, partner_id, partner_reference, party_id, currency, amount, fee, purpose,
        remarks, rail, shortcode, provider_reference, reserve_entry_id, funding, state, version, created_at,
        updated_at)
    SELECT %(ledger)s, p.*, 'RESERVED', 1, %(now)s, %(now)s
    FROM unnest(%(id)s::bigint[], %(partner)s::bigint[], %(reference)s::text[], %(party)s::bigint[],
        %(currency)s::text[],
        %(amount)s::bigint[], %(fee)s::bigint[], %(purpose)s::text[], %(remarks)s::text[], %(rail)s::text[],
        %(shortcode)s::text[], %(provider_reference)s::text[], %(entry)s::bigint[], %(funding)s::text[]) AS p
)
INSERT INTO payout_events (ledger_id, payout_id, version, state, event, entry_id, recorded_at)
SELECT %(ledger)s, e.id, 1, 'RESERVED', 'requested', e.entry, %(now)s
FROM unnest(%(id)s::bigint[], %(entry)s::bigint[]) AS e (id, entry)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRequest:
    """One payout to request. Empty `remarks` become the partner's reference, an empty `shortcode` the only fitting
    one. `funding` is the account of whoever else pays for it, free of the partner's fee: a loan, a lender."""

    key: KeyClaim
    actor: str
    partner: Partner
    partner_reference: str
    payee: Payee
    amount: Money
    purpose: str
    remarks: str
    shortcode: str
    funding: str | None = None

    @property
    def fee(self) -> Money:
        """What the partner pays on top."""
        return self.partner.payout_fee if self.funding is None else Money(self.amount.currency, 0)

    def __post_init__(self) -> None:
        check_text(self.partner_reference, field="partner_reference", length_max=64)
        if self.purpose not in PURPOSES:
            raise TextInvalid(f"a purpose is one of {', '.join(PURPOSES)}", field="purpose")
        if self.remarks:
            check_text(self.remarks, field="remarks", length_max=100)


@dataclass(frozen=True, slots=True)
class Requested:
    """The payout is reserved and queued (once the transaction commits), or was by the same request before."""

    payout_id: int
    replayed: bool


RequestResult: TypeAlias = Requested | Refused


@dataclass(frozen=True, slots=True)
class _Roads:
    """Over what a payout may leave: the ledger's routes, what each running rail carries, and the stopped ones."""

    routes: Sequence[PayoutRoute]
    limits: Limits
    stopped: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Draft:
    index: int
    id: int
    request: PayoutRequest
    route: PayoutRoute


async def request_payouts(
    driver: Driver,
    *,
    ledger: Ledger,
    requests: Sequence[PayoutRequest],
    limits: Limits,
    party_keys: PartyKeys,
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> list[RequestResult]:
    """Reserves what may be reserved and returns a verdict per request, in order, inside the caller's transaction.

    `limits` are what the running rails carry, by rail and currency. Raises only what the database raises; a violation
    of RACING_CONSTRAINTS means that another process won a race and the set should be run again."""
    verdicts: dict[int, RequestResult] = {}
    for indices in _part(requests):
        subset = [requests[index] for index in indices]
        decided = await _request_subset(
            driver,
            ledger=ledger,
            requests=subset,
            limits=limits,
            party_keys=party_keys,
            directory=directory,
            ids=ids,
            now=now,
        )
        verdicts |= dict(zip(indices, decided, strict=True))
    return [verdicts[index] for index in range(len(requests))]


def _part(requests: Sequence[PayoutRequest]) -> list[list[int]]:
    """The items that can be judged together, then those that share a key or a reference with a different one of them:
    these must see what became of it, for the key and the reference of a refused request are free."""
    keys: dict[tuple[int, str], PayoutRequest] = {}
    references: dict[tuple[int, str], PayoutRequest] = {}
    together: list[int] = []
    contesting: list[int] = []
    for index, request in enumerate(requests):
        first = keys.setdefault(request.key.identity, request)
        namesake = references.setdefault((request.partner.id, request.partner_reference), request)
        alike = first.key.same_request(request.key) and namesake.key.identity == request.key.identity
        (together if alike else contesting).append(index)
    return [indices for indices in (together, contesting) if indices]


async def _request_subset(
    driver: Driver,
    *,
    ledger: Ledger,
    requests: Sequence[PayoutRequest],
    limits: Limits,
    party_keys: PartyKeys,
    directory: AccountDirectory,
    ids: IdSource,
    now: datetime,
) -> list[RequestResult]:
    await partners.hold(driver, ledger_id=ledger.id, partner_ids=[one.partner.id for one in requests])
    # References first: a racing request whose reference is seen here has stored its key too, and is found as a replay.
    references = await _find_references(driver, ledger.id, requests)
    keys = await find_keys(driver, ledger_id=ledger.id, claims=[request.key for request in requests])
    routes = await find_routes(driver, ledger_id=ledger.id)
    stopped = await switches.stopped_rails(driver, ledger_id=ledger.id)
    judged = _judge(requests, keys, references, _Roads(routes, limits, stopped), ids, now)
    drafts = [one for one in judged if isinstance(one, _Draft)]
    payees = {one.index: party_keys.index(one.request.payee, ledger_id=ledger.id) for one in drafts}
    demands = {one.index: Demand(one.request.partner.id, payees[one.index], one.request.amount) for one in drafts}
    allowance = await open_allowance(
        driver, ledger_id=ledger.id, zone=ledger.zone, demands=list(demands.values()), now=now
    )
    reserves = [_reserve(one, allowance.admission(demands[one.index]), now) for one in drafts]
    posted = await post_entries(driver, ledger=ledger, requests=reserves, directory=directory, ids=ids, now=now)
    kept = [(draft, one) for draft, one in zip(drafts, posted, strict=True) if isinstance(one, Posted)]
    refusals = {draft.index: one for draft, one in zip(drafts, posted, strict=True) if isinstance(one, Refused)}
    if kept:
        await allowance.write(driver, ledger_id=ledger.id)
        await _write(driver, ledger, kept, party_keys, ids, now)
    return _verdicts(judged, await _answered_meanwhile(driver, ledger.id, requests, refusals))


async def _answered_meanwhile(
    driver: Driver, ledger_id: int, requests: Sequence[PayoutRequest], refusals: Mapping[int, Refused]
) -> dict[int, RequestResult]:
    """What was refused, unless the same request was granted while this one waited for its locks: then it is a replay.
    Its key is asked for again under them."""
    answers: dict[int, RequestResult] = dict(refusals)
    claims = [requests[index].key for index in refusals]
    stored = await find_keys(driver, ledger_id=ledger_id, claims=claims)
    for index in refusals:
        key = requests[index].key
        if (one := stored.get(key.identity)) is not None:
            answers[index] = Requested(one.result_id, True) if one.matches(key) else Refused(key_reused(key))
    return answers


def _judge(
    requests: Sequence[PayoutRequest],
    keys: Mapping[tuple[int, str], StoredKey],
    references: set[tuple[int, str]],
    roads: _Roads,
    ids: IdSource,
    now: datetime,
) -> list[_Draft | Requested | Refused | int]:
    """A draft to reserve, a replay, a refusal, or the index of the same request earlier in this set."""
    judged: list[_Draft | Requested | Refused | int] = []
    claimed: dict[tuple[int, str], int] = {}
    used = set(references)
    for index, request in enumerate(requests):
        stored = keys.get(request.key.identity)
        earlier = claimed.get(request.key.identity)
        if stored is not None:
            matches = stored.matches(request.key)
            judged.append(Requested(stored.result_id, True) if matches else Refused(key_reused(request.key)))
        elif earlier is not None:
            same = requests[earlier].key.same_request(request.key)
            judged.append(earlier if same else Refused(key_reused(request.key)))
        else:
            one = _draft(index, request, used, roads, ids.next(now))
            judged.append(one)
            if isinstance(one, _Draft):
                claimed[request.key.identity] = index
                used.add((request.partner.id, request.partner_reference))
    return judged


def _draft(
    index: int,
    request: PayoutRequest,
    used: set[tuple[int, str]],
    roads: _Roads,
    payout_id: int,
) -> _Draft | Refused:
    try:
        _check_partner(request, used)
        route = choose_route(
            roads.routes, currency=request.amount.currency, shortcode=request.shortcode, rails=roads.limits
        )
        if route.rail in roads.stopped:
            raise switches.refusal(route.rail)
        bounds = roads.limits[route.rail].get(route.currency)
        if bounds is None:
            raise RailNotFound(f"{route.rail} does not carry {route.currency}", field="amount.currency")
        check_payable(request.amount, bounds, rail=route.rail)
    except LedgerError as refusal:
        return Refused(refusal)
    return _Draft(index, payout_id, request, route)


def _check_partner(request: PayoutRequest, used: set[tuple[int, str]]) -> None:
    partner = request.partner
    if partner.suspended:
        raise PartnerSuspended(f"partner {partner.code} is suspended; nothing was done", partner=partner.code)
    if request.amount.currency != partner.payout_fee.currency:
        raise CurrencyMismatch(
            f"partner {partner.code} is funded in {partner.payout_fee.currency}", field="amount.currency"
        )
    if (partner.id, request.partner_reference) in used:
        raise PartnerReferenceReused(
            f"reference {request.partner_reference} names another payout of {partner.code}; use GetPayout to see it",
            field="partner_reference",
            partner_reference=request.partner_reference,
        )


def _money_of(draft: _Draft) -> PayoutMoney:
    request = draft.request
    return PayoutMoney(
        public_id=encode("pay", draft.id),
        funding=request.funding or request.partner.funding_account,
        accounts=draft.route.accounts,
        amount=request.amount,
        fee=request.fee,
        reserve_entry_id=0,
    )


def _reserve(draft: _Draft, admission: Admission, now: datetime) -> PostRequest:
    entry = reserve_entry(_money_of(draft), at=now, reference=draft.request.partner_reference)
    return PostRequest(entry, draft.request.actor, admission=admission)


async def _find_references(driver: Driver, ledger_id: int, requests: Sequence[PayoutRequest]) -> set[tuple[int, str]]:
    columns = ([one.partner.id for one in requests], [one.partner_reference for one in requests])
    cursor = await driver.execute(_REFERENCES, (ledger_id, *columns))
    return set(await cursor.fetchall())


async def _write(
    driver: Driver,
    ledger: Ledger,
    kept: Sequence[tuple[_Draft, Posted]],
    party_keys: PartyKeys,
    ids: IdSource,
    now: datetime,
) -> None:
    requests = [draft.request for draft, _ in kept]
    parties = await find_or_add(
        driver, ledger_id=ledger.id, payees={one.payee for one in requests}, keys=party_keys, ids=ids, now=now
    )
    payout_ids = [draft.id for draft, _ in kept]
    parameters = {
        "ledger": ledger.id,
        "now": now,
        "id": payout_ids,
        "entry": [posted.entry_id for _, posted in kept],
        "client": [one.key.client_id for one in requests],
        "key": [one.key.key for one in requests],
        "method": [one.key.method for one in requests],
        "hash": [one.key.request_hash for one in requests],
        "partner": [one.partner.id for one in requests],
        "reference": [one.partner_reference for one in requests],
        "party": [parties[one.payee] for one in requests],
        "currency": [one.amount.currency for one in requests],
        "amount": [one.amount.minor_units for one in requests],
        "fee": [one.fee.minor_units for one in requests],
        "purpose": [one.purpose for one in requests],
        "remarks": [one.remarks or one.partner_reference for one in requests],
        "rail": [draft.route.rail for draft, _ in kept],
        "shortcode": [draft.route.shortcode for draft, _ in kept],
        "provider_reference": [provider_reference(payout_id) for payout_id in payout_ids],
        "funding": [one.funding for one in requests],
    }
    await driver.execute(_WRITE, parameters)
    await queue.enqueue(
        driver, ledger_id=ledger.id, kind=queue.SUBMIT, subject_ids=payout_ids, ids=ids, now=now, due_at=now
    )


def provider_reference(payout_id: int) -> str:
    """The id the provider is to know the payout by, chosen with the payout and never changed: 17 plain characters."""
    return encode("dft", payout_id).replace("_", "-")


def _verdicts(
    judged: Sequence[_Draft | Requested | Refused | int], refusals: Mapping[int, RequestResult]
) -> list[RequestResult]:
    verdicts: list[RequestResult] = []
    for one in judged:
        if isinstance(one, int):
            first = verdicts[one]
            verdicts.append(Requested(first.payout_id, True) if isinstance(first, Requested) else first)
        elif isinstance(one, _Draft):
            verdicts.append(refusals.get(one.index) or Requested(one.id, False))
        else:
            verdicts.append(one)
    return verdicts
