"""The inbound door: what is believed, what is parked, and that nothing a provider sends hurts anything but itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import text

from adapters.inbound import BODY_BYTES_MAX, TRIES_MAX, WAIT_AFTER
from ledger.database import transaction
from ledger.ids import IdSource
from ledger.journal import accounts
from ledger.sealing import Sealer
from tests.journeys.messages import GARBAGE, GATEWAY_ID, failure, result, timeout_echo
from tests.journeys.rig import Rig
from tests.ledger.payouts.shop import FLOAT, IN_TRANSIT, PAYEE, PREFUND, SHORTAGE, UNKNOWN


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


async def submitted(rig: Rig, *, count: int = 1) -> list[int]:
    """Payouts that the rail acknowledged and will never call back about."""
    await rig.script("no-callback-not-paid", count=count)
    ids = await rig.request_many(count)
    await rig.work_until_quiet()
    assert {await rig.state(one) for one in ids} == {"SUBMITTED"}
    return ids


async def reference_of(rig: Rig, payout_id: int) -> str:
    return (await rig.payout(payout_id)).provider_reference


async def footprint(rig: Rig) -> int:
    """How many entries there are."""
    (row,) = await rig.rows("SELECT count(*) FROM journal_entries WHERE ledger_id = :ledger")
    return int(row[0])


async def test_a_matching_result_settles_whichever_id_the_gateway_put(rig: Rig) -> None:
    ours, gateways, none = await submitted(rig, count=3)

    await rig.call_back(ours, result(await reference_of(rig, ours), receipt="UI1AAAAAA1"))
    known = {one: await rig.conversation(one) for one in (gateways, none)}
    await rig.call_back(gateways, result(GATEWAY_ID, receipt="UI1AAAAAA2", ConversationID=known[gateways]))
    await rig.call_back(none, result("", receipt="UI1AAAAAA3", ConversationID=known[none]))
    await rig.inbound.step(limit=10)

    assert [await rig.state(one) for one in (ours, gateways, none)] == ["SETTLED"] * 3
    assert await rig.verdicts() == [("applied", ours), ("applied", gateways), ("applied", none)]


async def test_a_message_that_contradicts_the_request_posts_nothing_at_its_figure(rig: Rig) -> None:
    lies: list[tuple[str, str, Callable[[str], bytes]]] = [
        ("result", "it says KES 1,600.00, we asked for KES 1,500.00", partial(result, shillings=1600)),
        ("result", "it says KES 1,500.01, we asked for KES 1,500.00", partial(result, shillings="1500.01")),
        ("result", "it names another payee", partial(result, payee="254700000999 - X")),
        ("result", "it names another reference of ours", lambda _: result("dft-0000000000001")),
        ("result", "it names another reference of ours", lambda _: failure("dft-0000000000001")),
        ("timeout", "it says KES 1,600.00, we asked for KES 1,500.00", partial(timeout_echo, shillings=1600)),
        ("timeout", "it names another payee", partial(timeout_echo, payee="254700000999")),
        ("timeout", "it names another shortcode", partial(timeout_echo, payer="600585")),
    ]
    ids = await submitted(rig, count=len(lies))

    for payout_id, (kind, _, lie) in zip(ids, lies, strict=True):
        await rig.call_back(payout_id, lie(await reference_of(rig, payout_id)), kind=kind)
    await rig.inbound.step(limit=10)

    assert {await rig.state(one) for one in ids} == {"UNKNOWN"}
    assert await rig.balance(UNKNOWN) == 150_000 * len(lies)
    assert await rig.balance(FLOAT) == rig.float_opening
    assert await rig.reviews() == [("amount-mismatch", one) for one in ids]
    told = [(await rig.events(one))[-1].detail for one in ids]
    assert told == [f"a callback contradicts the request: {words}" for _, words, _ in lies]


async def test_a_result_on_another_payouts_path_touches_neither(rig: Rig) -> None:
    mine, others = await submitted(rig, count=2)

    await rig.call_back(mine, result(await reference_of(rig, others)))
    await rig.inbound.step(limit=10)

    assert await rig.state(others) == "SUBMITTED"
    assert await rig.state(mine) == "UNKNOWN"
    assert await rig.balance(FLOAT) == rig.float_opening


async def test_the_same_bytes_again_and_the_same_result_in_other_bytes_post_once(rig: Rig) -> None:
    (payout_id,) = await submitted(rig)
    reference = await reference_of(rig, payout_id)
    body = result(reference)

    for one in (body, body, body.replace(b", ", b","), result(reference, ResultDesc="other words")):
        await rig.call_back(payout_id, one)
    await rig.inbound.step(limit=2)
    await rig.inbound.step(limit=10)

    assert [word for word, _ in await rig.verdicts()] == ["applied", "repeated", "repeated", "repeated"]
    assert (await rig.entries(payout_id)).count("payout.settled") == 1


async def test_another_receipt_a_failure_and_a_second_payouts_receipt_are_conflicts(rig: Rig) -> None:
    first, second = await submitted(rig, count=2)
    for body in (
        result(await reference_of(rig, first), receipt="UI1AAAAAA1"),
        result(await reference_of(rig, first), receipt="UI1AAAAAA2"),
        failure(await reference_of(rig, first)),
    ):
        await rig.call_back(first, body)
    await rig.call_back(second, result(await reference_of(rig, second), receipt="UI1AAAAAA1"))
    await rig.inbound.step(limit=10)

    assert [word for word, _ in await rig.verdicts()] == ["applied", "applied", "conflict", "conflict"]
    assert [await rig.state(one) for one in (first, second)] == ["SETTLED", "SUBMITTED"]
    assert await rig.balance(FLOAT) == rig.float_opening - 300_000
    assert await rig.balance(SHORTAGE) == 150_000
    assert sorted(await rig.reviews()) == sorted([("provider-conflict", one) for one in (first, first, second)])


async def test_what_nobody_can_read_is_parked_with_its_payout_and_hurts_no_neighbour(rig: Rig) -> None:
    garbled, timed_out, sound = await submitted(rig, count=3)

    for raw in GARBAGE.values():
        await rig.call_back(garbled, raw)
        await rig.call_back(timed_out, raw, kind="timeout")
    await rig.call_back(sound, result(await reference_of(rig, sound)))
    while await rig.inbound.step(limit=100):
        pass

    verdicts = await rig.verdicts()
    assert [word for word, payout_id in verdicts if payout_id == garbled] == ["unreadable"] * len(GARBAGE)
    assert {word for word, payout_id in verdicts if payout_id == timed_out} <= {"unreadable", "applied", "repeated"}
    assert await rig.state(garbled) == "SUBMITTED"
    assert await rig.state(timed_out) in {"SUBMITTED", "UNKNOWN"}
    assert await rig.state(sound) == "SETTLED"
    assert set(await rig.reviews()) == {("poison-message", garbled), ("poison-message", timed_out)}


async def test_a_message_longer_than_any_documented_one_is_cut_and_parked(rig: Rig) -> None:
    (payout_id,) = await submitted(rig)
    body = result(await reference_of(rig, payout_id))

    await rig.call_back(payout_id, body + b" " * (10 * 1024 * 1024))
    await rig.inbound.step(limit=10)

    assert await rig.verdicts() == [("unreadable", payout_id)]
    (row,) = await rig.rows("SELECT length(raw) AS kept FROM inbox WHERE ledger_id = :ledger")
    assert row.kept < BODY_BYTES_MAX + 100


async def test_a_message_sealed_under_another_secret_waits_for_it_and_delays_no_neighbour(rig: Rig) -> None:
    """As after a restore with the wrong secret: nobody can open it, which is not the message's fault."""
    waiting, sound = await submitted(rig, count=2)
    other = Sealer(b"x" * 32, purpose="inbox messages")
    with_other_secret = replace(rig.application, sealer=other).inbound()
    await with_other_secret.receive(
        ledger_id=rig.ledger.id,
        rail="daraja",
        kind="result",
        token=(await rig.urls(waiting)).result_url.rpartition("/")[2],
        raw=result(await reference_of(rig, waiting), receipt="UI1AAAAAA1"),
        remote_address=None,
    )
    await rig.call_back(sound, result(await reference_of(rig, sound), receipt="UI1AAAAAA2"))

    await rig.inbound.step(limit=10)
    at_once = await rig.state(sound)
    for _ in range(2 * TRIES_MAX):
        rig.clock.advance(seconds=WAIT_AFTER.total_seconds())
        await rig.inbound.step(limit=10)
    still = await rig.verdicts()
    rig.clock.advance(seconds=WAIT_AFTER.total_seconds())
    await with_other_secret.step(limit=10)

    assert (at_once, still) == ("SETTLED", [(None, None), ("applied", sound)])
    assert await rig.state(waiting) == "SETTLED"


