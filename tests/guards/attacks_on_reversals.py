"""Attacks with reversals that take more than there is or say less than they do, and on keys."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from tests.guards.attacks import FOURTH, LINKED, LINKS, THIRD, UNIQUE, refused_by
from tests.guards.stage import BANK, FIRST, FRESH, NOW, SECOND, WALLET, Connection, Stage


def link(
    stage: Stage,
    original: tuple[int, int],
    reversing: tuple[int, int],
    amount: int,
    *,
    ordinal: int = 1,
    after: int = 0,
) -> dict[str, int]:
    """The row that says that a line of the reversing entry takes `amount` off a line of the original."""
    return {
        "ledger_id": stage.ledger_id, "original_entry_id": original[0], "original_line": original[1],
        "ordinal": ordinal, "reversing_entry_id": reversing[0], "reversing_line": reversing[1], "amount": amount,
        "reversed_after": after or amount,
    }  # fmt: skip


def store_links(connection: Connection, *links: dict[str, int]) -> None:
    """Writes them in one statement."""
    connection.execute(
        "INSERT INTO public.reversal_links SELECT * FROM jsonb_populate_recordset(NULL::public.reversal_links, %s)",
        (Jsonb(list(links)),),
    )


def reverse(
    connection: Connection, stage: Stage, entry_id: int, amount: int, *, ordinal: int = 1, after: int = 0
) -> None:
    """Reverses so much of both lines of the first entry, linked as it should be."""
    stage.entry(entry_id, (BANK, "C", amount), (WALLET, "D", amount), reverses_id=FIRST).post(connection)
    store_links(
        connection,
        *(link(stage, (FIRST, line), (entry_id, line), amount, ordinal=ordinal, after=after) for line in (1, 2)),
    )


FITS = "reversal_fits_original"


@refused_by(FITS, LINKS)
def more_reversed_than_the_original(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 501)


@refused_by(FITS, LINKS)
def more_reversed_than_the_original_in_two_parts(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300, ordinal=2, after=600)


@refused_by(FITS, LINKS)
def two_parts_that_do_not_add_up(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300, ordinal=2, after=300)


@refused_by(FITS, LINKS)
def a_second_part_that_skips_a_number(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300, ordinal=3)


@refused_by("reversal_links_pkey", sqlstate=UNIQUE)
def a_second_part_in_the_place_of_the_first(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 300)
    reverse(connection, stage, FOURTH, 300)


@refused_by("reversal_is_linked", LINKED)
def a_reversal_without_links(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, WALLET, BANK, 700, reverses_id=FIRST).post(connection)


@refused_by("reversal_is_linked", LINKED)
def a_reversal_with_one_of_its_lines_linked(connection: Connection, stage: Stage) -> None:
    legs = (BANK, "C", 700), (WALLET, "D", 700), (BANK, "C", 5), (WALLET, "D", 5)
    stage.entry(THIRD, *legs, reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line + 2), 5) for line in (1, 2)))


@refused_by("reversal_is_linked", LINKED)
def a_reversal_of_nothing_that_exists(connection: Connection, stage: Stage) -> None:
    stage.transfer(THIRD, WALLET, BANK, 5, reverses_id=12345).post(connection)


@refused_by(FITS, LINKS)
def links_of_an_entry_that_reverses_nothing(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "C", 5), (WALLET, "D", 5)).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by(FITS, LINKS)
def links_of_an_entry_that_reverses_another(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "C", 5), (WALLET, "D", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (SECOND, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by(FITS, LINKS)
def a_link_of_less_than_its_line(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "C", 5), (WALLET, "D", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 4) for line in (1, 2)))


@refused_by(FITS, LINKS)
def links_across_accounts(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (FRESH, "C", 5), (BANK, "D", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by(FITS, LINKS)
def links_on_the_same_side(connection: Connection, stage: Stage) -> None:
    stage.entry(THIRD, (BANK, "D", 5), (WALLET, "C", 5), reverses_id=FIRST).post(connection)
    store_links(connection, *(link(stage, (FIRST, line), (THIRD, line), 5) for line in (1, 2)))


@refused_by("reversal_links_reversing_line_is_used_once", sqlstate=UNIQUE)
def one_line_that_reverses_twice(connection: Connection, stage: Stage) -> None:
    reverse(connection, stage, THIRD, 5)
    store_links(connection, link(stage, (FIRST, 1), (THIRD, 1), 5, ordinal=2, after=10))


# Keys.


@refused_by("idempotency_keys_pkey", sqlstate=UNIQUE)
def a_second_answer_under_one_key(connection: Connection, stage: Stage) -> None:
    for entry_id in (FIRST, SECOND):
        connection.execute(
            "INSERT INTO idempotency_keys (ledger_id, client_id, key, method, request_hash, result_id, created_at) "
            "VALUES (%s, 1, 'k', 'PostEntry', %s, %s, %s)",
            (stage.ledger_id, bytes(16), entry_id, NOW),
        )
