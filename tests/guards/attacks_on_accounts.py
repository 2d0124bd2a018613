"""Attacks with accounts that are foreign or closed, with balances that do not follow, and on floors and ceilings."""

from __future__ import annotations

from tests.guards.attacks import BALANCE, BALANCES, CHAIN, FOURTH, LINES, NEW_BALANCES, THIRD, UNIQUE, WHOLE, refused_by
from tests.guards.stage import (
    BANK,
    CAPPED,
    CLOSED,
    CODES,
    CONTRA,
    FIRST,
    FRESH,
    NO_ACCOUNT,
    NOW,
    SECOND,
    WALLET,
    Connection,
    Rows,
    Stage,
)


@refused_by(WHOLE, LINES)
def the_account_of_another_ledger(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, NO_ACCOUNT, WALLET, 5)
    Rows(rows.headers, rows.lines, rows.balances[1:]).post(connection)


@refused_by(WHOLE, LINES)
def an_account_in_another_currency(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    for line in rows.lines:
        line["currency"] = "USD"
    rows.post(connection)


@refused_by(BALANCE, LINES, BALANCES)
def a_closed_account(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, CLOSED, 5).post(connection)


@refused_by(CHAIN, LINES)
def an_account_that_is_closed_in_the_same_statement(connection: Connection, stage: Stage) -> None:
    rows = stage.entry(THIRD, (FRESH, "D", 5), (FRESH, "C", 5))
    connection.execute(
        "UPDATE public.account_balances SET closed_at = %s WHERE ledger_id = %s AND account_id = %s",
        (NOW, stage.ledger_id, FRESH),
    )
    rows.post(connection)


@refused_by(CHAIN, LINES)
def an_account_without_a_balance_row(connection: Connection, stage: Stage) -> None:
    connection.execute(
        "INSERT INTO public.accounts (ledger_id, id, path, number, name, class, normal_side, currency, opened_at) "
        "VALUES (%s, 50, 'asset.ghost', '', 'Ghost', 'asset', 'D', 'KES', %s)",
        (stage.ledger_id, NOW),
    )
    stage.transfer(THIRD, 50, WALLET, 5).post(connection)


# Balances and versions that do not follow from what was there.


@refused_by(CHAIN, LINES)
def a_balance_after_that_is_wrong(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["balance_after"] += 1
    rows.post(connection)


@refused_by(CHAIN, LINES)
def a_balance_after_that_is_wrong_later_in_a_set(connection: Connection, stage: Stage) -> None:
    first, second = stage.transfer(THIRD, BANK, WALLET, 5), stage.transfer(FOURTH, BANK, WALLET, 7)
    second.lines[1]["balance_after"] += 100
    Rows(first.headers + second.headers, first.lines + second.lines, second.balances).post(connection)


@refused_by(BALANCE, LINES, BALANCES)
def a_gap_in_the_versions(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["account_version"] += 1
    rows.balances[0]["version"] += 1
    rows.post(connection)


@refused_by(CHAIN, LINES)
def a_version_of_zero(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, FRESH, 5)
    rows.lines[1]["account_version"] = 0
    rows.balances[1:] = []
    rows.post(connection)


@refused_by("postings_account_version_is_unique", sqlstate=UNIQUE)
def a_version_that_is_taken(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.lines[0]["account_version"] -= 1
    rows.post(connection)


@refused_by(CHAIN, LINES)
def versions_in_another_order_than_entries(connection: Connection, stage: Stage) -> None:
    """The earlier entry claims the later version, with balances that fit the versions."""
    later, earlier = stage.transfer(FOURTH, BANK, WALLET, 5), stage.transfer(THIRD, BANK, WALLET, 7)
    for balance in earlier.balances:
        balance["last_entry_id"] = FOURTH
    Rows(later.headers + earlier.headers, later.lines + earlier.lines, earlier.balances).post(connection)


@refused_by(CHAIN, LINES)
def an_earlier_entry_behind_a_later_one_that_moved_nothing(connection: Connection, stage: Stage) -> None:
    later = stage.entry(FOURTH, (FRESH, "D", 5), (FRESH, "C", 5))
    earlier = stage.entry(THIRD, (FRESH, "D", 7), (FRESH, "C", 7))
    earlier.balances[0]["last_entry_id"] = FOURTH
    Rows(later.headers + earlier.headers, later.lines + earlier.lines, earlier.balances).post(connection)


@refused_by(CHAIN, LINES)
def an_entry_slipped_in_before_the_newest(connection: Connection, stage: Stage) -> None:
    """Its id says that it was recorded earlier: what the account held at a past time would change."""
    stage.transfer(SECOND - 1, BANK, WALLET, 5).post(connection)


@refused_by(CHAIN, LINES)
def postings_that_leave_the_balance_row_behind(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    Rows(rows.headers, rows.lines, rows.balances[1:]).post(connection)


def set_balance(connection: Connection, stage: Stage, account: int, assignments: str) -> None:
    """Changes a balance row alone."""
    connection.execute(
        f"UPDATE public.account_balances SET {assignments} WHERE ledger_id = %s AND account_id = %s".encode(),
        (stage.ledger_id, account),
    )


@refused_by(BALANCE, BALANCES)
def money_from_nowhere(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "credits = credits + 1")


@refused_by(BALANCE, BALANCES)
def turnover_on_both_sides_from_nowhere(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "debits = debits + 1, credits = credits + 1")


@refused_by(BALANCE, BALANCES)
def turnover_on_both_sides_beside_a_posting(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.balances[0] |= {"debits": rows.balances[0]["debits"] + 9, "credits": rows.balances[0]["credits"] + 9}
    rows.post(connection)


@refused_by(BALANCE, BALANCES)
def a_balance_row_set_back_to_an_earlier_posting(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"credits = 500, version = 1, last_entry_id = {FIRST}")


@refused_by(BALANCE, BALANCES)
def a_balance_row_emptied(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "credits = 0, version = 0, last_entry_id = 0")


@refused_by(BALANCE, BALANCES)
def a_balance_row_emptied_and_closed(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"credits = 0, version = 0, last_entry_id = 0, closed_at = '{NOW}'")


@refused_by(BALANCE, BALANCES)
def a_balance_row_ahead_of_its_postings(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, "version = version + 1")


@refused_by(BALANCE, BALANCES)
def a_balance_row_that_names_another_entry(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"last_entry_id = {FIRST}")


@refused_by(BALANCE, BALANCES)
def a_balance_row_that_names_another_entry_beside_a_posting(connection: Connection, stage: Stage) -> None:
    rows = stage.transfer(THIRD, BANK, WALLET, 5)
    rows.balances[0]["last_entry_id"] = FOURTH
    rows.post(connection)


@refused_by(BALANCE, BALANCES)
def an_account_closed_with_money_inside(connection: Connection, stage: Stage) -> None:
    set_balance(connection, stage, WALLET, f"closed_at = '{NOW}'")


@refused_by(BALANCE, NEW_BALANCES)
def an_account_that_begins_with_money(connection: Connection, stage: Stage) -> None:
    connection.execute(
        "INSERT INTO public.accounts (ledger_id, id, path, number, name, class, normal_side, currency, opened_at) "
        "VALUES (%s, 50, 'liab.rich', '', 'Rich', 'liability', 'C', 'KES', %s)",
        (stage.ledger_id, NOW),
    )
    connection.execute(
        "INSERT INTO public.account_balances (ledger_id, account_id, credits) VALUES (%s, 50, 1000000)",
        (stage.ledger_id,),
    )


# Floors and ceilings.


@refused_by(CHAIN, LINES)
def a_balance_below_the_floor(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, WALLET, BANK, 801).post(connection)


@refused_by(CHAIN, LINES)
def a_balance_above_the_ceiling(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, BANK, CAPPED, 101).post(connection)


@refused_by(CHAIN, LINES)
def a_floor_broken_and_mended_in_one_statement(connection: Connection, stage: Stage) -> None:
    (stage.transfer(THIRD, WALLET, BANK, 801) + stage.transfer(FOURTH, BANK, WALLET, 900)).post(connection)


@refused_by(CHAIN, LINES)
def a_ceiling_broken_and_mended_in_one_statement(connection: Connection, stage: Stage) -> None:
    (stage.transfer(THIRD, BANK, CAPPED, 101) + stage.transfer(FOURTH, CAPPED, BANK, 50)).post(connection)


@refused_by(CHAIN, LINES)
def a_floor_broken_in_the_middle_of_a_set_on_several_accounts(connection: Connection, stage: Stage) -> None:
    rows = stage.entry(THIRD, (CODES, "D", 5), (CONTRA, "C", 5))
    (rows + stage.transfer(FOURTH, WALLET, BANK, 900) + stage.transfer(FOURTH + 1, BANK, FRESH, 5)).post(connection)