async def test_an_outcome_that_the_books_cannot_take_waits_for_them_and_blocks_nobody(rig: Rig) -> None:
    """The failure is true, but the account its money must go back to is closed: it is not the message's fault."""
    await rig.script("no-callback-not-paid", count=2)
    (failing,) = await rig.request_many(1, shillings=98_500)
    (sound,) = await rig.request_many(1)
    await rig.work_until_quiet()
    async with transaction(rig.engine) as connection:
        await accounts.close_account(connection, ledger_id=rig.ledger.id, path=PREFUND, currency="KES", now=rig.now())
    await rig.call_back(failing, failure(await reference_of(rig, failing)))
    await rig.call_back(sound, result(await reference_of(rig, sound)))

    for _ in range(2 * TRIES_MAX):
        await rig.inbound.step(limit=10)
        rig.clock.advance(seconds=WAIT_AFTER.total_seconds())
    waiting = await rig.verdicts()
    await reopen(rig, PREFUND)
    await rig.inbound.step(limit=10)

    assert waiting == [(None, None), ("applied", sound)]
    assert await rig.state(failing) == "RELEASED"
    assert await rig.balance(PREFUND) == 9_850_000


async def reopen(rig: Rig, path: str) -> None:
    """As an administrator would."""
    async with transaction(rig.engine) as connection:
        await connection.execute(
            text(
                "UPDATE account_balances AS b SET closed_at = NULL FROM accounts AS a WHERE a.ledger_id = b.ledger_id "
                "AND a.id = b.account_id AND b.ledger_id = :ledger AND a.path = :path"
            ),
            {"ledger": rig.ledger.id, "path": path},
        )


