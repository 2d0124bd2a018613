"""The magic numbers of those who pay in: 6xx for prompts, 7xx for payments to a paybill, 8xx for reversals of either.

The rows of all other numbers hold for customers too, where they make sense: 1xx declines, 3xx trouble on the way in.
"""

from __future__ import annotations

from adapters.sandbox.apis import COLLECTING, PAYBILL, STK, Api
from adapters.sandbox.behaviours import (
    Answer,
    Behaviour,
    Confirming,
    Core,
    Customer,
    Naming,
    Notice,
    PayerForm,
    PromptFinding,
    Timing,
    Typing,
)

_TWICE_PROCESSING = (PromptFinding.PROCESSING, PromptFinding.PROCESSING, PromptFinding.TRUTH)
_REVERSAL = frozenset({Api.REVERSAL})


def _declined(code: str, summary: str) -> Behaviour:
    return Behaviour(f"result-{code}", f"prompt ends with {code}: {summary}", result_code=code, only_on=STK)


def _late(name: str, summary: str, *findings: PromptFinding, code: str = "0") -> Behaviour:
    found = (*findings, PromptFinding.TRUTH)
    return Behaviour(name, summary, result_code=code, timing=Timing.AFTER_QUERIES, only_on=STK, prompt_findings=found)


def _asked(name: str, summary: str, *findings: PromptFinding, core: Core = Core.DECIDES) -> Behaviour:
    return Behaviour(name, summary, core=core, notices=(), only_on=STK, prompt_findings=findings)


def _told(name: str, summary: str, notice: Notice) -> Behaviour:
    return Behaviour(name, summary, notices=(notice,), only_on=STK)


def _confirmed(name: str, summary: str, confirming: Confirming) -> Behaviour:
    return Behaviour(name, summary, only_on=STK, customer=Customer(confirming=confirming))


def _pays(name: str, summary: str, customer: Customer, only_on: frozenset[Api] = PAYBILL) -> Behaviour:
    return Behaviour(name, f"pays a paybill, {summary}", only_on=only_on, customer=customer)


def _reversed(name: str, summary: str, reversed_as: str) -> Behaviour:
    return Behaviour(name, f"pays; a reversal of it {summary}", only_on=COLLECTING, reversed_as=reversed_as)


# Daraja STK result codes; 1036, 1031 and 9999 are known from clients alone.
PROMPT_ROWS: dict[str, Behaviour] = {
    "601": _declined("1001", "subscriber locked by another transaction"),
    "619": _declined("1019", "expired"),
    "625": _declined("1025", "the push could not be sent"),
    "631": _declined("1031", "cancelled by the customer, an older code"),
    "632": _declined("1032", "cancelled by the customer"),
    "636": _declined("1036", "SMSC acknowledgement timeout"),
    "637": _declined("1037", "the phone cannot be reached"),
    "699": _declined("9999", "error while sending the push"),
    "640": _late("pays-late-after-unreachable", "an STK query finds 1037; then paid and called back",
                 PromptFinding.UNREACHABLE),
    "641": _late("pays-late-after-cancelled", "an STK query finds 1032; then paid and called back",
                 PromptFinding.CANCELLED),
    "642": _late("pays-late-while-processing", "two STK queries find 4999; then paid and called back",
                 PromptFinding.PROCESSING, PromptFinding.PROCESSING),
    "643": _late("cancels-late", "an STK query finds 4999; then cancelled and called back",
                 PromptFinding.PROCESSING, code="1032"),
    "644": _asked("processing-then-paid", "paid, never called back; two STK queries find 4999, then 0",
                  *_TWICE_PROCESSING),
    "645": _asked("being-processed-then-paid", "paid, never called back; two STK queries meet HTTP 500, then find 0",
                  PromptFinding.BEING_PROCESSED, PromptFinding.BEING_PROCESSED, PromptFinding.TRUTH),
    "646": _asked("processing-for-ever", "not paid, never called back; STK queries find 4999 for ever",
                  PromptFinding.PROCESSING, core=Core.FORGETS),
    "647": Behaviour("query-contradicts-callback", "paid, called back; STK queries find 1037 all the same",
                     only_on=STK, prompt_findings=(PromptFinding.UNREACHABLE,)),
    "648": Behaviour("called-back-while-processing", "paid, called back; two STK queries find 4999 all the same",
                     only_on=STK, prompt_findings=_TWICE_PROCESSING),
    "649": Behaviour("cancels-silently", "cancelled, never called back; STK queries find 1032",
                     result_code="1032", notices=(), only_on=STK),
    "650": _told("balance-without-value", "paid; Balance has no Value", Notice.RESULT_BALANCE_WITHOUT_VALUE),
    "651": _told("balance-as-text", "paid; Balance is wrapped in braces", Notice.RESULT_BALANCE_AS_TEXT),
    "652": _told("items-in-another-order", "paid; the items come in another order", Notice.RESULT_ANOTHER_ORDER),
    "660": _confirmed("confirmation-alone", "paid, never called back; the C2B confirmation tells", Confirming.ALONE),
    "661": _confirmed("confirmation-first", "paid; the C2B confirmation comes before the callback", Confirming.FIRST),
    "662": _confirmed("callback-alone", "paid, called back; no C2B confirmation comes", Confirming.NEVER),
    "670": Behaviour("subscriber-locked", "HTTP 500 500.001.1001 Unable to lock subscriber; no prompt",
                     Answer.SUBSCRIBER_LOCKED, Core.NOT_REACHED, notices=(), only_on=STK),
}  # fmt: skip

