"""Pages of a list: how many, and where the next one starts. Tokens are opaque and fit only the request that got them.

A token is a position and a digest over the position and the request's filters. The digest catches mistakes; it keeps no
secret and needs no key: a forged position leads nowhere that the caller could not page to anyway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from daftari.v1 import (
    adjustments_pb2,
    closings_pb2,
    collections_pb2,
    finance_pb2,
    journal_pb2,
    loans_pb2,
    partners_pb2,
    payouts_pb2,
    promotions_pb2,
    prompts_pb2,
    reconciliation_pb2,
    refunds_pb2,
    returns_pb2,
    reviews_pb2,
    text_messages_pb2,
    vault_pb2,
    webhooks_pb2,
)

from api.conversion.times import moment_of
from ledger.errors import ChoiceInvalid, PageTokenInvalid
from ledger.ids import first_id_at

PAGE_SIZE_MAX = 500
PAGE_SIZE_DEFAULT = 50
_DIGEST_SIZE = 9
_TOKEN_LENGTH_MAX = 1024
_INTEGER_MAX = 2**63 - 1
Row = TypeVar("Row")
_SEPARATOR = "\t"  # no code, path or number holds one

ListRequest: TypeAlias = (
    journal_pb2.ListLedgersRequest
    | journal_pb2.ListAccountsRequest
    | journal_pb2.ListStatementLinesRequest
    | journal_pb2.ListEntriesRequest
    | journal_pb2.GetTrialBalanceRequest
    | finance_pb2.GetBalanceSheetRequest
    | finance_pb2.GetIncomeStatementRequest
    | finance_pb2.ListGeneralLedgerLinesRequest
    | finance_pb2.ListClearingAgesRequest
    | finance_pb2.ListFloatForecastsRequest
    | finance_pb2.ListDayLinesRequest
    | payouts_pb2.ListPayoutsRequest
    | collections_pb2.ListShortcodesRequest
    | collections_pb2.ListReceiptsRequest
    | collections_pb2.ListOrdersRequest
    | prompts_pb2.ListPromptsRequest
    | returns_pb2.ListReturnsRequest
    | refunds_pb2.ListRefundsRequest
    | loans_pb2.ListLoanProductsRequest
    | loans_pb2.ListLoansRequest
    | loans_pb2.ListLoanEventsRequest
    | loans_pb2.ListLoanStatementLinesRequest
    | loans_pb2.ListLoanAgesRequest
    | promotions_pb2.ListCampaignsRequest
    | promotions_pb2.ListBatchesRequest
    | promotions_pb2.ListBatchEventsRequest
    | promotions_pb2.ListRedemptionsRequest
    | reconciliation_pb2.ListReconciliationRunsRequest
    | reconciliation_pb2.ListReconciliationDecisionsRequest
    | adjustments_pb2.ListAdjustmentsRequest
    | adjustments_pb2.ListAdjustmentBreaksRequest
    | closings_pb2.ListClosingsRequest
    | reviews_pb2.ListReviewsRequest
    | webhooks_pb2.ListWebhookEndpointsRequest
    | webhooks_pb2.ListWebhookDeliveriesRequest
    | partners_pb2.ListPartnersRequest
    | partners_pb2.ListFundingLinesRequest
    | partners_pb2.ListPartnerStatementLinesRequest
    | partners_pb2.ListKeysRequest
    | text_messages_pb2.ListTextMessagesRequest
    | vault_pb2.ListSecretsRequest
)

# Lists that can be narrowed to a time.
TimedRequest: TypeAlias = (
    payouts_pb2.ListPayoutsRequest | prompts_pb2.ListPromptsRequest | returns_pb2.ListReturnsRequest
)


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a list is asked for: its size, and what the page before ended with (nothing for the first page)."""

    size: int
    position: tuple[str, ...]
    filters: bytes

    def text(self, part: int = 0) -> str:
        """A part of the position; "" for the first page."""
        return self.position[part] if self.position else ""

    def number(self) -> int:
        """The position as a number; 0 for the first page. Raises PageTokenInvalid."""
        if not self.position:
            return 0
        digits = self.position[0]
        if not digits.isdecimal() or int(digits) > _INTEGER_MAX:
            raise _invalid()
        return int(digits)

    @property
    def limit(self) -> int:
        """How many to read: one more than are shown, which tells whether there is another page."""
        return self.size + 1

    def before(self) -> int:
        """The position of a list that begins with the highest number: all are below it on the first page. Raises
        PageTokenInvalid."""
        return self.number() if self.position else _INTEGER_MAX

    def cut(self, found: Sequence[Row], place: Callable[[Row], tuple[str | int, ...]]) -> tuple[Sequence[Row], str]:
        """What is shown of at most `limit` rows, and the token of the page after it ("" for none)."""
        shown = found[: self.size]
        return shown, self.next_token(*place(shown[-1])) if len(found) > self.size else ""

    def next_token(self, *position: str | int) -> str:
        """The token of the page that follows this position."""
        payload = _SEPARATOR.join(str(part) for part in position).encode("ascii")
        return base64.urlsafe_b64encode(_digest(self.filters, payload) + payload).decode().rstrip("=")


def page_of(request: ListRequest, *, parts: int = 1) -> Page:
    """The page a list request asks for. Raises ChoiceInvalid for its size, PageTokenInvalid for a token of another
    request, of no form of ours, or with another number of parts."""
    size = request.page_size or PAGE_SIZE_DEFAULT
    if not 1 <= size <= PAGE_SIZE_MAX:
        raise ChoiceInvalid(f"page_size is 1 to {PAGE_SIZE_MAX}, or 0 for {PAGE_SIZE_DEFAULT}", field="page_size")
    filters = _filters(request)
    return Page(size, _position(request.page_token, filters, parts) if request.page_token else (), filters)


def id_bounds_of(request: TimedRequest) -> tuple[int, int]:
    """Ids are in time order: what was asked for from `create_time_from` until before `create_time_to` has ids from the
    first of these until before the second. Raises TimeInvalid."""
    id_from, id_before = 0, _INTEGER_MAX
    if request.HasField("create_time_from"):
        id_from = first_id_at(moment_of(request.create_time_from, field="create_time_from"))
    if request.HasField("create_time_to"):
        id_before = first_id_at(moment_of(request.create_time_to, field="create_time_to"))
    return id_from, id_before


def _filters(request: ListRequest) -> bytes:
    """All of the request but size and token. Stable within one version of the contract: tokens need live no longer."""
    bare = deepcopy(request)
    bare.ClearField("page_size")
    bare.ClearField("page_token")
    return request.DESCRIPTOR.full_name.encode() + b"\0" + bare.SerializeToString(deterministic=True)


def _position(token: str, filters: bytes, parts: int) -> tuple[str, ...]:
    if len(token) > _TOKEN_LENGTH_MAX:
        raise _invalid()
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        digest, payload = raw[:_DIGEST_SIZE], raw[_DIGEST_SIZE:]
        position = tuple(payload.decode("ascii").split(_SEPARATOR))
    except (UnicodeError, binascii.Error):
        raise _invalid() from None
    if digest != _digest(filters, payload) or len(position) != parts or not all(map(str.isprintable, position)):
        raise _invalid()
    return position


def _digest(filters: bytes, payload: bytes) -> bytes:
    counted = len(payload).to_bytes(4, "big") + payload + filters
    return hashlib.blake2b(counted, digest_size=_DIGEST_SIZE).digest()


def _invalid() -> PageTokenInvalid:
    return PageTokenInvalid("not a page token of this very request; start again without one", field="page_token")
