"""A history of money in: shops, customers, lenders and their paybill, beside everything that befalls a payout."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import LiteralString

from ledger.ids import IdSource
from tests.simulation import adversaries, asks, clerks, customers, processes, till_books, till_operator
from tests.simulation.actors import Actor, current
from tests.simulation.asks import Ask
from tests.simulation.books import Opened
from tests.simulation.checker import Checker
from tests.simulation.checks_of_money_in import CLOCK_DOUBT, MoneyInChecker
from tests.simulation.customers import Meant, Payment
from tests.simulation.history import API, WORKERS, Act, History
from tests.simulation.lenders import Loan, make_loans
from tests.simulation.options import Options
from tests.simulation.outcome import Arena
from tests.simulation.parts_of_money_in import LIST_INTERVAL, WAITING_PATIENCE
from tests.simulation.processes import Process, Work
from tests.simulation.shops import ShopOrder, ShopPrompt, make_orders, make_prompts, make_return

# How often a borrower pays at the end, until the loan is closed.
PAYMENTS_MAX = 4
# How long before its end a history asks for the list a last time.
LAST_LOOK = timedelta(minutes=10)
LAST_ROUNDS = 5
# How often everybody works before the troubles begin, where they begin late.
MORNING_ROUNDS = 6
_OWED: LiteralString = """
SELECT coalesce(sum(b.debits - b.credits), 0)::bigint FROM accounts AS a
JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.owner_kind = 'loan' AND a.owner_ref = %s AND a.path ~ '^(asset|memo[.]p2p_loans)'
"""
_RETURNABLE: LiteralString = "SELECT id, amount FROM receipts WHERE returned + returning_now < amount ORDER BY id"
_DUE: LiteralString = """
SELECT 'prompts', min(due_at) FROM instructions WHERE done_at IS NULL AND kind LIKE 'prompt.%%'
UNION ALL SELECT 'returns', min(due_at) FROM instructions WHERE done_at IS NULL AND kind LIKE 'return.%%'
UNION ALL SELECT 'checks', min(due_at) FROM instructions WHERE done_at IS NULL AND kind LIKE 'receipt.%%'
UNION ALL SELECT 'waiting', least(
    (SELECT min(created_at) + %(waiting)s FROM receipts WHERE unallocated > 0),
    (SELECT min(expires_at) FROM orders WHERE state = 'OPEN'))
UNION ALL SELECT 'loans', min((worked_before + 1)::timestamp AT TIME ZONE 'Africa/Nairobi') FROM loans
    WHERE state = 'ACTIVE'
UNION ALL SELECT 'receipts', coalesce((SELECT max(made_at) FROM collection_calls WHERE purpose = 'list'),
    '2000-01-01Z') + %(listing)s
