"""The books, the diary and the faults as the control API shows them. Pure; gives out no secret."""

from __future__ import annotations

from adapters.sandbox import magic
from adapters.sandbox.apis import B2B, B2C
from adapters.sandbox.behaviours import Behaviour
from adapters.sandbox.faults import Faults, Scripted
from adapters.sandbox.world import Balances, Delivery, Movement, SeenRequest

Json = dict[str, object]


def balances(shown: Balances) -> Json:
    """The sub-accounts in cents."""
    return {
        "utility_cents": shown.utility_cents,
        "working_cents": shown.working_cents,
        "charges_paid_cents": shown.charges_paid_cents,
    }


def movement(shown: Movement) -> Json:
    """What moved, for whom, and what it left behind."""
    payment = shown.payment
    return {
        "kind": shown.kind.value,
        "receipt": shown.receipt,
        "reference": payment.reference if payment else "",
        "account": payment.account if payment else "",
        "originator_conversation_id": payment.originator_conversation_id if payment else "",
        "conversation_id": payment.conversation_id if payment else "",
        "msisdn": payment.msisdn if payment else "",
        "shortcode": payment.shortcode if payment else "",
        "amount_cents": shown.amount_cents,
        "charge_cents": shown.charge_cents,
        "completed_at": shown.completed_at.isoformat(),
        "balances_after": balances(shown.balances_after),
    }


def request(shown: SeenRequest) -> Json:
    """A request with what its sender was told and what became of it."""
    return {
        "number": shown.number,
        "received_at": shown.received_at.isoformat(),
        "path": shown.path,
        "answer": shown.answer,
        "fate": shown.fate.value,
        "behaviour": shown.behaviour,
        "result_code": shown.result_code,
        "originator_conversation_id": shown.originator_conversation_id,
        "conversation_id": shown.conversation_id,
        "msisdn": shown.msisdn,
        "shortcode": shown.shortcode,
        "amount_cents": shown.amount_cents,
    }


def delivery(shown: Delivery) -> Json:
    """One attempt to call back."""
    return {"request_number": shown.request_number, "kind": shown.kind, "outcome": shown.outcome}


def magic_row(suffix: str, behaviour: Behaviour) -> Json:
    """A line of the table of magic numbers; a number that an API does not have is empty."""
    return {
        "msisdn": magic.magic_msisdn(suffix) if behaviour.only_on & B2C else "",
        "shortcode": magic.magic_shortcode(suffix) if behaviour.only_on & B2B else "",
        "behaviour": behaviour.name,
        "summary": behaviour.summary,
        "status": magic.status_told(behaviour),
    }


def faults(shown: Faults, *, requests_per_token: int | None) -> Json:
    """What is put in at present."""
    callbacks, allowance = shown.callbacks, shown.allowance
    return {
        "scripted": [_scripted(fault) for fault in shown.scripted],
        "rates": {rate.behaviour: rate.share for rate in shown.rates},
        "query_rates": {rate.behaviour: rate.share for rate in shown.query_rates},
        "callbacks": {
            "delay_seconds": callbacks.delay_seconds,
            "jitter_seconds": callbacks.jitter_seconds,
            "drop_rate": callbacks.drop_rate,
            "duplicate_rate": callbacks.duplicate_rate,
        },
        "requests_per_token": requests_per_token,
        "allowance": {"requests": allowance.requests_max, "seconds": allowance.seconds},
        "token_errors": {api.value: form.value for api, form in shown.token_errors.items()},
        "not_found_code": shown.not_found_code,
    }


def _scripted(fault: Scripted) -> Json:
    return {
        "behaviour": fault.behaviour,
        "count": fault.count,
        "msisdn": fault.msisdn,
        "shortcode": fault.shortcode,
        "api": fault.api.value if fault.api else None,
    }
