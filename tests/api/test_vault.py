"""The vault over gRPC: operators write and list, nobody reads back, and nothing that is told holds the secret."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
import structlog
from daftari.v1 import vault_pb2 as pb
from daftari.v1.vault_pb2_grpc import VaultCommandServiceStub, VaultQueryServiceStub
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.credentials import vault_opener
from api.permissions import PARTNER_PERMISSIONS, Permission
from api.settings import Settings
from ledger import partners
from ledger.database import run
from tests.api.office import Office, open_office, top_up
from tests.fix_api import EVERYTHING
from tests.ledger.payouts.shop import SECRET, open_shop
from tests.ledger.vault_hands import CANARY, NAME, OTHER, attempt, unlock
from tests.wire import refusal

if TYPE_CHECKING:
    from daftari.v1.vault_pb2_grpc import VaultCommandServiceAsyncStub, VaultQueryServiceAsyncStub

PUT_SECRET = "/daftari.v1.VaultCommandService/PutSecret"
FORMS = (CANARY, CANARY.encode().hex(), CANARY.upper(), repr(CANARY.encode())[2:-1])


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop."""
    async with open_office(engine) as opened:
        yield opened


@pytest.fixture
def _nothing_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Looks through all that the test has logged, at every level, tracebacks included."""
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as events:
        yield
    lines = [f"{record.__dict__} {caplog.handler.format(record)}" for record in caplog.get_records("call")]
    lines += [repr(event) for event in events]
    assert lines
    assert not [form for form in FORMS if form in "\n".join(lines)]


def commands(office: Office, key: str = "") -> VaultCommandServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return VaultCommandServiceStub(office.channel(key or office.operator))


def queries(office: Office, key: str = "") -> VaultQueryServiceAsyncStub:
    """As the holder of the key; the operator for none."""
    return VaultQueryServiceStub(office.channel(key or office.operator))


def request(office: Office, secret: bytes = CANARY.encode(), **changes: Any) -> pb.PutSecretRequest:
    """A secret to be written."""
    fields = {"ledger": office.ledger, "request_id": "put-1", "name": NAME} | changes
    return pb.PutSecretRequest(secret=secret, **fields)


async def test_what_an_operator_writes_a_worker_opens_and_a_list_shows_who_wrote_it(office: Office) -> None:
    key = await office.operator_key(ledger_id=office.shop.ledger.id, name="wanjiru")

    written = await commands(office, key).PutSecret(request(office))
    listed = await queries(office).ListSecrets(pb.ListSecretsRequest(ledger=office.ledger))

    opener = vault_opener(Settings(), secret=SECRET)
    assert await unlock(office.shop, await attempt(office.shop), opener=opener) == {NAME: CANARY}
    assert list(listed.secrets) == [written.secret]
    assert (written.secret.name, written.secret.version, written.secret.written_by) == (NAME, 1, "wanjiru")
    assert written.secret.write_time.ToDatetime() == office.shop.now().replace(tzinfo=None)
    assert len(written.secret.fingerprint) == 12
    assert CANARY not in f"{written} {listed}"


async def test_a_repeat_gets_the_first_answer_and_other_content_is_refused(office: Office) -> None:
    first = await commands(office).PutSecret(request(office))
    again = await commands(office).PutSecret(request(office))
    others = [
        await refusal(commands(office).PutSecret(request(office, b"something else"))),
        await refusal(commands(office).PutSecret(request(office, name=OTHER))),
    ]
    await office.commands().TopUpPartner(top_up(office, "topup-1"))
    others.append(await refusal(commands(office).PutSecret(request(office, request_id="topup-1"))))

    assert (first.replayed, again.replayed) == (False, True)
    assert again.secret == first.secret
    assert {(one.code, one.reason, one.field) for one in others} == {
        (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED", "request_id")
    }
    assert (await queries(office).ListSecrets(pb.ListSecretsRequest(ledger=office.ledger))).secrets[0].version == 1


async def test_sixteen_repeats_at_once_write_one_version(office: Office) -> None:
    stub = commands(office)

    answers = await asyncio.gather(*(stub.PutSecret(request(office)) for _ in range(16)))

    assert sorted(one.replayed for one in answers) == [False] + [True] * 15
    assert {one.secret.version for one in answers} == {1}


async def test_a_list_is_paged_by_name_and_shows_the_newest_versions(office: Office) -> None:
    names = [f"daraja/60058{number}/consumer_secret" for number in range(5)]
    for number, name in enumerate([*names, names[2]]):
        await commands(office).PutSecret(request(office, request_id=f"put-{number}", name=name))
    shown: list[tuple[str, int]] = []
    token, pages = "", 0

    while pages == 0 or token:
        page = await queries(office).ListSecrets(
            pb.ListSecretsRequest(ledger=office.ledger, page_size=2, page_token=token)
        )
        shown += [(one.name, one.version) for one in page.secrets]
        token, pages = page.next_page_token, pages + 1

    assert pages == 3
    assert shown == [(name, 2 if name == names[2] else 1) for name in names]


async def test_a_key_without_the_permission_reaches_nothing(office: Office) -> None:
    no_writer = await office.operator_key(permissions=EVERYTHING - {Permission.VAULT_WRITE.value})
    no_reader = await office.operator_key(permissions=EVERYTHING - {Permission.VAULT_LIST.value})

    refused = [
        await refusal(commands(office, no_writer).PutSecret(request(office))),
        await refusal(queries(office, no_reader).ListSecrets(pb.ListSecretsRequest(ledger=office.ledger))),
    ]

    assert [(one.code, one.metadata["permission"]) for one in refused] == [
        (grpc.StatusCode.PERMISSION_DENIED, "vault.write"),
        (grpc.StatusCode.PERMISSION_DENIED, "vault.list"),
    ]


async def test_a_partners_key_reaches_nothing_whatever_it_was_given(office: Office) -> None:
    usual, mistaken = await office.partner_key(), await create_mistaken_key(office)
    listing = pb.ListSecretsRequest(ledger=office.ledger)

    refused = [
        await refusal(call)
        for key in (usual, mistaken)
        for call in (commands(office, key).PutSecret(request(office)), queries(office, key).ListSecrets(listing))
    ]
    asked_for = await refusal(office.partner_key(permissions=["vault.write"]))

    assert {(one.code, one.reason) for one in refused} == {(grpc.StatusCode.PERMISSION_DENIED, "DENIED")}
    assert asked_for.field == "permissions"
    assert not {Permission.VAULT_LIST, Permission.VAULT_WRITE} & set(PARTNER_PERMISSIONS)
    assert not (await queries(office).ListSecrets(listing)).secrets


async def create_mistaken_key(office: Office) -> str:
    """A partner's key with every right there is, as the command line makes one when it is told to."""

    async def command(connection: AsyncConnection) -> str:
        return await partners.create_key(
            connection,
            name="till",
            ledger_id=office.shop.ledger.id,
            partner_id=office.shop.partner.id,
            permissions=EVERYTHING,
            expires_at=None,
            secret=bytes(32),
            ids=office.shop.ids,
            now=office.shop.now(),
        )

    return await run(office.shop.engine, command)


