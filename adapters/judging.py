"""What a callback means beside what we asked for: matched, contradicting, unreadable, or nobody's. Pure.

A callback names its attempt by the token in its path; that alone says how its bytes are read, and what it says must
match the stored intent before it counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from adapters.provider import CallbackUnreadable, DeclaredRail, PayoutCallback
from ledger.floats import Assertion
from ledger.journal.entry import Source
from ledger.outbox import queue
from ledger.outbox.inbox import Message, Verdict
from ledger.outbox.instruction import Failed, OutcomeUnknown, Settled
from ledger.outcomes import Applied, Recorded, Unchanged
from ledger.payee import BusinessKind, BusinessPayee, Payee
from ledger.payouts.outcome import Report
from ledger.payouts.payout import OPEN_STATES, Standing
from ledger.payouts.writing import LockedPayout

ACTOR = "daftari.inbound"
# A message that cannot be judged yet is looked at again after each of these. One on a path of nobody's may answer an
# attempt whose commit is seen late, after a failover say; one without our reference, a call whose answer is on its way.
RESTS = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=5))
# How rails name a balance among a success's facts: "utility_available_minor_units".
# How they name their own id of a payment taken in: "daraja.conversation_id", and not "daraja.query_conversation_id".
CONVERSATION_KIND = ".conversation_id"
BALANCE_FACT = "_available_minor_units"
_WORDS = {Standing.REPEATED: "repeated", Standing.OUTDATED: "outdated", Standing.CONFLICT: "conflict"}


@dataclass(frozen=True, slots=True)
class Judged:
    """A message and what it turned out to be; no verdict yet for one that cannot be judged yet. `hints`: it proves
    nothing, and makes the payout worth a question."""

    message: Message
    report: Report | None
    verdict: Verdict | None
    hints: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """What we asked for: the payout, its payee, and the conversations that the provider said it was taken in under.
    `has_twin` is asked for where there are none: whether another payout of ours looks the same from outside."""

    payout: LockedPayout
    payee: Payee
    conversations: frozenset[str]
    has_twin: bool = False


def judge_callback(
    message: Message, rail: DeclaredRail, kind: str, intent: Intent, *, confirm_above: int | None
) -> Judged:
    """The verdict on a message that came by a path of this payout, given out for an instruction of this kind. A result
    over more than `confirm_above` minor units is asked about before it is booked."""
    payout = intent.payout
    # The path's token says what was asked, and so how the answer is to be read: never the message itself.
    is_query = kind == queue.QUERY
    read = (rail.read_query_callback if is_query else rail.read_payout_callback)(message.kind, message.raw)
    if isinstance(read, CallbackUnreadable):
        return Judged(message, None, verdict_on(message, "unreadable", read.reason, payout.id))
    if not is_query and rail.capabilities.ask_after_seconds is not None:
        return _hint(message, read, intent)
    if not is_query and read.reference is None and not intent.conversations:
        # The provider's answer to our request names its conversation. It may still be on its way, or was lost.
        if message.tries < len(RESTS):
            return Judged(message, None, None)
        # By the ids of a twin's payment a question would be answered truly, and about the twin.
        ids = () if intent.has_twin else _ids_to_ask_by(read)
        read = replace(read, outcome=OutcomeUnknown("nothing in a callback says whose it is", ids))
    if not is_query and _needs_confirmation(read.outcome, payout, confirm_above):
        read = replace(read, outcome=OutcomeUnknown("a result of this size is asked about first", _ids_to_ask_by(read)))
    mismatch = find_mismatch(read, intent)
    outcome = read.outcome if mismatch is None else OutcomeUnknown(f"a callback contradicts the request: {mismatch}")
    if is_query and isinstance(outcome, Failed) and not _names_a_payment(read):
        outcome = OutcomeUnknown("a status answer tells of a failure without saying whose")
    source = Source.QUERY if is_query else Source.CALLBACK
    report = Report(payout_id=payout.id, outcome=outcome, source=source, actor=ACTOR)
    word = "matched" if mismatch is None else "mismatch"
    return Judged(message, report, verdict_on(message, word, mismatch, payout.id))


def _hint(message: Message, read: PayoutCallback, intent: Intent) -> Judged:
    """Of a rail whose callbacks prove nothing: whatever it says, the provider is asked. One that contradicts what we
    asked for is shown to a person besides."""
    mismatch = find_mismatch(read, intent)
    word, detail = ("hint", "the provider is asked") if mismatch is None else ("mismatch", mismatch)
    return Judged(message, None, verdict_on(message, word, detail, intent.payout.id), hints=True)


def find_mismatch(callback: PayoutCallback, intent: Intent) -> str | None:
    """What in a callback contradicts the intent it is about; None where all it carries agrees.

    `callback.reference` is None where the gateway put an id of its own (v1 of the B2C API, and documented v3 samples).
    """
    payout, outcome = intent.payout, callback.outcome
    settles_otherwise = isinstance(outcome, Settled) and outcome.amount != payout.amount
    contradictions = (
        (callback.reference not in (None, payout.provider_reference), "it names another reference of ours"),
        (
            callback.reference is None and _is_another(callback.conversation_id, intent.conversations),
            "it names another conversation",
        ),
        (callback.amount not in (None, payout.amount), f"it says {callback.amount}, we asked for {payout.amount}"),
        (not _may_be(intent.payee, callback), "it names another payee"),
        (callback.shortcode not in (None, payout.shortcode), "it names another shortcode"),
        (settles_otherwise, f"it settles {getattr(outcome, 'amount', None)}, we asked for {payout.amount}"),
    )
    return next((words for contradicts, words in contradictions if contradicts), None)


def _needs_confirmation(
    outcome: Settled | Failed | OutcomeUnknown, payout: LockedPayout, confirm_above: int | None
) -> bool:
    """Success and failure alike: a failure that is believed gives the money back, and it is paid again. What comes
    after the money went back awaits a person anyway."""
    large = confirm_above is not None and payout.amount.minor_units > confirm_above
    return large and isinstance(outcome, Settled | Failed) and payout.state in OPEN_STATES


def _ids_to_ask_by(read: PayoutCallback) -> tuple[tuple[str, str], ...]:
    """What the provider may be asked by. Not the conversation: by that later messages would be believed."""
    return tuple((kind, value) for kind, value in read.outcome.references if not kind.endswith(CONVERSATION_KIND))


def _is_another(conversation: str | None, known: frozenset[str]) -> bool:
    """Without our reference it is the provider's own id that says which payment is meant, once we were told it."""
    return conversation is not None and bool(known) and conversation not in known


