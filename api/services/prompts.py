"""Prompts over gRPC: convert, one ledger call, convert."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import grpc.aio
from daftari.v1 import prompts_pb2 as pb
from daftari.v1.prompts_pb2_grpc import (
    PromptCommandServiceServicer,
    PromptQueryServiceServicer,
    add_PromptCommandServiceServicer_to_server,
    add_PromptQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.acting import partner_of
from api.caller import current_call
from api.conversion import prompts as conversion
from api.conversion.pages import id_bounds_of, page_of
from api.core import Core
from api.server import Service
from ledger.collections import listing, prompting
from ledger.collections.prompting import Prompt
from ledger.collections.refusals import PromptNotFound
from ledger.database import driver, run, transaction
from ledger.errors import OrderNotFound
from ledger.prompts import RACING_CONSTRAINTS, PromptRecorder, PromptRules

_NAMES = pb.DESCRIPTOR.services_by_name
_MADE_RACES = RACING_CONSTRAINTS | {"parties_pkey", "parties_payee_is_unique"}


class PromptCommands(PromptCommandServiceServicer):
    """See protos/daftari/v1/prompts.proto."""

    def __init__(self, core: Core, *, recorder: PromptRecorder, rules: Mapping[str, PromptRules]) -> None:
        self._core = core
        self._recorder = recorder
        self._rules = rules

    async def RequestPrompt(
        self,
        request: pb.RequestPromptRequest,
        context: grpc.aio.ServicerContext[pb.RequestPromptRequest, pb.RequestPromptResponse],
    ) -> pb.RequestPromptResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        if caller.partner_id is not None and not request.order_id:
            raise OrderNotFound("a partner asks towards an order of its own", field="order_id")

        async def command(connection: AsyncConnection) -> tuple[Prompt, bool]:
            own = await partner_of(connection, ledger, "", caller) if caller.partner_id is not None else None
            wanted = conversion.prompt_request_of(
                request,
                ledger_id=ledger.id,
                partner=own,
                client_id=caller.client_id,
                actor=caller.name,
                party_keys=self._recorder.party_keys,
            )
            return await self._recorder.request(
                await driver(connection), ledger=ledger, request=wanted, rules=self._rules, now=self._core.now()
            )

        prompt, replayed = await run(self._core.engine, command, again_on=_MADE_RACES)
        return pb.RequestPromptResponse(prompt=conversion.prompt_message(prompt), replayed=replayed)


class PromptQueries(PromptQueryServiceServicer):
    """See protos/daftari/v1/prompts.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetPrompt(
        self,
        request: pb.GetPromptRequest,
        context: grpc.aio.ServicerContext[pb.GetPromptRequest, pb.GetPromptResponse],
    ) -> pb.GetPromptResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        prompt_id = conversion.prompt_id_of(request.prompt_id)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            found = await prompting.read_prompts(session, ledger_id=ledger.id, prompt_ids=[prompt_id])
            prompt = found.get(prompt_id)
            if prompt is None or caller.partner_id not in (None, prompt.partner_id):
                raise PromptNotFound("no such prompt among yours", field="prompt_id")
            events = await prompting.list_events(session, ledger_id=ledger.id, prompt_id=prompt_id)
        return pb.GetPromptResponse(
            prompt=conversion.prompt_message(prompt),
            events=[conversion.prompt_event_message(one) for one in events],
        )

    async def ListPrompts(
        self,
        request: pb.ListPromptsRequest,
        context: grpc.aio.ServicerContext[pb.ListPromptsRequest, pb.ListPromptsResponse],
    ) -> pb.ListPromptsResponse:
        caller = current_call().caller
        ledger, page = await self._core.ledgers.find(request.ledger, caller=caller), page_of(request)
        id_from, id_before = id_bounds_of(request)
        async with transaction(self._core.engine) as connection:
            narrowed = request.partner or caller.partner_id is not None
            partner = await partner_of(connection, ledger, request.partner, caller) if narrowed else None
            found = await listing.list_prompts(
                connection,
                ledger_id=ledger.id,
                partner_id=partner.id if partner is not None else None,
                states=conversion.states_of(request.states),
                id_from=id_from,
                id_before=min(id_before, page.before()),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListPromptsResponse(prompts=[conversion.prompt_message(one) for one in shown], next_page_token=token)


def prompt_services(core: Core, *, recorder: PromptRecorder, rules: Mapping[str, PromptRules]) -> list[Service]:
    """PromptCommandService and PromptQueryService on this core."""
    commands, reading = PromptCommands(core, recorder=recorder, rules=rules), PromptQueries(core)
    return [
        Service(
            _NAMES["PromptCommandService"].full_name, partial(add_PromptCommandServiceServicer_to_server, commands)
        ),
        Service(_NAMES["PromptQueryService"].full_name, partial(add_PromptQueryServiceServicer_to_server, reading)),
    ]
