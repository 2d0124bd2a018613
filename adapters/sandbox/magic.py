"""Which MSISDN makes what happen: every behaviour of the simulated rails as data, and the table of magic numbers.

Says what happens, not how a rail words it: each rail turns `Answer`, result codes and `Notice` into its own documents.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAGIC_PREFIX = "254700000"  # all magic numbers are this and three digits; each is valid in Kenya's numbering plan


class Answer(enum.Enum):
    """What the sender of a request gets back on the same connection."""

    ACKNOWLEDGED = "acknowledged"
    INTERNAL_SERVER_ERROR = "internal server error"
    SYSTEM_INTERNAL_ERROR = "system internal error"
    SERVICE_UNAVAILABLE = "HTML 503"
    RATE_LIMITED = "rate limited"
    SPIKE_ARREST = "spike arrest"
    QUOTA_VIOLATION = "quota violation"
    NOT_AUTHORISED = "not authorised"
    DROPPED = "dropped"  # the connection closes without a byte
    HUNG = "hung"  # nothing comes until the sender gives up


class Core(enum.Enum):
    """What the system behind the gateway does with the request."""

    NOT_REACHED = "not reached"
    FORGETS = "forgets"  # takes it in, remembers its id, and never carries it out
    DECIDES = "decides"  # pays, or declines with the behaviour's result code or by its own rules


class Notice(enum.Enum):
    """One callback. Those that tell of success tell of the failure instead when the core declined."""

    RESULT = "the true result"
    RESULT_2017_ORDER = "the true result in the 2017 key order"
    RESULT_AS_TEXT = "the true result with every number as a string"
    RESULT_SINGLE_PARAMETER = "the true result with ResultParameter as one object instead of a list"
    RESULT_UNDER_GATEWAY_ID = "the true result under an OriginatorConversationID that the gateway made up"
    RESULT_WRONG_AMOUNT = "success, but for KES 100 more"
    RESULT_WRONG_RECEIVER = "success, but naming another receiver"
    FALSE_FAILURE = "a failure, whatever the truth"
    UNREADABLE = "bytes that are not JSON"
    TIMEOUT_ECHO = "queue-timeout notice: the request sent back"
    TIMEOUT_ENVELOPE = "queue-timeout notice: a thin Result"


TIMEOUT_NOTICES = frozenset({Notice.TIMEOUT_ECHO, Notice.TIMEOUT_ENVELOPE})
"""The callbacks that go to the request's queue-timeout address; all others go to its result address."""


