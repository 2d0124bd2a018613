"""The README's receiver believes what the product signs and nothing else, and its tables name every event and field."""

from __future__ import annotations

import re
import runpy
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from adapters.webhooks import signed_headers
from ledger.collections.announcing import ORDER_EVENTS, PROMPT_EVENTS
from ledger.loans.announcing import EVENTS as LOAN_EVENTS
from ledger.outbox.announcements import PING
from ledger.payouts.announcing import EVENTS as PAYOUT_EVENTS
from ledger.webhooks.deliveries import Claimed
from ledger.webhooks.endpoints import secret_text
from tests.webhooks.readme import SECTION

Receiver: TypeAlias = Callable[[str, dict[str, str], bytes], dict[str, Any] | None]
OLD, NEW = b"1" * 32, b"2" * 32


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    """The example, as it is printed."""
    printed = re.search(r"\n((?:    .*\n|\n)+)", SECTION)
    assert printed is not None
    path = tmp_path / "receiver_of_the_readme.py"
    path.write_text(textwrap.dedent(printed[1]), encoding="utf-8")
    example: Receiver = runpy.run_path(str(path))["event"]
    return example


def signed(*secrets: bytes, at: datetime) -> tuple[dict[str, str], bytes]:
    """Headers and body of a delivery as the product sends it."""
    body = '{"type":"order.paid","reference":"SHOES é"}'.encode()
    claimed = Claimed(
        ledger_id=1, id=1, endpoint_id=1, subject=None, event="order.paid", tries=0, due=True, token=1, url="",
        payload=body, secrets=secrets,
    )  # fmt: skip
    return signed_headers(claimed, now=at), body


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_the_receiver_believes_what_is_signed_with_either_secret_in_force(receiver: Receiver, secret: bytes) -> None:
    headers, body = signed(NEW, OLD, at=datetime.now(UTC))

    told = receiver(secret_text(secret), headers, body)

    assert told is not None
    assert told["type"] == "order.paid"


def test_the_receiver_believes_nothing_forged_changed_or_old(receiver: Receiver) -> None:
    now = datetime.now(UTC)
    headers, body = signed(NEW, at=now)
    old = signed(NEW, at=now - timedelta(hours=1))

    assert receiver(secret_text(OLD), headers, body) is None
    assert receiver(secret_text(NEW), headers, body + b" ") is None
    assert receiver(secret_text(NEW), headers | {"webhook-id": "evt_0000000000002"}, body) is None
    assert receiver(secret_text(NEW), *old) is None


def test_the_table_names_every_event_and_no_other() -> None:
    named = set()
    for line in SECTION.partition("| event |")[2].partition("\n\n")[0].splitlines()[2:]:
        subject = ""
        for word in re.findall(r"`([a-z_.]+)`", line.split("|")[1]):
            subject = word.partition(".")[0] or subject
            named.add(word if not word.startswith(".") else f"{subject}{word}")

    assert named == {
        *PAYOUT_EVENTS.values(), *ORDER_EVENTS.values(), *PROMPT_EVENTS.values(), *LOAN_EVENTS.values(), PING
    }  # fmt: skip
