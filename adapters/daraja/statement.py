"""M-Pesa organisation statements, exported by hand from the portal: one file per account, in two templates.

The older one has a preamble and 13 columns, the newer one 7 with everything packed into the details. Both are found by
their headings. Source: captured files and daraja.md section 15; the wording of B2C details is held to be so.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from adapters.daraja.wire import EAST_AFRICA_TIME
from adapters.sheets import Row
from adapters.statements import Columns, Meaning
from ledger.errors import AmountInvalid
from ledger.money import parse_decimal
from ledger.reconciliation.statement import Heading, LineKind, LineStatus, masked, refused

_NAMES = {
    "receipt": ("receipt no",),
    "completed_at": ("completion time",),
    "details": ("details",),
    "status": ("transaction status",),
    "paid_in": ("paid in",),
    "withdrawn": ("withdrawn",),
    "balance": ("balance",),
    "reason": ("reason type",),
    "party": ("other party info",),
    "linked": ("linked transaction id",),
    "reference": ("a/c no",),
}
_STATUSES = {
    "completed": LineStatus.COMPLETED,
    "failed": LineStatus.FAILED,
    "cancelled": LineStatus.FAILED,
    "declined": LineStatus.FAILED,
    "expired": LineStatus.FAILED,
}
_ORIGINATOR = re.compile(r"Original conversation ID is (\S+?)\.?$")
_ACCOUNT = re.compile(r" Acc\.\s*(.*?)(?: via .*)?$")
_PARTY = re.compile(r" (?:from|to|by) (\d[\d*]+ - [^.]*?)(?: +Acc\.|\. |$)")
_KINDS = (
    (re.compile(r"Charge Reversal\b"), LineKind.CHARGE_REVERSAL),
    (re.compile(r"\bCharge$|^Fee For |\bCharge Paid$"), LineKind.CHARGE),
    (re.compile(r"\bReversal\b"), LineKind.REVERSAL),
    (re.compile(r" Account to |^Business Transfer of Funds|^Agency Withdrawal|Settle to Bank"), LineKind.TRANSFER),
    (re.compile(r"^(Business Payment to Customer|Salary Payment|Promotion Payment)"), LineKind.PAYOUT),
)


def _moment(text: str, zone: tzinfo) -> datetime:
    """DD-MM-YYYY or DD/MM/YYYY or YYYY-MM-DD, then HH:MM:SS."""
    day, _, clock = text.partition(" ")
    first, second, third = day.replace("/", "-").split("-")
    if len(first) == 4:
        first, third = third, first
    hour, minute, seconds = clock.split(":")
    return datetime(int(third), int(second), int(first), int(hour), int(minute), int(seconds), tzinfo=zone)


def _meaning(details: str, reason: str, amount: int) -> Meaning:
    kind = next((kind for pattern, kind in _KINDS if pattern.search(details)), None)
    if kind is None:
        kind = LineKind.COLLECTION if amount > 0 else LineKind.PAYOUT
    if kind.is_charge:
        return Meaning(kind)
    originator, account, party = _ORIGINATOR.search(details), _ACCOUNT.search(details), _PARTY.search(details)
    return Meaning(
        kind,
        # What a payer types stands in details too; only what leaves names a payout of ours.
        originator=originator[1][:100] if originator and amount < 0 else None,
        party=masked(party[1])[:100] if party else None,
        reference=masked(account[1].strip())[:100] or None if account else None,
    )


def _heading(rows: list[Row], currency: str) -> Heading:
    """What the preamble says; it is looked for by its words, for its rows differ between exports."""
    told: dict[str, str] = {}
    period: list[str] = []
    for _, cells in rows:
        words = [str(one).strip() for one in cells]
        told |= {
            word.rstrip(":").lower(): words[place + 1]
            for place, word in enumerate(words[:-1])
            if word.endswith(":") and words[place + 1]
        }
        if words and words[0].lower().startswith("time period") and len(words) >= 5:
            period = [words[2], words[4]]
    account = told.get("account", "").lower()
    known = next((name for word, name in _ACCOUNTS if word in account), None) if account else None
    if account and known is None:
        raise refused(f"a statement of the account {told['account']!r:.40}, which no account of the books stands for")
    try:
        moments = [_moment(one, EAST_AFRICA_TIME).astimezone(UTC) for one in period]
    except (ValueError, IndexError):
        raise refused("the time period of the heading cannot be read") from None
    return Heading(
        shortcode=told.get("short code") or told.get("till number"),
        sub_account=known,
        from_at=moments[0] if moments else None,
        until_at=moments[1] if moments else None,
        opening=_told(told, "opening balance", currency),
        closing=_told(told, "closing balance", currency),
        paid_in=_told(told, "total paid in", currency),
        withdrawn=_told(told, "total withdrawn", currency),
    )


_ACCOUNTS = (
    ("utility", "utility"),
    ("charges", "charges_paid"),
    ("mmf", "working"),
    ("working", "working"),
    ("settlement", "settlement"),
)


def _told(told: dict[str, str], name: str, currency: str) -> int | None:
    text = told.get(name, "").replace(",", "")
    if not text:
        return None
    try:
        size = parse_decimal(text.lstrip("-"), currency).minor_units
    except AmountInvalid:
        raise refused(f"the {name} of the heading is no amount") from None
    return -size if text.startswith("-") else size


COLUMNS = Columns(
    names=_NAMES,
    moment=_moment,
    zone=EAST_AFRICA_TIME,
    statuses=_STATUSES,
    meaning=_meaning,
    heading=_heading,
)
