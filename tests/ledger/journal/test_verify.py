"""Verify: silent over honest books, and naming each thing that somebody changed around the guards."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import connect, transaction
from ledger.journal import verify as verify_module
from ledger.journal.verify import Check, Difference, VerifyReport, verify
from tests.builders import DEFAULT_ACCOUNTS, PRINTED, Books, open_books
from tests.fix_database import Database
from tests.ledger.journal.oracle import random_books
from tests.ledger.journal.tampering import account_id, found_after, tampering, tell

BANK_DAY = "asset.bank.kcb KES 2026-11-20"


async def report_of(books: Books) -> VerifyReport:
    async with books.reading() as connection:
        return await verify(connection, ledger_id=books.ledger.id)


@pytest.mark.parametrize("seed", [8, 9])
async def test_honest_books_agree_and_are_counted(engine: AsyncEngine, seed: int) -> None:
    books = await open_books(engine)
    model = await random_books(books, seed=seed, sets=15)

    report = await report_of(books)

    assert report == VerifyReport(
        accounts=len(DEFAULT_ACCOUNTS),
        entries=len(model.facts),
        postings=sum(len(fact.draft.postings) for fact in model.facts),
        reversal_links=sum(len(fact.draft.postings) for fact in model.facts if fact.draft.reverses_id),
        differences=(),
        differences_total=0,
    )
    assert report.agrees


async def test_empty_books_agree(engine: AsyncEngine) -> None:
    books = await open_books(engine, accounts=[])

    report = await report_of(books)

    assert report.agrees
    assert (report.accounts, report.entries, report.postings, report.reversal_links) == (0, 0, 0, 0)


async def test_a_reader_may_verify_and_nothing_is_written(engine: AsyncEngine, database: Database) -> None:
    story = await tell(engine)
    reader = connect(database.reader, pool_size=1, application_name="tests")

    async with transaction(reader) as connection:
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        report = await verify(connection, ledger_id=story.books.ledger.id)

    await reader.dispose()
    assert report.agrees
    assert report.entries == 3


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE account_balances SET debits = debits + 1 WHERE ledger_id = :ledger AND debits = 500",
            [(Check.BALANCES, "asset.bank.kcb KES", "debits", "501", "500")],
        ),
        (
            "UPDATE account_balances SET credits = 3, version = 1, last_entry_id = 1 WHERE account_id = :fees",
            [
                (Check.BALANCES, "income.fees KES", "credits", "3", "0"),
                (Check.BALANCES, "income.fees KES", "last_entry_id", "1", "0"),
                (Check.BALANCES, "income.fees KES", "version", "1", "0"),
            ],
        ),
        (
            "DELETE FROM account_balances WHERE account_id = :fees",
            [
                (Check.BALANCES, "income.fees KES", field, "", "0")
                for field in ("credits", "debits", "last_entry_id", "version")
            ],
        ),
        (
            "UPDATE account_days SET credits = credits + 1 WHERE ledger_id = :ledger AND debits = 500",
            [(Check.DAYS, BANK_DAY, "credits", "201", "200")],
        ),
        (
            "DELETE FROM account_days WHERE ledger_id = :ledger AND debits = 500",
            [(Check.DAYS, BANK_DAY, "credits", "", "200"), (Check.DAYS, BANK_DAY, "debits", "", "500")],
        ),
        (
            "UPDATE account_days SET business_date = '2026-11-21' WHERE ledger_id = :ledger AND debits = 70",
            [
                (Check.DAYS, "memo.codes.printed KES 2026-11-20", "credits", "", "0"),
                (Check.DAYS, "memo.codes.printed KES 2026-11-20", "debits", "", "70"),
                (Check.DAYS, "memo.codes.printed KES 2026-11-21", "credits", "0", ""),
                (Check.DAYS, "memo.codes.printed KES 2026-11-21", "debits", "70", ""),
            ],
        ),
        (
            "UPDATE postings SET balance_after = 299 WHERE ledger_id = :ledger AND entry_id = :reversal AND line = 1",
            [(Check.CHAINS, "{reversal} asset.bank.kcb KES version 2", "balance_after", "299", "300")],
        ),
        (
            "UPDATE postings SET account_version = 3 WHERE ledger_id = :ledger AND entry_id = :reversal AND line = 1",
            [(Check.CHAINS, "{reversal} asset.bank.kcb KES version 3", "account_version", "3", "2")],
        ),
        (
            "UPDATE journal_entries SET posting_count = 3 WHERE ledger_id = :ledger AND id = :original",
            [(Check.ENTRIES, "{original}", "posting_count", "3", "2")],
        ),
        (
            "DELETE FROM postings WHERE ledger_id = :ledger AND entry_id = :memo AND line = 2",
            [
                (Check.BALANCES, "memo.codes.contra KES", "credits", "70", "0"),
                (Check.BALANCES, "memo.codes.contra KES", "last_entry_id", "{memo_id}", "0"),
                (Check.BALANCES, "memo.codes.contra KES", "version", "1", "0"),
                (Check.DAYS, "memo.codes.contra KES 2026-11-20", "credits", "70", ""),
                (Check.DAYS, "memo.codes.contra KES 2026-11-20", "debits", "0", ""),
                (Check.ENTRIES, "{memo}", "debits less credits of memorandum KES", "0", "70"),
                (Check.ENTRIES, "{memo}", "posting_count", "2", "1"),
            ],
        ),
        (
            "UPDATE postings SET amount = 71 WHERE ledger_id = :ledger AND entry_id = :memo",
            [
                (Check.BALANCES, "memo.codes.contra KES", "credits", "70", "71"),
                (Check.BALANCES, "memo.codes.printed KES", "debits", "70", "71"),
                (Check.DAYS, "memo.codes.contra KES 2026-11-20", "credits", "70", "71"),
                (Check.DAYS, "memo.codes.printed KES 2026-11-20", "debits", "70", "71"),
                (Check.CHAINS, "{memo} memo.codes.contra KES version 1", "balance_after", "-70", "-71"),
                (Check.CHAINS, "{memo} memo.codes.printed KES version 1", "balance_after", "70", "71"),
            ],
        ),
        (
            "UPDATE postings SET currency = 'USD' WHERE ledger_id = :ledger AND entry_id = :memo",
            [
                (Check.ENTRIES, "{memo} memo.codes.contra line 2", "currency", "USD", "KES"),
                (Check.ENTRIES, "{memo} memo.codes.printed line 1", "currency", "USD", "KES"),
            ],
        ),
        (
            "UPDATE journal_entries SET business_date = '2026-11-19' WHERE ledger_id = :ledger AND id = :memo",
            [
                (Check.DAYS, "memo.codes.contra KES 2026-11-19", "credits", "", "70"),
                (Check.DAYS, "memo.codes.contra KES 2026-11-19", "debits", "", "0"),
                (Check.DAYS, "memo.codes.contra KES 2026-11-20", "credits", "70", ""),
                (Check.DAYS, "memo.codes.contra KES 2026-11-20", "debits", "0", ""),
                (Check.DAYS, "memo.codes.printed KES 2026-11-19", "credits", "", "0"),
                (Check.DAYS, "memo.codes.printed KES 2026-11-19", "debits", "", "70"),
                (Check.DAYS, "memo.codes.printed KES 2026-11-20", "credits", "0", ""),
                (Check.DAYS, "memo.codes.printed KES 2026-11-20", "debits", "70", ""),
                (Check.DATES, "{memo}", "business_date", "2026-11-19", "2026-11-20"),
            ],
        ),
        (
            "UPDATE journal_entries SET effective_at = '2026-11-20 21:00+00' WHERE ledger_id = :ledger AND id = :memo",
            [(Check.DATES, "{memo}", "business_date", "2026-11-20", "2026-11-21")],
        ),
        (
            "UPDATE journal_entries SET recorded_at = '2026-11-20 09:01+00' WHERE ledger_id = :ledger AND id = :memo",
            [(Check.DATES, "{memo}", "recorded_at", "2026-11-20 09:01:00+00", "2026-11-20 09:00:00+00")],
        ),
        (
            "DELETE FROM reversal_links WHERE ledger_id = :ledger AND original_line = 1",
            [(Check.LINKS, "{reversal} line 1", "amount linked", "", "200")],
        ),
        (
            "UPDATE reversal_links SET amount = 199 WHERE ledger_id = :ledger AND original_line = 1",
            [
                (Check.LINKS, "{reversal} line 1", "amount linked", "199", "200"),
                (Check.LINKS, "{reversal} line 1", "reversed_after", "200", "199"),
            ],
        ),
        (
            "UPDATE reversal_links SET ordinal = 2 WHERE ledger_id = :ledger AND original_line = 1",
            [(Check.LINKS, "{reversal} line 1", "ordinal", "2", "1")],
        ),
        (
            "UPDATE reversal_links SET reversed_after = 500 WHERE ledger_id = :ledger AND original_line = 2",
            [(Check.LINKS, "{reversal} line 2", "reversed_after", "500", "200")],
        ),
        (
            "UPDATE reversal_links SET amount = 501 WHERE ledger_id = :ledger AND original_line = 2",
            [
                (Check.LINKS, "{reversal} line 2", "amount linked", "501", "200"),
                (Check.LINKS, "{reversal} line 2", "reversed in all", "501", "500"),
                (Check.LINKS, "{reversal} line 2", "reversed_after", "200", "501"),
            ],
        ),
        (
            "UPDATE reversal_links SET reversing_entry_id = :memo WHERE ledger_id = :ledger AND original_line = 1",
            [
                (Check.LINKS, "{reversal} line 1", "amount linked", "", "200"),
                (Check.LINKS, "{memo} line 1", "amount linked", "200", ""),
            ],
        ),
        (
            "UPDATE journal_entries SET reverses_id = :memo WHERE ledger_id = :ledger AND id = :reversal",
            [
                (Check.LINKS, "{reversal} line 1", "original_entry_id", "{original_id}", "{memo_id}"),
                (Check.LINKS, "{reversal} line 2", "original_entry_id", "{original_id}", "{memo_id}"),
            ],
        ),
    ],
)
async def test_names_what_was_changed_and_nothing_else(
    engine: AsyncEngine, database: Database, statement: str, expected: list[tuple[Check, str, str, str, str]]
) -> None:
    story = await tell(engine)
    names = {**story.places, **{f"{name}_id": str(entry_id) for name, entry_id in story.names.items()}}

    found = await found_after(database, story, statement)

    assert list(found) == [
        Difference(check, place.format(**names), field, stored.format(**names), rebuilt.format(**names))
        for check, place, field, stored, rebuilt in expected
    ]


async def test_names_an_entry_without_postings_and_postings_without_an_entry(
    engine: AsyncEngine, database: Database
) -> None:
    story = await tell(engine)

    found = await found_after(
        database,
        story,
        "DELETE FROM postings WHERE ledger_id = :ledger AND entry_id = :memo",
        "DELETE FROM journal_entries WHERE ledger_id = :ledger AND id = :original",
    )

    counts = [(one.place, one.stored, one.rebuilt) for one in found if one.check is Check.ENTRIES]
    assert counts == [(story.places["original"], "", "2"), (story.places["memo"], "2", "")]


async def test_names_a_posting_on_an_account_of_another_ledger(engine: AsyncEngine, database: Database) -> None:
    story, others = await tell(engine), await open_books(engine)
    foreign_id = await account_id(others, PRINTED)

    found = await found_after(
        database,
        story,
        f"UPDATE postings SET account_id = {foreign_id} WHERE ledger_id = :ledger AND entry_id = :memo AND line = 1",
    )

    place = f"account #{foreign_id}"
    assert Difference(Check.BALANCES, place, "debits", "", "70") in found
    assert Difference(Check.DAYS, f"{place} 2026-11-20", "debits", "", "70") in found
    assert Difference(Check.ENTRIES, f"{story.places['memo']} line 1", "currency", "KES", "") in found


async def test_names_entries_whose_ids_fall_along_an_account(engine: AsyncEngine, database: Database) -> None:
    story = await tell(engine)

    found = await found_after(
        database,
        story,
        "UPDATE postings SET account_version = 9 WHERE ledger_id = :ledger AND entry_id = :original AND line = 1",
        "UPDATE postings SET account_version = 1 WHERE ledger_id = :ledger AND entry_id = :reversal AND line = 1",
        "UPDATE postings SET account_version = 2 WHERE ledger_id = :ledger AND entry_id = :original AND line = 1",
    )

    assert [(one.place, one.field, one.stored, one.rebuilt) for one in found if one.field == "entry_id"] == [
        (
            f"{story.places['original']} asset.bank.kcb KES version 2",
            "entry_id",
            str(story.original_id),
            str(story.reversal_id),
        )
    ]


async def test_names_a_link_to_another_account_and_side(engine: AsyncEngine, database: Database) -> None:
    story = await tell(engine)

    found = await found_after(
        database,
        story,
        "UPDATE reversal_links SET original_line = 2, ordinal = 2 WHERE ledger_id = :ledger AND original_line = 1",
    )

    assert [(one.check, one.place, one.field) for one in found] == [
        (Check.LINKS, f"{story.places['reversal']} line 1", field) for field in ("account_id", "reversed_after", "side")
    ]


async def test_other_ledgers_have_no_part_in_it(engine: AsyncEngine, database: Database) -> None:
    story, untouched = await tell(engine), await tell(engine)

    async with tampering(database) as connection:
        statement = text("UPDATE account_balances SET debits = debits + 1 WHERE ledger_id = :ledger")
        await connection.execute(statement, {"ledger": story.books.ledger.id})
        report = await verify(connection, ledger_id=untouched.books.ledger.id)

    assert report.agrees


async def test_counts_the_differences_it_does_not_name(
    engine: AsyncEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "DIFFERENCES_NAMED_MAX", 3)
    story = await tell(engine)

    async with tampering(database) as connection:
        statement = text("UPDATE account_balances SET debits = debits + 1 WHERE ledger_id = :ledger")
        await connection.execute(statement, {"ledger": story.books.ledger.id})
        report = await verify(connection, ledger_id=story.books.ledger.id)

    assert (len(report.differences), report.differences_total) == (3, len(DEFAULT_ACCOUNTS))
    assert not report.agrees


def test_a_difference_reads_as_a_sentence() -> None:
    changed = Difference(Check.BALANCES, "asset.bank.kcb KES", "debits", "501", "500")
    missing = Difference(Check.DAYS, BANK_DAY, "debits", "", "500")
    extra = Difference(Check.DAYS, BANK_DAY, "debits", "500", "")

    assert str(changed) == "balances: asset.bank.kcb KES: debits is 501, the postings say 500"
    assert str(missing) == f"days: {BANK_DAY}: debits is missing, the postings say 500"
    assert str(extra) == f"days: {BANK_DAY}: debits is 500, the postings say nothing"
