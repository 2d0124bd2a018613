"""Callbacks on paths that we know nothing of: acknowledged, stored, judged at leisure, and one case (scenario 10)."""

from __future__ import annotations

import asyncio
import secrets

import httpx
import pytest

from tests.journeys.messages import result
from tests.journeys.rig import Rig

CALLBACKS = 20


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


async def test_callbacks_on_unknown_paths_are_acknowledged_stored_and_one_case_for_a_person(rig: Rig) -> None:
    bodies = [result(f"dft-{number:013}") for number in range(CALLBACKS)]
    paths = [f"/callbacks/{rig.ledger.id}/daraja/result/{secrets.token_hex(32)}" for _ in bodies]

    async with httpx.AsyncClient(base_url=rig.public_url, trust_env=False, timeout=30) as http:
        sent = (http.post(path, content=body) for path, body in zip(paths, bodies, strict=True))
        answers = await asyncio.gather(*sent)
    rows = await rig.rows("SELECT ledger_id, id, raw FROM inbox WHERE ledger_id = :ledger")
    sealer = rig.application.sealer
    stored = [sealer.open(bytes(raw), bound_to=ledger.to_bytes(4) + number.to_bytes(8)) for ledger, number, raw in rows]
    await rig.inbound.step(limit=100)
    resting = await rig.verdicts(), await rig.reviews()
    await rig.judge_for_good()

    assert {answer.status_code for answer in answers} == {200}
    assert sorted(stored) == sorted(bodies)
    assert resting == ([(None, None)] * CALLBACKS, [])
    assert await rig.verdicts() == [("orphan", None)] * CALLBACKS
    assert await rig.reviews() == [("callback-orphan", None)]
