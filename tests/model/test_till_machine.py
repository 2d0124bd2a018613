"""A till over PostgreSQL beside a model of dicts and lists. The model foretells every verdict; after every step each
receipt, order and account is where the model has it, and the books agree with their postings."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.collections import directory
from ledger.collections.allocation import Target, TargetKind, Unfit
from ledger.collections.booking import Booked
from ledger.collections.ordering import Order
from ledger.collections.receipt import Place
from ledger.database import connect, driver, run, transaction
from ledger.errors import LedgerError
from ledger.journal.trial_balance import trial_balance
from ledger.journal.verify import verify
from ledger.money import Money
from ledger.outbox.collecting import Channel, Received
from tests.fix_database import Database
from tests.ledger.collections.hands import cancelling, expiring, giving, taking_back
from tests.ledger.collections.till import (
    LANDING,
    PREFUND,
    RETURNING,
    SUSPENSE,
    UNALLOCATED,
    WALLET,
    Till,
    open_till,
)
from tests.ledger.payouts.shop import BANK, opening
from tests.model import plain_till
from tests.model.plain_till import PARTNER, PlainOrder, PlainReceipt, PlainTill, plain

Result = TypeVar("Result")

# Typed by payers, some of which mean the same; an order may ask for one of them too.
TYPED = ("AMINA 7", "amina-7", "B4", "b 4.", "whose", "0712345678", "")
shillings = st.integers(1, 4)
SETTINGS = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TillMachine(RuleBasedStateMachine):
    """One till, whatever anybody does to it. The engine and its event loop outlive the tills."""

    engine: ClassVar[AsyncEngine]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self._opened = open_till(self.engine)
        self.till: Till = self._await(self._opened.__aenter__())
        self.model = PlainTill()
        self.names: list[str] = []  # that orders were given
        self._spend(PREFUND, self.till.shop.prefunded)

    def teardown(self) -> None:
        """Leaving the till asserts that its books agree."""
        self._await(self._opened.__aexit__(None, None, None))

    def _await(self, work: Awaitable[Result]) -> Result:
        async def wait() -> Result:
            return await work

        return self.runner.run(wait())

    def _told(self, work: Awaitable[object]) -> str:
        """The reason of a refusal, "Unfit" for what a target does not take; "" where the command did its work."""
        try:
            answer = self._await(work)
        except LedgerError as refusal:
            return refusal.reason
        return "Unfit" if isinstance(answer, Unfit) else ""

    def _run(self, command: Callable[[AsyncConnection], Awaitable[object]]) -> str:
        return self._told(run(self.engine, command))

    def _spend(self, path: str, minor_units: int) -> None:
        self._await(self.till.shop.post(opening(path, BANK, minor_units, at=self.till.shop.now())))

    @initialize(path=st.sampled_from([WALLET, PREFUND]), amounts=st.lists(shillings, min_size=2, max_size=2))
    def begin(self, path: str, amounts: list[int]) -> None:
        """Something to pay into, or soon everything would be in suspense."""
        self.add_reference(TYPED[0], path)
        for amount, minutes in zip(amounts, (1, 10), strict=True):
            self.make_order("", amount, minutes)

    @rule(data=st.data(), channel=st.sampled_from(Channel), count=st.integers(2, 5))
    def tell_set(self, data: st.DataObject, channel: Channel, count: int) -> None:
        """Messages of new receipts, and of some that were told before or are in the set already."""
        self._tell(data, channel, count)

    @rule(data=st.data(), channel=st.sampled_from(Channel))
    def tell(self, data: st.DataObject, channel: Channel) -> None:
        self._tell(data, channel, 1)

    def _tell(self, data: st.DataObject, channel: Channel, count: int) -> None:
        messages: list[Received] = []
        for _ in range(count):
            messages.append(self._message(data, [one.receipt for one in messages if one.shortcode]))
        new: dict[str, int] = {}
        expected = [
            self.model.judge(one.receipt, one.amount.minor_units, ours=_is_ours(one), new=new) for one in messages
        ]

        results = self._await(self.till.tell(*messages, channel=channel))

        assert [type(one).__name__ for one in results] == expected
        booked = []
        for message, result in zip(messages, results, strict=True):
            event(type(result).__name__)
            if isinstance(result, Booked):
                booked.append(self._book(message, result.receipt_id))
        self.model.place(booked, park_unknown=False)
        self.model.cases["amount-mismatch"] += expected.count("Contradiction")
        for message, verdict in zip(messages, expected, strict=True):
            if verdict in ("Booked", "ToldBefore"):
                self.model.receipts[message.receipt].channels.add(channel.value)

    def _message(self, data: st.DataObject, told: list[str]) -> Received:
        known = [*self.model.receipts, *told]
        kinds = ["new"] * 6 + (["again"] * 3 if known else []) + ["foreign", "dollars"]
        kind = data.draw(st.sampled_from(kinds))
        paid: dict[str, Any] = {
            "reference": data.draw(st.sampled_from([*TYPED, *self.names, *self.names])),
            "shillings": data.draw(shillings),
            "completed_at": self.till.shop.now() + timedelta(seconds=data.draw(st.sampled_from([0, 0, -90, 60]))),
        }
        if kind == "again":
            paid["receipt"] = data.draw(st.sampled_from(known))
            if paid["receipt"] in self.model.receipts and data.draw(st.booleans()):
                paid["shillings"] = self.model.receipts[paid["receipt"]].amount // 100
        elif kind == "foreign":
            paid["shortcode"] = "999999"
        elif kind == "dollars":
            paid["amount"] = Money("USD", 100)
        return self.till.paid(**paid)

    def _book(self, message: Received, receipt_id: int) -> PlainReceipt:
        now = self.till.shop.now()
        receipt = PlainReceipt(
            receipt_id, message.amount.minor_units, message.reference, min(message.completed_at, now), now
        )
        self.model.book(message.receipt, receipt)
        return receipt

    @rule(reference=st.sampled_from(["", "", "", *TYPED[:4]]), amount=shillings, minutes=st.sampled_from([1, 10]))
    def make_order(self, reference: str, amount: int, minutes: int) -> None:
        made: list[Order] = []

        async def make() -> None:
            made.append(await self.till.order(shillings=amount, reference=reference, minutes=minutes))

        told = self._told(make())

        assert told == ("REFERENCE_TAKEN" if plain(reference) in self.model.references else "")
        for order in made:
            self.model.orders[order.id] = PlainOrder(amount * 100, order.money.expires_at)
            self.model.references[plain(order.reference)] = order.id
            self.names.append(order.reference)

    @precondition(lambda self: self.model.open_orders())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(sorted(self.model.orders)))

        told = self._run(cancelling(self.till, order_id))

        assert told == self.model.cancel(order_id)

    @precondition(lambda self: self.model.open_orders())
    @rule(seconds=st.sampled_from([0, 0, 61]))
    def expire(self, seconds: int) -> None:
        self.till.shop.clock.advance(seconds=seconds)
        self._run(expiring(self.till))
        self.model.expire(self.till.shop.now())

    @rule(reference=st.sampled_from(TYPED[:4]), path=st.sampled_from([WALLET, PREFUND]))
    def add_reference(self, reference: str, path: str) -> None:
        """What means this account already goes on doing so."""
        owner = PARTNER if path == PREFUND else path
        known = self.model.references.setdefault(plain(reference), owner)

        told = self._told(self.till.add_reference(reference, path=path))

        assert told == ("" if known == owner else "REFERENCE_TAKEN")

    @precondition(lambda self: self.model.references)
    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        """All references of one target."""
        target = data.draw(st.sampled_from(sorted(self.model.references.values(), key=str)))
        wanted = _target(target)

        async def command(connection: AsyncConnection) -> None:
            await directory.retire(
                await driver(connection),
                ledger_id=self.till.shop.ledger.id,
                kind=wanted.kind,
                target_ids=[wanted.id],
                now=self.till.shop.now(),
            )

        assert self._run(command) == ""
        left = {name: one for name, one in self.model.references.items() if one != target}
        self.model.references = left

    @precondition(lambda self: self.model.receipts)
    @rule(seconds=st.sampled_from([1, 61, 299, 601]))
    def tick(self, seconds: int) -> None:
        self.till.shop.clock.advance(seconds=seconds)

    @precondition(lambda self: any(one.waits[plain_till.UNALLOCATED] for one in self.model.receipts.values()))
    @rule(seconds=st.sampled_from([0, 300, 300]))
    def settle_waiting(self, seconds: int) -> None:
        self.till.shop.clock.advance(seconds=seconds)
        waiting = self.model.waiting(self.till.shop.now())

        settled = self._await(self.till.settle_waiting())

        assert settled == len(waiting)
        event("settled" if waiting else "nothing to settle")
        self.model.place(waiting, park_unknown=True)

    @precondition(lambda self: any(one.waits.total() for one in self.model.receipts.values()))
    @rule(data=st.data(), source=st.sampled_from([Place.UNALLOCATED, Place.SUSPENDED]), part=st.integers(1, 3))
    def give(self, data: st.DataObject, source: Place, part: int) -> None:
        """By hand: all that waits there, a part of it, or more than it."""
        receipts = self.model.receipts
        waiting = [number for number, one in receipts.items() if one.waits[source.value]]
        receipt = receipts[data.draw(st.sampled_from(waiting or list(receipts)))]
        targets: list[plain_till.Target] = [WALLET, PARTNER, *self.model.orders]
        target = data.draw(st.sampled_from(targets))
        amount = max(1, receipt.waits[source.value] // part + data.draw(st.sampled_from([0, 0, 0, 1])))

        told = self._run(giving(self.till, receipt.id, _target(target), amount, source=source))

        assert told == self.model.give(receipt, target, amount, source.value)
        event(f"given by hand: {told or 'done'}")

    @precondition(lambda self: any(one.given for one in self.model.receipts.values()))
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        receipts = self.model.receipts
        receipt = receipts[data.draw(st.sampled_from([number for number, one in receipts.items() if one.given]))]
        had = len(receipt.given)

        told = self._run(taking_back(self.till, receipt.id))

        assert told == self.model.take_back(receipt)
        event(f"taken back: {told or had}")

    @precondition(lambda self: self.model.accounts[WALLET] + self.model.accounts[PARTNER])
    @rule(owner=st.sampled_from([WALLET, PARTNER]), part=st.integers(1, 2))
    def spend(self, owner: str, part: int) -> None:
        """The owner's money is gone: what was wrongly theirs may be as well."""
        amount = self.model.accounts[owner] // part
        if amount:
            self._spend(PREFUND if owner == PARTNER else owner, amount)
            self.model.accounts[owner] -= amount

    @invariant()
    def all_is_where_the_model_has_it(self) -> None:
        self._await(self._look())

    async def _look(self) -> None:
        shop, ledger_id = self.till.shop, self.till.shop.ledger.id
        async with transaction(self.engine) as connection:
            session = await driver(connection)
            receipts, orders, balances, cases, facts = [
                await (await session.execute(query, (ledger_id,))).fetchall()
                for query in (_RECEIPTS, _ORDERS, _BALANCES, _CASES, _FACTS)
            ]
            report = await verify(connection, ledger_id=ledger_id)
            proof = await trial_balance(connection, ledger_id=ledger_id)
        assert {row[0]: row[1:] for row in receipts} == {
            number: (*one.holdings, one.amount, 0, sorted(one.channels)) for number, one in self.model.receipts.items()
        }
        assert {row[0]: row[1:] for row in orders} == {
            order_id: (one.state, self.model.paid(order_id), one.events, one.events)
            for order_id, one in self.model.orders.items()
        }
        keys = ((LANDING, plain_till.LANDING), (UNALLOCATED, plain_till.UNALLOCATED), (SUSPENSE, plain_till.SUSPENSE))
        expected = {path: self.model.accounts[key] for path, key in (*keys, (WALLET, WALLET), (PREFUND, PARTNER))}
        expected[LANDING] += shop.float_opening
        held: dict[str, int] = dict(balances)
        assert {path: held[path] for path in expected} == expected
        waiting = [sum(one.holdings[place] for one in self.model.receipts.values()) for place in (0, 1)]
        assert [held[UNALLOCATED], held[SUSPENSE], held[RETURNING]] == [*waiting, 0]
        assert Counter(dict(cases)) == +self.model.cases
        assert facts == [(len(self.model.receipts), len(self.model.receipts), 0)]
        assert report.agrees, report.differences
        assert all(total.debits == total.credits for total in proof.totals)


