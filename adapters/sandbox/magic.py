"""Which number makes what happen: the table of magic MSISDNs and shortcodes. Carries nothing out."""

from __future__ import annotations

from adapters.sandbox import customer_rows
from adapters.sandbox.apis import B2B, B2C, Api
from adapters.sandbox.behaviours import Answer, Behaviour, Core, Finding, Notice, Timing

MAGIC_PREFIX = "254700000"  # all magic MSISDNs are this and three digits; each is valid in Kenya's numbering plan
MAGIC_SHORTCODE_PREFIX = "700"  # all magic shortcodes and tills are this and the same three digits
V3_ONLY = frozenset({Api.B2C_V3})

SUCCESS = Behaviour("success", "paid, called back")


def _declined(code: str, summary: str) -> Behaviour:
    return Behaviour(f"result-{code}", f"acknowledged, then result {code}: {summary}", result_code=code)


def _refused(name: str, summary: str, answer: Answer, only_on: frozenset[Api] = frozenset(Api)) -> Behaviour:
    return Behaviour(name, f"{summary}; not paid", answer, Core.NOT_REACHED, notices=(), only_on=only_on)


def _silent(
    name: str,
    summary: str,
    *findings: Finding,
    answer: Answer = Answer.ACKNOWLEDGED,
    core: Core = Core.DECIDES,
    queried_as: str = "success",
) -> Behaviour:
    return Behaviour(
        name, summary, answer, core, notices=(), findings=findings or (Finding.TRUTH,), queried_as=queried_as
    )


def _told(
    name: str,
    summary: str,
    *notices: Notice,
    core: Core = Core.DECIDES,
    code: str = "0",
    only_on: frozenset[Api] = frozenset(Api),
    findings: tuple[Finding, ...] = (Finding.TRUTH,),
) -> Behaviour:
    return Behaviour(name, summary, core=core, result_code=code, notices=notices, only_on=only_on, findings=findings)


def _asked(name: str, summary: str, queried_as: str) -> Behaviour:
    return _silent(name, f"paid, never called back; a status query {summary}", queried_as=queried_as)


