"""Redeeming codes, as a set: judge, post, request the payouts, write, in one transaction.

A refused order leaves nothing behind but what it typed wrong; its neighbours are judged without it. Each redemption is
bound to the payout that pays it in the transaction that takes its code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from ledger.database import Driver
from ledger.idempotency import KeyClaim, claim
from ledger.ids import encode
from ledger.journal.books import Ledger
from ledger.journal.decide import PostRequest, Refused
from ledger.journal.post import business_date
from ledger.journal.poster import Poster
from ledger.msisdn import Msisdn
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payee import Payee
from ledger.payouts.request import RACING_CONSTRAINTS as PAYOUT_RACES
from ledger.payouts.request import Limits, PayoutRequest, Requested, request_payouts
from ledger.promotions.attempts import DEFAULT_RULES, ThrottleRules
from ledger.promotions.code import normalise
from ledger.promotions.code_keys import CodeKeys
from ledger.promotions.entries import redeemed_entry
from ledger.promotions.judging import Answered, Judged, Known, RedemptionOrder, Same, Verdict, Winner, judge
from ledger.promotions.reading import Paid, read_facts, write_redemptions, write_wrong
from ledger.promotions.redemptions import PREFIX, Redemption, read_redemptions, redemptions_of_payouts
from ledger.promotions.writing import Batch
from ledger.sms import announcing
from ledger.text import check_text

SET_MAX = 500
METHOD = "Redeem"
PURPOSE = "promotion"
# Another process took the same code, or the same place of a phone in a campaign: the set is run again.
RACING_CONSTRAINTS = PAYOUT_RACES | frozenset(
    {
        "promo_redemptions_code_is_redeemed_once",
        "promo_redemptions_are_counted",
        "promo_redemptions_are_counted_by_day",
    }
)
_SESSION_LENGTH_MAX = 128
# A set is judged again without what its payouts refused; each time fewer are left, and hardly ever twice.
_ROUNDS_MAX = 8


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The code is redeemed (once the transaction commits), or was by the same phone before."""

    redemption: Redemption
    replayed: bool


