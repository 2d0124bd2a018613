"""PostgreSQL keeps text messages to their words, their moves and their events, against the owner too. The messages
under attack were written by the product."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.sms.message import EDGES, Event
from tests.guards.attacks import CHECK, UNIQUE
from tests.guards.stage import Connection, refusal
from tests.ledger.loans.lending import open_lending
from tests.ledger.payouts.roads import FAILED, STARTED, settled
from tests.ledger.payouts.shop import Shop, open_shop
from tests.ledger.sms.opened import messages, take, tell_customers

FOREIGN_KEY = "23503"
FOLLOWS, TOLD, WORDS = "sms_follows_its_event", "sms_event_tells_a_change", "sms_words_are_fixed"
ONE = "WHERE ledger_id = %(ledger)s AND id = %(sent)s"


@dataclass(frozen=True)
class Post:
    """A shop that tells, with a message that was sent and one that is queued; a payout nobody is told of, and one to
    another phone."""

    shop: Shop
    sent: int
    queued: int
    untold: int
    elsewhere: int

    @property
    def values(self) -> dict[str, int]:
        """Of the statements below."""
        return {
            "ledger": self.shop.ledger.id,
            "sent": self.sent,
            "queued": self.queued,
            "untold": self.untold,
            "elsewhere": self.elsewhere,
        }


@pytest.fixture
async def post(engine: AsyncEngine) -> AsyncIterator[Post]:
    """On the database that is attacked."""
    async with open_shop(engine) as shop:
        await tell_customers(shop)
        first, second, untold = await shop.request_many(3)
        await shop.record(*((one, step) for one in (first, second) for step in (STARTED, settled(one))))
        await shop.record((untold, STARTED), (untold, FAILED))
        sent, queued = await messages(shop)
        await take(shop, Event.SENT, sent, message_id="ATXid_1")
        yield Post(shop, sent, queued, untold, await shop.request(msisdn="254712345679"))


@pytest.fixture(params=["app", "owner"])
def anyone(request: pytest.FixtureRequest, app: Connection, owner: Connection) -> Connection:
    """Each of the two roles that may write."""
    return app if request.param == "app" else owner


def _with_event(change: str, event: str, state: str) -> str:
    return (
        f"WITH m AS (UPDATE sms_messages SET version = version + 1, {change} {ONE} RETURNING *) "
        "INSERT INTO sms_events (ledger_id, sms_id, version, state, event, actor, recorded_at) "
        f"SELECT ledger_id, id, version, '{state}', '{event}', 'thief', now() FROM m"
    )


def _forged(changes: str, *, event: str = "queued") -> str:
    return (
        "WITH m AS (INSERT INTO sms_messages SELECT (r).* FROM (SELECT jsonb_populate_record(m, jsonb_build_object("
        f"'id', 7, 'payout_id', %(untold)s, {changes})) AS r FROM sms_messages AS m "
        "WHERE ledger_id = %(ledger)s AND id = %(queued)s) AS x RETURNING *) "
        "INSERT INTO sms_events (ledger_id, sms_id, version, state, event, actor, recorded_at) "
        f"SELECT ledger_id, id, version, state, '{event}', 'thief', now() FROM m WHERE '{event}' <> ''"
    )


# What anybody may try, and what refuses it.
ATTACKS: dict[str, tuple[str, str, str]] = {
    "delivered without an event": (
        f"UPDATE sms_messages SET state = 'DELIVERED', version = version + 1 {ONE}", CHECK, FOLLOWS,
    ),
    "a state without a version": (f"UPDATE sms_messages SET state = 'FAILED' {ONE}", CHECK, FOLLOWS),
    "sent once more": (_with_event("state = 'QUEUED'", "resent", "QUEUED"), CHECK, FOLLOWS),
    "an event that tells of another state": (_with_event("state = 'DELIVERED'", "delivered", "FAILED"), CHECK, FOLLOWS),
    "an id of somebody else": (
        _with_event("state = 'DELIVERED', provider_message_id = 'theirs'", "delivered", "DELIVERED"), CHECK, FOLLOWS,
    ),
    "another provider": (
        _with_event("state = 'DELIVERED', provider = 'theirs'", "delivered", "DELIVERED"), CHECK, FOLLOWS,
    ),
    "sent without an id": (
        _with_event("state = 'DELIVERED', provider_message_id = NULL", "delivered", "DELIVERED"),
        CHECK, "sms_sent_has_an_id",
    ),
    "an event of nothing": (
        ("INSERT INTO sms_events (ledger_id, sms_id, version, state, event, actor, recorded_at) "
         "VALUES (%(ledger)s, %(sent)s, 3, 'DELIVERED', 'delivered', 'thief', now())"), CHECK, TOLD,
    ),
    "a message that begins as sent": (
        _forged("'state', 'SENT', 'provider_message_id', 'x'"), CHECK, FOLLOWS,
    ),
    "a message without its event": (_forged("'state', 'QUEUED'", event=""), CHECK, FOLLOWS),
    "a message to somebody else": (_forged("'payout_id', %(elsewhere)s"), CHECK, FOLLOWS),
    "the same told twice": (
        _forged("'payout_id', (SELECT payout_id FROM sms_messages WHERE ledger_id = %(ledger)s AND id = %(sent)s)"),
        UNIQUE, "sms_tells_an_event_once",
    ),
    "three segments": (_forged("'segments', 3"), CHECK, "sms_is_short"),
    "a message about nothing": (_forged("'payout_id', NULL"), CHECK, "sms_is_about_one_thing"),
    "an order's news about a payout": (_forged("'event', 'order.paid'"), CHECK, "sms_event_fits_its_subject"),
    "a due date of a payout": (_forged("'due_on', '2026-09-01'"), CHECK, "sms_event_fits_its_subject"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
async def test_no_message_changes_but_as_it_is_drawn(
    anyone: Connection, post: Post, attack: tuple[str, str, str]
) -> None:
    query, state, constraint = attack

    with refusal(anyone, state, constraint):
        assert anyone.execute(query.encode(), post.values).rowcount > 0, "nothing was attacked"


@pytest.fixture
async def lender(engine: AsyncEngine) -> AsyncIterator[dict[str, int]]:
    """A shop that lends and tells of it, with a loan that was paid for and an order that was not, on the database that
    is attacked: what the statements below name."""
    async with open_lending(engine) as lending:
        await tell_customers(lending.shop)
        await lending.product()
        loan_id = await lending.active_loan()
        await lending.pay(loan_id, 100_000)
        ((queued,),) = await lending.shop.rows(
            "SELECT id FROM sms_messages WHERE ledger_id = :ledger AND event = 'loan.repaid'"
        )
        order = await lending.till.order()
        stranger = await lending.shop.request(msisdn="254712345679")
        yield {
            "ledger": lending.shop.ledger.id, "queued": queued, "loan": loan_id, "order": order.id,
            "untold": stranger, "elsewhere": stranger,
        }  # fmt: skip


OF_LOANS_AND_ORDERS: dict[str, tuple[str, str, str]] = {
    "what was no payment": (_forged("'payout_id', NULL, 'loan_version', 1"), CHECK, FOLLOWS),
    "a payment that nobody made": (_forged("'payout_id', NULL, 'loan_version', 99"), FOREIGN_KEY, "sms_loan_changed"),
    "a payment told twice": (_forged("'payout_id', NULL"), UNIQUE, "sms_tells_a_repayment_once"),
    "somebody else's loan": (
        _forged(
            "'payout_id', NULL, 'event', 'loan.due', 'loan_version', NULL, 'due_on', '2026-10-01', 'party_id', "
            "(SELECT party_id FROM payouts WHERE ledger_id = %(ledger)s AND id = %(elsewhere)s)"
        ), CHECK, FOLLOWS,
    ),
    "an order that nobody paid": (
        _forged(
            "'payout_id', NULL, 'event', 'order.paid', 'loan_id', NULL, 'loan_version', NULL, 'order_id', %(order)s"
        ), CHECK, FOLLOWS,
    ),
    "an order and a loan": (_forged("'payout_id', NULL, 'order_id', %(order)s"), CHECK, "sms_event_fits_its_subject"),
}  # fmt: skip


async def test_nothing_is_told_of_a_loan_or_an_order_that_is_not_so(anyone: Connection, lender: dict[str, int]) -> None:
    for name, (query, state, constraint) in OF_LOANS_AND_ORDERS.items():
        with refusal(anyone, state, constraint):
            assert anyone.execute(query.encode(), lender).rowcount > 0, f"nothing was attacked: {name}"


@pytest.mark.parametrize("change", ["body = 'call 0900'", "event = 'loan.disbursed'", "payout_id = %(untold)s"])
async def test_what_a_message_says_never_changes(owner: Connection, post: Post, change: str) -> None:
    with refusal(owner, CHECK, WORDS):
        owner.execute(f"UPDATE sms_messages SET {change} {ONE}".encode(), post.values)


async def test_costs_are_posted_as_far_as_they_are_whole(anyone: Connection, post: Post) -> None:
    anyone.execute("INSERT INTO sms_costs VALUES (%(ledger)s, 'pindo', 'USD', 15000, 10000, 1)", post.values)

    with refusal(anyone, CHECK, "sms_costs_are_posted_whole"):
        anyone.execute("UPDATE sms_costs SET posted_minor_units = 2 WHERE ledger_id = %(ledger)s", post.values)


def test_the_moves_in_the_database_are_those_of_the_product(app: Connection) -> None:
    found = app.execute("SELECT event, source, target FROM sms_edges").fetchall()

    assert set(found) == {(event.value, source.value, target.value) for event, source, target in EDGES}