UNION ALL
"""


class MoneyInHistory(History):
    """Lives one through."""

    def __init__(self, options: Options, arena: Arena) -> None:
        super().__init__(options, arena)
        self.orders: list[ShopOrder] = []
        self.prompts: list[ShopPrompt] = []
        self.loans: list[Loan] = []
        self.returns: list[Ask] = []
        self.decisions: list[Ask] = []
        self.clerks: list[Ask] = []
        self.noticed: set[str] = set()
        self.is_morning = False
        self.paid: list[Payment] = []
        self.meant: dict[str, Meant] = {}
        self.slept = options.loans == 0
        self._seen: tuple[int, ...] = ()
        self._at_a_time = options.calls_max == 1

    @property
    def asks(self) -> list[Ask]:
        """All commands that somebody wants carried out."""
        made = [one.ask for one in self.orders]
        made += [one.ask for one in self.prompts if one.may_be_asked]
        made += [ask for loan in self.loans for ask in loan.asks]
        return [*made, *self.returns, *self.decisions, *self.clerks]

    def checker(self, opened: Opened) -> Checker:
        """Who judges it."""
        return MoneyInChecker(self.arena.ground.session, opened, self.daraja, lambda: self.asks)

    @property
    def paths(self) -> list[str]:
        """Where the provider was told to answer, and to tell of money."""
        paybill = self.daraja.paybill
        found = [one.url for one in paybill.asked] + [one.result_url for one in paybill.reversals]
        return super().paths + found + ([paybill.confirmation_url] if paybill.confirmation_url else [])

    def counts(self) -> dict[str, int]:
        """What there was of everything."""
        session = self.arena.ground.session
        rows = session.execute(_COUNTS).fetchall()
        return {"paid in at the provider": len(self.daraja.paybill.taken), **{name: int(n) for name, n in rows}}

    def _waits(self) -> bool:
        # The answer to a provider's question has a deadline in real seconds: it is given at one go.
        waits, actor = super()._waits(), current.get()
        return waits and (actor is None or actor.work != "question")

    async def _begin(self) -> Opened:
        opened = await super()._begin()
        now, options = self.clock.now(), self.options
        self.orders = make_orders(self.chance, opened.partners, options.orders, now)
        self.prompts = make_prompts(self.chance, self.orders, options.prompts)
        self.loans = make_loans(self.chance, options.loans)
        if options.morning:
            await self._live_a_calm_morning(opened)
        return opened

    def _dies(self, actor: Actor, point: str) -> bool:
        return not self.is_morning and super()._dies(actor, point)

    async def _live_a_calm_morning(self, opened: Opened) -> None:
        """Loans are paid out, and some customers pay, before anything goes wrong."""
        self.is_morning = self.healed = True
        self.note("a calm morning")
        await self._begin_healing(opened)
        for _ in range(MORNING_ROUNDS):
            self._look_at_loans()
            wanted = [one.ask for one in self.orders] + [ask for loan in self.loans for ask in loan.asks]
            for ask in [one for one in wanted if one.is_open]:
                await self._send(opened, ask)
            if len(self.paid) < self.options.payments // 2:
                await self._customer()
            await super()._work_for_good(opened)
            due = self.daraja.next_due()
            self.clock.advance((due - self.clock.now()).total_seconds() if due else 5.0)
        self.is_morning = self.healed = False
        self.doom += self.stage.passed.total()

    @property
    def _layout(self) -> str:
        return f"till_{self.options.partners}_{self.options.validates}".lower()

    async def _lay_books(self, process: Process) -> Opened:
        opened = await super()._lay_books(process)
        ids = IdSource(random.Random(f"{self._layout} money in"))
        validates, now = self.options.validates, self.clock.now()
        await till_books.open_till(process.engine, opened, validates=validates, ids=ids, now=now)
        return opened

    def _choices(self, opened: Opened) -> dict[str, tuple[float, Act]]:
        found = super()._choices(opened)
        paybill = self.daraja.paybill
        if paybill.moments():
            found["provider"] = (2.0, self._provider_works)
        if not paybill.confirmation_url:
            found["register"] = (3.0, lambda: self._register(opened))
        if any(one.is_open for one in self.asks):
            found["ask"] = (2.5, lambda: self._ask_one(opened))
        if len(self.paid) < self.options.payments:
            found["customer"] = (2.0, self._customer)
        if not self.slept:
            found["sleep"] = (0.3, self._sleep)
        if self.loans:
            self._look_at_loans()
        return found

    def _adversaries(self, opened: Opened) -> Mapping[str, tuple[float, Act]]:
        return {
            **adversaries.acts(self, opened),
            "repeater": (1.0, lambda: self._repeat(opened)),
            "stranger": (0.4, lambda: self._pry(opened)),
            "forger": (0.8, lambda: adversaries.forge_payment(self, opened)),
            "returner": (0.6 if self.options.returns < 3 else 2.0, self._want_return),
            "reverser": (0.6, lambda: clerks.claw_or_notice(self, opened)),
            "insider": (0.5, lambda: adversaries.forge_on_the_true_path(self, opened)),
            "allocator": (0.8, partial(self._want_decision, "allocator", till_operator.allocate)),
            "misallocator": (0.5, partial(self._want_decision, "misallocator", till_operator.misallocate)),
        }

    # What may happen.

    async def _register(self, opened: Opened) -> None:
        worker = self.processes[self.chance.choice(WORKERS)]
        shortcode = till_books.paybill(validates=self.options.validates)

        async def register() -> None:
            await worker.parts["recovery"].register(opened.ledger, shortcode)

        await self.act(worker.name, "register", register())

    async def _customer(self) -> None:
        await customers.pay(self)

    async def _sleep(self) -> None:
        self.slept = True
        self.note("a night passes")
        self.clock.advance(self.chance.uniform(16, 26) * 3_600)

    async def _ask_one(self, opened: Opened) -> None:
        asking = {one.name for one in self.stage.waiting if one.process == API}
        waiting = [one for one in self.asks if one.is_open and f"ask {one.name}" not in asking]
        if waiting:
            await self._send(opened, self.chance.choice(waiting))

    async def _send(self, opened: Opened, ask: Ask) -> None:
        await self.act(API, f"ask {ask.name}", asks.ask(self.processes[API], opened.ledger, ask))

    async def _repeat(self, opened: Opened) -> None:
        """A command again, as it was or changed."""
        answered = [one for one in self.asks if one.answers]
        if not answered:
            return
        self.troubles["repeater"] += 1
        ask = self.chance.choice(answered)
        if self.chance.random() < 0.4:
            told: list[str] = []
            changed = asks.ask_changed(self.processes[API], opened.ledger, ask, told)
            await self.act(API, f"ask {ask.name} changed", changed)
            self.told += [("changed", one) for one in told]
        else:
            await self._send(opened, ask)

    async def _pry(self, opened: Opened) -> None:
        """Another partner asks for an order that is not its own."""
        known = [one for one in self.orders if one.is_known]
        if not known:
            return
        self.troubles["stranger"] += 1
        order = self.chance.choice(known)
        others = [one.id for one in opened.partners if one.id != order.partner.id] or [adversaries.NOBODY]
        told: list[str] = []
        assert order.ask.answer is not None
        work = adversaries.look_at_order(self.processes[API], opened.ledger, others[0], order.ask.answer, told)
        await self.act(API, "pry", work)
        self.told += [("stranger", one) for one in told]

    async def _want_return(self) -> None:
        found = self.arena.ground.session.execute(_RETURNABLE).fetchall()
        if found and len(self.returns) < self.options.returns:
            self.troubles["returner"] += 1
            receipt_id, amount = self.chance.choice(found)
            cents = self.chance.choice([None, amount // 200 * 100 or None])
            self.returns.append(make_return(len(self.returns), receipt_id, cents))

    async def _want_decision(self, trouble: str, decide: Callable[[MoneyInHistory], Ask | None]) -> None:
        decision = decide(self)
        if decision is not None:
            self.troubles[trouble] += 1
            self.decisions.append(decision)

    def _look_at_loans(self) -> None:
        seen = (self.arena.engines.watch.commits, *(len(one.ask.answers) for one in self.loans))
        if self._seen != seen:  # nothing is new before somebody commits, or is told which loan is his
            self._seen = seen
            for loan in self.loans:
                loan.look(self.arena.ground.session)

    # Its end.

    async def _begin_healing(self, opened: Opened) -> None:
        while not self.daraja.paybill.confirmation_url:
            await self._register(opened)

    async def _work_for_good(self, opened: Opened) -> None:
        for _ in range(3):  # an order, then what is asked towards it; a loan, its approval, its payout
            self._look_at_loans()
            for ask in [one for one in self.asks if one.is_open]:
                await self._send(opened, ask)
        for loan in self.loans:
            await self._pay_off(loan)
        await self._notice(opened)
        await super()._work_for_good(opened)

    async def _notice(self, opened: Opened) -> None:
        """Somebody looks what the provider took back."""
        await clerks.notice_all(self, opened)

    async def _pay_off(self, loan: Loan) -> None:
        under_way = [one for one in self.daraja.paybill.attempts if one.typed == loan.reference]
        if loan.state == "ACTIVE" and loan.payments < PAYMENTS_MAX and not under_way:
            name = loan.long_reference.replace("LOAN-", "loan_").lower()
            row = self.arena.ground.session.execute(_OWED, (name,)).fetchone()
            if row is not None and row[0] > 0:
                await customers.pay_loan_off(self, loan, int(row[0]))
        elif loan.state == "CLOSED" and not loan.paid_once_more and "paid-late" in self.options.troubles:
            loan.paid_once_more = True
            await customers.pay_loan_off(self, loan, 30_000)

    @property
    def _works(self) -> Mapping[str, Work]:
        return processes.ALL_WORKS

    async def _ask_for_balances(self) -> None:
        """And what ends in these last minutes ends, and is told; a bug may leave it due for ever."""
        await super()._ask_for_balances()
        for work in ("waiting", "webhooks") * LAST_ROUNDS:
            if work in self._due_now():
                await self.act(WORKERS[0], work, self._works[work](self.processes[WORKERS[0]]))

    def _due(self) -> dict[str, datetime]:
        """In the end the list is asked for until it has shown all there is, and once more before the history closes:
        what comes in meanwhile sets the clock back."""
        due = super()._due()
        if self.healed and not self.is_morning:
            asked_at, healed_at = due["receipts"] - LIST_INTERVAL, self.ends_at - self._healing
            shown = all(one.listed_from < asked_at for one in self.daraja.paybill.taken)
            # Before that, by whichever clock, its answer may have died with its process.
            if shown and asked_at > healed_at + CLOCK_DOUBT:
                due["receipts"] = max(due["receipts"], self.ends_at - LAST_LOOK)
        return due

    def _next_rest(self, end: datetime) -> float:
        """People look in as often as the list was asked for."""
        return min(super()._next_rest(end), LIST_INTERVAL.total_seconds())

    def _due_query(self) -> tuple[LiteralString, dict[str, timedelta]]:
        query, parameters = super()._due_query()
        return _DUE + query, {**parameters, "waiting": WAITING_PATIENCE, "listing": LIST_INTERVAL}


_COUNTS: LiteralString = """
SELECT 'receipts booked', count(*) FROM receipts
UNION ALL SELECT 'receipts told more than once', count(*) FROM (SELECT FROM receipt_evidence
    GROUP BY ledger_id, receipt_id HAVING count(*) > 1) AS e
UNION ALL SELECT 'receipts with money in suspense at the end', count(*) FROM receipts WHERE suspended > 0
UNION ALL SELECT 'allocations', count(*) FROM allocations
UNION ALL SELECT 'allocations undone', count(*) FROM allocations WHERE undone_entry_id IS NOT NULL
UNION ALL SELECT 'orders ' || lower(state), count(*) FROM orders GROUP BY state
UNION ALL SELECT 'prompts ' || lower(state), count(*) FROM prompts GROUP BY state
UNION ALL SELECT 'returns ' || lower(state), count(*) FROM returns GROUP BY state
UNION ALL SELECT 'loans ' || lower(state), count(*) FROM loans GROUP BY state
"""