def _is_ours(message: Received) -> bool:
    return message.shortcode != "999999" and message.amount.currency == "KES"


def _target(target: plain_till.Target) -> Target:
    if isinstance(target, int):
        return Target(TargetKind.ORDER, str(target))
    return Target(TargetKind.ACCOUNT, PREFUND if target == PARTNER else target)


_RECEIPTS = """
SELECT receipt, unallocated, suspended, allocated, (
    SELECT e.amount FROM receipt_events AS e WHERE e.ledger_id = r.ledger_id AND e.receipt_id = r.id AND e.version = 1
), allocated - (
    SELECT coalesce(sum(a.amount), 0)::bigint FROM allocations AS a
    WHERE a.ledger_id = r.ledger_id AND a.receipt_id = r.id AND a.undone_entry_id IS NULL
), ARRAY(SELECT channel FROM receipt_evidence AS v WHERE v.ledger_id = r.ledger_id AND v.receipt_id = r.id ORDER BY 1)
FROM receipts AS r WHERE ledger_id = %s
"""
_ORDERS = """
SELECT id, state, (
    SELECT paid FROM order_events AS v WHERE v.ledger_id = o.ledger_id AND v.order_id = o.id AND v.version = o.version
), version, (SELECT count(*) FROM order_events AS v WHERE v.ledger_id = o.ledger_id AND v.order_id = o.id)
FROM orders AS o WHERE ledger_id = %s
"""
_BALANCES = """
SELECT a.path, ((b.debits - b.credits) * CASE a.normal_side WHEN 'D' THEN 1 ELSE -1 END)::bigint
FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.ledger_id = %s
"""
_CASES = "SELECT queue, count(*)::int FROM reviews WHERE ledger_id = %s GROUP BY queue"
# Entries that book receipts, how many receipts they are about, and entries about receipts that no event names.
_FACTS = """
SELECT count(*) FILTER (WHERE kind = 'collection.received'),
    count(DISTINCT reference) FILTER (WHERE kind = 'collection.received'),
    count(*) FILTER (WHERE NOT EXISTS (
        SELECT FROM receipt_events AS v WHERE v.ledger_id = e.ledger_id AND v.entry_id = e.id))
FROM journal_entries AS e WHERE ledger_id = %s AND subject_kind = 'collection'
"""


def test_the_model_foretells_where_all_money_is(database: Database) -> None:
    with asyncio.Runner() as loop:

        class Machine(TillMachine):
            engine = connect(database.app, pool_size=2, application_name="tests-model")
            runner = loop

        run_state_machine_as_test(Machine, settings=SETTINGS)
        loop.run(Machine.engine.dispose())
