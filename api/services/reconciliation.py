"""Statements and runs over gRPC: convert, one call of the desk, convert."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from daftari.v1 import reconciliation_pb2 as pb
from daftari.v1.reconciliation_pb2_grpc import (
    ReconciliationCommandServiceServicer,
    ReconciliationQueryServiceServicer,
    add_ReconciliationCommandServiceServicer_to_server,
    add_ReconciliationQueryServiceServicer_to_server,
)

from adapters.sheets import BYTES_MAX
from api.admission import Admission, Turn
from api.caller import current_call
from api.conversion import reconciliation as conversion
from api.conversion.fields import request_fields
from api.conversion.pages import page_of
from api.core import Core
from api.server import Service
from api.statements import StatementDesk, StatementFile
from ledger.database import driver, transaction
from ledger.errors import ChoiceInvalid, TooLate
from ledger.reconciliation.queries import RecordedRun, list_decisions, list_runs, read_run
from ledger.reconciliation.statement import refused

# Files on their way in; what is read or matched has its turn: a statement of a million lines takes a core for minutes.
# Whoever sent a file waits for it.
UPLOADS_MAX, TURN_SECONDS_MAX = 4, 900.0
SILENCE_SECONDS_MAX, UPLOAD_SECONDS_MAX = 60.0, 900.0
_CHUNK_BYTES_MAX = 2**20
_FIELDS = {"file": "chunk", "name": "header.name", "account": "header.account"}
_NAMES = pb.DESCRIPTOR.services_by_name


@dataclass(slots=True)
class _Upload:
    """A file as it arrives."""

    header: pb.StatementHeader
    file: IO[bytes]
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, chunk: bytes) -> None:
        """Raises StatementRefused where there are more bytes than were declared."""
        self.size += len(chunk)
        if len(chunk) > _CHUNK_BYTES_MAX or self.size > self.header.size_bytes:
            raise refused(f"more than the {self.header.size_bytes:,} bytes declared, or a chunk above 1 MiB")
        self.digest.update(chunk)
        self.file.write(chunk)

    def check(self) -> None:
        """Raises StatementRefused where the bytes are not those declared: nothing of them is kept."""
        self.file.flush()
        if self.size != self.header.size_bytes or self.digest.digest() != self.header.sha256:
            raise refused("the bytes are not those that size_bytes and sha256 declare; send the file again")


class ReconciliationCommands(ReconciliationCommandServiceServicer):
    """See protos/daftari/v1/reconciliation.proto."""

    def __init__(self, core: Core, *, desk: StatementDesk, turn: Turn) -> None:
        self._core = core
        self._desk = desk
        self._uploads, self._turn = Admission(calls_max=UPLOADS_MAX), turn

    async def ImportStatement(
        self, request_iterator: AsyncIterator[pb.ImportStatementRequest], context: object
    ) -> pb.ImportStatementResponse:
        caller = current_call().caller
        first = await _next(request_iterator)
        if first is None or first.WhichOneof("part") != "header":
            raise ChoiceInvalid("the first message is the header", field="header")
        header = first.header
        with request_fields(within="header", names={"account": "header.account", "header": "header"}):
            whose = conversion.whose_of(header.ledger, header.account)
        conversion.check_header(header, bytes_max=BYTES_MAX)
        await self._core.ledgers.find(header.ledger, caller=caller)
        self._turn.check()
        with self._uploads, tempfile.TemporaryDirectory(prefix="daftari-statement-") as directory:
            path = Path(directory, "statement")
            with request_fields(names=_FIELDS):
                await _receive(request_iterator, header, path)
                async with self._turn.held(wait_seconds=TURN_SECONDS_MAX):
                    file = StatementFile(path=path, name=header.name, declared=header.columns or None)
                    _, account, imported = await self._desk.take_in(whose, file, actor=caller.name)
        return conversion.imported_message(account, imported)

    async def RunReconciliation(
        self, request: pb.RunReconciliationRequest, context: object
    ) -> pb.RunReconciliationResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        whose, days = conversion.whose_of(request.ledger, request.account), conversion.days_of(request)
        async with self._turn.held():
            _, _, made = await self._desk.reconcile(whose, days=days, actor=caller.name)
        return pb.RunReconciliationResponse(run=conversion.run_message(await _read(self._core, ledger.id, made.id)))


class ReconciliationQueries(ReconciliationQueryServiceServicer):
    """See protos/daftari/v1/reconciliation.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetReconciliationRun(
        self, request: pb.GetReconciliationRunRequest, context: object
    ) -> pb.GetReconciliationRunResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        found = await _read(self._core, ledger.id, conversion.run_id_of(request.run_id))
        return pb.GetReconciliationRunResponse(run=conversion.run_message(found))

    async def ListReconciliationRuns(
        self, request: pb.ListReconciliationRunsRequest, context: object
    ) -> pb.ListReconciliationRunsResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await list_runs(
                await driver(connection), ledger_id=ledger.id, path=request.account_path, before=page.before(),
                limit=page.limit,
            )  # fmt: skip
        shown, token = page.cut(found, lambda one: (one.id,))
        runs = [conversion.run_message(one) for one in shown]
        return pb.ListReconciliationRunsResponse(runs=runs, next_page_token=token)

    async def ListReconciliationDecisions(
        self, request: pb.ListReconciliationDecisionsRequest, context: object
    ) -> pb.ListReconciliationDecisionsResponse:
        ledger = await self._core.ledgers.find(request.ledger, caller=current_call().caller)
        page, run_id = page_of(request), conversion.run_id_of(request.run_id)
        async with transaction(self._core.engine) as connection:
            session = await driver(connection)
            run = await read_run(session, ledger_id=ledger.id, run_id=run_id)
            found = await list_decisions(
                session, ledger_id=ledger.id, run_id=run_id, only_breaks=request.only_breaks, after=page.number(),
                limit=page.limit,
            )  # fmt: skip
        shown, token = page.cut(found, lambda one: (one.number,))
        decisions = [conversion.decision_message(one, run.currency) for one in shown]
        return pb.ListReconciliationDecisionsResponse(decisions=decisions, next_page_token=token)


