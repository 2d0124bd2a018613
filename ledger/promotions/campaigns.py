"""Campaigns: what batches belong to, with how often one phone may redeem in them. Never changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ledger.database import Driver
from ledger.errors import ChoiceInvalid, TextInvalid
from ledger.idempotency import KeyClaim, find_answer, store_key
from ledger.ids import IdSource
from ledger.promotions.refusals import CampaignExists, CampaignNotFound
from ledger.text import check_text

LIMIT_MAX = 1_000_000
_CODE = re.compile(r"[a-z][a-z0-9-]{1,31}", re.ASCII)
_ADD = """
INSERT INTO campaigns (ledger_id, id, code, name, per_msisdn_max, per_msisdn_day_max, created_by, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_BY_CODE = """
SELECT id, code, name, per_msisdn_max, per_msisdn_day_max, created_at FROM campaigns
WHERE ledger_id = %s AND code = %s
"""
_BY_ID = """
SELECT id, code, name, per_msisdn_max, per_msisdn_day_max, created_at FROM campaigns
WHERE ledger_id = %s AND id = %s
"""
_LIST = """
SELECT id, code, name, per_msisdn_max, per_msisdn_day_max, created_at FROM campaigns AS g
WHERE ledger_id = %s AND code > %s AND (%s::bigint IS NULL OR EXISTS (
    SELECT FROM promo_batches AS b WHERE b.ledger_id = g.ledger_id AND b.campaign_id = g.id AND b.partner_id = %s))
ORDER BY code LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign; a limit is how many codes one phone may redeem, in all and on one day, None for any number."""

    id: int
    code: str
    name: str
    per_msisdn_max: int | None
    per_msisdn_day_max: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCampaign:
    """A campaign to make. Raises TextInvalid, ChoiceInvalid."""

    key: KeyClaim
    actor: str
    code: str
    name: str
    per_msisdn_max: int | None
    per_msisdn_day_max: int | None

    def __post_init__(self) -> None:
        check_code(self.code, field="campaign.code")
        check_text(self.name, field="campaign.name", length_max=200)
        for field, limit in (
            ("campaign.per_msisdn_max", self.per_msisdn_max),
            ("campaign.per_msisdn_day_max", self.per_msisdn_day_max),
        ):
            if limit is not None and not 1 <= limit <= LIMIT_MAX:
                raise ChoiceInvalid(f"a limit is 1 to {LIMIT_MAX:,}, or 0 for none", field=field)


def check_code(code: str, *, field: str) -> None:
    """Raises TextInvalid for what is no code of a campaign or batch."""
    if not _CODE.fullmatch(code):
        raise TextInvalid("a code is 2 to 32 of a-z, 0-9 and dash, starting with a letter", field=field)


async def create_campaign(
    driver: Driver, *, ledger_id: int, campaign: NewCampaign, ids: IdSource, now: datetime
) -> tuple[Campaign, bool]:
    """The campaign, and whether the same request had made it before. Raises CampaignExists, IdempotencyKeyReused."""
    known = await find_answer(driver, ledger_id=ledger_id, claim=campaign.key)
    if known is not None:
        return await _one(driver, _BY_ID, (ledger_id, known)), True
    if await (await driver.execute(_BY_CODE, (ledger_id, campaign.code))).fetchone():
        raise CampaignExists(f"campaign {campaign.code} exists; choose another code", field="campaign.code")
    campaign_id = ids.next(now)
    limits = (campaign.per_msisdn_max, campaign.per_msisdn_day_max)
    values = (ledger_id, campaign_id, campaign.code, campaign.name, *limits, campaign.actor, now)
    await driver.execute(_ADD, values)
    await store_key(driver, ledger_id=ledger_id, claim=campaign.key, result_id=campaign_id, now=now)
    return Campaign(campaign_id, campaign.code, campaign.name, *limits, now), False


async def find_campaign(driver: Driver, *, ledger_id: int, code: str) -> Campaign:
    """Raises CampaignNotFound."""
    return await _one(driver, _BY_CODE, (ledger_id, code))


async def list_campaigns(
    driver: Driver, *, ledger_id: int, after: str, limit: int, partner_id: int | None = None
) -> list[Campaign]:
    """By code, after `after` ("" for the start); for a partner those it has batches in."""
    rows = await (await driver.execute(_LIST, (ledger_id, after, partner_id, partner_id, limit))).fetchall()
    return [Campaign(*row) for row in rows]


async def _one(driver: Driver, query: Any, values: Sequence[object]) -> Campaign:
    row = await (await driver.execute(query, values)).fetchone()
    if row is None:
        raise campaign_not_found()
    return Campaign(*row)


def campaign_not_found() -> CampaignNotFound:
    """What is said of a campaign that is not there, or not for who asks."""
    return CampaignNotFound("no such campaign in this ledger; CreateCampaign makes one", field="campaign")
