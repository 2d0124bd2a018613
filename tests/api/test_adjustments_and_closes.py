"""Adjustments and closes over gRPC: one key proposes or begins, another approves or signs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING

import grpc
import pytest
from daftari.v1 import adjustments_pb2 as pb
from daftari.v1 import closings_pb2 as closings
from daftari.v1 import reconciliation_pb2
from daftari.v1.adjustments_pb2_grpc import AdjustmentCommandServiceStub, AdjustmentQueryServiceStub
from daftari.v1.closings_pb2_grpc import ClosingCommandServiceStub, ClosingQueryServiceStub
from daftari.v1.reconciliation_pb2_grpc import ReconciliationQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api.office import Office
from tests.api.test_collections import open_shortcode
from tests.api.test_reconciliation import open_later_office, reconciled
from tests.ledger.payouts.shop import FLOAT, SHORTAGE, open_shop
from tests.wire import refusal

if TYPE_CHECKING:
    from daftari.v1.adjustments_pb2_grpc import AdjustmentCommandServiceAsyncStub, AdjustmentQueryServiceAsyncStub
    from daftari.v1.closings_pb2_grpc import ClosingCommandServiceAsyncStub, ClosingQueryServiceAsyncStub


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process whose shortcode collects, some days after those of the captured statement."""
    async with open_later_office(engine) as opened:
        await open_shortcode(opened)
        yield opened


def _adjusting(office: Office, key: str = "") -> AdjustmentCommandServiceAsyncStub:
    return AdjustmentCommandServiceStub(office.channel(key or office.operator))


def _adjustments(office: Office, key: str = "") -> AdjustmentQueryServiceAsyncStub:
    return AdjustmentQueryServiceStub(office.channel(key or office.operator))


def _closing(office: Office, key: str = "") -> ClosingCommandServiceAsyncStub:
    return ClosingCommandServiceStub(office.channel(key or office.operator))


def _closes(office: Office, key: str = "") -> ClosingQueryServiceAsyncStub:
    return ClosingQueryServiceStub(office.channel(key or office.operator))


async def _breaks(office: Office, run_id: str) -> list[reconciliation_pb2.ReconciliationDecision]:
    asking = reconciliation_pb2.ListReconciliationDecisionsRequest(
        ledger=office.ledger, run_id=run_id, only_breaks=True, page_size=500
    )
    reader = ReconciliationQueryServiceStub(office.channel(office.operator))
    return list((await reader.ListReconciliationDecisions(asking)).decisions)


async def test_what_one_key_proposes_of_a_break_another_posts_once(office: Office) -> None:
    run = await reconciled(office)
    left = next(one for one in await _breaks(office, run.id) if one.difference.minor_units < 0)
    checker = _adjusting(office, await office.operator_key(name="checker"))
    asking = pb.ProposeAdjustmentsRequest(
        ledger=office.ledger, run_id=run.id, breaks=[left.number], reason="police report 7"
    )

    first, again = [await _adjusting(office).ProposeAdjustments(asking) for _ in range(2)]
    other = await refusal(checker.ProposeAdjustments(asking))
    (proposed,) = first.adjustments
    naming = pb.ApproveAdjustmentRequest(ledger=office.ledger, adjustment_id=proposed.id)
    own = await refusal(_adjusting(office).ApproveAdjustment(naming))
    approved, repeated = [await checker.ApproveAdjustment(naming) for _ in range(2)]
    rejecting = pb.RejectAdjustmentRequest(ledger=office.ledger, adjustment_id=proposed.id, reason="no")
    late = await refusal(checker.RejectAdjustment(rejecting))

    assert (first.proposed, first.replayed, again.replayed, again.adjustments) == (1, False, True, first.adjustments)
    assert [(line.account, line.amount.minor_units) for line in proposed.postings] == [
        (SHORTAGE, -left.difference.minor_units), (FLOAT, -left.difference.minor_units),
    ]  # fmt: skip
    assert [(one.reason, one.field) for one in (other, own, late)] == [
        ("ADJUSTMENT_NOT_READY", "breaks"), ("APPROVER_NEEDED", "adjustment_id"),
        ("ADJUSTMENT_NOT_READY", "adjustment_id"),
    ]  # fmt: skip
    assert (approved.replayed, repeated.replayed, repeated.adjustment) == (False, True, approved.adjustment)
    assert (approved.adjustment.state, approved.adjustment.decided_by) == (pb.Adjustment.STATE_APPROVED, "checker")
    assert approved.adjustment.entry_id[:4] == "ent_"
    reading = pb.GetAdjustmentRequest(ledger=office.ledger, adjustment_id=proposed.id)
    assert (await _adjustments(office).GetAdjustment(reading)).adjustment == approved.adjustment