async def _read(core: Core, ledger_id: int, run_id: int) -> RecordedRun:
    async with transaction(core.engine) as connection:
        return await read_run(await driver(connection), ledger_id=ledger_id, run_id=run_id)


async def _receive(requests: AsyncIterator[pb.ImportStatementRequest], header: pb.StatementHeader, path: Path) -> None:
    """Raises TooLate where it takes a quarter of an hour: who sends a byte a minute holds no place for ever."""
    try:
        with path.open("wb") as file:
            async with asyncio.timeout(UPLOAD_SECONDS_MAX):
                await _take(requests, _Upload(header, file))
    except TimeoutError:
        raise TooLate("the file took longer than a quarter of an hour; nothing was done") from None


async def _take(requests: AsyncIterator[pb.ImportStatementRequest], upload: _Upload) -> None:
    while (request := await _next(requests)) is not None:
        if request.WhichOneof("part") != "chunk":
            raise ChoiceInvalid("after the header come chunks alone", field="chunk")
        upload.add(request.chunk)
    upload.check()


async def _next(requests: AsyncIterator[pb.ImportStatementRequest]) -> pb.ImportStatementRequest | None:
    """The next message; None after the last. Raises TooLate where none comes: a silent caller holds no place."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS_MAX):
            return await anext(requests, None)
    except TimeoutError:
        raise TooLate("nothing came for a minute; nothing was done") from None


def reconciliation_services(core: Core, *, desk: StatementDesk, turn: Turn) -> list[Service]:
    """ReconciliationCommandService and ReconciliationQueryService on this core; `turn` is that of the process."""
    commands, queries = ReconciliationCommands(core, desk=desk, turn=turn), ReconciliationQueries(core)
    return [
        Service(
            _NAMES["ReconciliationCommandService"].full_name,
            partial(add_ReconciliationCommandServiceServicer_to_server, commands),
        ),
        Service(
            _NAMES["ReconciliationQueryService"].full_name,
            partial(add_ReconciliationQueryServiceServicer_to_server, queries),
        ),
    ]
