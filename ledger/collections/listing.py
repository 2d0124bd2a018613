"""Lists of prompts and returns, newest first. Ids are in time order, so they bound the time too. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger import tables
from ledger.collections import prompt, prompting, returning
from ledger.collections.prompting import Prompt
from ledger.collections.refusals import ReturnNotFound
from ledger.collections.returning import Return
from ledger.database import driver

_prompts, _returns = tables.prompts.c, tables.returns.c


async def list_prompts(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    partner_id: int | None,
    states: Sequence[prompt.State],
    id_from: int,
    id_before: int,
    limit: int,
) -> list[Prompt]:
    """Prompts with id_from <= id < id_before, of a partner or (None) of all, of these states or (none) of any."""
    wanted = [] if partner_id is None else [_prompts.partner_id == partner_id]
    if states:
        wanted.append(_prompts.state.in_([state.value for state in states]))
    ids = await _newest(connection, tables.prompts, ledger_id, (id_from, id_before), wanted, limit)
    found = await prompting.read_prompts(await driver(connection), ledger_id=ledger_id, prompt_ids=ids)
    return [found[prompt_id] for prompt_id in ids]


async def list_returns(
    connection: AsyncConnection,
    *,
    ledger_id: int,
    receipt_id: int | None,
    states: Sequence[returning.State],
    id_from: int,
    id_before: int,
    limit: int,
) -> list[Return]:
    """Returns with id_from <= id < id_before, of a receipt or (None) of all, of these states or (none) of any."""
    wanted = [] if receipt_id is None else [_returns.receipt_id == receipt_id]
    if states:
        wanted.append(_returns.state.in_([state.value for state in states]))
    ids = await _newest(connection, tables.returns, ledger_id, (id_from, id_before), wanted, limit)
    found = await returning.read_returns(await driver(connection), ledger_id=ledger_id, return_ids=ids)
    return [found[return_id] for return_id in ids]


async def find_return(connection: AsyncConnection, *, ledger_id: int, return_receipt: str) -> int:
    """The id of the return that a provider made under this receipt number. Raises ReturnNotFound."""
    query = select(_returns.id).where(_returns.ledger_id == ledger_id, _returns.return_receipt == return_receipt)
    found: int | None = (await connection.execute(query.order_by(_returns.id.desc()).limit(1))).scalar_one_or_none()
    if found is None:
        raise ReturnNotFound("no such return in this ledger", field="return_id")
    return found


async def _newest(
    connection: AsyncConnection,
    table: Table,
    ledger_id: int,
    between: tuple[int, int],
    wanted: Sequence[ColumnElement[bool]],
    limit: int,
) -> list[Any]:
    columns = table.c
    query = select(columns.id).where(
        columns.ledger_id == ledger_id, columns.id >= between[0], columns.id < between[1], *wanted
    )
    return list((await connection.execute(query.order_by(columns.id.desc()).limit(limit))).scalars())
