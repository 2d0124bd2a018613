"""Promotions over gRPC: campaign, batch, codes, export, activation by another, redemption by a gateway, the report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from daftari.v1 import promotions_pb2 as pb
from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceStub, PromotionQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from api.conversion.times import timestamp_of
from api.permissions import Permission
from tests.api.office import Office, add_partner, open_office
from tests.ledger.payouts.shop import PAYEE
from tests.wire import money, refusal

if TYPE_CHECKING:
    from daftari.v1.promotions_pb2_grpc import PromotionCommandServiceAsyncStub, PromotionQueryServiceAsyncStub

FACE = 5_000


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop, with a campaign."""
    async with open_office(engine) as opened:
        campaign = pb.Campaign(code="tins", name="Tins", per_msisdn_max=2)
        await commands(opened).CreateCampaign(
            pb.CreateCampaignRequest(ledger=opened.ledger, request_id="c1", campaign=campaign)
        )
        yield opened


def commands(office: Office, key: str = "") -> PromotionCommandServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return PromotionCommandServiceStub(office.channel(key or office.operator))


def queries(office: Office, key: str = "") -> PromotionQueryServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return PromotionQueryServiceStub(office.channel(key or office.operator))


async def drafted(office: Office, *, codes: int = 3) -> tuple[pb.Batch, list[str]]:
    """A draft with its codes, as they are printed."""
    request = pb.CreateBatchRequest(
        ledger=office.ledger,
        request_id="b1",
        code="tins-1",
        campaign="tins",
        amount=money(FACE),
        count=codes,
        funding=pb.Batch.FUNDING_PREFUND,
        partner="shop",
        expire_time=timestamp_of(office.shop.now() + timedelta(days=30)),
        second_person=True,
    )
    made = (await commands(office).CreateBatch(request)).batch
    about = {"ledger": office.ledger, "batch_id": made.id}
    progress = [one async for one in commands(office).GenerateCodes(pb.GenerateCodesRequest(**about))]
    assert (progress[-1].issued_count, progress[-1].count) == (codes, codes)
    export = pb.ExportCodesRequest(request_id="e1", reason="printer", **about)
    printed = [code.code async for part in commands(office).ExportCodes(export) for code in part.codes]
    return made, printed


async def activated(office: Office, *, codes: int = 3) -> tuple[pb.Batch, list[str]]:
    """A batch that another key has activated, and its codes."""
    batch, printed = await drafted(office, codes=codes)
    checker = await office.operator_key(ledger_id=None, name="checker")
    request = pb.ActivateBatchRequest(ledger=office.ledger, request_id="a1", batch_id=batch.id)
    return (await commands(office, checker).ActivateBatch(request)).batch, printed


def order(code: str, request_id: str, msisdn: str = PAYEE) -> pb.RedemptionOrder:
    """What a phone typed."""
    return pb.RedemptionOrder(request_id=request_id, code=code, msisdn=msisdn, session=f"s-{request_id}")


async def test_a_gateway_redeems_with_one_permission_and_reads_nothing(office: Office) -> None:
    batch, (code, *_) = await activated(office)
    gateway = await office.operator_key(
        ledger_id=None, name="ussd", permissions=frozenset({Permission.PROMOTIONS_REDEEM.value})
    )

    first = await commands(office, gateway).Redeem(
        pb.RedeemRequest(ledger=office.ledger, order=order(code.lower(), "h1"))
    )
    again = await commands(office, gateway).Redeem(pb.RedeemRequest(ledger=office.ledger, order=order(code, "h2")))

    assert (first.redemption.state, first.redemption.msisdn) == (pb.Redemption.STATE_PAYING, "2547****5678")
    assert (first.replayed, again.replayed, again.redemption.id) == (False, True, first.redemption.id)
    denied = await refusal(queries(office, gateway).GetCode(pb.GetCodeRequest(ledger=office.ledger, code=code)))
    assert denied.code is grpc.StatusCode.PERMISSION_DENIED
    found = await queries(office).GetBatch(pb.GetBatchRequest(ledger=office.ledger, code="tins-1"))
    assert (found.batch.id, found.batch.live_count, found.batch.liability.minor_units) == (batch.id, 2, 2 * FACE)


async def test_a_set_answers_item_by_item(office: Office) -> None:
    _, codes = await activated(office)
    orders = [order(codes[0], "1"), order("ZZZZ-ZZZZ-ZZZZ-ZZZZ", "2"), order("?", "3"), order(codes[1], "4")]

    response = await commands(office).RedeemCodes(pb.RedeemCodesRequest(ledger=office.ledger, orders=orders))

    told = [one.error.reason if one.HasField("error") else "redeemed" for one in response.results]
    assert told == ["redeemed", "CODE_NOT_VALID", "CODE_MALFORMED", "redeemed"]


async def test_attempts_are_counted_by_their_result_and_active_redemptions_shown(office: Office) -> None:
    _, codes = await activated(office)
    wrong = "ZZZZ-ZZZZ-ZZZZ-ZZZZ"
    typed = [codes[0], codes[0], codes[1], codes[2], wrong]  # the third code is over the campaign's limit
    for number, code in enumerate(typed):
        orders = [order(code, f"m{number}")]
        await commands(office).RedeemCodes(pb.RedeemCodesRequest(ledger=office.ledger, orders=orders))

    text = (await office.http.get("/metrics")).text

    counted = [line for line in text.splitlines() if line.startswith("daftari_redemption_attempts_total")]
    assert sorted(counted) == [
        'daftari_redemption_attempts_total{result="campaign_limit_reached"} 1.0',
        'daftari_redemption_attempts_total{result="code_not_valid"} 1.0',
        'daftari_redemption_attempts_total{result="redeemed"} 2.0',
        'daftari_redemption_attempts_total{result="repeated"} 1.0',
    ]
    assert f'daftari_queue_waiting{{ledger="{office.ledger}",queue="redemptions: paying"}} 2.0' in text


