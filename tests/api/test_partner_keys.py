"""Keys of partners over gRPC: several live at once, shown once, bounded in time, and gone when they are revoked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from daftari.v1 import partners_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncEngine

from api.authentication import REMEMBERED_SECONDS, Authenticator
from api.caller import Caller
from api.permissions import PARTNER_PERMISSIONS
from ledger import partners
from ledger.database import transaction
from ledger.errors import NotAuthenticated
from ledger.ids import encode
from tests.api.office import Office, open_office, request_payout, top_up
from tests.ledger.payouts.shop import open_shop
from tests.wire import refusal

PERMISSIONS = {one.value for one in PARTNER_PERMISSIONS}


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop."""
    async with open_office(engine) as opened:
        yield opened


def id_of(key: str) -> str:
    """The part of a key that is no secret."""
    return key.rpartition("_")[0]


async def test_two_keys_of_a_partner_live_at_once_and_share_their_request_ids(office: Office) -> None:
    old, new = await office.partner_key(), await office.partner_key()
    first = await request_payout(office, old, "order-1")

    again = await request_payout(office, new, "order-1")

    assert old != new
    assert (first.replayed, again.replayed) == (False, True)
    assert again.payout == first.payout


async def test_request_ids_survive_the_change_from_a_revoked_key_to_a_new_one(office: Office) -> None:
    old = await office.partner_key()
    first = await request_payout(office, old, "order-1")
    await office.commands().RevokeKey(pb.RevokeKeyRequest(ledger=office.ledger, key_id=id_of(old)))

    again = await request_payout(office, await office.partner_key(), "order-1")

    assert again.replayed
    assert again.payout.id == first.payout.id


async def test_an_operators_new_key_of_the_same_name_keeps_its_request_ids(office: Office) -> None:
    place: dict[str, Any] = {"ledger_id": office.shop.ledger.id, "name": "back-office"}
    old, new = await office.operator_key(**place), await office.operator_key(**place)
    other = await office.operator_key(ledger_id=office.shop.ledger.id, name="other")

    first = await office.commands(old).TopUpPartner(top_up(office, "topup-1"))
    again = await office.commands(new).TopUpPartner(top_up(office, "topup-1"))
    another = await office.commands(other).TopUpPartner(top_up(office, "topup-1"))

    assert [one.replayed for one in (first, again, another)] == [False, True, False]


async def test_a_key_is_shown_once_and_listed_without_its_secret(office: Office) -> None:
    expires_at = office.shop.now() + timedelta(days=30)
    first = await office.partner_key()
    second = await office.partner_key(permissions=["payouts.read"], expires_at=expires_at)

    listed = await office.queries().ListKeys(pb.ListKeysRequest(ledger=office.ledger, partner="shop"))

    assert [one.id for one in listed.keys] == [id_of(second), id_of(first)]
    newest, oldest = listed.keys
    assert (list(newest.permissions), newest.expire_time.ToDatetime()) == (
        ["payouts.read"], expires_at.replace(tzinfo=None),
    )  # fmt: skip
    assert set(oldest.permissions) == PERMISSIONS
    assert not oldest.HasField("expire_time")
    stored = await office.shop.rows("SELECT api_keys::text FROM api_keys WHERE ledger_id = :ledger")
    for key in (first, second):
        secret = key.rpartition("_")[2]
        assert len(secret) == 64
        assert secret not in str(listed) + str(stored)


async def test_an_expired_key_is_refused_like_a_revoked_a_wrong_and_an_unknown_one(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        expiring = await office.partner_key(expires_at=office.shop.now() + timedelta(minutes=1))
        revoked = await office.partner_key()
        await office.commands().RevokeKey(pb.RevokeKeyRequest(ledger=office.ledger, key_id=id_of(revoked)))
        wrong = f"{id_of(expiring)}_{'0' * 64}"
        unknown = f"{encode('dft', 1)}_{'0' * 64}"
        office.shop.clock.advance(seconds=60)

        told = [
            await refusal(office.queries(key).GetPartner(pb.GetPartnerRequest(ledger=office.ledger)))
            for key in (expiring, revoked, wrong, unknown, "dft_", "x", f"{id_of(expiring)}_\u00e9".encode().hex())
        ]

    assert {(one.code, one.reason, one.message) for one in told} == {
        (grpc.StatusCode.UNAUTHENTICATED, "NOT_AUTHENTICATED", told[0].message)
    }


async def test_a_key_works_to_the_moment_of_its_expiry(engine: AsyncEngine) -> None:
    async with open_office(engine) as office:
        key = await office.partner_key(expires_at=office.shop.now() + timedelta(minutes=1))
        office.shop.clock.advance(seconds=59.9)

        await office.queries(key).GetPartner(pb.GetPartnerRequest(ledger=office.ledger))


async def test_a_revoked_key_is_forgotten_within_two_seconds_everywhere(office: Office) -> None:
    """Each process has a memory of its own; both lose the key by their own clocks."""
    key, asked = await office.partner_key(), 0

    async def authenticate(text: str) -> Caller:
        nonlocal asked
        asked += 1
        async with transaction(office.shop.engine) as connection:
            holder = await partners.authenticate(connection, key=text, now=office.shop.now())
        return Caller(
            client_id=holder.client_id,
            name=holder.name,
            ledger_id=holder.ledger_id,
            partner_id=holder.partner_id,
            permissions=holder.permissions,
        )

    seconds = [0.0]
    processes = [Authenticator(authenticate, monotonic=lambda: seconds[0]) for _ in range(2)]
    for one in processes * 3:
        await one.caller_of(key)
    assert asked == 2
    await office.commands().RevokeKey(pb.RevokeKeyRequest(ledger=office.ledger, key_id=id_of(key)))

    seconds[0] = REMEMBERED_SECONDS

    for one in processes:
        with pytest.raises(NotAuthenticated):
            await one.caller_of(key)
    assert REMEMBERED_SECONDS <= 5


async def test_a_key_is_revoked_once_and_only_by_its_own_ledgers_operator(office: Office) -> None:
    key = await office.partner_key()
    async with open_shop(office.shop.engine) as neighbour:
        stranger = await office.operator_key(ledger_id=neighbour.ledger.id)
        elsewhere = pb.RevokeKeyRequest(ledger=neighbour.ledger.code, key_id=id_of(key))

        foreign = await refusal(office.commands(stranger).RevokeKey(elsewhere))

    here = pb.RevokeKeyRequest(ledger=office.ledger, key_id=id_of(key))
    await office.commands().RevokeKey(here)
    twice = await refusal(office.commands().RevokeKey(here))
    nonsense = await refusal(office.commands().RevokeKey(pb.RevokeKeyRequest(ledger=office.ledger, key_id="dft_x")))
    assert {(one.code, one.reason) for one in (foreign, twice, nonsense)} == {
        (grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND")
    }


@pytest.mark.parametrize(
    "permission", ["journal.post", "keys.manage", "partners.manage", "reviews.resolve", "nonsense"]
)
async def test_a_partners_key_is_given_no_operators_right(office: Office, permission: str) -> None:
    told = await refusal(office.partner_key(permissions=["payouts.read", permission]))

    assert (told.code, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, "permissions")