PAYBILL_ROWS: dict[str, Behaviour] = {
    "701": _pays("reference-with-spaces", "the account number with spaces", Customer(typing=Typing.SPACED)),
    "702": _pays("reference-in-lower-case", "the account number in lower case", Customer(typing=Typing.LOWER_CASE)),
    "703": _pays("reference-mistyped", "two characters of it swapped", Customer(typing=Typing.MISTYPED)),
    "704": _pays("reference-missing", "no account number typed", Customer(typing=Typing.NOTHING)),
    "710": _pays("names-empty", "all names empty", Customer(naming=Naming.EMPTY)),
    "711": _pays("names-null", "all names null", Customer(naming=Naming.NULL)),
    "712": _pays("names-full", "all three names told", Customer(naming=Naming.FULL)),
    "720": _pays("payer-plain", "the number told plainly", Customer(payer_form=PayerForm.PLAIN)),
    "721": _pays("payer-masked", "the number masked with spaces", Customer(payer_form=PayerForm.MASKED)),
    "722": _pays("payer-masked-compact", "the number masked without spaces",
                 Customer(payer_form=PayerForm.MASKED_COMPACT)),
    "723": _pays("payer-hashed", "the number hashed", Customer(payer_form=PayerForm.HASHED)),
    "730": _pays("with-cents", "50 cents more than asked", Customer(added_cents=50)),
    "731": _pays("without-type", "TransactionType empty", Customer(without_type=True)),
    "740": _pays("taken-back", "and the provider reverses it once it was told; also after a prompt",
                 Customer(taken_back=True), COLLECTING),
}  # fmt: skip

REVERSAL_ROWS: dict[str, Behaviour] = {
    "801": _reversed("reversal-result-1", "is declined with result 1", "result-1"),
    "811": _reversed("reversal-result-11", "is declined with result 11", "result-11"),
    "821": _reversed("reversal-result-21", "is declined with result 21", "result-21"),
    "828": _reversed("reversal-result-2001", "is declined with result 2001", "result-2001"),
    "831": _reversed("reversal-already", "is declined with result R000001", "result-R000001"),
    "832": _reversed("reversal-invalid", "is declined with result R000002", "result-R000002"),
    "840": _reversed("reversal-silent", "is made and never called back", "no-callback-paid"),
    "841": _reversed("reversal-forgotten", "is not made and never called back", "no-callback-not-paid"),
    "842": _reversed("reversal-ack-lost", "meets HTTP 500, yet is made and called back", "ack-lost"),
    "843": _reversed("reversal-twice", "is called back twice", "callback-twice"),
    "844": _reversed("reversal-timeout-then-success", "has a timeout notice first", "timeout-then-success"),
    "845": _reversed("reversal-timeout-only", "is made and has its timeout notice only", "timeout-echo-paid"),
    "846": _reversed("reversal-contradicted", "is told with result 8, then with success", "failure-then-success"),
    "847": _reversed("reversal-before-ack", "is called back before its answer", "callback-before-ack"),
    "848": _reversed("reversal-wrong-amount", "is told with KES 100 more", "wrong-amount"),
}

CUSTOMER_ROWS = PROMPT_ROWS | PAYBILL_ROWS | REVERSAL_ROWS

# No number makes a payment meet these, but they can be put in by name.
BY_NAME_ONLY = (
    Behaviour("result-R000001", "declined: already reversed", result_code="R000001", only_on=_REVERSAL),
    Behaviour("result-R000002", "declined: the original is invalid", result_code="R000002", only_on=_REVERSAL),
)