class Timing(enum.Enum):
    """Whether callbacks start once the answer is out, or are delivered before it."""

    AFTER_ANSWER = "after the answer"
    BEFORE_ANSWER = "before the answer"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens to one request. `result_code` is the core's: "0" pays if its rules allow, any other declines.
    `only_on` limits the behaviour to one version of an API ("v3"); elsewhere the request plainly succeeds."""

    name: str
    summary: str
    answer: Answer = Answer.ACKNOWLEDGED
    core: Core = Core.DECIDES
    result_code: str = "0"
    notices: tuple[Notice, ...] = (Notice.RESULT,)
    timing: Timing = Timing.AFTER_ANSWER
    only_on: str = ""

    def __post_init__(self) -> None:
        speaks_of_outcome = any(notice not in TIMEOUT_NOTICES for notice in self.notices)
        assert self.core is Core.DECIDES or not speaks_of_outcome, "only a decision has a result to tell"
        assert self.core is not Core.NOT_REACHED or not self.notices, "nothing calls back about what never arrived"


SUCCESS = Behaviour("success", "paid, called back")


def _declined(code: str, summary: str) -> Behaviour:
    return Behaviour(f"result-{code}", f"acknowledged, then result {code}: {summary}", result_code=code)


def _refused(name: str, summary: str, answer: Answer, only_on: str = "") -> Behaviour:
    return Behaviour(name, f"{summary}; not paid", answer, Core.NOT_REACHED, notices=(), only_on=only_on)


def _silent(name: str, summary: str, answer: Answer = Answer.ACKNOWLEDGED, core: Core = Core.DECIDES) -> Behaviour:
    return Behaviour(name, summary, answer, core, notices=())


def _told(name: str, summary: str, *notices: Notice, core: Core = Core.DECIDES, code: str = "0") -> Behaviour:
    return Behaviour(name, summary, core=core, result_code=code, notices=notices)


# The last three digits of the number, in groups: 0xx succeeds, 1xx declined by callback, 2xx silence, 3xx trouble on
# the way in, 4xx strange callbacks. Result codes and their texts: Daraja B2C result codes.
MAGIC: dict[str, Behaviour] = {
    "000": SUCCESS,
    "101": _declined("1", "utility funds insufficient"),
    "102": _declined("2", "below the minimum amount"),
    "103": _declined("3", "above the maximum amount"),
    "104": _declined("4", "daily limit of the receiver"),
    "108": _declined("8", "maximum balance of the receiver"),
    "111": _declined("11", "debit party in an invalid state"),
    "115": _declined("15", "duplicate detected, told asynchronously"),
    "117": _declined("17", "system internal error"),
    "121": _declined("21", "initiator not allowed"),
    "126": _declined("26", "system busy"),
    "133": _declined("SFC_IC0003", "operator does not exist"),
    "140": _declined("2040", "receiver not registered"),
    "141": _declined("2001", "initiator information invalid"),
    "146": _declined("2006", "account status does not allow it"),
    "148": _declined("2028", "product not assigned"),
    "153": _declined("TP40153", "operator has no permission"),
    "186": _declined("8006", "security credential locked"),
    "201": _silent("no-callback-paid", "acknowledged, paid, never called back"),
    "202": _silent("no-callback-not-paid", "acknowledged, not paid, never called back", core=Core.FORGETS),
    "301": Behaviour("ack-lost", "HTTP 500 500.003.1001, yet paid and called back", Answer.INTERNAL_SERVER_ERROR),
    "302": _silent("ack-lost-no-callback", "HTTP 500 500.003.1001, yet paid; silence", Answer.INTERNAL_SERVER_ERROR),
    "303": _refused("internal-server-error", "HTTP 500 500.003.1001", Answer.INTERNAL_SERVER_ERROR),
    "304": Behaviour("dropped-after-queueing", "connection dropped, yet paid and called back", Answer.DROPPED),
    "305": _refused("dropped-before-queueing", "connection dropped", Answer.DROPPED),
    "306": Behaviour("hang-paid", "no answer until the client gives up, yet paid; then called back", Answer.HUNG),
    "307": _refused("hang-not-paid", "no answer until the client gives up", Answer.HUNG),
    "308": _refused("service-unavailable", "HTTP 503 in HTML", Answer.SERVICE_UNAVAILABLE),
    "309": _refused("rate-limited", "HTTP 429, an Apigee fault", Answer.RATE_LIMITED),
    "310": _refused("spike-arrest", "HTTP 500 500.003.02 Spike Arrest Violation", Answer.SPIKE_ARREST),
    "311": _refused(
        "system-internal-error", "HTTP 500 500.002.1001 System internal error", Answer.SYSTEM_INTERNAL_ERROR
    ),
    "312": _refused("v3-not-authorised", "HTTP 403 403.002.1001 on v3 (v1 pays)", Answer.NOT_AUTHORISED, only_on="v3"),
    "313": _refused("quota-violation", "HTTP 500 500.003.03 Quota Violation", Answer.QUOTA_VIOLATION),
    "314": Behaviour(
        "service-unavailable-paid", "HTTP 503 in HTML, yet paid and called back", Answer.SERVICE_UNAVAILABLE
    ),
    "401": Behaviour("callback-before-ack", "paid, called back before the answer", timing=Timing.BEFORE_ANSWER),
    "402": _told("callback-twice", "paid, the same callback twice", Notice.RESULT, Notice.RESULT),
    "403": _told("timeout-then-success", "paid; timeout echo, then result", Notice.TIMEOUT_ECHO, Notice.RESULT),
    "404": _told(
        "timeout-envelope-then-success", "paid; timeout envelope, then result", Notice.TIMEOUT_ENVELOPE, Notice.RESULT
    ),
    "405": _told("timeout-echo-not-paid", "not paid; timeout echo only", Notice.TIMEOUT_ECHO, core=Core.FORGETS),
    "406": _told(
        "timeout-envelope-not-paid", "not paid; timeout envelope only", Notice.TIMEOUT_ENVELOPE, core=Core.FORGETS
    ),
    "407": _told("timeout-echo-paid", "paid; timeout echo only", Notice.TIMEOUT_ECHO),
    "408": _told("timeout-envelope-paid", "paid; timeout envelope only", Notice.TIMEOUT_ENVELOPE),
    "409": _told("failure-then-success", "paid; result 8, then success", Notice.FALSE_FAILURE, Notice.RESULT),
    "410": _told("success-then-failure", "paid; success, then result 8", Notice.RESULT, Notice.FALSE_FAILURE),
    "411": _told("wrong-amount", "paid; success for KES 100 more than was asked", Notice.RESULT_WRONG_AMOUNT),
    "412": _told("wrong-receiver", "paid; success naming another receiver", Notice.RESULT_WRONG_RECEIVER),
    "413": _declined("9405", "a code that no document lists"),
    "414": _told("unreadable", "paid; a callback that is not JSON", Notice.UNREADABLE),
    "415": _told(
        "single-parameter-failure",
        "result 2040 with ResultParameter as one object",
        Notice.RESULT_SINGLE_PARAMETER,
        code="2040",
    ),
    "416": _told("single-parameter-success", "paid; ResultParameter as one object", Notice.RESULT_SINGLE_PARAMETER),
    "417": _told("numbers-as-text", "paid; every number in the callback is a string", Notice.RESULT_AS_TEXT),
    "418": _told("order-of-2017", "paid; the 2017 key order, whole-shilling balances", Notice.RESULT_2017_ORDER),
    "419": _told("gateway-originator-id", "paid; told under the gateway's own id", Notice.RESULT_UNDER_GATEWAY_ID),
}

BEHAVIOURS: dict[str, Behaviour] = {behaviour.name: behaviour for behaviour in MAGIC.values()}


def magic_msisdn(suffix: str) -> str:
    """The whole number behind a row of the table."""
    return MAGIC_PREFIX + suffix


def behaviour_of(msisdn: str) -> Behaviour:
    """The behaviour of a magic number; every other number plainly succeeds."""
    if not msisdn.startswith(MAGIC_PREFIX):
        return SUCCESS
    return MAGIC.get(msisdn.removeprefix(MAGIC_PREFIX), SUCCESS)
