"""The metrics tell the truth of made-up states, and none of their labels tells who anybody is."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from functools import partial
from io import StringIO

import grpc.aio
import pytest
from daftari.v1 import partners_pb2, payouts_pb2
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.commands.status import print_status
from api.metrics import Metrics
from ledger import floats, operations
from ledger.database import driver, run, transaction
from ledger.floats import Assertion
from ledger.payouts import reviews
from ledger.payouts.payout import State
from tests.api.office import Office, open_office
from tests.ledger.payouts.roads import road_to
from tests.ledger.payouts.shop import PAYEE, Shop, open_shop
from tests.wire import money, refusal

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def shop(fresh_engine: AsyncEngine) -> AsyncIterator[Shop]:
    """The only books of their database."""
    async with open_shop(fresh_engine) as opened:
        yield opened


async def samples(shop: Shop, metrics: Metrics | None = None) -> Samples:
    """Every sample of one scrape, without the ledger's label."""
    text = (await (metrics or Metrics()).exposition(shop.engine, now=shop.now)).decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels.get("ledger", shop.ledger.code) == shop.ledger.code
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "ledger"))
            found[sample.name, labels] = sample.value
    return found


async def put(shop: Shop, queue: str, count: int) -> None:
    """Cases."""

    async def command(connection: AsyncConnection) -> None:
        await reviews.open_reviews(
            await driver(connection),
            ledger_id=shop.ledger.id,
            queue=queue,
            cases=[reviews.Case(None, f"case {number}") for number in range(count)],
            ids=shop.ids,
            now=shop.now(),
        )

    await run(shop.engine, command)


async def tell(shop: Shop, available: int) -> None:
    """The provider's word on the utility account."""
    word = Assertion(
        provider="daraja",
        shortcode="600584",
        sub_account="utility",
        available=available,
        currency="KES",
        asserted_at=shop.now(),
        source="query",
    )

    async def command(connection: AsyncConnection) -> None:
        session = await driver(connection)
        await floats.write_assertions(
            session, ledger_id=shop.ledger.id, assertions=[word], ids=shop.ids, now=shop.now()
        )

    await run(shop.engine, command)


