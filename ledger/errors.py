"""The refusals of the core: one tree, each with a stable reason and a sentence that says what to do next.

LedgerError
├── InvalidInput            (INVALID)        the request itself is wrong; a field is named
│   ├── AmountInvalid, CurrencyUnknown, CurrencyMismatch, MsisdnInvalid, PathInvalid, ZoneInvalid, TextInvalid,
│   ├── TimeInvalid, PageTokenInvalid, CursorInvalid, ReversalInvalid, SetTooLarge, ChartInvalid, ChoiceInvalid
│   ├── EntryTooShort, EntryTooLong, EntryDoesNotBalance, KindReserved, AmountNotPayable, UrlRefused
│   └── LoanTermsInvalid, LoanAmountRefused
├── NotFound                (NOT_FOUND)
│   ├── LedgerNotFound, AccountNotFound, EntryNotFound, PayoutNotFound, PartnerNotFound, KeyNotFound
│   ├── RailNotFound, ReviewNotFound, SecretNotFound, WebhookNotFound
│   └── ReceiptNotFound, OrderNotFound, ShortcodeNotFound, TargetNotFound
├── AlreadyExists           (ALREADY_EXISTS)
│   ├── IdempotencyKeyReused, LedgerExists, AccountExists, PartnerExists, PartnerReferenceReused
│   └── TransitionRepeated, WebhookEndpointExists, ReferenceTaken, ShortcodeExists
├── RuleBroken              (FAILED_PRECONDITION)  well formed, but the books forbid it now
│   ├── AccountClosed, AccountNotEmpty, FloorWouldBreak, CeilingWouldBreak, BalanceWouldOverflow
│   ├── ReversalExceedsOriginal, EntryBelongsToSubject, PayoutNotCancellable, PartnerSuspended
│   ├── ReviewNotResolvable, LimitWouldBreak, RailStopped, RailNotStopped, VaultSealed, VaultKeyUnusable
│   └── ReceiptShort, TargetUnfit, OrderNotOpen
├── Denied                  (PERMISSION_DENIED)
├── NotAuthenticated        (UNAUTHENTICATED)
├── Overloaded              (RESOURCE_EXHAUSTED)   nothing was done; try again later
├── TooLate                 (DEADLINE_EXCEEDED)    the deadline passed before the work began; nothing was done
├── CommitUnknown           (UNAVAILABLE)    the connection broke during COMMIT; repeat with the same request id
├── DatabaseUnavailable     (UNAVAILABLE)    the database cannot be reached now; nothing was done
├── UnsafeDatabase          (INTERNAL)       the service must not run against this server
├── ClockOff                (INTERNAL)       the service must not run on a host with this clock
└── EmbeddedUnavailable     (INTERNAL)       the embedded PostgreSQL cannot run here

A refusal is never a bug and never a provider's failure: bugs are AssertionErrors, provider failures are outcomes.
"""

from __future__ import annotations

import enum
import re
from typing import ClassVar


