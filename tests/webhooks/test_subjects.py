"""What partners are told of orders and loans: each change they act on, in order, in their own words, and of nobody
else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import partners
from ledger.collections import announcing as collected
from ledger.collections import order, ordering, prompt, prompting
from ledger.database import run
from ledger.loans import announcing as lent
from ledger.loans import loan, writing
from ledger.money import Money
from ledger.outbox.announcements import Subject, SubjectKind
from ledger.webhooks import history
from tests.ledger.collections.hands import cancelling, expiring, taking_back
from tests.ledger.collections.till import NUMBER, Till
from tests.ledger.loans.lending import Lending, open_lending
from tests.ledger.payouts.shop import PAYEE
from tests.webhooks.desk import Desk, open_desk_of, retry_policy
from tests.webhooks.readme import documented
from tests.webhooks.receiver import Arrival, Receiver, answering

_CASES = """
SELECT r.queue, r.payout_id, r.reason FROM reviews AS r WHERE r.ledger_id = :ledger AND r.queue = 'webhook-dead'
   AND NOT EXISTS (SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id)
"""


@pytest.fixture
async def lending(fresh_engine: AsyncEngine) -> AsyncIterator[Lending]:
    """A shop that collects and lends, at the present, which is what verifiers measure timestamps by."""
    async with open_lending(fresh_engine) as opened:
        opened.shop.clock.moment = datetime.now(UTC)
        yield opened


@pytest.fixture
def till(lending: Lending) -> Till:
    """Where it collects."""
    return lending.till


@pytest.fixture
async def desk(lending: Lending) -> AsyncIterator[Desk]:
    """What delivers for it, and tries a delivery twice."""
    async with open_desk_of(lending.shop, retry=retry_policy(timedelta(seconds=5))) as opened:
        yield opened


def told(receiver: Receiver, *fields: str) -> list[tuple[Any, ...]]:
    """What was taken, in the order it was."""
    return [tuple(one.content[field] for field in ("type", *fields)) for one in receiver.taken]


def test_every_subject_has_the_prefix_of_its_product() -> None:
    prefixes = {kind: Subject(kind, 1).public_id.partition("_")[0] for kind in SubjectKind}

    assert prefixes == {
        SubjectKind.PAYOUT: "pay",
        SubjectKind.ORDER: ordering.PREFIX,
        SubjectKind.LOAN: writing.PREFIX,
        SubjectKind.PROMPT: prompting.PREFIX,
    }


def test_every_event_is_told_or_left_out_on_purpose() -> None:
    quiet = {loan.Event.DISBURSEMENT_STARTED, loan.Event.ACCRUED}

    assert set(order.Event) - set(collected.ORDER_EVENTS) == {order.Event.CREATED}
    assert set(loan.Event) - set(lent.EVENTS) == quiet
    assert set(collected.PROMPT_EVENTS) == {prompt.Event.PAID, prompt.Event.FAILED, prompt.Event.LOST}


async def test_a_shop_hears_of_every_payment_of_its_order_and_of_its_return(
    till: Till, desk: Desk, receiver: Receiver
) -> None:
    signed = await desk.endpoint(receiver.url)
    wanted = await till.order(shillings=1000, reference="SHOES12")

    await till.take(shillings=400, reference="SHOES12", receipt="UIPART0001")
    whole = await till.take(shillings=700, reference="SHOES12", receipt="UIWHOLE001")
    await run(till.shop.engine, taking_back(till, whole))
    part = int((await till.shop.rows("SELECT id FROM receipts WHERE receipt = 'UIPART0001'"))[0][0])
    await run(till.shop.engine, taking_back(till, part))
    await desk.work()

    assert told(receiver, "status", "paid", "missing", "excess", "transaction_receipt", "version") == [
        ("order.part_paid", "open", "400.00", "600.00", "0.00", "UIPART0001", 2),
        ("order.paid", "paid", "1100.00", "0.00", "100.00", "UIWHOLE001", 3),
        ("order.part_returned", "paid", "400.00", "600.00", "0.00", "UIWHOLE001", 4),
        ("order.reversed", "reversed", "0.00", "1000.00", "0.00", "UIPART0001", 5),
    ]
    content = receiver.taken[1].verify(signed.secret)
    assert content["id"] == receiver.taken[1].id
    assert set(content) == documented("orders")
    assert (content["order_id"], content["reference"]) == (wanted.public_id, "SHOES12")
    assert (content["amount"], content["currency"]) == ("1000.00", "KES")
    assert content["expires_at"] == wanted.money.expires_at.isoformat()
    assert not any(NUMBER in one.body.decode() for one in receiver.arrivals)


async def test_a_shop_hears_when_stock_is_to_be_released(till: Till, desk: Desk, receiver: Receiver) -> None:
    await desk.endpoint(receiver.url)
    late, unwanted = await till.order(reference="LATE1"), await till.order(reference="UNWANTED1")

    await run(till.shop.engine, cancelling(till, unwanted.id))
    await run(till.shop.engine, cancelling(till, unwanted.id))
    till.shop.clock.advance(seconds=1800)
    await run(till.shop.engine, expiring(till))
    await run(till.shop.engine, expiring(till))
    await till.take(reference="LATE1")
    await desk.work()

    assert sorted(told(receiver, "order_id", "status", "paid", "transaction_receipt")) == [
        ("order.cancelled", unwanted.public_id, "cancelled", "0.00", None),
        ("order.expired", late.public_id, "expired", "0.00", None),
    ]


async def test_a_refused_payment_and_a_transaction_rolled_back_tell_nothing(
    till: Till, desk: Desk, receiver: Receiver
) -> None:
    signed = await desk.endpoint(receiver.url)
    await till.order(shillings=1000, reference="SHOES12")

    async def fails(connection: AsyncConnection) -> None:
        await expiring(till)(connection)
        raise RuntimeError("and then it fails")

    till.shop.clock.advance(seconds=1800)
    with pytest.raises(RuntimeError):
        await run(till.shop.engine, fails)
    await till.take(reference="SHOES12")

    assert await desk.deliveries(signed.endpoint) == []


async def test_each_endpoint_of_the_shop_is_told_and_no_other_partners(
    till: Till, desk: Desk, receiver: Receiver, other_receiver: Receiver
) -> None:
    async def rival(connection: AsyncConnection) -> int:
        made = await partners.create_partner(
            connection,
            ledger=till.shop.ledger,
            code="rival",
            name="Rival",
            payout_fee=Money("KES", 0),
            ids=till.shop.ids,
            now=till.shop.now(),
        )
        return made.id

    await desk.endpoint(receiver.url)
    await desk.endpoint(f"{receiver.url}/second")
    await desk.endpoint(other_receiver.url, partner_id=await run(till.shop.engine, rival))
    await till.order(reference="SHOES12")
    await till.take(reference="SHOES12")
    await desk.work()

    assert told(receiver) == [("order.paid",), ("order.paid",)]
    assert len({one.id for one in receiver.taken}) == 2
    assert other_receiver.arrivals == []


async def test_a_later_change_of_an_order_waits_for_the_earlier_one_and_no_other_order_does(
    till: Till, desk: Desk, receiver: Receiver
) -> None:
    await desk.endpoint(receiver.url)
    first, second = await till.order(reference="FIRST1"), await till.order(reference="SECOND1")
    refusing = True

    async def refuse_first(arrival: Arrival) -> int:
        return 500 if refusing and arrival.content["order_id"] == first.public_id else 200

    receiver.behave = refuse_first
    await till.take(shillings=400, reference="FIRST1")
    await till.take(shillings=600, reference="FIRST1")
    await desk.work()
    await till.take(reference="SECOND1")
    await desk.work()
    before, refusing = told(receiver, "order_id"), False
    await desk.pass_time(timedelta(seconds=6), step=timedelta(seconds=6))

    tried = [one.content["type"] for one in receiver.arrivals if one.content["order_id"] == first.public_id]
    assert before == [("order.paid", second.public_id)]
    assert tried == ["order.part_paid", "order.part_paid", "order.paid"]
    assert told(receiver, "order_id")[1:] == [
        ("order.part_paid", first.public_id),
        ("order.paid", first.public_id),
    ]
    same = [one.body for one in receiver.arrivals if one.content["type"] == "order.part_paid"]
    assert same[0] == same[1]


async def test_what_is_given_up_of_an_order_is_a_case_until_it_is_sent_again_and_taken(
    till: Till, desk: Desk, receiver: Receiver
) -> None:
    signed = await desk.endpoint(receiver.url)
    receiver.behave = answering(500)
    wanted = await till.order(reference="SHOES12")
    await till.take(reference="SHOES12")
    await desk.pass_time(timedelta(seconds=12), step=timedelta(seconds=6))
    (dead,) = await desk.deliveries(signed.endpoint)
    opened = await till.shop.rows(_CASES)

    async def replay(connection: AsyncConnection) -> int:
        return await history.replay_dead(
            connection, ledger_id=till.shop.ledger.id, partner_id=None, endpoint_id=signed.endpoint.id,
            now=till.shop.now(),
        )  # fmt: skip

    replayed = await run(till.shop.engine, replay)
    await desk.pass_time(timedelta(seconds=12), step=timedelta(seconds=6))
    once_more = await till.shop.rows(_CASES)
    receiver.behave = answering(204)
    await run(till.shop.engine, replay)
    await desk.work()

    assert (dead.subject, dead.version) == (Subject(SubjectKind.ORDER, wanted.id), 2)
    assert (dead.state.value, dead.tries, replayed) == ("DEAD", 2, 1)
    assert [(queue, payout_id) for queue, payout_id, _ in opened] == [("webhook-dead", None)]
    assert dead.event_id in opened[0][2]
    assert once_more == opened
    assert len({(one.id, one.body) for one in receiver.arrivals}) == 1
    assert await till.shop.rows(_CASES) == []


async def test_an_endpoint_that_wants_no_more_is_a_case_that_names_it(
    till: Till, desk: Desk, receiver: Receiver, other_receiver: Receiver
) -> None:
    for name, one in (("first", receiver), ("other", other_receiver)):
        await desk.endpoint(one.url, request_id=name)
        one.behave = answering(410)
    await till.order(reference="SHOES12")
    await till.take(reference="SHOES12")
    await desk.work()

    reasons = {reason for _, _, reason in await till.shop.rows(_CASES)}
    assert len(reasons) == 2
    assert all(reason.startswith("whk_") and "410 Gone" in reason for reason in reasons)


async def test_a_partner_hears_of_its_loan_from_approval_to_its_end(
    lending: Lending, desk: Desk, receiver: Receiver
) -> None:
    await lending.product()
    signed = await desk.endpoint(receiver.url)
    loan_id = await lending.active_loan()
    await lending.pass_days(40)
    await lending.pay(loan_id, 200_000)
    receipt_id = await lending.pay(loan_id, 100_000)
    await lending.take_back(receipt_id)
    await lending.charge(loan_id, 5_000)
    await lending.fund("liab.wallet.zuri", 5_000_000)
    await lending.settle(loan_id)
    await desk.work()

    found = [one.content for one in receiver.taken if "loan_id" in one.content]
    payout = next(one.content for one in receiver.taken if one.content["type"] == "payout.settled")
    assert [(one["type"], one["status"], one["amount"]) for one in found] == [
        ("loan.approved", "approved", None),
        ("loan.disbursed", "active", "10000.00"),
        ("loan.repaid", "active", "2000.00"),
        ("loan.repaid", "active", "1000.00"),
        ("loan.repayment_returned", "active", "1000.00"),
        ("loan.charged", "active", "50.00"),
        ("loan.closed", "closed", found[-1]["amount"]),
    ]
    outstanding = [Decimal(one["outstanding"]) for one in found]
    assert outstanding[:2] == [0, 10_000]
    assert outstanding[3] == outstanding[2] - 1000
    assert outstanding[4] == outstanding[2]
    assert outstanding[5:] == [outstanding[4] + 50, 0]
    assert found[1]["transaction_receipt"] == payout["transaction_receipt"]
    assert {one["disbursement_id"] for one in found[1:]} == {payout["disbursement_id"]}
    assert {one["loan_id"] for one in found} == {(await lending.loan(loan_id)).public_id}
    assert {frozenset(one) for one in found} == {frozenset(documented("loans"))}
    versions = [one["version"] for one in found]
    assert versions == sorted(set(versions))
    assert not any(number in one.body.decode() for one in receiver.arrivals for number in (NUMBER, PAYEE))
    assert set(await desk.states(signed.endpoint)) == {"DELIVERED"}


async def test_repayments_of_one_set_are_told_each_with_what_it_left(
    lending: Lending, till: Till, desk: Desk, receiver: Receiver
) -> None:
    await lending.product()
    loan_id = await lending.active_loan()
    await desk.endpoint(receiver.url)
    reference = (await lending.loan(loan_id)).reference

    await till.tell(*(till.paid(reference=reference, shillings=1000, receipt=f"UISET{one:05}") for one in range(3)))
    await desk.work()

    assert told(receiver, "outstanding", "transaction_receipt") == [
        ("loan.repaid", "9000.00", "UISET00000"),
        ("loan.repaid", "8000.00", "UISET00001"),
        ("loan.repaid", "7000.00", "UISET00002"),
    ]


async def test_a_partner_hears_of_a_loan_that_comes_to_nothing_or_is_lost(
    lending: Lending, desk: Desk, receiver: Receiver
) -> None:
    await lending.product()
    await desk.endpoint(receiver.url)
    rejected = await lending.request()
    await lending.reject(rejected)
    failed = await lending.approved_loan()
    await lending.disburse(failed)
    await lending.fail_payout(failed)
    await lending.cancel(failed)
    lost = await lending.active_loan()
    await lending.write_off(lost)
    await lending.pay(lost, 100_000)
    await desk.work()

    by_loan: dict[str, list[tuple[str, str]]] = {}
    for one in receiver.taken:
        if "loan_id" in one.content:
            by_loan.setdefault(one.content["loan_id"], []).append((one.content["type"], one.content["outstanding"]))
    assert by_loan == {
        (await lending.loan(rejected)).public_id: [("loan.rejected", "0.00")],
        (await lending.loan(failed)).public_id: [
            ("loan.approved", "0.00"),
            ("loan.disbursement_failed", "0.00"),
            ("loan.cancelled", "0.00"),
        ],
        (await lending.loan(lost)).public_id: [
            ("loan.approved", "0.00"),
            ("loan.disbursed", "10000.00"),
            ("loan.written_off", "0.00"),
            ("loan.repaid", "0.00"),
        ],
    }