RedeemResult: TypeAlias = Redeemed | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """Makes orders of what was typed."""

    keys: CodeKeys
    party_keys: PartyKeys

    def order(
        self, *, ledger_id: int, client_id: int, actor: str, request_id: str, typed: str, msisdn: Msisdn, session: str
    ) -> RedemptionOrder:
        """Raises CodeMalformed, TextInvalid."""
        if session:
            check_text(session, field="session", length_max=_SESSION_LENGTH_MAX)
        phone = self.party_keys.index(msisdn, ledger_id=ledger_id)
        code_hash = self.keys.hash(normalise(typed), ledger_id=ledger_id)
        key = claim(client_id=client_id, key=request_id, method=METHOD, content=code_hash + phone)
        known_by = f"session {session}" if session else f"request {request_id}"
        attempt = self.keys.attempt(str(client_id).encode(), known_by.encode(), code_hash, phone)
        return RedemptionOrder(
            key=key, actor=actor, code_hash=code_hash, msisdn=msisdn, phone=phone, attempt=attempt, session=session
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemer:
    """Redeems sets of codes inside the caller's transaction."""

    poster: Poster
    party_keys: PartyKeys
    limits: Limits
    rules: ThrottleRules = DEFAULT_RULES

    async def redeem(
        self, driver: Driver, *, ledger: Ledger, orders: Sequence[RedemptionOrder], now: datetime
    ) -> list[RedeemResult]:
        """Redeems what may be redeemed and returns a result per order, in order. Raises only what the database raises;
        a violation of RACING_CONSTRAINTS means that another process won a race and the set should be run again."""
        today = business_date(now, ledger.zone)
        facts = await read_facts(driver, ledger_id=ledger.id, orders=orders, today=today, rules=self.rules, now=now)
        given_up: dict[int, Refused] = {}
        for _ in range(_ROUNDS_MAX):
            judged = judge(orders, facts, given_up=given_up, rules=self.rules, now=now)
            winners = judged.winners
            if not winners:
                paid: dict[int, Paid] = {}
                break
            await driver.execute("SAVEPOINT redeeming")
            paid, refused = await self._pay(driver, ledger, winners, now)
            if not refused:
                await write_redemptions(driver, ledger_id=ledger.id, paid=list(paid.values()), today=today, now=now)
                payouts = [one.payout_id for one in paid.values()]
                await announcing.announce(driver, ledger_id=ledger.id, payout_ids=payouts, ids=self.poster.ids, now=now)
                break
            await driver.execute("ROLLBACK TO SAVEPOINT redeeming")
            given_up |= refused
        else:
            raise AssertionError("the payouts of a set of redemptions refuse others every time")
        await write_wrong(driver, ledger_id=ledger.id, judged=judged, rules=self.rules, now=now)
        return await self._results(driver, ledger, judged, paid)

    async def _pay(
        self, driver: Driver, ledger: Ledger, winners: Mapping[int, Winner], now: datetime
    ) -> tuple[dict[int, Paid], dict[int, Refused]]:
        """Moves what the winners' codes are worth to what they are owed, and reserves their payouts from there."""
        ids = {index: self.poster.ids.next(now) for index in winners}
        names = {index: encode(PREFIX, one) for index, one in ids.items()}
        entries = [
            PostRequest(redeemed_entry(one.offer.batch.money, redemption=names[index], at=now), one.order.actor)
            for index, one in winners.items()
        ]
        entry_ids = await self.poster.post(driver, ledger=ledger, requests=entries, now=now)
        requested = await request_payouts(
            driver,
            ledger=ledger,
            requests=[_payout_of(one, f"{names[index]}/1") for index, one in winners.items()],
            limits=self.limits,
            party_keys=self.party_keys,
            directory=self.poster.directory,
            ids=self.poster.ids,
            now=now,
        )
        paid: dict[int, Paid] = {}
        refused: dict[int, Refused] = {}
        for (index, winner), entry_id, verdict in zip(winners.items(), entry_ids, requested, strict=True):
            if isinstance(verdict, Requested):
                paid[index] = Paid(ids[index], winner, entry_id, verdict.payout_id)
            else:
                refused[index] = verdict
        return paid, refused

    async def _results(
        self, driver: Driver, ledger: Ledger, judged: Judged, paid: Mapping[int, Paid]
    ) -> list[RedeemResult]:
        payouts = {one.payout_id for one in judged.verdicts if isinstance(one, Answered)}
        of_payouts = await redemptions_of_payouts(driver, ledger_id=ledger.id, payout_ids=payouts)
        known = {one.redemption_id for one in judged.verdicts if isinstance(one, Known)}
        wanted = known | set(of_payouts.values()) | {one.id for one in paid.values()}
        found = await read_redemptions(driver, ledger_id=ledger.id, redemption_ids=wanted)

        def result(index: int, verdict: Verdict) -> RedeemResult:
            match verdict:
                case Winner():
                    return Redeemed(found[paid[index].id], False)
                case Same(first):
                    return Redeemed(found[paid[first].id], True)
                case Known(redemption_id):
                    return Redeemed(found[redemption_id], True)
                case Answered(payout_id):
                    return Redeemed(found[of_payouts[payout_id]], True)
                case Refused():
                    return verdict

        return [result(index, verdict) for index, verdict in enumerate(judged.verdicts)]


def _payout_of(winner: Winner, reference: str) -> PayoutRequest:
    order, offer = winner.order, winner.offer
    return promotion_payout(
        key=order.key,
        actor=order.actor,
        batch=offer.batch,
        partner=offer.partner,
        payee=order.msisdn,
        reference=reference,
    )


def promotion_payout(
    *, key: KeyClaim, actor: str, batch: Batch, partner: Partner, payee: Payee, reference: str
) -> PayoutRequest:
    """The payout of a redemption: out of what the batch owes its winners, in the name of the batch's partner."""
    return PayoutRequest(
        key=key,
        actor=actor,
        partner=partner,
        partner_reference=reference,
        payee=payee,
        amount=batch.amount,
        purpose=PURPOSE,
        remarks=batch.code,
        shortcode=batch.shortcode,
        funding=batch.money.payable,
    )
