"""The callback edge over real HTTP: raw bytes first, answered at once, nothing judged, and no path in any log."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import structlog

from adapters.inbound import BODY_BYTES_MAX
from adapters.listener import Listener
from api.http import callbacks
from api.profile import Profile
from ledger.database import connect
from tests.fix_database import Database
from tests.journeys.messages import GARBAGE, result, timeout_echo
from tests.journeys.rig import Rig
from tests.ledger.payouts.shop import SECRET

TAKEN = {"ResultCode": 0, "ResultDesc": "Success"}


@pytest.fixture
def rig(shared_rig: Rig) -> Rig:
    """In a ledger of its own, on the database of all rigs."""
    return shared_rig


@pytest.fixture
async def http(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the edge, as a provider is one."""
    async with httpx.AsyncClient(base_url=rig.public_url, trust_env=False, timeout=30) as client:
        yield client


async def submitted(rig: Rig) -> int:
    """A payout that the rail acknowledged and will never call back about."""
    await rig.script("no-callback-not-paid", count=1)
    payout_id = await rig.request()
    await rig.work_until_quiet()
    return payout_id


def forged(rig: Rig, *, rail: str = "daraja", kind: str = "result", token: str = "0" * 64) -> str:
    return f"/callbacks/{rig.ledger.id}/{rail}/{kind}/{token}"


async def test_a_true_callback_is_acknowledged_stored_and_judged_later(rig: Rig, http: httpx.AsyncClient) -> None:
    payout_id = await submitted(rig)
    urls = await rig.urls(payout_id)

    answer = await http.post(urls.result_url, content=result((await rig.payout(payout_id)).provider_reference))
    at_once, waiting = await rig.state(payout_id), await rig.verdicts()
    await rig.inbound.step(limit=10)

    assert (answer.status_code, answer.json()) == (200, TAKEN)
    assert (at_once, len(waiting)) == ("SUBMITTED", 1)
    assert await rig.state(payout_id) == "SETTLED"


async def test_whatever_the_bytes_they_are_stored_as_they_came_and_acknowledged(
    rig: Rig, http: httpx.AsyncClient
) -> None:
    payout_id = await submitted(rig)
    url = (await rig.urls(payout_id)).result_url

    answers = [await http.post(url, content=raw) for raw in GARBAGE.values()]

    assert {answer.status_code for answer in answers} == {200}
    rows = await rig.rows("SELECT ledger_id, id, raw FROM inbox WHERE ledger_id = :ledger ORDER BY id")
    sealer = rig.application.sealer
    opened = [sealer.open(bytes(raw), bound_to=ledger_id.to_bytes(4) + id.to_bytes(8)) for ledger_id, id, raw in rows]
    assert opened == [raw[:BODY_BYTES_MAX] for raw in GARBAGE.values()]


async def test_ten_megabytes_are_taken_cut_and_acknowledged_while_others_are_served(
    rig: Rig, http: httpx.AsyncClient
) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b"x" * 65_536

    answers = await asyncio.gather(http.post(forged(rig), content=drip()), http.post(forged(rig), content=b"{}"))

    assert [answer.status_code for answer in answers] == [200, 200]
    (longest,) = await rig.rows("SELECT max(length(raw)) FROM inbox WHERE ledger_id = :ledger")
    assert longest[0] < BODY_BYTES_MAX + 100


