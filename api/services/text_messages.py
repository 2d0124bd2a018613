"""Text messages over gRPC: convert, one ledger call, convert."""

from __future__ import annotations

from functools import partial

import grpc.aio
from daftari.v1 import text_messages_pb2 as pb
from daftari.v1.text_messages_pb2_grpc import (
    TextMessageCommandServiceServicer,
    TextMessageQueryServiceServicer,
    add_TextMessageCommandServiceServicer_to_server,
    add_TextMessageQueryServiceServicer_to_server,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import text_messages as conversion
from api.conversion.pages import page_of
from api.core import Core
from api.server import Service
from ledger.database import driver, run, transaction
from ledger.sms import desk, writing
from ledger.sms.writing import Message

_NAMES = pb.DESCRIPTOR.services_by_name


class TextMessageCommands(TextMessageCommandServiceServicer):
    """See protos/daftari/v1/text_messages.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ResendTextMessage(
        self,
        request: pb.ResendTextMessageRequest,
        context: grpc.aio.ServicerContext[pb.ResendTextMessageRequest, pb.ResendTextMessageResponse],
    ) -> pb.ResendTextMessageResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        sms_id = conversion.message_id_of(request.message_id)

        async def command(connection: AsyncConnection) -> tuple[Message, bool]:
            return await desk.resend_once(
                await driver(connection),
                ledger_id=ledger.id,
                sms_id=sms_id,
                version=request.version,
                actor=caller.name,
                ids=self._core.ids,
                now=self._core.now(),
            )

        message, replayed = await run(self._core.engine, command)
        return pb.ResendTextMessageResponse(message=conversion.text_message(message), replayed=replayed)


class TextMessageQueries(TextMessageQueryServiceServicer):
    """See protos/daftari/v1/text_messages.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetTextMessage(
        self,
        request: pb.GetTextMessageRequest,
        context: grpc.aio.ServicerContext[pb.GetTextMessageRequest, pb.GetTextMessageResponse],
    ) -> pb.GetTextMessageResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        sms_id = conversion.message_id_of(request.message_id)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            found = await writing.get_message(session, ledger_id=ledger.id, sms_id=sms_id)
            events = await writing.list_events(session, ledger_id=ledger.id, sms_id=sms_id)
        return pb.GetTextMessageResponse(
            message=conversion.text_message(found), events=[conversion.text_message_event(one) for one in events]
        )

    async def ListTextMessages(
        self,
        request: pb.ListTextMessagesRequest,
        context: grpc.aio.ServicerContext[pb.ListTextMessagesRequest, pb.ListTextMessagesResponse],
    ) -> pb.ListTextMessagesResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page, state = page_of(request), conversion.state_of(request.state)
        async with transaction(self._core.engine) as connection:
            found = await writing.list_messages(
                await driver(connection), ledger_id=ledger.id, state=state, before=page.before(), limit=page.limit
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListTextMessagesResponse(
            messages=[conversion.text_message(one) for one in shown], next_page_token=token
        )


def text_message_services(core: Core) -> list[Service]:
    """TextMessageCommandService and TextMessageQueryService on this core."""
    commands, reading = TextMessageCommands(core), TextMessageQueries(core)
    return [
        Service(
            _NAMES["TextMessageCommandService"].full_name,
            partial(add_TextMessageCommandServiceServicer_to_server, commands),
        ),
        Service(
            _NAMES["TextMessageQueryService"].full_name,
            partial(add_TextMessageQueryServiceServicer_to_server, reading),
        ),
    ]
