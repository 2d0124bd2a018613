"""Refunds over gRPC: one key asks, another approves."""

from __future__ import annotations

import grpc
from daftari.v1 import collections_pb2
from daftari.v1 import refunds_pb2 as pb
from daftari.v1.refunds_pb2_grpc import RefundCommandServiceStub, RefundQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.ids import encode
from ledger.payouts.payout import State
from tests.api.office import open_office
from tests.api.test_collections import commands as collecting
from tests.ledger.cases import payout_in
from tests.ledger.payouts.shop import BANK
from tests.wire import money, refusal


async def test_one_key_asks_for_a_refund_and_another_lets_it_in(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        bank = collections_pb2.CollectionShortcode(
            provider="bank", shortcode="main", currency="KES", landing_account=BANK, accepts_unanswered=True
        )
        opening = collections_pb2.OpenShortcodeRequest(ledger=office.ledger, shortcode=bank)
        await collecting(office).OpenShortcode(opening)
        payout_id = encode("pay", await payout_in(office.shop, State.SETTLED))
        maker = RefundCommandServiceStub(office.channel(office.operator))
        reader = RefundQueryServiceStub(office.channel(office.operator))
        checker = RefundCommandServiceStub(office.channel(await office.operator_key(name="checker")))
        asking = pb.RequestRefundRequest(
            ledger=office.ledger, request_id="r1", payout_id=payout_id, provider="bank", shortcode="main",
            receipt="FT1", amount=money(60_000), evidence="bank slip 7",
        )  # fmt: skip

        first, again = await maker.RequestRefund(asking), await maker.RequestRefund(asking)
        naming = pb.ApproveRefundRequest(ledger=office.ledger, refund_id=first.refund.id)
        own = await refusal(maker.ApproveRefund(naming))
        approved, repeated = await checker.ApproveRefund(naming), await checker.ApproveRefund(naming)
        late = await refusal(
            checker.RejectRefund(pb.RejectRefundRequest(ledger=office.ledger, refund_id=first.refund.id, reason="no"))
        )
        listed = await reader.ListRefunds(pb.ListRefundsRequest(ledger=office.ledger, payout_id=payout_id))
        read = await reader.GetRefund(pb.GetRefundRequest(ledger=office.ledger, refund_id=first.refund.id))
        partner = RefundCommandServiceStub(office.channel(await office.partner_key()))
        denied = await refusal(partner.RequestRefund(asking))

        assert (first.replayed, again.replayed, again.refund) == (False, True, first.refund)
        assert (own.reason, late.reason) == ("APPROVER_NEEDED", "REFUND_NOT_READY")
        assert (approved.replayed, repeated.replayed, repeated.refund) == (False, True, approved.refund)
        assert (approved.refund.state, approved.refund.decided_by) == (pb.Refund.STATE_APPROVED, "checker")
        assert (list(listed.refunds), read.refund) == ([approved.refund], approved.refund)
        assert denied.code is grpc.StatusCode.PERMISSION_DENIED