class Category(enum.Enum):
    """What kind of refusal it is; the edge maps each to one gRPC status."""

    INVALID = "invalid"
    NOT_FOUND = "not found"
    ALREADY_EXISTS = "already exists"
    FAILED_PRECONDITION = "failed precondition"
    PERMISSION_DENIED = "permission denied"
    UNAUTHENTICATED = "unauthenticated"
    RESOURCE_EXHAUSTED = "resource exhausted"
    DEADLINE_EXCEEDED = "deadline exceeded"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class LedgerError(Exception):
    """Base of every refusal. `reason` is UPPER_SNAKE and never changes; `field` names the offending request field in
    dotted form ("postings[1].amount"); `facts` hold the dynamic values as text, safe to show to the caller."""

    category: ClassVar[Category] = Category.INTERNAL
    reason: ClassVar[str] = "LEDGER_ERROR"

    def __init_subclass__(cls) -> None:
        cls.reason = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()

    def __init__(self, message: str, *, field: str = "", **facts: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.facts = {name: str(value) for name, value in facts.items()}

    def within(self, prefix: str) -> LedgerError:
        """The same refusal with its field named from further out: within("entries[3]") makes "entries[3].kind"."""
        inside = f"{prefix}.{self.field}" if self.field else prefix
        return type(self)(self.message, field=inside, **self.facts)


class InvalidInput(LedgerError):
    """The request itself is wrong, whatever the state of the books."""

    category = Category.INVALID


class AmountInvalid(InvalidInput):
    """Not an integer, zero or negative where it must be positive, or too large."""


class AmountNotPayable(InvalidInput):
    """The rail does not carry this amount: not a whole unit, or outside its limits. It is never rounded."""


class CurrencyUnknown(InvalidInput):
    """Not a currency the books hold."""


class CurrencyMismatch(InvalidInput):
    """Two amounts, or an amount and an account, of different currencies."""


class MsisdnInvalid(InvalidInput):
    """Not an MSISDN in international form. The number itself is never quoted."""


class PathInvalid(InvalidInput):
    """Not an account path such as asset.bank.kcb.main."""


class ChartInvalid(InvalidInput):
    """An account's class, normal side, floor and ceiling do not fit together."""


class ChoiceInvalid(InvalidInput):
    """An enum is unspecified or of no known value, or a small number lies outside the range its field allows."""


class ZoneInvalid(InvalidInput):
    """Not an IANA time zone."""


class TextInvalid(InvalidInput):
    """A text field is empty, too long, or holds characters it may not."""


class TimeInvalid(InvalidInput):
    """A time is missing, or lies too far ahead of the clock."""


class PageTokenInvalid(InvalidInput):
    """Not a page token this service issued for this request."""


class CursorInvalid(InvalidInput):
    """Not a cursor this service issued."""


class SetTooLarge(InvalidInput):
    """More items in one call than allowed."""


class EntryTooShort(InvalidInput):
    """A journal entry has at least two postings."""


class EntryTooLong(InvalidInput):
    """A journal entry has more postings than allowed."""


class EntryDoesNotBalance(InvalidInput):
    """Debits and credits differ in some currency, memorandum accounts and others taken apart."""


class KindReserved(InvalidInput):
    """The kind or subject belongs to a product that posts it itself."""


class ReversalInvalid(InvalidInput):
    """A reversal names a line the original does not have, or nothing is left to reverse."""


class UrlRefused(InvalidInput):
    """Not a URL that may be called from here: not https, not a public address, or not plainly written."""


class LoanTermsInvalid(InvalidInput):
    """The terms of a loan product contradict one another, or make a schedule that pays nothing back."""


class LoanAmountRefused(InvalidInput):
    """The product lends no such amount."""


class NotFound(LedgerError):
    """No such thing, or none that the caller may see: the two are told alike."""

    category = Category.NOT_FOUND


class LedgerNotFound(NotFound):
    """No ledger of that code."""


class AccountNotFound(NotFound):
    """No account of that path and currency in this ledger."""


class EntryNotFound(NotFound):
    """No journal entry of that id in this ledger."""


class PayoutNotFound(NotFound):
    """No payout of that id among the caller's."""


class PartnerNotFound(NotFound):
    """No partner of that code in this ledger."""


class SecretNotFound(NotFound):
    """The vault has no secret of that name in this ledger."""


class ReviewNotFound(NotFound):
    """No case of that id in this ledger's review queues."""


class WebhookNotFound(NotFound):
    """No webhook endpoint, or no delivery, of that id among the caller's."""


class ReceiptNotFound(NotFound):
    """No receipt of that id among the caller's."""


class OrderNotFound(NotFound):
    """No payment order of that id among the caller's."""


class ShortcodeNotFound(NotFound):
    """The ledger takes nothing in on such a shortcode."""


class TargetNotFound(NotFound):
    """Nothing that money could be allocated to has that name."""


class KeyNotFound(NotFound):
    """No API key of that id."""


class RailNotFound(NotFound):
    """The ledger has no shortcode that pays out in this currency, or several and none was named."""


class AlreadyExists(LedgerError):
    """It is there already, and not by this very request."""

    category = Category.ALREADY_EXISTS


class IdempotencyKeyReused(AlreadyExists):
    """The request id was used before with other content."""


class LedgerExists(AlreadyExists):
    """A ledger of that code exists."""


class AccountExists(AlreadyExists):
    """An account of that path and currency exists with other properties."""


class PartnerExists(AlreadyExists):
    """A partner of that code exists."""


class PartnerReferenceReused(AlreadyExists):
    """The partner used this reference for another payout."""


class TransitionRepeated(AlreadyExists):
    """The subject already has its entry of this kind."""


class WebhookEndpointExists(AlreadyExists):
    """The partner is told at this URL already, or at as many as it may have."""


class ReferenceTaken(AlreadyExists):
    """What payers are to type means another target already."""


class ShortcodeExists(AlreadyExists):
    """The shortcode takes money in already, in another way."""


class RuleBroken(LedgerError):
    """Well formed, but the books forbid it as they stand."""

    category = Category.FAILED_PRECONDITION


class AccountClosed(RuleBroken):
    """The account takes no more postings."""


class AccountNotEmpty(RuleBroken):
    """Only an account with a zero balance can be closed."""


class FloorWouldBreak(RuleBroken):
    """The account's balance would fall below its floor."""


class CeilingWouldBreak(RuleBroken):
    """The account's balance would rise above its ceiling."""


class BalanceWouldOverflow(RuleBroken):
    """The account's totals would leave the 64-bit range."""


class ReversalExceedsOriginal(RuleBroken):
    """More would be reversed than the original line holds."""


class EntryBelongsToSubject(RuleBroken):
    """The entry was posted by a product, which alone may reverse it."""


class PayoutNotCancellable(RuleBroken):
    """The payout may have left already."""


class ReviewNotResolvable(RuleBroken):
    """The case is closed already, or its payout's state does not allow this verb."""


class LimitWouldBreak(RuleBroken):
    """The partner, or its payee, would get more or more often than allowed within an hour or a day."""


class RailStopped(RuleBroken):
    """The rail takes no requests now."""


class VaultSealed(RuleBroken):
    """The vault opens for a committed call under way, with the key its rows were sealed with, and for nothing else."""


class VaultKeyUnusable(RuleBroken):
    """The process has no public key of the vault to write with, or one that is retired."""


class RailNotStopped(RuleBroken):
    """There is nothing to resume."""


class PartnerSuspended(RuleBroken):
    """The partner may not move money now."""


class ReceiptShort(RuleBroken):
    """Less of the receipt's money is where it would be taken from."""


class TargetUnfit(RuleBroken):
    """The target takes no such money now: an order that has ended, another currency."""


class OrderNotOpen(RuleBroken):
    """The payment order has been paid, has expired or was cancelled."""


class Denied(LedgerError):
    """The key lacks the permission."""

    category = Category.PERMISSION_DENIED


class NotAuthenticated(LedgerError):
    """No key, or one that is unknown, expired or revoked: the three are told alike."""

    category = Category.UNAUTHENTICATED


class Overloaded(LedgerError):
    """The queue is full; nothing was done."""

    category = Category.RESOURCE_EXHAUSTED


class TooLate(LedgerError):
    """The caller's deadline passed before the work began; nothing was done."""

    category = Category.DEADLINE_EXCEEDED


class CommitUnknown(LedgerError):
    """The connection broke during COMMIT: all of it was done or none. The caller repeats with the same request id."""

    category = Category.UNAVAILABLE


class DatabaseUnavailable(LedgerError):
    """The database cannot be reached or did not answer in time; nothing was done."""

    category = Category.UNAVAILABLE


class UnsafeDatabase(LedgerError):
    """The server's settings or the role could lose money."""


class ClockOff(LedgerError):
    """The host's clock is not the database's: leases and deadlines would be taken for over, or for not."""


class EmbeddedUnavailable(LedgerError):
    """The embedded PostgreSQL cannot be found or started here; the message says what to do."""
