"""The books as plain text: the tools themselves read them and come to the same balances; no text is a command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from beancount.core import data, realization
from beancount.parser import parser
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from api.commands.book_export import exported
from api.plain_text import beancount, hledger
from ledger.database import transaction
from ledger.journal.accounts import AccountClass
from ledger.journal.entries import EntryView, PostingView
from ledger.journal.entry import Side, Source, Subject, credit, debit
from ledger.journal.trial_balance import TrialBalanceLine, trial_balance
from ledger.money import Money, decimal_text
from tests.builders import (
    BANK,
    DEFAULT_ACCOUNTS,
    FEES,
    NOW,
    PRINTED,
    PRINTED_CONTRA,
    WALLET,
    Books,
    account,
    entry,
    open_books,
    transfer,
)

HOSTILE = '"; include "/etc/passwd"\\  ; x: y'
# Accounts whose names are easily taken for one another, one above another, and a currency without decimals.
MORE = (
    account("asset.bank"),
    account("asset.bank_kcb"),
    account("asset.bank-kcb"),
    account("asset.bank.kcb", currency="RWF"),
    account("liab.wallet.1", currency="RWF"),
)


async def busy_books(engine: AsyncEngine) -> Books:
    """Three currencies, memorandum accounts, a reversal, an entry that belongs to another day, and texts that hurt."""
    books = await open_books(engine, accounts=(*DEFAULT_ACCOUNTS, *MORE))
    kes, rwf = Money("KES", 12_345), Money("RWF", 1500)
    lines = [debit(BANK, kes), credit(WALLET, kes), debit(BANK, rwf), credit(WALLET, rwf)]
    posted = await books.post_all(
        [
            transfer(BANK, WALLET, 1_000_05, reference=HOSTILE),
            transfer(BANK, WALLET, 7, currency="USD", effective_at=NOW - timedelta(days=400)),
            transfer(PRINTED, PRINTED_CONTRA, 70),
            entry(*lines, narrative=HOSTILE, subject=Subject("order", HOSTILE)),
            transfer("asset.bank", FEES, 11),
            transfer("asset.bank_kcb", FEES, 22),
            transfer("asset.bank-kcb", FEES, 33),
        ]
    )
    await books.reverse(posted[0].entry_id, lines={1: 5, 2: 5})
    return books


async def written(books: Books, format_name: str, path: Path) -> list[TrialBalanceLine]:
    """Writes the export; what the books say of each account."""
    async with transaction(books.engine) as connection:
        parts = [part async for part in exported(connection, code=books.ledger.code, format_name=format_name)]
        balances = (await trial_balance(connection, ledger_id=books.ledger.id)).lines
    put(path, "".join(parts))
    return list(balances)


def put(path: Path, text: str) -> None:
    """Writes a file."""
    path.write_text(text)


def load(path: Path) -> tuple[list[Any], list[Any]]:
    """What beancount reads in a file: its directives and its errors."""
    entries, errors, _ = loader.load_file(str(path))
    return list(entries), list(errors)


async def test_beancount_reads_it_and_comes_to_the_same_balances(engine: AsyncEngine, tmp_path: Path) -> None:
    books = await busy_books(engine)
    balances = await written(books, "beancount", tmp_path / "books.beancount")

    entries, errors = load(tmp_path / "books.beancount")

    names = beancount(balances).names
    tool: Any = realization
    root = tool.realize(entries)
    found = {}
    for line in balances:
        own = tool.get(root, names[line.path, line.currency])
        found[line.path, line.currency] = own.balance.get_currency_units(line.currency).number
    assert errors == []
    assert found == {(one.path, one.currency): _decimal(one) for one in balances}
    assert len({names[one.path, one.currency] for one in balances}) == len({one.path for one in balances})
    assert sum(isinstance(one, data.Balance) for one in entries) == len(balances)
    told = [one.meta.get("reference") for one in entries if isinstance(one, data.Transaction)]
    assert HOSTILE in told


async def test_a_balance_that_is_not_the_books_is_an_error_of_beancount(engine: AsyncEngine, tmp_path: Path) -> None:
    books = await busy_books(engine)
    await written(books, "beancount", tmp_path / "books.beancount")
    text = load_text(tmp_path / "books.beancount")
    put(tmp_path / "books.beancount", text.replace(" 1500 RWF", " 1499 RWF").replace(" -1500 RWF", " -1499 RWF", 1))

    _, errors = load(tmp_path / "books.beancount")

    assert errors


def load_text(path: Path) -> str:
    """A file."""
    return path.read_text()


@pytest.mark.skipif(shutil.which("hledger") is None, reason="hledger is not installed here")
async def test_hledger_reads_it_and_comes_to_the_same_balances(engine: AsyncEngine, tmp_path: Path) -> None:
    """Its own assertions at the end of the file are compared by it; strictly, so that each account is declared."""
    books = await busy_books(engine)
    balances = await written(books, "hledger", tmp_path / "books.journal")

    def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["hledger", "-f", str(tmp_path / "books.journal"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    checked = asked("check", "--strict")
    bare = asked("balance", "--flat", "--empty", "--no-total", "--layout=bare", "-O", "csv")

    names = hledger(balances).names
    expected = {f'"{names[one.path, one.currency]}","{one.currency}","{_decimal(one)}"' for one in balances}
    assert (checked.returncode, checked.stderr) == (0, "")
    assert expected <= set(bare.stdout.splitlines()), bare.stdout


def _decimal(line: TrialBalanceLine) -> Decimal:
    return Decimal(decimal_text(line.debits - line.credits, line.currency))


def view(text: str) -> EntryView:
    """An entry with this wherever people write."""
    money = Money("KES", 5)
    lines = [PostingView(1, debit(BANK, money), 1, 5), PostingView(2, credit(WALLET, money), 1, 5)]
    return EntryView(
        id=1, kind="transfer", lines=tuple(lines), effective_at=NOW, recorded_at=NOW, business_date=NOW.date(),
        source=Source.API, actor=text or "x", subject=None, reference=text, narrative=text, facts={}, reverses_id=None,
        reversed_by=(),
    )  # fmt: skip


def accounts(*paths: str) -> list[TrialBalanceLine]:
    """Lines of accounts, which never moved."""
    classes = {"asset": AccountClass.ASSET, "liab": AccountClass.LIABILITY}
    return [
        TrialBalanceLine("", path, path, classes[path.partition(".")[0]], Side.DEBIT, "KES", 0, 0) for path in paths
    ]


@given(st.text(max_size=30))
def test_no_text_is_anything_but_text_to_beancount(text: str) -> None:
    parsed, errors, _ = parser.parse_string(beancount(accounts(BANK, WALLET)).entry(view(text)))

    entries: list[Any] = list(parsed)
    assert (errors, len(entries), len(entries[0].postings)) == ([], 1, 2)
    if text.isprintable():
        assert (entries[0].narration, entries[0].meta.get("reference", "")) == (text, text)


@given(st.text(max_size=30))
def test_no_text_leaves_its_line_in_hledger(text: str) -> None:
    plain = hledger(accounts(BANK, WALLET)).entry(view("R"))
    written = hledger(accounts(BANK, WALLET)).entry(view(text))

    lines = written.splitlines()
    assert written.split("\n") == [*lines, ""]
    assert lines[-3:] == plain.splitlines()[-3:]
    assert all(line.startswith("    ; ") and line.count(";") == 1 for line in lines[1:-3])
    assert lines[0].count(";") == 0


@given(st.lists(st.from_regex(r"asset(\.[a-z0-9][a-z0-9_-]{0,2}){1,2}", fullmatch=True), unique=True, max_size=20))
def test_no_two_accounts_have_one_name(paths: Sequence[str]) -> None:
    names = beancount(accounts(*paths)).names

    assert len(set(names.values())) == len(paths)


def test_the_same_account_in_another_currency_has_the_same_name() -> None:
    (one,) = accounts(BANK)

    names = beancount([one, replace(one, currency="USD")]).names

    assert set(names.values()) == {"Assets:Bank:Kcb"}