async def test_a_message_is_kept_even_where_another_process_chose_its_id_too(rig: Rig) -> None:
    """Two processes draw ids in one millisecond from sources that happen to agree."""
    twins = [replace(rig.application, ids=IdSource(random.Random(3))).inbound() for _ in range(2)]

    for inbound in twins:
        for _ in range(5):
            await inbound.receive(
                ledger_id=rig.ledger.id, rail="daraja", kind="result", token="0", raw=b"{}", remote_address=None
            )

    assert len(await rig.verdicts()) == 10


async def test_several_workers_judge_every_message_once(rig: Rig) -> None:
    ids = await submitted(rig, count=12)
    for number, payout_id in enumerate(ids):
        for _ in range(3):
            await rig.call_back(payout_id, result(await reference_of(rig, payout_id), receipt=f"UI1AAAA{number:03}"))

    judged = await asyncio.gather(*(rig.application.inbound().step(limit=10) for _ in range(8)))
    while await rig.inbound.step(limit=10):
        pass

    words = [word for word, _ in await rig.verdicts()]
    assert sum(judged) <= 36
    assert (words.count("applied"), words.count("repeated")) == (12, 24)


async def test_a_callback_before_the_answer_settles_and_the_answer_changes_nothing(rig: Rig) -> None:
    payout_id = await rig.request()
    rig.rail.after.shut()
    step = asyncio.create_task(rig.dispatcher.step())
    await rig.rail.after.reached.wait()
    await rig.sandbox.idle()
    await rig.inbound.step(limit=10)
    before_answer = await rig.state(payout_id)

    rig.rail.after.open()
    await step

    assert (before_answer, await rig.state(payout_id)) == ("SETTLED", "SETTLED")
    assert await rig.balance(IN_TRANSIT) == 0


async def test_raw_messages_are_sealed(rig: Rig) -> None:
    (payout_id,) = await submitted(rig)
    reference = await reference_of(rig, payout_id)

    await rig.call_back(payout_id, timeout_echo(reference), kind="timeout")
    await rig.call_back(payout_id, result(reference))

    for row in await rig.rows("SELECT m::text AS shown, raw FROM inbox AS m WHERE ledger_id = :ledger"):
        for secret in (PAYEE, "JANE", "c2VjcmV0IGNyZWRlbnRpYWw=", reference):
            assert secret not in row.shown
            assert secret.encode().hex() not in row.shown
            assert secret.encode() not in bytes(row.raw)
