"""The vault's two services: convert, one ledger call, convert. Operators write; nobody reads a secret back."""

from __future__ import annotations

from functools import partial

import grpc.aio
from daftari.v1 import vault_pb2 as pb
from daftari.v1.vault_pb2_grpc import (
    VaultCommandServiceServicer,
    VaultQueryServiceServicer,
    add_VaultCommandServiceServicer_to_server,
    add_VaultQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import Caller, current_call
from api.conversion.pages import page_of
from api.conversion.vault import draft_of, secret_message
from api.core import Core
from api.server import Service
from ledger import vault
from ledger.database import driver, run, transaction
from ledger.errors import Denied, LedgerNotFound
from ledger.journal.books import Ledger
from ledger.vault_keys import Writer, writer_given

_NAMES = pb.DESCRIPTOR.services_by_name


class VaultCommands(VaultCommandServiceServicer):
    """See protos/daftari/v1/vault.proto. Without a writer every secret is refused, and told what to set."""

    def __init__(self, core: Core, *, writer: Writer | None) -> None:
        self._core = core
        self._writer = writer

    async def PutSecret(
        self,
        request: pb.PutSecretRequest,
        context: grpc.aio.ServicerContext[pb.PutSecretRequest, pb.PutSecretResponse],
    ) -> pb.PutSecretResponse:
        caller = _operator()
        ledger = await _find_ledger(self._core, request.ledger, caller)
        draft, writer = draft_of(request), writer_given(self._writer)

        async def command(connection: AsyncConnection) -> vault.Written:
            return await vault.put_requested_secret(
                await driver(connection),
                ledger_id=ledger.id,
                client_id=caller.client_id,
                request_id=request.request_id,
                draft=draft,
                writer=writer,
                actor=caller.name,
                now=self._core.now(),
            )

        written = await run(self._core.engine, command, again_on=vault.RACING_CONSTRAINTS)
        return pb.PutSecretResponse(secret=secret_message(written.secret), replayed=written.replayed)


class VaultQueries(VaultQueryServiceServicer):
    """See protos/daftari/v1/vault.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ListSecrets(
        self,
        request: pb.ListSecretsRequest,
        context: grpc.aio.ServicerContext[pb.ListSecretsRequest, pb.ListSecretsResponse],
    ) -> pb.ListSecretsResponse:
        ledger = await _find_ledger(self._core, request.ledger, _operator())
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await vault.list_secrets(
                await driver(connection), ledger_id=ledger.id, after=page.text(), limit=page.limit
            )
        shown, token = page.cut(found, lambda one: (one.name,))
        return pb.ListSecretsResponse(secrets=[secret_message(one) for one in shown], next_page_token=token)


def vault_services(core: Core, *, writer: Writer | None) -> list[Service]:
    """VaultCommandService and VaultQueryService on this core; `writer` is None in a process without a public key."""
    commands, queries = VaultCommands(core, writer=writer), VaultQueries(core)
    return [
        Service(_NAMES["VaultCommandService"].full_name, partial(add_VaultCommandServiceServicer_to_server, commands)),
        Service(_NAMES["VaultQueryService"].full_name, partial(add_VaultQueryServiceServicer_to_server, queries)),
    ]


def _operator() -> Caller:
    """The caller, who is no partner, whatever a partner's key was given. Raises Denied."""
    caller = current_call().caller
    if caller.partner_id is not None:
        raise Denied("the vault is for operators; a partner's key reaches none of it")
    return caller


async def _find_ledger(core: Core, code: str, caller: Caller) -> Ledger:
    """Raises LedgerNotFound without quoting the code: in a request that is mixed up it may be the secret."""
    try:
        return await core.ledgers.find(code, caller=caller)
    except LedgerNotFound:
        raise LedgerNotFound("no ledger of that code that this key may see", field="ledger") from None
