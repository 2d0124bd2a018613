"""Promotions across the wire: requests become commands of the ledger, what is in the books becomes messages."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeAlias

from daftari.v1 import promotions_pb2 as pb

from api.conversion.entries import entry_id_text
from api.conversion.fields import located, request_fields
from api.conversion.money import money_message, money_of
from api.conversion.times import moment_of, timestamp_of
from ledger.errors import ChoiceInvalid, LedgerError
from ledger.idempotency import KeyClaim, claim
from ledger.ids import decode, encode
from ledger.journal.decide import Refused
from ledger.msisdn import parse_msisdn
from ledger.promotions.batch import Funding, State
from ledger.promotions.campaigns import Campaign, NewCampaign
from ledger.promotions.desk import BatchRequest, Order
from ledger.promotions.judging import RedemptionOrder
from ledger.promotions.queries import BatchEvent, CodeStanding, RedemptionEvent
from ledger.promotions.redeeming import OrderBook
from ledger.promotions.redemption import State as RedemptionState
from ledger.promotions.redemptions import PREFIX as REDEMPTION_PREFIX
from ledger.promotions.redemptions import Redemption
from ledger.promotions.refusals import BatchNotFound, RedemptionNotFound
from ledger.promotions.report import BatchDay, BatchFigures
from ledger.promotions.writing import PREFIX as BATCH_PREFIX
from ledger.promotions.writing import Batch

_FUNDINGS = {pb.Batch.FUNDING_PREFUND: Funding.PREFUND, pb.Batch.FUNDING_BUDGET: Funding.BUDGET}
_FUNDING_NUMBERS = {one: number for number, one in _FUNDINGS.items()}
_STATES = {state: pb.Batch.State.Value(f"STATE_{state.value}") for state in State}
_STATES_BY_NUMBER = {int(number): state for state, number in _STATES.items()}
_REDEMPTION_STATES = {state: pb.Redemption.State.Value(f"STATE_{state.value}") for state in RedemptionState}
_REDEMPTION_STATES_BY_NUMBER = {int(number): state for state, number in _REDEMPTION_STATES.items()}

KeyedRequest: TypeAlias = (
    pb.CreateCampaignRequest
    | pb.CreateBatchRequest
    | pb.ImportCodesRequest
    | pb.ExportCodesRequest
    | pb.ActivateBatchRequest
    | pb.PauseBatchRequest
    | pb.ResumeBatchRequest
    | pb.CancelBatchRequest
    | pb.ExpireBatchRequest
    | pb.DisableCodeRequest
    | pb.ReportStolenRequest
    | pb.VoidRangeRequest
    | pb.RetryRedemptionRequest
)
OrderRequest: TypeAlias = (
    pb.ImportCodesRequest
    | pb.ExportCodesRequest
    | pb.ActivateBatchRequest
    | pb.PauseBatchRequest
    | pb.ResumeBatchRequest
    | pb.CancelBatchRequest
    | pb.ExpireBatchRequest
    | pb.DisableCodeRequest
    | pb.ReportStolenRequest
    | pb.VoidRangeRequest
)


def key_of(request: KeyedRequest, *, client_id: int) -> KeyClaim:
    """The claim of a request id, over all that is asked. Raises TextInvalid."""
    bare = deepcopy(request)
    bare.ClearField("request_id")
    method = request.DESCRIPTOR.name.removesuffix("Request")
    content = bare.SerializeToString(deterministic=True)
    return claim(client_id=client_id, key=request.request_id, method=method, content=content)


def campaign_request_of(request: pb.CreateCampaignRequest, *, client_id: int, actor: str) -> NewCampaign:
    """Raises TextInvalid, ChoiceInvalid."""
    wanted = request.campaign
    return NewCampaign(
        key=key_of(request, client_id=client_id),
        actor=actor,
        code=wanted.code,
        name=wanted.name,
        per_msisdn_max=wanted.per_msisdn_max or None,
        per_msisdn_day_max=wanted.per_msisdn_day_max or None,
    )


def batch_request_of(request: pb.CreateBatchRequest, *, client_id: int, actor: str) -> BatchRequest:
    """Raises what makes it impossible, with its field."""
    funding = _FUNDINGS.get(request.funding)
    if funding is None:
        raise ChoiceInvalid("say who pays: FUNDING_PREFUND or FUNDING_BUDGET", field="funding")
    return BatchRequest(
        key=key_of(request, client_id=client_id),
        actor=actor,
        code=request.code,
        campaign=request.campaign,
        amount=money_of(request.amount, field="amount"),
        count=request.count,
        funding=funding,
        partner=request.partner,
        shortcode=request.shortcode,
        assignee=request.assignee,
        expires_at=moment_of(request.expire_time, field="expire_time"),
        second_person=request.second_person,
    )


def order_of(request: OrderRequest, *, client_id: int, actor: str) -> Order:
    """A command about one batch. Raises BatchNotFound, TextInvalid."""
    reason = "" if isinstance(request, pb.ImportCodesRequest | pb.ExpireBatchRequest) else request.reason
    with request_fields():
        return Order(key_of(request, client_id=client_id), batch_id_of(request.batch_id), actor, reason)


def batch_id_of(text: str, *, field: str = "batch_id") -> int:
    """Raises BatchNotFound for what no batch's id looks like, just as for an id that none has."""
    batch_id = decode(BATCH_PREFIX, text)
    if batch_id is None:
        raise BatchNotFound("no such batch in this ledger", field=field)
    return batch_id


def redemption_id_of(text: str) -> int:
    """Raises RedemptionNotFound, likewise."""
    redemption_id = decode(REDEMPTION_PREFIX, text)
    if redemption_id is None:
        raise RedemptionNotFound("no such redemption in this ledger", field="redemption_id")
    return redemption_id