def _may_be(payee: Payee, told: PayoutCallback) -> bool:
    """A till's result may name its head office instead; a pay bill's names the pay bill."""
    if told.msisdn is not None and told.msisdn != payee:
        return False
    if isinstance(payee, BusinessPayee) and payee.kind is BusinessKind.PAYBILL:
        return told.receiver_shortcode in (None, payee.shortcode)
    return True


def _names_a_payment(read: PayoutCallback) -> bool:
    return read.reference is not None or read.amount is not None or read.msisdn is not None


def assertions_of(one: Judged, payouts: Mapping[int, LockedPayout]) -> list[Assertion]:
    """What a success says the provider's sub-accounts hold after it. Only matched messages are listened to."""
    matched = one.verdict is not None and one.verdict.verdict == "matched"
    if not matched or one.report is None or not isinstance(one.report.outcome, Settled):
        return []
    payout, outcome = payouts[one.report.payout_id], one.report.outcome
    return [
        Assertion(
            provider=payout.rail,
            shortcode=payout.shortcode,
            sub_account=name.removesuffix(BALANCE_FACT),
            available=int(value),
            currency=payout.amount.currency,
            asserted_at=outcome.completed_at,
            source="payout",
            payout_id=payout.id,
        )
        for name, value in outcome.facts.items()
        if name.endswith(BALANCE_FACT)
    ]


def verdict_on(message: Message, verdict: str, detail: str | None, payout_id: int | None) -> Verdict:
    """A verdict on a message, in words that quote nothing of it."""
    return Verdict(message.ledger_id, message.id, verdict, detail, payout_id)


def conclude(verdict: Verdict, recorded: Recorded) -> Verdict:
    """The verdict on a message once its outcome is recorded: what it did, or why it did nothing."""
    if verdict.verdict != "matched":
        return verdict
    match recorded:
        case Applied(state=state):
            return replace(verdict, verdict="applied", detail=state.value)
        case Unchanged(standing=standing):
            return replace(verdict, verdict=_WORDS[standing], detail=standing.value)
