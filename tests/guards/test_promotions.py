"""PostgreSQL keeps batches, codes and redemptions to their moves, their entries and their payouts, and what a batch
owes to its live codes, against the owner too. The rows under attack were written by the product."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import violated_constraint
from ledger.ids import encode
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.money import Money
from ledger.promotions import batch as batch_rules
from ledger.promotions import redemption as redemption_rules
from ledger.promotions.writing import Batch
from tests.guards.attacks import CHAIN, CHECK, UNIQUE
from tests.guards.stage import Connection, Rows, Values, refusal
from tests.ledger.payouts.roads import FAILED, STARTED
from tests.ledger.promotions.fair import FACE, Fair, open_fair, phone

WORTH, COUNTS, INTENT = "promo_liability_is_live_codes", "promo_batch_counts_follow", "promo_batch_intent_is_fixed"
FOLLOWS, TOLD, LEAVE = "promo_batch_follows_its_entry", "promo_batch_event_tells_a_change", "promo_codes_leave_once"
ISSUED, FIXED = "promo_codes_are_issued_in_drafts", "promo_redemption_is_fixed"
PAYOUT, PAID = "promo_redemption_follows_its_payout", "promo_redemption_event_tells_a_change"
RESTRICT = "23001"


@pytest.fixture
async def fair(engine: AsyncEngine) -> AsyncIterator[Fair]:
    """On the database that is attacked."""
    async with open_fair(engine) as opened:
        yield opened


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    return app if request.param == "app" else owner


def act(connection: Connection, query: str, **values: object) -> None:
    """One statement, which must do something."""
    assert connection.execute(query.encode(), values).rowcount > 0, "nothing was attacked"


def about(batch: Batch, fair: Fair, **more: object) -> Values:
    """The values of a statement about a batch."""
    return {"ledger": fair.shop.ledger.id, "batch": batch.id, **more}


def test_the_moves_in_the_database_are_those_of_the_product(app: Connection) -> None:
    drawn = {
        (event.value, state.value, move.target.value, move.effect.value)
        for event, row in batch_rules.TRANSITIONS.items()
        for state, move in row.items()
        if isinstance(move, batch_rules.Move)
    }

    rows = app.execute("SELECT event, source, target, coalesce(kinds[1], '') FROM promo_batch_moves").fetchall()

    assert set(rows) == drawn


def test_the_moves_of_redemptions_are_those_of_the_product(app: Connection) -> None:
    drawn = {
        (event.value, state.value, move.target.value)
        for event, row in redemption_rules.TRANSITIONS.items()
        for state, move in row.items()
        if isinstance(move, redemption_rules.Move)
    }

    assert set(app.execute("SELECT event, source, target FROM promo_redemption_moves").fetchall()) == drawn


def test_batches_and_redemptions_are_called_the_same_in_the_database(app: Connection) -> None:
    for number in (0, 1, 897019589691231226, 2**63 - 1):
        row = app.execute(
            "SELECT promo_batch_public_id(%s), promo_redemption_public_id(%s)", (number, number)
        ).fetchone()

        assert row == (encode("batch", number), encode("rdm", number))


# The statement, and what refuses it: about a batch that is active, of three codes, none redeemed.
ATTACKS: dict[str, tuple[str, str, str]] = {
    "a code is lost": (
        "UPDATE promo_codes SET state = 'VOIDED' WHERE ledger_id = %(ledger)s AND batch_id = %(batch)s AND number = 1",
        CHECK, WORTH,
    ),
    "a code is redeemed by nobody": (
        "UPDATE promo_codes SET state = 'REDEEMED' WHERE ledger_id = %(ledger)s AND batch_id = %(batch)s",
        CHECK, LEAVE,
    ),
    "the counts are set": (
        "UPDATE promo_batches SET live = live - 1 WHERE ledger_id = %(ledger)s AND id = %(batch)s", CHECK, COUNTS,
    ),
    "what failed is set": (
        "UPDATE promo_batches SET redeemed = 1, failed = 1 WHERE ledger_id = %(ledger)s AND id = %(batch)s",
        CHECK, COUNTS,
    ),
    "a code is added": (
        "INSERT INTO promo_codes VALUES (%(ledger)s, decode(md5('x'), 'hex'), %(batch)s, 4, 'LIVE')", CHECK, ISSUED,
    ),
    "the batch ends": (
        ("UPDATE promo_batches SET state = 'CANCELLED', version = version + 1 "
        "WHERE ledger_id = %(ledger)s AND id = %(batch)s"), CHECK, FOLLOWS,
    ),
    "the batch ends with an event and no entry": (
        ("WITH b AS (UPDATE promo_batches SET state = 'CANCELLED', version = version + 1 "
        "WHERE ledger_id = %(ledger)s AND id = %(batch)s RETURNING *) INSERT INTO promo_batch_events "
        "SELECT ledger_id, id, version, state, 'cancelled', live, NULL, NULL, NULL, 'thief', now() FROM b"),
        CHECK, FOLLOWS,
    ),
    "the batch ends as if nothing were live": (
        ("WITH b AS (UPDATE promo_batches SET state = 'CANCELLED', version = version + 1 "
        "WHERE ledger_id = %(ledger)s AND id = %(batch)s RETURNING *) INSERT INTO promo_batch_events "
        "SELECT ledger_id, id, version, state, 'cancelled', 0, NULL, NULL, NULL, 'thief', now() FROM b"),
        CHECK, WORTH,
    ),
    "the batch ends with another entry": (
        ("WITH b AS (UPDATE promo_batches SET state = 'CANCELLED', version = version + 1 "
        "WHERE ledger_id = %(ledger)s AND id = %(batch)s RETURNING *) INSERT INTO promo_batch_events "
        "SELECT ledger_id, id, version, state, 'cancelled', live, (SELECT max(id) FROM journal_entries AS e "
        "WHERE e.ledger_id = b.ledger_id AND e.kind = 'promotion.activated'), amount * live, NULL, 'thief', now() "
        "FROM b"), CHECK, FOLLOWS,
    ),
    "it expires before its time": (
        ("WITH b AS (UPDATE promo_batches SET state = 'EXPIRED', version = version + 1 "
        "WHERE ledger_id = %(ledger)s AND id = %(batch)s RETURNING *) INSERT INTO promo_batch_events "
        "SELECT ledger_id, id, version, state, 'expired', 0, NULL, NULL, NULL, 'thief', created_at FROM b"),
        CHECK, FOLLOWS,
    ),
    "an event of nothing": (
        ("INSERT INTO promo_batch_events SELECT ledger_id, id, version + 1, 'PAUSED', 'paused', 0, NULL, NULL, NULL, "
        "'thief', now() FROM promo_batches WHERE ledger_id = %(ledger)s AND id = %(batch)s"), CHECK, TOLD,
    ),
    "two versions at once": (
        "UPDATE promo_batches SET version = version + 2 WHERE ledger_id = %(ledger)s AND id = %(batch)s",
        CHECK, INTENT,
    ),
    "a state without a version": (
        "UPDATE promo_batches SET state = 'PAUSED' WHERE ledger_id = %(ledger)s AND id = %(batch)s", CHECK, INTENT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_what_an_active_batch_owes_cannot_be_changed(
    anyone: Connection, fair: Fair, attack: tuple[str, str, str]
) -> None:
    batch = await fair.active(codes=3)
    query, state, constraint = attack

    with refusal(anyone, state, constraint):
        act(anyone, query, **about(batch, fair))

    assert await fair.held(await fair.batch(batch.id)) == (3 * FACE, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "amount = 1", "count = 4", "funding = 'budget'", "expires_at = expires_at + interval '1 day'", "code = 'other'",
        "campaign_id = 1", "partner_id = 1", "currency = 'RWF'", "created_by = 'thief'", "second_person = false",
        "activated_by = 'thief'", "activated_at = now()",
    ],
)  # fmt: skip
async def test_what_was_agreed_of_a_batch_never_changes(owner: Connection, fair: Fair, change: str) -> None:
    batch = await fair.active(codes=1)

    with refusal(owner, CHECK, INTENT):
        act(owner, f"UPDATE promo_batches SET {change} WHERE ledger_id = %(ledger)s AND id = %(batch)s",
            **about(batch, fair))  # fmt: skip


async def test_who_created_a_batch_cannot_be_written_down_as_its_activator(owner: Connection, fair: Fair) -> None:
    batch = await fair.draft(codes=1)

    with refusal(owner, CHECK, "promo_batches_are_activated_by_another"):
        act(
            owner,
            "UPDATE promo_batches SET state = 'ACTIVE', activated_by = created_by, activated_at = now(), "
            "version = version + 1 WHERE ledger_id = %(ledger)s AND id = %(batch)s",
            **about(batch, fair),
        )


@pytest.mark.parametrize("part", ["liability", "payable", "unactivated"])
@pytest.mark.parametrize("direction", [1, -1])
async def test_no_entry_of_anybody_moves_the_accounts_of_a_batch(
    anyone: Connection, fair: Fair, part: str, direction: int
) -> None:
    """In plain SQL, balanced and with its chains unbroken, as any bookkeeper might."""
    batch = await (fair.draft(codes=3) if part == "unactivated" else fair.active(codes=3))
    other = "memo.promo_unactivated_contra" if part == "unactivated" else "equity.opening"
    lines = (getattr(batch.money, part), other)
    rows = transfer(anyone, fair, *(lines if direction > 0 else reversed(lines)))
    empty = part == "payable" and direction > 0  # it would fall below its floor, which is refused before

    with refusal(anyone, CHECK, CHAIN if empty else WORTH):
        rows.post(anyone)


async def test_our_own_engine_cannot_move_them_either(fair: Fair) -> None:
    batch = await fair.active(codes=3)
    money = Money("KES", FACE)
    lines = (debit(batch.money.liability, money), credit("equity.opening", money))
    entry = JournalEntry(kind="manual", postings=lines, effective_at=fair.shop.now(), source=Source.MANUAL)

    with pytest.raises(IntegrityError) as refused:
        await fair.shop.post(entry)

    assert violated_constraint(refused.value) == WORTH


async def test_a_code_is_redeemed_once(owner: Connection, fair: Fair) -> None:
    batch = await fair.active(codes=2)
    won = await fair.won(batch, 1)

    with refusal(owner, UNIQUE, "promo_redemptions_code_is_redeemed_once"):
        act(
            owner,
            "INSERT INTO promo_redemptions SELECT (r).* FROM (SELECT jsonb_populate_record(p, "
            "jsonb_build_object('id', 1, 'nth', 2, 'nth_of_day', 2)) AS r FROM promo_redemptions AS p "
            "WHERE ledger_id = %(ledger)s AND id = %(redemption)s) AS x",
            **about(batch, fair, redemption=won.id),
        )


# About a redemption that is being paid, and another that failed: what anybody may try on the first.
ON_REDEMPTIONS: dict[str, tuple[str, str]] = {
    "paid without its payout": (
        ("WITH r AS (UPDATE promo_redemptions SET state = 'PAID', version = version + 1 WHERE ledger_id = %(ledger)s "
        "AND id = %(redemption)s RETURNING *) INSERT INTO promo_redemption_events "
        "SELECT ledger_id, id, version, state, 'paid', payout_id, NULL, 'thief', now() FROM r"), PAYOUT,
    ),
    "failed without its payout": (
        ("WITH r AS (UPDATE promo_redemptions SET state = 'FAILED', version = version + 1 WHERE ledger_id = %(ledger)s "
        "AND id = %(redemption)s RETURNING *) INSERT INTO promo_redemption_events "
        "SELECT ledger_id, id, version, state, 'failed', payout_id, NULL, 'thief', now() FROM r"), PAYOUT,
    ),
    "no event": (
        ("UPDATE promo_redemptions SET state = 'FAILED', version = version + 1 WHERE ledger_id = %(ledger)s "
        "AND id = %(redemption)s"), PAYOUT,
    ),
    "another payout": (
        "UPDATE promo_redemptions SET payout_id = %(other)s WHERE ledger_id = %(ledger)s AND id = %(redemption)s",
        FIXED,
    ),
    "another phone": (
        "UPDATE promo_redemptions SET party_id = 1 WHERE ledger_id = %(ledger)s AND id = %(redemption)s", FIXED,
    ),
    "another number": (
        "UPDATE promo_redemptions SET number = 2 WHERE ledger_id = %(ledger)s AND id = %(redemption)s", FIXED,
    ),
    "an event of nothing": (
        ("INSERT INTO promo_redemption_events SELECT ledger_id, id, 9, 'PAID', 'paid', payout_id, NULL, 'thief', now() "
        "FROM promo_redemptions WHERE ledger_id = %(ledger)s AND id = %(redemption)s"), PAID,
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ON_REDEMPTIONS.values(), ids=ON_REDEMPTIONS)
async def test_a_redemption_follows_its_payout(owner: Connection, fair: Fair, attack: tuple[str, str]) -> None:
    batch = await fair.active(codes=3)
    won, other = await fair.won(batch, 1), await fair.won(batch, 2, msisdn=phone(2))
    query, constraint = attack

    with refusal(owner, CHECK, constraint):
        act(owner, query, **about(batch, fair, redemption=won.id, other=other.payout_id))


async def test_a_redemption_is_never_tried_again_by_a_payout_of_another(owner: Connection, fair: Fair) -> None:
    batch = await fair.active(codes=3)
    failed, other = await fair.won(batch, 1), await fair.won(batch, 2, msisdn=phone(2))
    await fair.shop.record((failed.payout_id, STARTED), (failed.payout_id, FAILED))

    with refusal(owner, UNIQUE, "promo_redemption_events_bind"):
        act(
            owner,
            "WITH r AS (UPDATE promo_redemptions SET state = 'PAYING', version = version + 1, tries = 2, "
            "retry_at = NULL, payout_id = %(other)s WHERE ledger_id = %(ledger)s AND id = %(redemption)s RETURNING *) "
            "INSERT INTO promo_redemption_events "
            "SELECT ledger_id, id, version, state, 'retried', payout_id, NULL, 'thief', now() FROM r",
            **about(batch, fair, redemption=failed.id, other=other.payout_id),
        )


@pytest.mark.parametrize("limit", ["per_msisdn_max", "per_msisdn_day_max"])
async def test_no_redemption_is_counted_beyond_its_campaigns_limit(owner: Connection, fair: Fair, limit: str) -> None:
    batch = await fair.active(codes=1)
    won = await fair.won(batch, 1)
    column = "nth" if limit == "per_msisdn_max" else "nth_of_day"
    move_on = "UPDATE promo_redemptions SET {} = 2 WHERE ledger_id = %(ledger)s AND id = %(redemption)s"

    with refusal(owner, CHECK, FIXED):
        act(owner, move_on.format(column), **about(batch, fair, redemption=won.id))


@pytest.mark.parametrize(
    "table", ["promo_batch_events", "promo_sheets", "promo_accounts", "campaigns", "promo_redemption_events"]
)
async def test_what_happened_is_never_changed_or_deleted(owner: Connection, fair: Fair, table: str) -> None:
    await fair.won(await fair.active(codes=1), 1)

    for query in (f"DELETE FROM {table}", f"UPDATE {table} SET ledger_id = ledger_id", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(psycopg.errors.RestrictViolation), owner.transaction():
            owner.execute(query.encode())


@pytest.mark.parametrize("table", ["promo_batches", "promo_codes", "promo_redemptions", "promo_throttles"])
async def test_no_row_is_deleted(owner: Connection, fair: Fair, table: str) -> None:
    await fair.won(await fair.active(codes=1), 1)

    with pytest.raises(psycopg.errors.RestrictViolation), owner.transaction():
        owner.execute(f"DELETE FROM {table}".encode())


_ACCOUNT = """
SELECT a.id, a.normal_side, b.debits, b.credits, b.version FROM accounts AS a
JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE a.ledger_id = %s AND a.path = %s AND a.currency = 'KES'
"""


def transfer(connection: Connection, fair: Fair, debited: str, credited: str) -> Rows:
    """The rows of an entry that any bookkeeper might write, over the face value of one code."""
    ledger_id, entry_id, now = fair.shop.ledger.id, 2**62, fair.shop.now().isoformat()
    header: Values = {
        "ledger_id": ledger_id, "id": entry_id, "kind": "test.entry", "effective_at": now, "recorded_at": now,
        "business_date": now[:10], "posting_count": 2, "source": "manual", "actor": "thief",
    }  # fmt: skip
    rows = Rows([header])
    for number, (path, side) in enumerate(((debited, "D"), (credited, "C")), start=1):
        found = connection.execute(_ACCOUNT, (ledger_id, path)).fetchone()
        assert found is not None, path
        account, normal_side, debits, credits, version = found
        debits, credits = debits + FACE * (side == "D"), credits + FACE * (side == "C")
        net = debits - credits if normal_side == "D" else credits - debits
        line: Values = {"ledger_id": ledger_id, "account_id": account}
        rows.lines.append(
            line | {
                "entry_id": entry_id, "line": number, "currency": "KES", "side": side, "amount": FACE,
                "account_version": version + 1, "balance_after": net,
            }
        )  # fmt: skip
        rows.balances.append(
            line | {"debits": debits, "credits": credits, "version": version + 1, "last_entry_id": entry_id}
        )
    return rows
