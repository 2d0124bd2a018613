"""Carries deliveries to partners' receivers: claims, signs, sends, records. Decides neither what is told nor when.

No transaction is open during a call, and no call waits for another: each is a task of its own, so a receiver that hangs
holds its own few places and no other's. A try whose end was not recorded is made again under the same id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from standardwebhooks import Webhook

from adapters.egress import Answered, CallResult, WayOut
from ledger.database import driver, run
from ledger.ids import IdSource
from ledger.sealing import Sealer
from ledger.webhooks import deliveries
from ledger.webhooks.deliveries import Claimed, ClaimLimits, Gone, NotTaken, RetryPolicy, Taken, Tried, Verdict

log = structlog.get_logger(__name__)

HTTP_GONE = 410


@dataclass(frozen=True, slots=True, kw_only=True)
class DelivererSettings:
    """`calls_max` tries under way in this process, `endpoint_calls_max` at one endpoint in all processes together. The
    lease must outlast the slowest call by far."""

    calls_max: int
    endpoint_calls_max: int
    lease: timedelta


class Deliverer:
    """Delivers what is due. Several may run, in several processes."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        egress: WayOut,
        sealer: Sealer,
        retry: RetryPolicy,
        ids: IdSource,
        now: Callable[[], datetime],
        settings: DelivererSettings,
    ) -> None:
        self._engine = engine
        self._egress = egress
        self._sealer = sealer
        self._retry = retry
        self._ids = ids
        self._now = now
        self._settings = settings
        self._under_way: set[asyncio.Task[None]] = set()
        self._ended: list[Tried] = []
        self._recording = False

    async def step(self) -> int:
        """Starts as many tries as may be made now and returns how many, without waiting for them."""
        room = self._settings.calls_max - len(self._under_way)
        if room <= 0:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            return 0
        claimed = await run(self._engine, partial(self._claim, room=room))
        for one in claimed:
            task = asyncio.create_task(self._deliver(one))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(claimed)

    async def drain(self) -> None:
        """Waits for the tries under way; each is bounded in time."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def close(self) -> None:
        """Drains, and closes the way out."""
        await self.drain()
        await self._egress.close()

    async def _claim(self, connection: AsyncConnection, *, room: int) -> list[Claimed]:
        now = self._now()
        return await deliveries.claim(
            await driver(connection),
            limits=ClaimLimits(per_endpoint=self._settings.endpoint_calls_max, total=room),
            lease=self._settings.lease,
            token=self._ids.next(now),
            sealer=self._sealer,
            now=now,
        )

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            headers = signed_headers(claimed, now=self._now())
            verdict = verdict_of(await self._egress.post(claimed.url, headers=headers, body=claimed.payload))
        except Exception as error:  # noqa: BLE001 -- the process edge: the delivery is tried again when its lease ends
            log.error("webhook.crashed", delivery=claimed.event_id, error=type(error).__name__)
            return
        self._ended.append((claimed, verdict))
        # Tries that end while others are being recorded are recorded together, by the one who records now.
        if not self._recording:
            self._recording = True
            try:
                while self._ended:
                    ended, self._ended = self._ended, []
                    await self._record_all(ended)
            finally:
                self._recording = False

    async def _record_all(self, tried: Sequence[Tried]) -> None:
        """Together, or one by one where that fails: what the database refuses about one loses no other."""
        try:
            kept = await run(self._engine, partial(self._record, tried=tried))
        except Exception as error:  # noqa: BLE001 -- the process edge: found out one by one, then left to the lease
            log.error("webhook.not_recorded", count=len(tried), error=type(error).__name__)
            if len(tried) > 1:
                for one in tried:
                    await self._record_all([one])
            return
        for (claimed, verdict), recorded in zip(tried, kept, strict=True):
            answer = verdict.answer if isinstance(verdict, Taken | NotTaken) else f"HTTP {HTTP_GONE}"
            log.info(
                "webhook.tried", delivery=claimed.event_id, event_type=claimed.event, answer=answer, recorded=recorded
            )

    async def _record(self, connection: AsyncConnection, *, tried: Sequence[Tried]) -> list[bool]:
        session = await driver(connection)
        return await deliveries.record_tries(session, tried=tried, retry=self._retry, ids=self._ids, now=self._now())


def signed_headers(claimed: Claimed, *, now: datetime) -> dict[str, str]:
    """The headers of one try of a delivery; see sign."""
    return sign(claimed.event_id, claimed.payload, secrets=claimed.secrets, now=now)


def sign(event_id: str, payload: bytes, *, secrets: Sequence[str | bytes], now: datetime) -> dict[str, str]:
    """The headers of one try by the Standard Webhooks specification: a signature by each secret in force, of this
    moment; `now` is UTC."""
    body = payload.decode()
    signatures = [Webhook(secret).sign(event_id, now, body) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def verdict_of(result: CallResult) -> Verdict:
    """What an answer means: 2xx is taken, 410 wants no more, and everything else, redirects included, is not taken."""
    if not isinstance(result, Answered):
        return NotTaken(result.reason)
    if result.status == HTTP_GONE:
        return Gone()
    answer = f"HTTP {result.status}"
    return Taken(answer) if 200 <= result.status < 300 else NotTaken(answer)