# The last three digits of the number, in groups: 0xx succeeds, 1xx declined by callback, 2xx silence, 3xx trouble on
# the way in, 4xx strange callbacks. Result codes and their texts: Daraja B2C result codes.
PAYMENT_ROWS: dict[str, Behaviour] = {
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
    "302": _silent(
        "ack-lost-no-callback", "HTTP 500 500.003.1001, yet paid; silence", answer=Answer.INTERNAL_SERVER_ERROR
    ),
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
    "312": _refused("v3-not-authorised", "HTTP 403 403.002.1001 on v3 (v1 pays)", Answer.NOT_AUTHORISED, V3_ONLY),
    "313": _refused("quota-violation", "HTTP 500 500.003.03 Quota Violation", Answer.QUOTA_VIOLATION),
    "314": Behaviour(
        "service-unavailable-paid", "HTTP 503 in HTML, yet paid and called back", Answer.SERVICE_UNAVAILABLE
    ),
    "315": _refused("maintenance", "HTTP 500 500.002.1001 under maintenance", Answer.MAINTENANCE),
    "316": _refused("system-busy", "HTTP 500 500.003.02 System is busy", Answer.SYSTEM_BUSY),
    "317": _refused("no-api-product", "HTTP 401 no apiproduct match found", Answer.NO_API_PRODUCT),
    "401": Behaviour("callback-before-ack", "paid, called back before the answer", timing=Timing.BEFORE_ANSWER),
    "402": _told("callback-twice", "paid, the same callback twice", Notice.RESULT, Notice.RESULT),
    "403": _told("timeout-then-success", "paid; timeout echo, then result", Notice.TIMEOUT_ECHO, Notice.RESULT),
    "404": _told(
        "timeout-envelope-then-success", "paid; timeout envelope, then result", Notice.TIMEOUT_ENVELOPE, Notice.RESULT
    ),
    "405": _told(
        "timeout-echo-not-paid",
        "not paid; timeout echo only",
        Notice.TIMEOUT_ECHO,
        core=Core.FORGETS,
        findings=(Finding.EXPIRED,),
    ),
    "406": _told(
        "timeout-envelope-not-paid",
        "not paid; timeout envelope only",
        Notice.TIMEOUT_ENVELOPE,
        core=Core.FORGETS,
        findings=(Finding.INITIATED,),
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
    "418": _told(
        "order-of-2017",
        "paid; the 2017 keys: for B2C their order and whole-shilling balances",
        Notice.RESULT_2017_ORDER,
        only_on=B2C | {Api.STATUS},
    ),
    "419": _told(
        "gateway-originator-id",
        "paid; told under the gateway's own id",
        Notice.RESULT_UNDER_GATEWAY_ID,
        only_on=B2C,
    ),
    "420": _told(
        "text-as-numbers",
        "paid; on B2B numbers where the result usually has strings",
        Notice.RESULT_AS_NUMBERS,
        only_on=B2B | {Api.BALANCE},
    ),
    "421": _told(
        "success-without-parameters", "paid; ResultCode 0 and no ResultParameters", Notice.RESULT_WITHOUT_PARAMETERS
    ),
    "422": _told("interim-then-success", "paid; ResultType 1 first, then the result", Notice.INTERIM, Notice.RESULT),
}

# 5xx: what the status query does. Where a payment was paid or declined and no more is said, the query tells the truth.
STATUS_ROWS: dict[str, Behaviour] = {
    "501": _asked("status-silent", "is never answered", "no-callback-paid"),
    "502": _asked("status-twice", "is answered twice", "callback-twice"),
    "503": _silent("status-pending", "paid, never called back; pending for ever", Finding.PENDING),
    "504": _silent(
        "status-pending-then-completed",
        "paid, never called back; pending for two status queries, then Completed",
        Finding.PENDING,
        Finding.AUTHORISED,
        Finding.TRUTH,
    ),
    "505": _asked("status-result-25", "is declined with result 25", "result-25"),
    "506": _asked("status-result-2001", "is declined with result 2001", "result-2001"),
    "507": _told(
        "status-contradicts-success",
        "paid; success called back, but a status query finds it Failed",
        Notice.RESULT,
        findings=(Finding.FAILED,),
    ),
    "508": _told(
        "status-contradicts-failure", "paid; result 8 called back, and Completed by status query", Notice.FALSE_FAILURE
    ),
    "509": _asked("status-as-text", "is answered with strings for numbers", "numbers-as-text"),
    "510": _asked("status-single-parameter", "is answered with one single parameter", "single-parameter-success"),
    "511": _silent("status-cancelled", "not paid, never called back; Cancelled", Finding.CANCELLED, core=Core.FORGETS),
    "512": _silent("status-declined", "not paid, never called back; Declined", Finding.DECLINED, core=Core.FORGETS),
    "513": _silent("status-expired", "not paid, never called back; Expired", Finding.EXPIRED, core=Core.FORGETS),
    "514": _silent(
        "status-pending-then-expired",
        "not paid, never called back; pending for one status query, then Expired",
        Finding.PENDING,
        Finding.EXPIRED,
        core=Core.FORGETS,
    ),
    "515": _asked("status-of-2017", "is answered with the keys of 2017", "order-of-2017"),
    "516": _asked("status-wrong-amount", "is answered with KES 100 more", "wrong-amount"),
    "517": _asked("status-timeout", "is answered by its own timeout notice only", "timeout-echo-not-paid"),
    "518": _asked("status-before-ack", "is answered before its acknowledgement", "callback-before-ack"),
    "519": _asked("status-refused", "is refused: HTTP 500 500.003.02", "spike-arrest"),
    "520": _asked("status-unreadable", "is answered with bytes that are not JSON", "unreadable"),
    "521": _silent(
        "status-not-found-then-completed",
        "paid, never called back; not found by the first status query, then Completed",
        Finding.NOT_FOUND,
        Finding.TRUTH,
    ),
}

MAGIC = PAYMENT_ROWS | STATUS_ROWS
ROWS = MAGIC | customer_rows.CUSTOMER_ROWS
"""All rows, those of customers who pay in among them."""

# Codes that queries are declined with; no number makes a payment meet them, but they can be put in by name.
_BY_NAME_ONLY = (
    _declined("25", "the format of a parameter is invalid"),
    _declined("2033", "receipt not found"),
)

BEHAVIOURS: dict[str, Behaviour] = {
    behaviour.name: behaviour for behaviour in (*ROWS.values(), *_BY_NAME_ONLY, *customer_rows.BY_NAME_ONLY)
}


def magic_msisdn(suffix: str) -> str:
    """The whole MSISDN behind a row of the table."""
    return MAGIC_PREFIX + suffix


def magic_shortcode(suffix: str) -> str:
    """The whole shortcode or till behind a row of the table."""
    return MAGIC_SHORTCODE_PREFIX + suffix


def behaviour_of(*, msisdn: str = "", shortcode: str = "") -> Behaviour:
    """The behaviour of a magic number; every other number plainly succeeds."""
    if msisdn.startswith(MAGIC_PREFIX):
        return ROWS.get(msisdn.removeprefix(MAGIC_PREFIX), SUCCESS)
    if shortcode.startswith(MAGIC_SHORTCODE_PREFIX):
        return MAGIC.get(shortcode.removeprefix(MAGIC_SHORTCODE_PREFIX), SUCCESS)
    return SUCCESS


def status_told(behaviour: Behaviour) -> str:
    """In words, what a status query says about a payment with this behaviour; the books' own rules aside."""
    truths = {
        Core.NOT_REACHED: "not found",
        Core.FORGETS: "not found",
        Core.DECIDES: "Completed" if behaviour.result_code == "0" else "Failed",
    }
    found = ", then ".join(
        truths[behaviour.core] if finding is Finding.TRUTH else finding.value for finding in behaviour.findings
    )
    return found if behaviour.queried_as == SUCCESS.name else f"{found}, as {behaviour.queried_as}"
