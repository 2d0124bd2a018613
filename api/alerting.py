"""What alerts operators, put together from the settings."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.alert_messages import slack, webhook
from adapters.alerting import AlertWatch, Hook
from adapters.egress import Egress, EgressLimits, EgressRules, SystemResolver, check_url
from api.settings import Settings
from ledger.alerts.conditions import AlertRules
from ledger.errors import TextInvalid, UrlRefused
from ledger.ids import IdSource

SECRET_BYTES_MIN = 24  # as the specification of Standard Webhooks has it


def open_alert_watch(
    settings: Settings, *, engine: AsyncEngine, rules: EgressRules, ids: IdSource, now: Callable[[], datetime]
) -> AlertWatch:
    """Looks by the settings, and posts where they say, by the way that webhooks take; close it. Raises TextInvalid for
    a hook that cannot be called or signed for."""
    conditions = AlertRules(
        failures=settings.alert_failures,
        failures_within=timedelta(seconds=settings.alert_failures_seconds),
        unknown_for=timedelta(seconds=settings.alert_unknown_seconds),
        float_below=settings.alert_float_below,
    )
    return AlertWatch(engine=engine, rules=conditions, hook=_open_hook(settings, rules), ids=ids, now=now)


def _open_hook(settings: Settings, rules: EgressRules) -> Hook | None:
    url = settings.alert_url.get_secret_value()
    if not url:
        return None
    try:
        check_url(url, rules=rules)
    except UrlRefused as refusal:
        raise TextInvalid(f"set DAFTARI_ALERT_URL to another: {refusal.message}", field="DAFTARI_ALERT_URL") from None
    call_seconds = settings.webhook_timeout_seconds
    is_slack = settings.alert_format == "slack"
    return Hook(
        url=url,
        write=slack if is_slack else webhook(_checked(settings.alert_secret.get_secret_value())),
        egress=Egress(
            rules=rules,
            limits=EgressLimits(connect_seconds=min(5.0, call_seconds), call_seconds=call_seconds),
            resolver=SystemResolver(),
            tls=ssl.create_default_context(),
        ),
        lease=timedelta(seconds=4 * call_seconds + 30),
        repeat=timedelta(seconds=settings.alert_repeat_seconds),
    )


def _checked(secret: str) -> str:
    prefix, _, encoded = secret.partition("_")
    try:
        is_strong = prefix == "whsec" and len(base64.b64decode(encoded, validate=True)) >= SECRET_BYTES_MIN
    except ValueError:
        is_strong = False
    if not is_strong:
        raise TextInvalid(
            "set DAFTARI_ALERT_SECRET to `whsec_` and 32 random bytes in base 64, which the receiver verifies by; "
            '`echo "whsec_$(openssl rand -base64 32)"` makes one',
            field="DAFTARI_ALERT_SECRET",
        )
    return secret
