"""Endpoints and their secrets: told once, sealed at rest, two in force at most, and shown nowhere."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
import structlog
from cryptography.exceptions import InvalidTag
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters import webhooks
from ledger.database import driver, run
from ledger.errors import WebhookEndpointExists, WebhookNotFound
from ledger.webhooks import deliveries, endpoints
from ledger.webhooks.deliveries import Claimed, ClaimLimits
from ledger.webhooks.endpoints import ENDPOINTS_PER_PARTNER_MAX, secret_place
from tests.ledger.payouts.shop import PAYEE
from tests.webhooks.desk import LEASE, SEALER, Desk
from tests.webhooks.receiver import Receiver, answering

URL = "https://hooks.partner.example/events?token=in-the-url"


async def test_the_same_request_again_gets_the_same_secret_and_another_is_refused(desk: Desk) -> None:
    told = await desk.endpoint(URL)

    again = await desk.endpoint(URL)
    with pytest.raises(WebhookEndpointExists):
        await desk.endpoint(URL, request_id="another")

    assert again == told
    assert told.secret.startswith("whsec_")
    assert len(base64.b64decode(told.secret.removeprefix("whsec_"))) == 32


async def test_a_rotation_repeated_makes_no_third_secret(desk: Desk) -> None:
    told = await desk.endpoint(URL)

    rotated = [await desk.rotate(told.endpoint, overlap=timedelta(hours=1)) for _ in range(2)]

    assert rotated[0] == rotated[1]
    assert rotated[0].secret != told.secret
    assert len(await desk.shop.rows("SELECT id FROM webhook_secrets WHERE ledger_id = :ledger")) == 2


async def test_never_more_than_two_secrets_are_in_force(desk: Desk, receiver: Receiver) -> None:
    told = await desk.endpoint(receiver.url)
    renewed = [
        await desk.rotate(told.endpoint, overlap=timedelta(hours=1), request_id=f"rotation-{number}")
        for number in range(4)
    ]

    await desk.settle()
    await desk.work()

    (arrival,) = receiver.arrivals
    assert len(arrival.headers["webhook-signature"].split(" ")) == 2
    for one in renewed[-2:]:
        arrival.verify(one.secret)


async def test_a_secret_is_sealed_for_its_own_row(desk: Desk) -> None:
    told = await desk.endpoint(URL)
    await desk.rotate(told.endpoint, overlap=timedelta(hours=1))

    rows = await desk.shop.rows("SELECT id, sealed FROM webhook_secrets WHERE ledger_id = :ledger ORDER BY id")

    (first, sealed), (second, _) = rows
    plain = SEALER.open(bytes(sealed), bound_to=secret_place(desk.shop.ledger.id, first))
    assert base64.b64encode(plain).decode() == told.secret.removeprefix("whsec_")
    assert plain not in bytes(sealed)
    with pytest.raises(InvalidTag):
        SEALER.open(bytes(sealed), bound_to=secret_place(desk.shop.ledger.id, second))


async def test_a_partner_has_a_bounded_number_of_endpoints(desk: Desk) -> None:
    for number in range(ENDPOINTS_PER_PARTNER_MAX):
        await desk.endpoint(f"{URL}{number}")

    with pytest.raises(WebhookEndpointExists):
        await desk.endpoint(f"{URL}-more")


async def test_another_partners_endpoint_is_not_found_like_none(desk: Desk) -> None:
    told = await desk.endpoint(URL)
    refusals = []
    for endpoint_id in (told.endpoint.id, told.endpoint.id + 1):

        async def look(connection: AsyncConnection, endpoint_id: int = endpoint_id) -> object:
            return await endpoints.get_endpoint(
                connection, ledger_id=desk.shop.ledger.id, partner_id=12345, endpoint_id=endpoint_id
            )

        with pytest.raises(WebhookNotFound) as refusal:
            await run(desk.shop.engine, look)
        refusals.append((refusal.value.message, refusal.value.field))

    assert refusals[0] == refusals[1]


async def test_secrets_numbers_and_urls_are_in_no_log_and_no_repr(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scenario 40: a delivery that is taken, one that fails, one whose worker crashes, and all that has a repr."""
    # A logger of this test's own, whatever another test has made of the process's.
    structlog.reset_defaults()
    monkeypatch.setattr(webhooks, "log", structlog.get_logger())
    told = await desk.endpoint(receiver.url)
    await desk.settle()
    claimed = await claim(desk)
    desk.clock.advance(seconds=LEASE.total_seconds() + 1)
    await desk.work()
    receiver.behave = answering(500)
    await desk.settle()
    await desk.work()
    await desk.egress.close()
    desk.clock.advance(seconds=3600)
    await desk.work()

    shown = "\n".join(map(repr, [told, told.endpoint, *claimed, *await desk.deliveries(told.endpoint), desk.deliverer]))
    written = capsys.readouterr()
    everything = shown + written.out + written.err

    assert "webhook.tried" in everything
    assert "webhook.crashed" in everything
    secret = told.secret.removeprefix("whsec_")
    plain = base64.b64decode(secret)
    for canary in (secret, plain.hex(), repr(plain), PAYEE, PAYEE[-9:], "token-in-the-path"):
        assert canary not in everything


async def claim(desk: Desk) -> list[Claimed]:
    now = desk.clock()

    async def claimed(connection: AsyncConnection) -> list[Claimed]:
        return await deliveries.claim(
            await driver(connection),
            limits=ClaimLimits(per_endpoint=4, total=10),
            lease=LEASE,
            token=desk.shop.ids.next(now),
            sealer=SEALER,
            now=now,
        )

    return await run(desk.shop.engine, claimed)
