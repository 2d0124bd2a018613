"""The books, the diary and the faults as the control API shows them. Pure; gives out no secret."""

from __future__ import annotations

from adapters.sandbox import magic, statement_words
from adapters.sandbox.apis import B2B, B2C, COLLECTING
from adapters.sandbox.behaviours import Behaviour
from adapters.sandbox.c2b_setup import C2bSetup, Registration
from adapters.sandbox.faults import Faults, Scripted
from adapters.sandbox.paybill import Attempt
from adapters.sandbox.prompts import Prompt
from adapters.sandbox.world import Balances, Declined, Delivery, Movement, SeenRequest

Json = dict[str, object]


def balances(shown: Balances) -> Json:
    """The sub-accounts in cents."""
    return {
        "utility_cents": shown.utility_cents,
        "working_cents": shown.working_cents,
        "charges_paid_cents": shown.charges_paid_cents,
    }


def movement(shown: Movement, shortcode: str) -> Json:
    """What moved, for whom, and what it left behind; `shortcode` is ours."""
    payment, collection = shown.payment, shown.collection
    party = payment or collection
    return {
        "kind": shown.kind.value,
        "receipt": shown.receipt,
        "reference": payment.reference if payment else "",
        "account": payment.account if payment else collection.reference if collection else "",
        "originator_conversation_id": payment.originator_conversation_id if payment else "",
        "conversation_id": payment.conversation_id if payment else "",
        "msisdn": party.msisdn if party else "",
        "shortcode": party.shortcode if party else "",
        "checkout_request_id": collection.checkout_request_id if collection else "",
        "linked_receipt": shown.linked_receipt,
        "by": shown.reversal.by.value if shown.reversal else "",
        "sub_account": shown.account.value,
        "is_credit": shown.is_credit,
        "details": statement_words.details(shown, shortcode),
        "reason_type": statement_words.reason_type(shown),
        "initiated_at": shown.initiated_at.isoformat(),
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
        "msisdn": magic.magic_msisdn(suffix) if behaviour.only_on & (B2C | COLLECTING) else "",
        "shortcode": magic.magic_shortcode(suffix) if behaviour.only_on & B2B else "",
        "behaviour": behaviour.name,
        "summary": behaviour.summary,
        "status": magic.status_told(behaviour),
    }


def prompt(shown: Prompt) -> Json:
    """A prompt and what became of it."""
    outcome = shown.outcome
    return {
        "merchant_request_id": shown.merchant_request_id,
        "checkout_request_id": shown.checkout_request_id,
        "msisdn": shown.msisdn,
        "shortcode": shown.shortcode,
        "reference": shown.reference,
        "amount_cents": shown.amount_cents,
        "behaviour": shown.behaviour.name,
        "is_waiting": shown.is_waiting,
        "times_asked": shown.times_asked,
        "result_code": outcome.result_code if isinstance(outcome, Declined) else "0" if outcome else "",
        "receipt": outcome.receipt if isinstance(outcome, Movement) else "",
        "opened_at": shown.opened_at.isoformat(),
    }


def registration(shown: Registration) -> Json:
    """That addresses are registered, and how; the addresses themselves hold secret tokens."""
    return {"shortcode": shown.shortcode, "version": shown.version, "response_type": shown.response_type.value}


def c2b(shown: C2bSetup) -> Json:
    """How C2B and Pull are set up."""
    return {
        "registrations": [registration(one) for one in shown.registrations.values()],
        "pull_registered": sorted(shown.pull_registered),
        "external_validation": shown.external_validation,
        "validation_patience_seconds": shown.validation_patience_seconds,
        "payer_form": shown.payer_form.value,
        "registering": shown.registering.value,
    }


def attempt(shown: Attempt) -> Json:
    """What a customer did, and what came of it. `code` says why nothing was paid."""
    return {
        "receipt": shown.receipt if shown.movement else "",
        "transaction_id": shown.receipt,
        "fate": shown.fate.value,
        "code": shown.code,
        "behaviour": shown.behaviour.name,
        "account": shown.collection.reference,
        "amount_cents": shown.collection.amount_cents,
        "request_number": shown.number,
    }


def faults(shown: Faults, *, requests_per_token: int | None) -> Json:
    """What is put in at present."""
    callbacks, allowance = shown.callbacks, shown.allowance
    return {
        "scripted": [_scripted(fault) for fault in shown.scripted],
        "rates": {rate.behaviour: rate.share for rate in shown.rates},
        "collection_rates": {rate.behaviour: rate.share for rate in shown.collection_rates},
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
