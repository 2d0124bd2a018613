"""The journal in PostgreSQL beside a model of lists and dicts. The model foretells every verdict; after every step the
books balance, agree with their postings, and hold what they held before."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
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
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import connect, run
from ledger.errors import LedgerError
from ledger.idempotency import KeyClaim, claim
from ledger.journal.accounts import close_account, open_accounts, set_bounds
from ledger.journal.decide import Posted, PostRequest, Refused, Replayed
from ledger.journal.entry import JournalEntry, Posting, Side, Source
from ledger.journal.post import PostResult
from ledger.journal.trial_balance import trial_balance
from ledger.journal.verify import verify
from ledger.money import Money
from tests.builders import NOW, account, open_books
from tests.fix_database import Database
from tests.model import requests as colliding
from tests.model.plain_books import Accepted, Denied, Name, PlainAccount, PlainBooks, Repeated, Verdict

Result = TypeVar("Result")

PATHS = (*colliding.PATHS, *colliding.MEMO_PATHS)
names = st.sampled_from([*((path, "KES") for path in PATHS), ("asset.bank", "RWF"), ("liab.nobody", "KES")])
# Most accounts stay open, or soon nothing would happen any more.
names_to_close = st.sampled_from(
    [("asset.till", "KES"), ("liab.wallet.2", "KES"), ("asset.bank", "RWF"), ("liab.nobody", "KES")]
)
SETTINGS = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class JournalMachine(RuleBasedStateMachine):
    """One ledger, whatever anybody does to it. The engine and its event loop outlive the ledgers."""

    engine: ClassVar[AsyncEngine]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.books = self._await(open_books(self.engine, accounts=[]))
        self.model = PlainBooks()
        self.ids: list[int] = []  # of the entries, by their numbers in the model
        self.now = NOW + timedelta(days=1)  # so that nothing lies ahead of it, however often it jumps back
        self.seen: dict[str, str] = {}

    def _await(self, work: Awaitable[Result]) -> Result:
        async def wait() -> Result:
            return await work

        return self.runner.run(wait())

    def _told(self, command: Callable[[AsyncConnection], Awaitable[object]]) -> str | None:
        """The reason of a refusal; None where the command did its work."""
        try:
            self._await(run(self.books.engine, command))
        except LedgerError as refusal:
            return refusal.reason
        return None

    @initialize(
        bounds=st.lists(st.tuples(colliding.bounds, colliding.bounds), min_size=len(PATHS), max_size=len(PATHS))
    )
    def open_all(self, bounds: tuple[tuple[int | None, int | None], ...]) -> None:
        for path, (floor, ceiling) in zip(PATHS, bounds, strict=True):
            self.open_account((path, "KES"), floor, ceiling)

    @rule(name=names, floor=colliding.bounds, ceiling=colliding.bounds)
    def open_account(self, name: Name, floor: int | None, ceiling: int | None) -> None:
        """An account that is there stays as it is."""
        path, currency = name
        floor, ceiling = min(floor, 0) if floor is not None else None, max(ceiling, 0) if ceiling is not None else None
        spec = account(path, currency=currency, floor=floor, ceiling=ceiling)

        async def open_it(connection: AsyncConnection) -> None:
            await open_accounts(
                connection, ledger_id=self.books.ledger.id, specs=[spec, spec], ids=self.books.ids, now=self.now
            )

        assert self._told(open_it) is None
        self.model.accounts.setdefault(name, PlainAccount(spec.normal_side, floor, ceiling))

    @rule(requests=st.lists(colliding.requests(), min_size=1, max_size=6))
    def post(self, requests: list[PostRequest]) -> None:
        self._post(requests)

    @rule(request=colliding.requests())
    def post_one(self, request: PostRequest) -> None:
        self._post([request])

    @precondition(lambda self: self.model.keys)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Keys that have their answer: as they were, and with other content, beside something new."""
        key, number = data.draw(st.sampled_from(sorted(self.model.keys.values(), key=lambda pair: pair[1])))
        entry = self.model.entries[number]
        other = key._replace(request_hash=bytes(16))
        self._post([PostRequest(entry, "tests", key), PostRequest(entry, "tests", other), PostRequest(entry, "tests")])

    def _post(self, requests: list[PostRequest]) -> None:
        expected = [self.model.post(request) for request in requests]

        verdicts = self._await(self.books.try_post(*requests, now=self.now))

        self._compare(verdicts, expected)

    def _compare(self, verdicts: list[PostResult], expected: list[Verdict]) -> None:
        for verdict, foretold in zip(verdicts, expected, strict=True):
            event(foretold.reason if isinstance(foretold, Denied) else type(foretold).__name__)
            match foretold:
                case Accepted(lines=lines):
                    assert isinstance(verdict, Posted), verdict
                    assert [(one.account_version, one.balance_after) for one in verdict.lines] == list(lines)
                    self.ids.append(verdict.entry_id)
                case Repeated(number):
                    assert verdict == Replayed(self.ids[number])
                case Denied(reason):
                    assert isinstance(verdict, Refused), verdict
                    assert verdict.error.reason == reason

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data(), more=st.sampled_from([None, -1, 0, 1, 1]), used=st.one_of(st.none(), colliding.keys()))
    def reverse(self, data: st.DataObject, more: int | None, used: KeyClaim | None) -> None:
        """Of one debit and one credit a bit less than what is left of the first, all of it, or more; or everything."""
        key = used or claim(client_id=3, key=f"reversal of {self.now}", method="reverse", content=b"")
        number = data.draw(st.integers(0, len(self.model.entries) - 1))
        left = {line: rest for line, rest in self.model.left(number).items() if rest}
        lines = left if more is None else self._pair(number, max(1, self.model.left(number)[1] + more))
        if not lines:
            return
        self.now += timedelta(seconds=1)
        expected = self.model.reverse(number, lines, self._reversal(number, lines), key)

        try:
            asked = None if more is None else lines
            verdict: PostResult = self._await(
                self.books.reverse(self.ids[number], lines=asked, claimed=key, now=self.now)
            )
        except LedgerError as refusal:
            verdict = Refused(refusal)

        self._compare([verdict], [expected])

    def _pair(self, number: int, units: int) -> dict[int, int]:
        postings = list(enumerate(self.model.entries[number].postings, start=1))
        first, one = postings[0]
        second = next(
            line
            for line, other in postings
            if other.side is not one.side and other.account.startswith("memo.") == one.account.startswith("memo.")
        )
        return {first: units, second: units}

    def _reversal(self, number: int, lines: dict[int, int]) -> JournalEntry:
        original = self.model.entries[number]
        postings = tuple(
            Posting(one.account, one.side.opposite, Money(one.money.currency, lines[line]))
            for line, one in enumerate(original.postings, start=1)
            if line in lines
        )
        return replace(original, kind="reversal", postings=postings, source=Source.API, once=False)

    @precondition(lambda self: self.model.entries)
    @rule(name=names_to_close)
    def close(self, name: Name) -> None:
        path, currency = name

        async def close_it(connection: AsyncConnection) -> None:
            await close_account(connection, ledger_id=self.books.ledger.id, path=path, currency=currency, now=self.now)

        assert self._told(close_it) == self.model.close(name)

    @rule(name=names, floor=colliding.bounds, ceiling=colliding.bounds)
    def bound(self, name: Name, floor: int | None, ceiling: int | None) -> None:
        path, currency = name

        async def bound_it(connection: AsyncConnection) -> None:
            await set_bounds(
                connection, ledger_id=self.books.ledger.id, path=path, currency=currency, floor=floor, ceiling=ceiling
            )

        assert self._told(bound_it) == self.model.set_bounds(name, floor, ceiling)

    @rule(seconds=st.integers(-300, 86_400))
    def tick(self, seconds: int) -> None:
        """The clock runs, now and then backwards."""
        self.now += timedelta(seconds=seconds)

    @invariant()
    def the_books_are_in_order(self) -> None:
        self._await(self._look())

    async def _look(self) -> None:
        ledger_id = self.books.ledger.id
        async with self.books.reading() as connection:
            report = await verify(connection, ledger_id=ledger_id)
            proof = await trial_balance(connection, ledger_id=ledger_id)
            held = await _holdings(connection, ledger_id)
            rows = await _history(connection, ledger_id)
        assert report.agrees, report.differences
        assert all(total.debits == total.credits for total in proof.totals)
        assert held == {name: _holding(plain) for name, plain in self.model.accounts.items()}
        assert sorted(self.ids) == self.ids
        assert report.entries == len(self.ids)
        assert self.seen.items() <= rows.items(), "history changed"
        self.seen = rows


