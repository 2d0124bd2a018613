"""Setting and reading the limits that allowance.py enforces: who allowed what, and when, is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger import partners
from ledger.database import Driver
from ledger.errors import ChoiceInvalid
from ledger.ids import IdSource
from ledger.payouts.allowance import SCOPES, SPANS

_SET = """
INSERT INTO payout_limits (ledger_id, partner_id, scope, span, id, amount_max, count_max, set_by, set_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_IN_FORCE = """
SELECT DISTINCT ON (scope, span) scope, span, amount_max, count_max FROM payout_limits
WHERE ledger_id = %s AND partner_id = %s ORDER BY scope, span, id DESC
"""


@dataclass(frozen=True, slots=True)
class LimitSetting:
    """What may be asked for within a window; None for no bound, both None for no limit. Minor units, without fees."""

    scope: str
    span: str
    amount_max: int | None
    count_max: int | None

    def __post_init__(self) -> None:
        if self.scope not in SCOPES or self.span not in SPANS:
            raise ChoiceInvalid(f"a limit's scope is one of {SCOPES} and its span one of {SPANS}", field="limit")
        if min(self.amount_max or 0, self.count_max or 0) < 0:
            raise ChoiceInvalid("a limit is not negative", field="limit")


async def set_limit(
    driver: Driver,
    *,
    ledger_id: int,
    partner_id: int,
    setting: LimitSetting,
    actor: str,
    ids: IdSource,
    now: datetime,
) -> None:
    """Puts a limit in force, once the partner's requests under way have ended; it binds from the next one on, for what
    was asked for earlier in its window too."""
    await partners.hold_alone(driver, ledger_id=ledger_id, partner_id=partner_id)
    values = (setting.scope, setting.span, ids.next(now), setting.amount_max, setting.count_max, actor, now)
    await driver.execute(_SET, (ledger_id, partner_id, *values))


async def limits_in_force(driver: Driver, *, ledger_id: int, partner_id: int) -> list[LimitSetting]:
    """The newest setting of each scope and span that bounds anything."""
    cursor = await driver.execute(_IN_FORCE, (ledger_id, partner_id))
    found = [LimitSetting(*row) for row in await cursor.fetchall()]
    return [one for one in found if one.amount_max is not None or one.count_max is not None]
