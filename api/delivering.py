"""The way out for webhooks, put together from the settings."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.egress import Egress, EgressLimits, EgressRules, SystemResolver
from adapters.webhooks import Deliverer, DelivererSettings
from api.settings import Settings
from ledger.ids import IdSource
from ledger.sealing import Sealer
from ledger.webhooks.deliveries import RetryPolicy


def open_deliverer(
    settings: Settings,
    *,
    engine: AsyncEngine,
    rules: EgressRules,
    sealer: Sealer,
    ids: IdSource,
    now: Callable[[], datetime],
    randomness: random.Random,
) -> Deliverer:
    """Calls the URLs of partners that `rules` allow; close it."""
    call_seconds = settings.webhook_timeout_seconds
    egress = Egress(
        rules=rules,
        limits=EgressLimits(connect_seconds=min(5.0, call_seconds), call_seconds=call_seconds),
        resolver=SystemResolver(),
        tls=ssl.create_default_context(),
    )
    retry = RetryPolicy(
        rests=tuple(timedelta(seconds=seconds) for seconds in settings.webhook_retry_seconds),
        probe=timedelta(seconds=settings.webhook_probe_seconds),
        randomness=randomness,
    )
    limits = DelivererSettings(
        calls_max=settings.webhook_calls_max,
        endpoint_calls_max=settings.webhook_endpoint_calls_max,
        # A worker that died leaves its tries to the others after this; one that lives has ended them long before.
        lease=timedelta(seconds=4 * call_seconds + 30),
    )
    return Deliverer(engine=engine, egress=egress, sealer=sealer, retry=retry, ids=ids, now=now, settings=limits)