async def test_another_ledgers_operator_finds_no_such_ledger(office: Office) -> None:
    async with open_shop(office.shop.engine) as neighbour:
        stranger = await office.operator_key(ledger_id=neighbour.ledger.id)

        refused = [
            await refusal(commands(office, stranger).PutSecret(request(office))),
            await refusal(queries(office, stranger).ListSecrets(pb.ListSecretsRequest(ledger=office.shop.ledger.code))),
        ]

    assert {(one.code, one.reason) for one in refused} == {(grpc.StatusCode.NOT_FOUND, "LEDGER_NOT_FOUND")}


async def test_a_process_without_a_public_key_writes_nothing_and_says_what_to_set(engine: AsyncEngine) -> None:
    own = SecretStr("postgresql://daftari_app@127.0.0.1:1/daftari")
    async with open_office(engine, database_url=own) as office:
        refused = await refusal(commands(office).PutSecret(request(office)))
        listed = await queries(office).ListSecrets(pb.ListSecretsRequest(ledger=office.ledger))

    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "VAULT_KEY_UNUSABLE")
    assert "DAFTARI_VAULT_PUBLIC_KEY" in refused.message
    assert not listed.secrets


MALFORMED = {
    "no UTF-8": (CANARY.encode() + b"\xff", {}, "secret"),
    "a lone surrogate": (CANARY.encode() + b"\xed\xa0\x80", {}, "secret"),
    "empty": (b"", {}, "secret"),
    "too long": (CANARY.encode() * 200, {}, "secret"),
    "the secret as the name": (b"x", {"name": CANARY}, "name"),
    "the secret as the ledger": (b"x", {"ledger": CANARY}, "ledger"),
    "the secret as the request id": (b"x", {"request_id": CANARY * 3}, "request_id"),
    "no name": (CANARY.encode(), {"name": ""}, "name"),
    "no ledger": (CANARY.encode(), {"ledger": ""}, "ledger"),
    "no request id": (CANARY.encode(), {"request_id": ""}, "request_id"),
}


@pytest.mark.usefixtures("_nothing_told")
async def test_a_malformed_request_is_refused_by_its_field_and_quoted_nowhere(office: Office) -> None:
    stub = commands(office)

    for what, (secret, changes, field) in MALFORMED.items():
        refused = await refusal(stub.PutSecret(request(office, secret, **changes)))

        assert refused.field == field, what
        assert not [form for form in FORMS if form in repr(refused)], what


@pytest.mark.parametrize(
    "body",
    [
        pb.PutSecretRequest(name=NAME, secret=CANARY.encode()).SerializeToString() + b"\xff\xff\xff",
        pb.PutSecretRequest(secret=CANARY.encode()).SerializeToString()[:-3],
        CANARY.encode(),
    ],
    ids=["rubbish at its end", "cut off", "the secret alone"],
)
@pytest.mark.usefixtures("_nothing_told")
async def test_bytes_that_are_no_request_are_quoted_nowhere(office: Office, body: bytes) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = office.channel(office.operator).unary_unary(PUT_SECRET)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(body)

    error = caught.value
    assert not [
        form for form in FORMS if form in f"{error!r} {error.trailing_metadata()!r} {error.debug_error_string()}"
    ]


@pytest.mark.usefixtures("_nothing_told")
async def test_what_is_taken_refused_or_repeated_is_in_no_log_and_no_row(office: Office) -> None:
    await commands(office).PutSecret(request(office))
    await commands(office).PutSecret(request(office))
    await refusal(commands(office).PutSecret(request(office, CANARY.encode() + b"2")))
    await refusal(commands(office, await office.partner_key()).PutSecret(request(office)))

    rows = await office.shop.rows("SELECT vault_secrets::text FROM vault_secrets WHERE ledger_id = :ledger")
    keys = await office.shop.rows("SELECT idempotency_keys::text FROM idempotency_keys WHERE ledger_id = :ledger")
    assert not [form for form in FORMS if form in f"{rows}{keys}"]
