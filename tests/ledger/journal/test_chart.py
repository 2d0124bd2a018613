"""The shipped chart: one scheme of numbers and paths, and every account of it can be opened."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from ledger.errors import PathInvalid
from ledger.journal import chart
from ledger.journal.accounts import AccountClass, AccountSpec, open_accounts
from ledger.journal.entry import Side
from tests.builders import NOW, open_books

# What an account's number, the first word of its path and its normal side have to do with its class.
SCHEME = {
    AccountClass.ASSET: ("1", {"asset"}, Side.DEBIT),
    AccountClass.LIABILITY: ("2", {"liab"}, Side.CREDIT),
    AccountClass.EQUITY: ("3", {"equity"}, Side.CREDIT),
    AccountClass.INCOME: ("4", {"income"}, Side.CREDIT),
    AccountClass.EXPENSE: ("5", {"expense", "revenue_reduction"}, Side.DEBIT),
    AccountClass.MEMO: ("9", {"memo"}, Side.DEBIT),
}
# Accounts that stand against others of their class, on the other side.
CONTRA = {"1390", "9119", "9319", "9419"}


def whole_chart(currency: str = "KES") -> list[AccountSpec]:
    """Everything of a ledger with two shortcodes, two partners, a customer, and a loan of each mode."""
    return [
        *chart.common_accounts(currency=currency),
        *chart.shortcode_accounts(provider="mpesa", shortcode="600100", currency=currency),
        *chart.shortcode_accounts(provider="mpesa", shortcode="600200", currency=currency),
        *(chart.partner_account(partner=partner, currency=currency) for partner in ("acme", "shop-2")),
        *chart.customer_accounts(customer="customer_1", currency=currency),
        *chart.loan_accounts(loan="loan_1", currency=currency),
        *chart.agent_loan_accounts(loan="loan_2", currency=currency),
        *chart.batch_accounts(batch="tins", currency=currency),
    ]


@pytest.mark.parametrize("template", chart.templates(), ids=lambda template: template.number)
def test_number_path_class_and_side_follow_one_scheme(template: chart.Template) -> None:
    digit, first_words, side = SCHEME[template.account_class]

    assert template.number.startswith(digit)
    assert (len(template.number), template.number.isdigit()) == (4, True)
    assert template.path.partition(".")[0] in first_words
    assert template.normal_side is (side.opposite if template.number in CONTRA else side)
    assert template.floor in (None, 0)


def test_no_number_path_or_role_stands_twice() -> None:
    templates = list(chart.templates())
    roles = [one.role for one in templates if one.role]

    for named in ([one.number for one in templates], [one.path for one in templates], roles):
        assert Counter(named).most_common(1)[0][1] == 1
    assert [one.number for one in templates] == sorted(one.number for one in templates)


def test_only_clearing_accounts_and_those_of_somebody_a_loan_or_a_batch_are_held_above_zero() -> None:
    owned = ("{partner}", "{customer}", "{loan}", "{batch}")

    for template in chart.templates():
        if template.floor is not None:
            assert chart.is_clearing(template.path) or template.path.endswith(owned), template


def test_accounts_of_loans_and_customers_say_whose_they_are() -> None:
    specs = [
        *chart.loan_accounts(loan="loan_1", currency="KES"),
        *chart.agent_loan_accounts(loan="loan_1", currency="KES"),
        *chart.customer_accounts(customer="customer_1", currency="KES"),
    ]

    owners = {(spec.owner_kind, spec.owner_ref) for spec in specs}

    assert owners == {("loan", "loan_1"), ("customer", "customer_1")}
    assert {spec.path for spec in specs} == {
        chart.path_of(spec.number, loan="loan_1", customer="customer_1") for spec in specs
    }
    assert {spec.floor for spec in specs} == {0}


@pytest.mark.parametrize(
    ("path", "clearing"),
    [
        ("asset.transit.to_bank", True),
        ("liab.payout.in_transit.mpesa.600100", True),
        ("liab.payout.unknown.mpesa.600100", True),
        ("liab.receipts.suspense", True),
        ("liab.deferred_fee", True),
        ("asset.loans.disbursing", True),
        ("asset.loans.principal.loan_1", False),
        ("liab.deferred_loan_fee.loan_1", False),
        ("asset.float.mpesa.600100.utility", False),
        ("asset.bank.main", False),
        ("liab.partner_prefund.acme", False),
        ("income.payout_fees", False),
    ],
)
def test_clearing_accounts_are_those_that_come_back_to_zero(path: str, clearing: bool) -> None:
    assert chart.is_clearing(path) == clearing


@pytest.mark.parametrize("currency", ["KES", "RWF"])
async def test_the_whole_chart_opens_and_opening_it_again_changes_nothing(engine: AsyncEngine, currency: str) -> None:
    books = await open_books(engine, accounts=[])
    specs = whole_chart(currency)

    async with transaction(engine) as connection:
        opened = await open_accounts(connection, ledger_id=books.ledger.id, specs=specs, ids=books.ids, now=NOW)
    async with transaction(engine) as connection:
        again = await open_accounts(connection, ledger_id=books.ledger.id, specs=specs[::-1], ids=books.ids, now=NOW)

    assert [replace(one.spec, floor=one.floor) for one in opened] == specs
    assert again == opened[::-1]
    assert {one.balance for one in opened} == {0}


@pytest.mark.parametrize("word", ["", "600 100", "6001.00.", "M-PESA", "60010\u0660", "a{b}", "../x"])
def test_refuses_to_name_an_account_after_what_is_no_word(word: str) -> None:
    for build in (
        lambda: chart.shortcode_accounts(provider="mpesa", shortcode=word, currency="KES"),
        lambda: chart.partner_account(partner=word, currency="KES"),
        lambda: chart.customer_accounts(customer=word, currency="KES"),
        lambda: chart.loan_accounts(loan=word, currency="KES"),
        lambda: chart.agent_loan_accounts(loan=word, currency="KES"),
    ):
        with pytest.raises(PathInvalid):
            build()
