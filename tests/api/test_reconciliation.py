"""Statements over gRPC: a file in chunks, what is refused with its row, runs and their decisions by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import grpc
import pytest
from daftari.v1 import reconciliation_pb2 as pb
from daftari.v1.reconciliation_pb2_grpc import ReconciliationCommandServiceStub, ReconciliationQueryServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from api.admission import Turn
from api.caller import Call, Caller, enter_call
from api.core import open_core
from api.services.reconciliation import ReconciliationCommands
from api.statement_desk import statement_desk
from ledger.errors import Overloaded
from tests.adapters.statement_files import UTILITY, rows_of, write_csv
from tests.api.office import Office, application_of, open_office
from tests.wire import Refusal, refusal

ACCOUNT = pb.StatementAccount(provider="daraja", shortcode="600584", sub_account="utility")


@asynccontextmanager
async def open_later_office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """After the days of the captured statement."""
    async with open_office(engine) as office:
        office.shop.clock.advance(seconds=10 * 86_400)
        yield office


def _header(office: Office, content: bytes) -> pb.StatementHeader:
    return pb.StatementHeader(
        ledger=office.ledger, account=ACCOUNT, name="utility.csv", size_bytes=len(content),
        sha256=sha256(content).digest(),
    )  # fmt: skip


def _parts(header: pb.StatementHeader, content: bytes) -> list[pb.ImportStatementRequest]:
    chunks = [content[at : at + 1000] for at in range(0, len(content), 1000)]
    return [pb.ImportStatementRequest(header=header), *(pb.ImportStatementRequest(chunk=one) for one in chunks)]


async def _send(
    office: Office, parts: Sequence[pb.ImportStatementRequest], key: str = ""
) -> pb.ImportStatementResponse:
    key = key or office.operator
    stub = ReconciliationCommandServiceStub(office.channel(key))
    return await stub.ImportStatement(iter(parts), metadata=(("authorization", f"Bearer {key}"),))


async def reconciled(office: Office) -> pb.ReconciliationRun:
    """The captured statement, taken in and held against books that know nothing of it."""
    content = _bytes(UTILITY)
    await _send(office, _parts(_header(office, content), content))
    commands = ReconciliationCommandServiceStub(office.channel(office.operator))
    return (await commands.RunReconciliation(pb.RunReconciliationRequest(ledger=office.ledger, account=ACCOUNT))).run


async def test_a_statement_goes_in_once_and_its_run_is_read_page_by_page(engine: AsyncEngine) -> None:
    async with open_later_office(engine) as office:
        content = _bytes(UTILITY)
        first, again = [await _send(office, _parts(_header(office, content), content)) for _ in range(2)]
        commands = ReconciliationCommandServiceStub(office.channel(office.operator))
        reader = ReconciliationQueryServiceStub(office.channel(office.operator))

        run = (await commands.RunReconciliation(pb.RunReconciliationRequest(ledger=office.ledger, account=ACCOUNT))).run

        assert (first.added, again.added, again.import_id) == (first.lines, 0, first.import_id)
        assert (run.lines, run.agrees, run.actor[:9]) == (first.lines, False, "operator-")
        assert run.statement_closing.minor_units == first.closing.minor_units == 98_024_550
        one = pb.GetReconciliationRunRequest(ledger=office.ledger, run_id=run.id)
        assert (await reader.GetReconciliationRun(one)).run == run
        listing = pb.ListReconciliationRunsRequest(ledger=office.ledger, account_path=run.account_path)
        assert list((await reader.ListReconciliationRuns(listing)).runs) == [run]
        asking = pb.ListReconciliationDecisionsRequest(
            ledger=office.ledger, run_id=run.id, only_breaks=True, page_size=7
        )
        shown: list[pb.ReconciliationDecision] = []
        while True:
            page = await reader.ListReconciliationDecisions(asking)
            shown += page.decisions
            if not page.next_page_token:
                break
            asking.page_token = page.next_page_token
        assert len(shown) == run.breaks > 7
        assert all(one.is_break for one in shown)
        assert [one.number for one in shown] == sorted({one.number for one in shown})
        assert sum(abs(one.difference.minor_units) for one in shown) == run.unexplained.minor_units


async def test_what_is_wrong_with_a_statement_is_told_with_its_row(engine: AsyncEngine, tmp_path: Path) -> None:
    async with open_later_office(engine) as office:
        rows = rows_of(UTILITY)
        rows[20] = [*rows[20][:1], "yesterday", *rows[20][2:]]
        damaged = _bytes(write_csv(tmp_path / "damaged.csv", rows))
        good = _bytes(UTILITY)

        row = await _refused(office, _parts(_header(office, damaged), damaged))
        other = await _refused(office, _parts(_header(office, good), damaged))
        short = await _refused(office, _parts(_header(office, good), good)[:-1])
        blank = await _refused(office, [])
        second = await _refused(office, [_parts(_header(office, good), good)[0]] * 2)
        strange = _header(office, good)
        strange.account.sub_account = "petty"
        unknown = await _refused(office, _parts(strange, good))

        assert (row.code, row.reason, row.field) == (grpc.StatusCode.INVALID_ARGUMENT, "STATEMENT_REFUSED", "chunk")
        assert (row.metadata["row"], "completion time" in row.message) == ("21", True)
        assert [one.field for one in (other, short, blank, second)] == ["chunk", "chunk", "header", "chunk"]
        assert (unknown.code, unknown.field) == (grpc.StatusCode.NOT_FOUND, "header.account")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (pb.StatementHeader(size_bytes=2**40), "header.size_bytes"),
        (pb.StatementHeader(sha256=b"x"), "header.sha256"),
        (pb.StatementHeader(columns=b"x" * 70_000), "header.columns"),
        (pb.StatementHeader(account=pb.StatementAccount(provider="../daraja")), "header.account.provider"),
    ],
)  # fmt: skip
async def test_a_header_out_of_bounds_is_refused_before_a_byte_is_taken(
    engine: AsyncEngine, change: pb.StatementHeader, field: str
) -> None:
    async with open_later_office(engine) as office:
        header = _header(office, b"x")
        header.MergeFrom(change)

        refused = await _refused(office, [pb.ImportStatementRequest(header=header)])

        assert (refused.code, refused.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


async def test_a_partners_key_takes_no_statement_in(engine: AsyncEngine) -> None:
    async with open_later_office(engine) as office:
        key = await office.partner_key()

        denied = await refusal(_send(office, _parts(_header(office, b"x"), b"x"), key))

        assert denied.code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_busy_server_refuses_a_statement_before_its_bytes(engine: AsyncEngine) -> None:
    async with open_later_office(engine) as office:
        shop, turn, content = office.shop, Turn(), _bytes(UTILITY)
        core = open_core(shop.engine, directory=shop.directory, ids=shop.ids, now=shop.now, monotonic=lambda: 0.0)
        service = ReconciliationCommands(core, desk=statement_desk(application_of(shop)), turn=turn)
        everybody = Caller(client_id=1, name="operator", ledger_id=None, partner_id=None, permissions=frozenset())
        enter_call(Call(everybody, "r1", None))
        sent = _sending(_parts(_header(office, content), content))

        async with turn.held():
            with pytest.raises(Overloaded):
                await service.ImportStatement(sent, None)
        left = [one async for one in sent]
        await core.poster.close()

        assert b"".join(one.chunk for one in left) == content


async def _sending(parts: Sequence[pb.ImportStatementRequest]) -> AsyncIterator[pb.ImportStatementRequest]:
    for one in parts:
        yield one


async def _refused(office: Office, parts: Sequence[pb.ImportStatementRequest]) -> Refusal:
    return await refusal(_send(office, parts))


def _bytes(path: Path) -> bytes:
    return path.read_bytes()