async def test_a_sender_that_hangs_up_in_the_middle_leaves_nothing_and_harms_nobody(
    rig: Rig, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    port = httpx.URL(rig.public_url).port
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"POST {forged(rig)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    answer = await http.post(forged(rig), content=b"{}")

    assert answer.status_code == 200
    assert len(await rig.verdicts()) == 1
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_paths_that_were_never_given_out_are_not_found_and_store_nothing(
    rig: Rig, http: httpx.AsyncClient
) -> None:
    token = "0" * 64
    paths = [
        f"/callbacks/{rig.ledger.id + 1}/daraja/result/{token}",
        f"/callbacks/0/daraja/result/{token}",
        f"/callbacks/-1/daraja/result/{token}",
        f"/callbacks/2147483648/daraja/result/{token}",
        f"/callbacks/{'9' * 500}/daraja/result/{token}",
        f"/callbacks/\u0661/daraja/result/{token}",
        f"/callbacks/{rig.ledger.id}x/daraja/result/{token}",
        forged(rig, rail="momo"),
        forged(rig, rail=""),
        forged(rig, kind="balance"),
        forged(rig, kind="RESULT"),
        forged(rig, token="0" * 129),
        forged(rig, token=f"{token}/x"),
        forged(rig, token=""),
        "/callbacks",
        "/",
    ]

    answers = [await http.post(path, content=b"{}") for path in paths]

    assert {answer.status_code for answer in answers} == {404}
    assert await rig.verdicts() == []


async def test_only_a_post_or_a_put_is_a_callback(rig: Rig, http: httpx.AsyncClient) -> None:
    for method in ("GET", "DELETE", "PATCH", "OPTIONS"):
        assert (await http.request(method, forged(rig))).status_code == 405

    assert await rig.verdicts() == []
    assert (await http.put(forged(rig), content=b"{}")).status_code == 200
    assert await rig.verdicts() == [(None, None)]


async def test_odd_tokens_are_stored_as_hashes_like_any_other(rig: Rig, http: httpx.AsyncClient) -> None:
    for token in ("%00", "%ff%fe", "%2e%2e%00", "%F0%9F%92%B8", "'--", "a" * 128):
        assert (await http.post(forged(rig, token=token), content=b"{}")).status_code == 200

    (row,) = await rig.rows(
        "SELECT count(*), count(DISTINCT token_hash), max(length(token_hash)) FROM inbox WHERE ledger_id = :ledger"
    )
    assert tuple(row) == (6, 6, 32)


async def test_forged_callbacks_over_http_post_nothing(rig: Rig, http: httpx.AsyncClient) -> None:
    payout_id = await submitted(rig)
    body = result((await rig.payout(payout_id)).provider_reference)

    for _ in range(5):
        await asyncio.gather(*(http.post(forged(rig, token=secrets.token_hex(32)), content=body) for _ in range(20)))
    await rig.judge_for_good()

    assert [word for word, _ in await rig.verdicts()] == ["orphan"] * 100
    assert await rig.entries(payout_id) == ["payout.reserved"]


async def test_a_database_that_is_away_is_an_error_and_not_an_acknowledgement(
    rig: Rig, rig_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not stored must not be acknowledged: the provider may send it again."""
    nowhere = connect(rig_database.app.set(database="nowhere"), pool_size=2, application_name="tests")
    away = replace(rig.application, profile=Profile(nowhere, "tests", SECRET))
    listener = Listener(host="127.0.0.1", port=0, grace_seconds=1)
    token = secrets.token_hex(32)
    public_url = await listener.start(callbacks.application(away.inbound(), questions=away.questions(), healthy=unwell))
    async with httpx.AsyncClient(base_url=public_url, trust_env=False, timeout=30) as http:
        answer = await http.post(forged(rig, token=token), content=timeout_echo("dft-0000000000001"))
        health = await http.get("/healthz")
    await listener.stop()
    await nowhere.dispose()

    assert (answer.status_code, health.status_code) == (500, 503)
    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert [record for record in ours if token in caplog.handler.format(record)] == []
    assert "254712345678" not in caplog.text


async def unwell() -> bool:
    return False


async def test_no_log_line_holds_a_path(rig: Rig, http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = secrets.token_hex(32)

    with structlog.testing.capture_logs() as events:
        for kind in ("result", "timeout", "other"):
            await http.post(forged(rig, kind=kind, token=token), content=timeout_echo("dft-0000000000001"))
        await rig.judge_for_good()

    ours = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    lines = [caplog.handler.format(record) for record in ours] + [str(event) for event in events]
    assert any("callback.judged" in line for line in lines)
    assert [line for line in lines if token in line] == []


async def test_the_edge_says_whether_it_is_well(http: httpx.AsyncClient) -> None:
    answer = await http.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
