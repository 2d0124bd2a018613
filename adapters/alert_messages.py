"""What an alert says on the wire: a signed webhook like those of partners, or a line for Slack. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from adapters.webhooks import sign
from ledger.alerts.keeping import Notice, Telling

_MARKS = {Telling.OPENED: ":rotating_light:", Telling.STILL_OPEN: ":hourglass:", Telling.RESOLVED: ":white_check_mark:"}
_WORDS = {Telling.OPENED: "", Telling.STILL_OPEN: "still open: ", Telling.RESOLVED: "resolved: "}


@dataclass(frozen=True, slots=True)
class Posting:
    """One request to a hook."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


Format: TypeAlias = Callable[[Notice, datetime], Posting]


def webhook(secret: str) -> Format:
    """Standard Webhooks, signed by `secret`: `whsec_` and base 64."""

    def post(notice: Notice, now: datetime) -> Posting:
        data = {
            "alert": notice.alert_id,
            "ledger": notice.ledger,
            "kind": notice.kind.value,
            "subject": notice.subject,
            "summary": notice.summary,
            "opened_at": notice.opened_at.isoformat(),
            "resolved_at": notice.resolved_at.isoformat() if notice.resolved_at else None,
        }
        event = {"type": f"alert.{notice.telling.value}", "timestamp": now.isoformat(), "data": data}
        body = json.dumps(event).encode()
        return Posting(sign(notice.notice_id, body, secrets=[secret], now=now), body)

    return post


def slack(notice: Notice, _now: datetime) -> Posting:
    """A Slack-compatible incoming webhook, whose URL is its secret."""
    text = f"{_MARKS[notice.telling]} *{notice.ledger}* {_WORDS[notice.telling]}{notice.summary} ({notice.kind.value})"
    since = f", since {notice.opened_at:%Y-%m-%d %H:%M} UTC, {notice.alert_id}"
    body = json.dumps({"text": _escaped(text + since)}).encode()
    return Posting({"Content-Type": "application/json"}, body)


def _escaped(text: str) -> str:
    """Slack's three control characters; no mention or link comes of a name of ours."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