def redemption_order_of(
    order: pb.RedemptionOrder, *, book: OrderBook, ledger_id: int, client_id: int, actor: str
) -> RedemptionOrder | Refused:
    """What a phone asks for, or why it cannot be."""
    try:
        return book.order(
            ledger_id=ledger_id,
            client_id=client_id,
            actor=actor,
            request_id=order.request_id,
            typed=order.code,
            msisdn=parse_msisdn(order.msisdn),
            session=order.session,
        )
    except LedgerError as error:
        return Refused(located(error, within=""))


def states_of(numbers: Sequence[int]) -> list[State]:
    """The states a list is narrowed to; unspecified ones do not narrow it."""
    return [_STATES_BY_NUMBER[number] for number in numbers if number in _STATES_BY_NUMBER]


def redemption_states_of(numbers: Sequence[int]) -> list[RedemptionState]:
    """Likewise."""
    return [_REDEMPTION_STATES_BY_NUMBER[number] for number in numbers if number in _REDEMPTION_STATES_BY_NUMBER]


def campaign_message(campaign: Campaign) -> pb.Campaign:
    """A campaign."""
    return pb.Campaign(
        code=campaign.code,
        name=campaign.name,
        per_msisdn_max=campaign.per_msisdn_max or 0,
        per_msisdn_day_max=campaign.per_msisdn_day_max or 0,
        create_time=timestamp_of(campaign.created_at),
    )


def batch_message(batch: Batch) -> pb.Batch:
    """A batch as it stands."""
    liability = batch.liability
    return pb.Batch(
        id=batch.public_id,
        code=batch.code,
        campaign=batch.campaign,
        amount=money_message(batch.amount.currency, batch.amount.minor_units),
        count=batch.count,
        funding=_FUNDING_NUMBERS[batch.funding],
        partner=batch.partner,
        shortcode=batch.shortcode,
        assignee=batch.assignee,
        expire_time=timestamp_of(batch.expires_at),
        state=_STATES[batch.state],
        version=batch.version,
        issued_count=batch.issued,
        live_count=batch.live,
        redeemed_count=batch.redeemed,
        failed_count=batch.failed,
        liability=money_message(liability.currency, liability.minor_units),
        second_person=batch.second_person,
        created_by=batch.created_by,
        activated_by=batch.activated_by or "",
        export_time=timestamp_of(batch.exported_at) if batch.exported_at else None,
        create_time=timestamp_of(batch.created_at),
        activate_time=timestamp_of(batch.activated_at) if batch.activated_at else None,
        update_time=timestamp_of(batch.updated_at),
    )


def batch_event_message(event: BatchEvent) -> pb.BatchEvent:
    """One change of a batch."""
    return pb.BatchEvent(
        version=event.version,
        state=_STATES[event.state],
        event=event.event,
        code_count=event.codes,
        entry_id=entry_id_text(event.entry_id) if event.entry_id else "",
        detail=event.detail or "",
        actor=event.actor,
        record_time=timestamp_of(event.recorded_at),
    )


def redemption_message(redemption: Redemption) -> pb.Redemption:
    """A redemption as it stands."""
    return pb.Redemption(
        id=redemption.public_id,
        batch_id=encode(BATCH_PREFIX, redemption.batch_id),
        number=redemption.number,
        msisdn=redemption.msisdn_masked,
        amount=money_message(redemption.amount.currency, redemption.amount.minor_units),
        state=_REDEMPTION_STATES[redemption.state],
        version=redemption.version,
        payout_id=encode("pay", redemption.payout_id),
        tries=redemption.tries,
        retry_time=timestamp_of(redemption.retry_at) if redemption.retry_at else None,
        create_time=timestamp_of(redemption.created_at),
        update_time=timestamp_of(redemption.updated_at),
    )


def redemption_event_message(event: RedemptionEvent) -> pb.RedemptionEvent:
    """One change of a redemption."""
    return pb.RedemptionEvent(
        version=event.version,
        state=_REDEMPTION_STATES[event.state],
        event=event.event,
        payout_id=encode("pay", event.payout_id),
        actor=event.actor,
        record_time=timestamp_of(event.recorded_at),
    )


def standing_message(standing: CodeStanding) -> pb.CodeStanding:
    """A code as the help desk sees it."""
    known = standing.redemption_id
    return pb.CodeStanding(
        batch_id=encode(BATCH_PREFIX, standing.batch_id),
        number=standing.number,
        state=pb.CodeStanding.State.Value(f"STATE_{standing.state}"),
        redemption_id=encode(REDEMPTION_PREFIX, known) if known is not None else "",
    )


def figures_message(figures: BatchFigures) -> pb.BatchFigures:
    """A batch in figures."""
    batch, liability = figures.batch, figures.batch.liability
    return pb.BatchFigures(
        batch_id=batch.public_id,
        batch_code=batch.code,
        state=_STATES[batch.state],
        amount=money_message(batch.amount.currency, batch.amount.minor_units),
        issued_count=batch.issued,
        live_count=figures.live,
        redeemed_count=batch.redeemed,
        paying_count=figures.paying,
        paid_count=figures.paid,
        failed_count=batch.failed,
        expired_count=figures.expired,
        voided_count=figures.voided,
        liability=money_message(liability.currency, liability.minor_units),
    )


def day_message(day: BatchDay) -> pb.BatchDay:
    """One day of a batch in figures."""
    return pb.BatchDay(
        date=day.day.isoformat(),
        batch_code=day.batch.code,
        issued_count=day.issued,
        redeemed_count=day.redeemed,
        paid_count=day.paid,
        failed_count=day.failed,
        expired_count=day.expired,
        voided_count=day.voided,
    )