async def test_refusals_name_their_field_and_reason(office: Office) -> None:
    _, codes = await activated(office)
    redeem = commands(office).Redeem
    for number, code in enumerate(codes[:2]):
        await redeem(pb.RedeemRequest(ledger=office.ledger, order=order(code, f"ok-{number}")))

    limited = await refusal(redeem(pb.RedeemRequest(ledger=office.ledger, order=order(codes[2], "over"))))
    wrong = await refusal(redeem(pb.RedeemRequest(ledger=office.ledger, order=order("ZZZZ-ZZZZ-ZZZZ-ZZZZ", "wrong"))))

    assert limited.reason == "CAMPAIGN_LIMIT_REACHED"
    assert (wrong.reason, wrong.field) == ("CODE_NOT_VALID", "order.code")


async def test_who_created_a_batch_does_not_activate_it(office: Office) -> None:
    batch, _ = await drafted(office)

    request = pb.ActivateBatchRequest(ledger=office.ledger, request_id="a1", batch_id=batch.id)

    assert (await refusal(commands(office).ActivateBatch(request))).reason == "ACTIVATOR_NEEDED"


async def test_a_stolen_code_is_found_by_the_help_desk_and_taken_out(office: Office) -> None:
    batch, codes = await activated(office)
    standing = (await queries(office).GetCode(pb.GetCodeRequest(ledger=office.ledger, code=codes[1]))).standing
    about = {"ledger": office.ledger, "batch_id": batch.id}

    stolen = await commands(office).ReportStolen(
        pb.ReportStolenRequest(request_id="s1", number=standing.number, reason="a carton is gone", **about)
    )

    assert (standing.number, stolen.batch.live_count, stolen.batch.liability.minor_units) == (2, 2, 2 * FACE)
    events = (
        await queries(office).ListBatchEvents(
            pb.ListBatchEventsRequest(ledger=about["ledger"], batch_id=about["batch_id"])
        )
    ).events
    assert [one.event for one in events] == ["created", "generated", "exported", "activated", "stolen"]


async def test_the_report_counts_each_code_once(office: Office) -> None:
    batch, codes = await activated(office, codes=4)
    about = {"ledger": office.ledger, "batch_id": batch.id}
    await commands(office).Redeem(pb.RedeemRequest(ledger=office.ledger, order=order(codes[0], "1")))
    await commands(office).VoidRange(pb.VoidRangeRequest(request_id="v", first_number=2, last_number=2, **about))
    day = office.shop.now().date()
    request = pb.GetCampaignReportRequest(
        ledger=office.ledger, campaign="tins", from_date=day.isoformat(), to_date=(day + timedelta(days=1)).isoformat()
    )

    report = await queries(office).GetCampaignReport(request)

    (one,), (today,) = report.batches, report.days
    assert (one.issued_count, one.live_count, one.redeemed_count, one.paying_count, one.voided_count) == (4, 2, 1, 1, 1)
    assert (today.issued_count, today.redeemed_count, today.voided_count, today.batch_code) == (4, 1, 1, "tins-1")


async def test_a_partners_key_reads_its_own_promotions_and_nobody_elses(office: Office) -> None:
    batch, codes = await activated(office)
    redeemed = await commands(office).Redeem(pb.RedeemRequest(ledger=office.ledger, order=order(codes[0], "1")))
    await add_partner(office.shop, "rival")
    own, rival = await office.partner_key(), await office.partner_key(partner="rival")
    day = office.shop.now().date()
    days = {"from_date": day.isoformat(), "to_date": (day + timedelta(days=1)).isoformat()}
    report = pb.GetCampaignReportRequest(ledger=office.ledger, campaign="tins", **days)
    wanted = pb.GetBatchRequest(ledger=office.ledger, batch_id=batch.id)
    redemption = pb.GetRedemptionRequest(ledger=office.ledger, redemption_id=redeemed.redemption.id)

    found = (await queries(office, own).GetBatch(wanted)).batch
    figures = (await queries(office, own).GetCampaignReport(report)).batches
    told = (await queries(office, own).GetRedemption(redemption)).redemption

    assert (found.live_count, figures[0].redeemed_count, told.id) == (2, 1, redeemed.redemption.id)
    foreign: list[Awaitable[object]] = [
        queries(office, rival).GetBatch(wanted),
        queries(office, rival).GetBatch(pb.GetBatchRequest(ledger=office.ledger, code="tins-1")),
        queries(office, rival).ListBatchEvents(pb.ListBatchEventsRequest(ledger=office.ledger, batch_id=batch.id)),
        queries(office, rival).GetRedemption(redemption),
        queries(office, rival).GetCampaignReport(report),
    ]
    assert {(await refusal(one)).code for one in foreign} == {grpc.StatusCode.NOT_FOUND}
    ledger = office.ledger
    assert not (await queries(office, rival).ListBatches(pb.ListBatchesRequest(ledger=ledger))).batches
    assert not (await queries(office, rival).ListCampaigns(pb.ListCampaignsRequest(ledger=ledger))).campaigns
    assert not (await queries(office, rival).ListRedemptions(pb.ListRedemptionsRequest(ledger=ledger))).redemptions
    assert len((await queries(office, own).ListRedemptions(pb.ListRedemptionsRequest(ledger=ledger))).redemptions) == 1