async def test_what_rules_are_certain_of_is_proposed_once_and_read_page_by_page(office: Office) -> None:
    run = await reconciled(office)
    asking = pb.ProposeAdjustmentsRequest(ledger=office.ledger, run_id=run.id)

    first, again = [await _adjusting(office).ProposeAdjustments(asking) for _ in range(2)]
    listing = pb.ListAdjustmentsRequest(ledger=office.ledger, only_open=True, page_size=2)
    pages = [await _adjustments(office).ListAdjustments(listing)]
    while pages[-1].next_page_token:
        listing.page_token = pages[-1].next_page_token
        pages.append(await _adjustments(office).ListAdjustments(listing))
    newer = await reconciled(office)
    by_run = [
        (await _adjustments(office).ListAdjustments(pb.ListAdjustmentsRequest(ledger=office.ledger, run_id=run_id)))
        for run_id in (run.id, newer.id)
    ]
    unknown = await refusal(
        _adjustments(office).ListAdjustments(
            pb.ListAdjustmentsRequest(ledger=office.ledger, run_id="rec_0000000000000")
        )
    )
    one = first.adjustments[0]
    breaks = await _adjustments(office).ListAdjustmentBreaks(
        pb.ListAdjustmentBreaksRequest(ledger=office.ledger, adjustment_id=one.id)
    )
    rejecting = pb.RejectAdjustmentRequest(ledger=office.ledger, adjustment_id=one.id, reason="not ours")
    rejected, repeated = [await _adjusting(office).RejectAdjustment(rejecting) for _ in range(2)]

    assert (first.replayed, again.replayed, again.proposed) == (False, True, first.proposed)
    assert [each.id for each in again.adjustments] == [each.id for each in first.adjustments]
    assert {each.way for each in first.adjustments} == {pb.Adjustment.WAY_RECEIPT}
    shown = [each.id for page in pages for each in page.adjustments]
    assert (len(pages) > 1, sorted(shown)) == (True, sorted(each.id for each in first.adjustments))
    assert [sorted(each.id for each in page.adjustments) for page in by_run] == [sorted(shown), []]
    assert (unknown.reason, unknown.field) == ("RUN_NOT_FOUND", "run_id")
    assert [each.difference for each in breaks.breaks] == [one.difference]
    assert (rejected.replayed, repeated.replayed) == (False, True)
    assert (rejected.adjustment.state, rejected.adjustment.decision_reason) == (
        pb.Adjustment.STATE_REJECTED, "not ours",
    )  # fmt: skip


async def test_a_proposal_that_makes_no_sense_is_refused_by_its_field(office: Office) -> None:
    run = await reconciled(office)
    wrong = [
        (pb.ProposeAdjustmentsRequest(run_id="rec_0000000000000"), "RUN_NOT_FOUND", "run_id"),
        (pb.ProposeAdjustmentsRequest(breaks=[10_000], reason="so"), "RUN_NOT_FOUND", "breaks"),
        (pb.ProposeAdjustmentsRequest(breaks=[1]), "TEXT_INVALID", "reason"),
        (
            pb.ProposeAdjustmentsRequest(breaks=[1], reason="so", against="a", as_it_is=True),
            "CHOICE_INVALID",
            "against",
        ),
        (pb.ProposeAdjustmentsRequest(breaks=[1], reason="so", against="\0"), "PATH_INVALID", "against"),
        (pb.ProposeAdjustmentsRequest(breaks=range(501), reason="so"), "SET_TOO_LARGE", "breaks"),
        (pb.ProposeAdjustmentsRequest(reason="so"), "CHOICE_INVALID", "breaks"),
    ]

    for change, reason, field in wrong:
        asking = pb.ProposeAdjustmentsRequest(ledger=office.ledger, run_id=run.id)
        asking.MergeFrom(change)
        refused = await refusal(_adjusting(office).ProposeAdjustments(asking))
        assert (refused.reason, refused.field) == (reason, field)


