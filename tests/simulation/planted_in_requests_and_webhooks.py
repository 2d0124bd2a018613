"""Bugs in what partners ask and are told."""

from __future__ import annotations

from functools import partial
from typing import Any

from ledger.payouts.payout import State
from tests.simulation.mutants import Change, part, planted

clients, request, webhooks = part("tests.simulation.clients"), part("ledger.payouts.request"), part("adapters.webhooks")
announcing, idempotency = part("ledger.payouts.announcing"), part("ledger.idempotency")


@planted
def request_id_forgotten(change: Change) -> None:
    change(
        request,
        "_WRITE",
        request._WRITE.replace("::bytea[], %(id)s::bigint[]) AS k", "::bytea[], %(id)s::bigint[]) AS k WHERE false"),
    )


@planted
def changed_request_taken_for_a_repeat(change: Change) -> None:
    change(idempotency.StoredKey, "matches", lambda *_: True)


@planted
def partner_sees_anothers_payout(change: Change) -> None:
    get = clients.queries.get_payout

    async def open_handed(connection: Any, *, ledger_id: int, partner_id: Any, payout_id: int) -> Any:
        return await get(connection, ledger_id=ledger_id, partner_id=None, payout_id=payout_id)

    change(clients.queries, "get_payout", open_handed)


@planted
def webhook_refused_taken_for_told(change: Change) -> None:
    change(webhooks, "verdict_of", lambda _: webhooks.Taken("HTTP 200"))


@planted
def webhook_recorded_before_it_is_sent(change: Change) -> None:
    async def hasty(self: Any, claimed: Any) -> None:
        await webhooks.run(self._engine, partial(self._record, tried=[(claimed, webhooks.Taken("HTTP 200"))]))
        headers = webhooks.signed_headers(claimed, now=self._now())
        await self._egress.post(claimed.url, headers=headers, body=claimed.payload)

    change(webhooks.Deliverer, "_deliver", hasty)


@planted
def webhook_under_a_new_id_each_time(change: Change) -> None:
    signed = webhooks.signed_headers

    def fresh(claimed: Any, *, now: Any) -> dict[str, str]:
        name, body = f"{claimed.event_id}{int(now.timestamp())}", claimed.payload.decode()
        signatures = [webhooks.Webhook(secret).sign(name, now, body) for secret in claimed.secrets]
        return {**signed(claimed, now=now), "webhook-id": name, "webhook-signature": " ".join(signatures)}

    change(webhooks, "signed_headers", fresh)


@planted
def settlement_told_to_nobody(change: Change) -> None:
    change(
        announcing, "EVENTS", {state: word for state, word in announcing.EVENTS.items() if state is not State.SETTLED}
    )