def of(found: Samples, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one name, by their labels' values in the order of the labels' names."""
    return {tuple(value for _, value in labels): one for (metric, labels), one in found.items() if metric == name}


async def test_books_where_nothing_waits_show_their_float_and_nothing_else(shop: Shop) -> None:
    found = await samples(shop)

    utility = ("KES", "daraja", "600584", "utility")
    assert of(found, "daftari_float_minor_units")[utility] == shop.float_opening
    assert of(found, "daftari_float_drift_minor_units") == {}
    for name in ("daftari_queue_waiting", "daftari_queue_oldest_seconds", "daftari_payouts_open"):
        assert of(found, name) == {}


async def test_queues_payouts_and_floats_are_as_they_were_made(shop: Shop) -> None:
    for state in (State.SUBMITTED, State.UNKNOWN, State.UNKNOWN, State.SETTLED, State.CONFLICTED):
        payout_id = await shop.request()
        await shop.record(*road_to(state, payout_id))
    await put(shop, "callback-orphan", 3)
    await tell(shop, shop.float_opening)
    shop.clock.advance(seconds=90)
    await shop.request()

    found = await samples(shop)

    assert of(found, "daftari_payouts_open") == {
        ("KES", "SUBMITTED"): 1, ("KES", "UNKNOWN"): 2, ("KES", "CONFLICTED"): 1, ("KES", "RESERVED"): 1,
    }  # fmt: skip
    assert of(found, "daftari_payouts_open_minor_units")["KES", "UNKNOWN"] == 300_000
    assert of(found, "daftari_queue_waiting") == {
        ("instructions: payout.query",): 2,
        ("instructions: payout.submit",): 1,
        ("review: callback-orphan",): 3,
        ("review: provider-conflict",): 1,
    }
    assert of(found, "daftari_queue_oldest_seconds") == {
        ("instructions: payout.query",): 30,
        ("instructions: payout.submit",): 0,
        ("review: callback-orphan",): 90,
        ("review: provider-conflict",): 90,
    }
    drift = of(found, "daftari_float_drift_minor_units")
    assert drift == {("KES", "daraja", "600584", "utility"): -300_000}


async def test_what_is_over_is_shown_no_longer(shop: Shop) -> None:
    metrics, payout_id = Metrics(), await shop.request()
    before = await samples(shop, metrics)

    await shop.cancel(payout_id)
    after = await samples(shop, metrics)

    assert of(before, "daftari_payouts_open") == {("KES", "RESERVED"): 1}
    assert of(after, "daftari_payouts_open") == of(after, "daftari_queue_waiting") == {}


async def test_a_figure_no_amount_can_hold_does_not_blind_the_operator(shop: Shop) -> None:
    await tell(shop, 2**62)

    drift = of(await samples(shop), "daftari_float_drift_minor_units")

    assert drift["KES", "daraja", "600584", "utility"] == pytest.approx(-(2**62))


async def test_a_scrape_of_many_ledgers_names_each(fresh_engine: AsyncEngine) -> None:
    async with open_shop(fresh_engine) as first, open_shop(fresh_engine) as second:
        await first.request()
        await second.request()

        text = (await Metrics().exposition(fresh_engine, now=first.now)).decode()

        for shop in (first, second):
            assert f'daftari_payouts_open{{currency="KES",ledger="{shop.ledger.code}",state="RESERVED"}} 1.0' in text


async def test_the_status_command_says_the_same(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.record(*road_to(State.UNKNOWN, payout_id))
    await put(shop, "callback-orphan", 2)
    await tell(shop, shop.float_opening - 100)
    shop.clock.advance(seconds=3_700)
    text = StringIO()
    out = Console(file=text, width=200)

    async with transaction(shop.engine) as connection:
        status = await operations.operations_status(connection, now=shop.now())
        positions = await floats.float_positions(connection, ledger_id=shop.ledger.id)
    print_status(out, [shop.ledger], {shop.ledger.id: shop.ledger.code}, status, [positions], now=shop.now())

    lines = [line.split() for line in text.getvalue().splitlines()]
    (unknown,) = [line for line in lines if "UNKNOWN" in line]
    (orphans,) = [line for line in lines if "callback-orphan" in line]
    (utility,) = [line for line in lines if "utility" in line]
    assert {"1,500.00", "1h"} <= set(unknown)
    assert {"2", "1h"} <= set(orphans)
    assert {"1,000,000.00", "999,999.00", "1.00"} <= set(utility)
    assert any({"under", "2", "hours"} <= set(line) for line in lines)


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop."""
    async with open_office(engine) as opened:
        yield opened


async def scrape(office: Office) -> str:
    """As a scraper on this machine."""
    response = await office.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return response.text


async def scrape_behind_all(office: Office) -> str:
    """Once nothing that runs on the server is older than what settled: transactions of other databases count too."""
    older = "SELECT max(xid) >= pg_snapshot_xmin(pg_current_snapshot()) FROM payout_events WHERE ledger_id = :ledger"
    while (await office.shop.rows(older))[0][0]:
        pass
    return await scrape(office)


async def test_calls_are_counted_by_method_and_code(office: Office) -> None:
    get = partners_pb2.GetPartnerRequest(ledger=office.ledger, partner="shop")
    for _ in range(3):
        await office.queries().GetPartner(get)
    await refusal(office.queries("dft_wrong").GetPartner(get))
    await refusal(office.queries().GetPartner(partners_pb2.GetPartnerRequest(ledger=office.ledger, partner="nobody")))

    text = await scrape(office)

    method = "/daftari.v1.PartnerQueryService/GetPartner"
    for code, count in (("OK", 3), ("UNAUTHENTICATED", 1), ("NOT_FOUND", 1)):
        assert f'daftari_grpc_calls_total{{code="{code}",method="{method}"}} {count}.0' in text
    assert f'daftari_grpc_call_seconds_count{{method="{method}"}} 5.0' in text


async def test_stored_callbacks_are_counted_and_refused_ones_are_not(office: Office) -> None:
    place = f"/callbacks/{office.shop.ledger.id}"
    for rail, kind in (("daraja", "result"), ("daraja", "result"), ("daraja", "timeout"), ("momo", "result")):
        await office.http.post(f"{place}/{rail}/{kind}/{secrets.token_hex(32)}", content=b"{}")
    await office.http.post(f"{place}/daraja/other/{secrets.token_hex(32)}", content=b"{}")

    text = await scrape(office)

    counted = [line for line in text.splitlines() if line.startswith("daftari_callbacks_total")]
    assert sorted(counted) == [
        'daftari_callbacks_total{kind="result",rail="daraja"} 2.0',
        'daftari_callbacks_total{kind="timeout",rail="daraja"} 1.0',
    ]


async def test_payouts_are_counted_by_how_long_they_took_whoever_settled_them(office: Office) -> None:
    shop, before = office.shop, await scrape(office)
    for seconds in (0, 30, 31, 90_000):
        payout_id = await shop.request()
        shop.clock.advance(seconds=seconds)
        await shop.record(*road_to(State.SETTLED, payout_id))
    failed = await shop.request()
    await shop.record(*road_to(State.RELEASED, failed))

    first, again = await scrape_behind_all(office), await scrape(office)

    place = f'ledger="{office.ledger}",rail="daraja"'
    told = [
        f"daftari_disbursement_seconds_count{{{place}}} 4.0",
        f"daftari_disbursement_seconds_sum{{{place}}} 90061.0",
    ]
    for bound, count in (("1.0", 1), ("10.0", 1), ("30.0", 2), ("60.0", 3), ("86400.0", 3), ("+Inf", 4)):
        told.append(f'daftari_disbursement_seconds_bucket{{le="{bound}",{place}}} {count}.0')
    assert [one for one in told if one not in first or one not in again] == []
    assert f"daftari_disbursement_seconds_count{{{place}}}" not in before


async def test_no_text_or_label_tells_an_id_a_number_or_a_secret(office: Office) -> None:
    key, token = await office.partner_key(), secrets.token_hex(32)
    draft = payouts_pb2.PayoutDraft(
        request_id="canary-request", partner_reference="canary-order", msisdn=PAYEE, amount=money(150_000),
        remarks="canary-remarks",
    )  # fmt: skip
    answer = await office.payouts(key).RequestPayout(
        payouts_pb2.RequestPayoutRequest(ledger=office.ledger, payout=draft)
    )
    await office.http.post(f"/callbacks/{office.shop.ledger.id}/daraja/result/{token}", content=PAYEE.encode())
    await put(office.shop, "callback-orphan", 1)

    text = await scrape(office)

    ids = (answer.payout.id, answer.payout.provider_reference, "pay_", "dft_")
    planted = (*ids, PAYEE, PAYEE[3:], "2547****", "canary", token, "case 0", key, office.operator)
    assert [one for one in planted if one in text] == []


async def test_a_name_nobody_serves_makes_no_label(office: Office) -> None:
    call = partial(office.channel(office.operator).unary_unary, request_serializer=bytes, response_deserializer=bytes)

    with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
        await call("/daftari.v1.Canary/Invented")(b"")

    assert "Canary" not in await scrape(office)