def _holding(plain: PlainAccount) -> tuple[Any, ...]:
    """Debits, credits, version, floor, ceiling and whether it is closed."""
    totals = (plain.total(Side.DEBIT), plain.total(Side.CREDIT), len(plain.lines))
    return (*totals, plain.floor, plain.ceiling, plain.closed)


async def _holdings(connection: AsyncConnection, ledger_id: int) -> dict[Name, tuple[Any, ...]]:
    """The same of every account as its balance row has it."""
    rows = await connection.execute(
        text(
            "SELECT path, currency, debits, credits, version, floor, ceiling, closed_at IS NOT NULL FROM accounts AS a "
            "JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id "
            "WHERE a.ledger_id = :ledger"
        ),
        {"ledger": ledger_id},
    )
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}


async def _history(connection: AsyncConnection, ledger_id: int) -> dict[str, str]:
    """Every row of what is append-only, by its key."""
    keys = {
        "journal_entries": "id",
        "postings": "entry_id, line",
        "idempotency_keys": "client_id, key",
        "reversal_links": "reversing_entry_id, reversing_line",
    }
    parts = [
        f"SELECT concat_ws(' ', '{table}', {key}), t::text FROM {table} AS t WHERE ledger_id = :ledger"
        for table, key in keys.items()
    ]
    rows = await connection.execute(text(" UNION ALL ".join(parts)), {"ledger": ledger_id})
    return {row[0]: row[1] for row in rows}


def test_the_model_foretells_every_verdict(database: Database) -> None:
    with asyncio.Runner() as loop:

        class Machine(JournalMachine):
            engine = connect(database.app, pool_size=1, application_name="tests-model")
            runner = loop

        run_state_machine_as_test(Machine, settings=SETTINGS)
        loop.run(Machine.engine.dispose())