async def test_days_are_closed_by_two_keys_each_step_once(office: Office) -> None:
    run = await reconciled(office)
    checker = _closing(office, await office.operator_key(name="checker"))
    days = {"ledger": office.ledger, "through_date": run.until_date}
    beginning, signing = closings.BeginCloseRequest(**days), closings.SignCloseRequest(**days)

    early = await refusal(checker.SignClose(signing))
    begun, again = [await _closing(office).BeginClose(beginning) for _ in range(2)]
    own = await refusal(_closing(office).SignClose(signing))
    open_left = await refusal(checker.SignClose(signing))
    reopening = closings.ReopenCloseRequest(**days, reason="too early")
    reopened = [await _closing(office).ReopenClose(reopening) for _ in range(2)]
    await _closing(office).BeginClose(beginning)
    other = await refusal(checker.SignClose(closings.SignCloseRequest(ledger=office.ledger, through_date="2026-01-01")))
    signing.accept = "known, and small"
    signed, repeated = [await checker.SignClose(signing) for _ in range(2)]
    closed = await refusal(_closing(office).BeginClose(beginning))
    steps = await _closes(office).ListClosings(closings.ListClosingsRequest(ledger=office.ledger, page_size=3))

    assert [(one.reason, one.field) for one in (early, own, open_left, other, closed)] == [
        ("CLOSE_NOT_READY", "ledger"), ("APPROVER_NEEDED", "through_date"), ("CLOSE_NOT_READY", "accept"),
        ("CLOSE_NOT_READY", "through_date"), ("CLOSE_NOT_READY", "through_date"),
    ]  # fmt: skip
    assert (begun.replayed, again.replayed, again.closing) == (False, True, begun.closing)
    assert [one.replayed for one in reopened] == [False, True]
    assert (signed.replayed, repeated.replayed, repeated.closing) == (False, True, signed.closing)
    assert (signed.closing.actor, signed.closing.reason) == ("checker", "known, and small")
    assert [one.step for one in steps.closings] == [
        closings.Closing.STEP_SIGNED, closings.Closing.STEP_BEGUN, closings.Closing.STEP_REOPENED,
    ]  # fmt: skip
    assert steps.next_page_token


async def test_the_report_of_a_close_tells_what_was_signed(office: Office) -> None:
    run = await reconciled(office)
    days = {"ledger": office.ledger, "through_date": run.until_date}
    await _closing(office).BeginClose(closings.BeginCloseRequest(**days))

    before = await _closes(office).GetCloseReport(closings.GetCloseReportRequest(ledger=office.ledger))
    checker = _closing(office, await office.operator_key(name="checker"))
    signed = (await checker.SignClose(closings.SignCloseRequest(**days, accept="known, and small"))).closing
    after = await _closes(office).GetCloseReport(closings.GetCloseReportRequest(**days))

    assert (before.HasField("signed"), after.signed, after.begun.actor) == (False, signed, run.actor)
    assert signed.open_items == before.open_items == after.open_items > 0
    account = next(one for one in after.accounts if one.path == run.account_path)
    assert (account.run_id, account.statement, account.books) == (run.id, run.statement_closing, run.books_closing)
    assert account.statement.minor_units - account.books.minor_units == (
        account.explained.minor_units + account.open.minor_units
    )
    listed = [one for one in after.items if one.path == run.account_path and not one.is_accepted]
    assert len(listed) == account.open_items
    assert {file.path: len(file.sha256) for file in after.files} == {run.account_path: 32}
    assert all(one.debits == one.credits for one in after.totals)


async def test_a_key_of_other_books_and_a_key_without_the_right_do_nothing(office: Office, engine: AsyncEngine) -> None:
    none = frozenset({"journal.read"})
    reader = await office.operator_key(permissions=none, name="reader")
    async with open_shop(engine) as neighbour:
        stranger = await office.operator_key(ledger_id=neighbour.ledger.id)
        foreign = [await refusal(call) for call in _every_call(office, stranger)]
    denied = [await refusal(call) for call in _every_call(office, reader)]

    assert {one.code for one in foreign} == {grpc.StatusCode.NOT_FOUND}
    assert {one.reason for one in foreign} == {"LEDGER_NOT_FOUND"}
    assert {one.code for one in denied} == {grpc.StatusCode.PERMISSION_DENIED}


def _every_call(office: Office, key: str) -> list[Awaitable[object]]:
    ledger = office.ledger
    return [
        _adjusting(office, key).ProposeAdjustments(pb.ProposeAdjustmentsRequest(ledger=ledger)),
        _adjusting(office, key).ApproveAdjustment(pb.ApproveAdjustmentRequest(ledger=ledger)),
        _adjusting(office, key).RejectAdjustment(pb.RejectAdjustmentRequest(ledger=ledger)),
        _adjustments(office, key).GetAdjustment(pb.GetAdjustmentRequest(ledger=ledger)),
        _adjustments(office, key).ListAdjustments(pb.ListAdjustmentsRequest(ledger=ledger)),
        _adjustments(office, key).ListAdjustmentBreaks(pb.ListAdjustmentBreaksRequest(ledger=ledger)),
        _closing(office, key).BeginClose(closings.BeginCloseRequest(ledger=ledger)),
        _closing(office, key).SignClose(closings.SignCloseRequest(ledger=ledger)),
        _closing(office, key).ReopenClose(closings.ReopenCloseRequest(ledger=ledger)),
        _closes(office, key).ListClosings(closings.ListClosingsRequest(ledger=ledger)),
        _closes(office, key).GetCloseReport(closings.GetCloseReportRequest(ledger=ledger)),
    ]
