"""What can happen to one request, as data: its answer, what the core does, its callbacks, what a status query finds.

Says what happens, not how a rail words it: each rail turns `Answer`, result codes and `Notice` into its own documents.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from adapters.sandbox.apis import WITH_TIMEOUT_ADDRESS, Api


class Answer(enum.Enum):
    """What the sender of a request gets back on the same connection."""

    ACKNOWLEDGED = "acknowledged"
    INTERNAL_SERVER_ERROR = "internal server error"
    SYSTEM_INTERNAL_ERROR = "system internal error"
    SERVICE_UNAVAILABLE = "HTML 503"
    RATE_LIMITED = "rate limited"
    SPIKE_ARREST = "spike arrest"
    SYSTEM_BUSY = "system busy"
    QUOTA_VIOLATION = "quota violation"
    MAINTENANCE = "maintenance"
    NOT_AUTHORISED = "not authorised"
    NO_API_PRODUCT = "no API product"
    SUBSCRIBER_LOCKED = "subscriber locked"
    DROPPED = "dropped"  # the connection closes without a byte
    HUNG = "hung"  # nothing comes until the sender gives up


class Core(enum.Enum):
    """What the system behind the gateway does with the request."""

    NOT_REACHED = "not reached"
    FORGETS = "forgets"  # takes it in, remembers its id, and never carries it out
    DECIDES = "decides"  # carries it out, or declines with the behaviour's result code or by its own rules


class Notice(enum.Enum):
    """One callback. Those that tell of success tell of the failure instead when the core declined. A form that an API
    does not know is told as the plain result."""

    RESULT = "the true result"
    RESULT_2017_ORDER = "the true result with the keys of 2017"
    RESULT_AS_TEXT = "the true result with every number as a string"
    RESULT_AS_NUMBERS = "the true result with numbers where strings are usual"
    RESULT_SINGLE_PARAMETER = "the true result with ResultParameter as one object instead of a list"
    RESULT_WITHOUT_PARAMETERS = "the true result without ResultParameters"
    RESULT_UNDER_GATEWAY_ID = "the true result under an OriginatorConversationID that the gateway made up"
    RESULT_WRONG_AMOUNT = "success, but for KES 100 more"
    RESULT_WRONG_RECEIVER = "success, but naming another receiver"
    RESULT_BALANCE_WITHOUT_VALUE = "the true result of a prompt, its Balance item without a Value"
    RESULT_BALANCE_AS_TEXT = "the true result of a prompt, its Balance wrapped in braces"
    RESULT_ANOTHER_ORDER = "the true result of a prompt, its items in another order"
    INTERIM = "ResultType 1: wait for further messages"
    FALSE_FAILURE = "a failure, whatever the truth"
    UNREADABLE = "bytes that are not JSON"
    TIMEOUT_ECHO = "queue-timeout notice: the request sent back"
    TIMEOUT_ENVELOPE = "queue-timeout notice: a thin Result"


TIMEOUT_NOTICES = frozenset({Notice.TIMEOUT_ECHO, Notice.TIMEOUT_ENVELOPE})
"""The callbacks that go to the request's queue-timeout address; all others go to its result address."""
_OF_ENVELOPES = TIMEOUT_NOTICES | {Notice.INTERIM}


class Timing(enum.Enum):
    """Whether callbacks start once the answer is out, or are delivered before it; for a prompt, whether the customer
    acts only when queries were told otherwise."""

    AFTER_ANSWER = "after the answer"
    BEFORE_ANSWER = "before the answer"
    AFTER_QUERIES = "after the STK queries that find it otherwise"


class Finding(enum.Enum):
    """What a status query finds about a payment, in the words of `TransactionStatus` where it finds one."""

    TRUTH = "truth"  # Completed with the receipt, or Failed; nothing for a payment that was never carried out
    NOT_FOUND = "not found"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    DECLINED = "Declined"
    EXPIRED = "Expired"
    INITIATED = "Initiated"
    AUTHORISED = "Authorized"
    PENDING = "Pending Authorized"


class PromptFinding(enum.Enum):
    """What an STK query finds about a prompt: a result code, true or not."""

    TRUTH = "truth"
    PROCESSING = "4999"
    BEING_PROCESSED = "being processed"  # HTTP 500 500.001.1001, the older form of 4999
    UNREACHABLE = "1037"
    CANCELLED = "1032"


class Typing(enum.Enum):
    """What a customer makes of the account number that should be typed."""

    AS_TOLD = "as told"
    SPACED = "with spaces"
    LOWER_CASE = "in lower case"
    MISTYPED = "with two characters swapped"
    NOTHING = "not at all"


class Naming(enum.Enum):
    """What a confirmation tells of the payer's names."""

    USUAL = "the first name; all three beside a plain number"
    FULL = "all three"
    EMPTY = "empty"
    NULL = "null"


class PayerForm(enum.Enum):
    """How a confirmation writes the payer's number. All of them occur."""

    MASKED = "masked"  # 2547 ***** 017
    MASKED_COMPACT = "masked-compact"  # 25470****017
    HASHED = "hashed"  # hexadecimal SHA-256 of 254700000017
    PLAIN = "plain"


class Confirming(enum.Enum):
    """Whether a paid prompt is told by C2B confirmation too, where C2B addresses are registered."""

    AFTER = "after the callback, if there is one"
    FIRST = "before the callback"
    ALONE = "instead of the callback"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Customer:
    """How a customer pays. `added_cents` come on top of what was to be paid at a paybill; `taken_back` money is
    reversed by the provider once all was told of it. `payer_form` None is the form that the sandbox is set to."""

    typing: Typing = Typing.AS_TOLD
    naming: Naming = Naming.USUAL
    payer_form: PayerForm | None = None
    confirming: Confirming = Confirming.AFTER
    added_cents: int = 0
    without_type: bool = False
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens to one request. `result_code` is the core's: "0" carries it out if its rules allow, any other
    declines. `only_on` limits the behaviour to some APIs; elsewhere the request plainly succeeds.

    `findings` is what status queries about the payment find, one after the other, the last for ever; `queried_as` names
    the behaviour of those queries themselves. A query "is paid" when it is answered. `prompt_findings` is the same for
    STK queries about a prompt, and `reversed_as` names the behaviour of reversals of what a customer paid.
    """

    name: str
    summary: str
    answer: Answer = Answer.ACKNOWLEDGED
    core: Core = Core.DECIDES
    result_code: str = "0"
    notices: tuple[Notice, ...] = (Notice.RESULT,)
    timing: Timing = Timing.AFTER_ANSWER
    only_on: frozenset[Api] = frozenset(Api)
    findings: tuple[Finding, ...] = (Finding.TRUTH,)
    queried_as: str = "success"
    prompt_findings: tuple[PromptFinding, ...] = (PromptFinding.TRUTH,)
    reversed_as: str = "success"
    customer: Customer = Customer()

    def __post_init__(self) -> None:
        speaks_of_outcome = any(notice not in TIMEOUT_NOTICES for notice in self.notices)
        assert self.core is Core.DECIDES or not speaks_of_outcome, "only a decision has a result to tell"
        assert self.core is not Core.NOT_REACHED or not self.notices, "nothing calls back about what never arrived"
        assert self.core is not Core.NOT_REACHED or self.findings == (Finding.TRUTH,), "what never arrived is not found"

    def suits(self, api: Api) -> bool:
        """Whether this API can behave so: no queue-timeout notice where a request names no address for one."""
        told_in_envelopes = any(notice in _OF_ENVELOPES for notice in self.notices)
        return api in self.only_on and (api in WITH_TIMEOUT_ADDRESS or not told_in_envelopes)
