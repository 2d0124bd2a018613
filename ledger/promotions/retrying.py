"""Paying redemptions again whose payout failed: by the clock, or when a person says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import partners
from ledger.database import Driver, driver
from ledger.idempotency import KeyClaim, claim, find_answer
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.journal.poster import Poster
from ledger.parties import PartyKeys, read_payees
from ledger.payouts.payout import State as PayoutState
from ledger.payouts.request import Limits, PayoutRequest, Requested, RequestResult, request_payouts
from ledger.promotions.redeeming import promotion_payout
from ledger.promotions.redemption import PUT_OFF, Event, Move, State, transition
from ledger.promotions.redemptions import (
    Redemption,
    Step,
    lock_due,
    lock_redemptions,
    put_off,
    write_steps,
)
from ledger.promotions.refusals import RedemptionNotFailed, RedemptionNotFound
from ledger.promotions.writing import lock_batches

ACTOR = "daftari.promotions"
METHOD = "RetryRedemption"
# Request ids of the clock's own: no caller has this number.
_OWN_CLIENT = 0
_GIVEN_UP = frozenset({PayoutState.RELEASED.value, PayoutState.CANCELLED.value})
_PAYOUT_STATE = "SELECT state FROM payouts WHERE ledger_id = %s AND id = %s"
_LEDGERS = "SELECT DISTINCT ledger_id FROM promo_redemptions WHERE retry_at <= %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    """Pays redemptions again inside the caller's transaction."""

    poster: Poster
    party_keys: PartyKeys
    limits: Limits

    async def retry(
        self,
        connection: AsyncConnection,
        *,
        ledger: Ledger,
        key: KeyClaim,
        redemption_id: int,
        actor: str,
        now: datetime,
    ) -> bool:
        """Requests another payout; whether the same request had before. Raises RedemptionNotFound,
        RedemptionNotFailed, and what refuses the payout."""
        session = await driver(connection)
        found = await lock_redemptions(session, ledger_id=ledger.id, redemption_ids=[redemption_id])
        if (redemption := found.get(redemption_id)) is None:
            raise RedemptionNotFound("no such redemption in this ledger", field="redemption_id")
        if await find_answer(session, ledger_id=ledger.id, claim=key) is not None:
            return True
        if redemption.state is not State.FAILED:
            raise RedemptionNotFailed(
                f"the redemption is {redemption.state.value}", field="redemption_id", state=redemption.state.value
            )
        await _check_given_up(session, ledger, redemption)
        (verdict,) = await self._request(connection, ledger, {key: redemption}, actor, now)
        if isinstance(verdict, Refused):
            raise verdict.error
        return verdict.replayed

    async def retry_due(self, connection: AsyncConnection, *, ledger: Ledger, now: datetime, limit: int) -> int:
        """Requests other payouts for those whose time has come, and puts off what is refused; of how many."""
        session = await driver(connection)
        due = await lock_due(session, ledger_id=ledger.id, now=now, limit=limit)
        if not due:
            return 0
        claims = {
            claim(client_id=_OWN_CLIENT, key=f"{one.public_id}/{one.tries + 1}", method=METHOD, content=b""): one
            for one in due.values()
        }
        verdicts = await self._request(connection, ledger, claims, ACTOR, now)
        refused = [one.id for one, verdict in zip(due.values(), verdicts, strict=True) if isinstance(verdict, Refused)]
        await put_off(session, ledger_id=ledger.id, redemption_ids=refused, until=now + PUT_OFF)
        return len(due)

    async def find_ledgers(self, driver: Driver, *, now: datetime) -> set[int]:
        """The ledgers in which some redemption is to be tried again."""
        return {row[0] for row in await (await driver.execute(_LEDGERS, (now,))).fetchall()}

    async def _request(
        self,
        connection: AsyncConnection,
        ledger: Ledger,
        redemptions: Mapping[KeyClaim, Redemption],
        actor: str,
        now: datetime,
    ) -> list[RequestResult]:
        """A verdict per redemption, each locked; those whose payout is asked for are moved on."""
        session, failed = await driver(connection), list(redemptions.values())
        verdicts = await request_payouts(
            session,
            ledger=ledger,
            requests=await self._payouts_of(connection, ledger, redemptions, actor),
            limits=self.limits,
            party_keys=self.party_keys,
            directory=self.poster.directory,
            ids=self.poster.ids,
            now=now,
        )
        steps = [
            Step(_retried(one, verdict.payout_id), Event.RETRIED, actor)
            for one, verdict in zip(failed, verdicts, strict=True)
            if isinstance(verdict, Requested)
        ]
        await write_steps(session, ledger_id=ledger.id, steps=steps, now=now)
        return verdicts

    async def _payouts_of(
        self, connection: AsyncConnection, ledger: Ledger, redemptions: Mapping[KeyClaim, Redemption], actor: str
    ) -> list[PayoutRequest]:
        session = await driver(connection)
        failed = list(redemptions.values())
        batches = await lock_batches(session, ledger_id=ledger.id, batch_ids=[one.batch_id for one in failed])
        payees = await read_payees(
            session, ledger_id=ledger.id, party_ids=[one.party_id for one in failed], keys=self.party_keys
        )
        sponsors = await partners.find_partners(
            connection, ledger_id=ledger.id, ids={one.partner_id for one in batches.values()}
        )
        return [
            promotion_payout(
                key=key,
                actor=actor,
                batch=batches[one.batch_id],
                partner=sponsors[batches[one.batch_id].partner_id],
                payee=payees[one.party_id],
                reference=f"{one.public_id}/{one.tries + 1}",
            )
            for key, one in redemptions.items()
        ]


async def _check_given_up(driver: Driver, ledger: Ledger, redemption: Redemption) -> None:
    """Nothing is paid again while the last payout may have been paid."""
    row = await (await driver.execute(_PAYOUT_STATE, (ledger.id, redemption.payout_id))).fetchone()
    assert row is not None, "a redemption rests on a payout"
    if row[0] not in _GIVEN_UP:
        raise RedemptionNotFailed(
            f"its payout is {row[0]}: a person resolves the case in provider-conflict first", field="redemption_id"
        )


def _retried(redemption: Redemption, payout_id: int) -> Redemption:
    verdict = transition(Event.RETRIED, redemption.state, of_another_payout=False)
    assert isinstance(verdict, Move), "only what failed is tried again"
    return redemption.moved(verdict, retry_at=None, payout_id=payout_id, tries=redemption.tries + 1)
