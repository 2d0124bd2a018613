"""Accounts as the target of receipts: wallets, and what partners have prefunded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from ledger.collections.allocation import Claim, Share, Taken, Unfit
from ledger.database import Driver
from ledger.errors import TargetUnfit
from ledger.journal.books import Ledger
from ledger.journal.entry import credit

# What customers and partners own. No clearing account, no float, nothing of ours is anybody's to pay into.
OWNED = ("liab.wallet.", "liab.partner_prefund.")


def check_target(path: str) -> None:
    """Raises TargetUnfit for an account that receipts are not allocated to."""
    if not path.startswith(OWNED):
        raise TargetUnfit("money is allocated to wallets and to partners' prefunded accounts alone", field="account")


class AccountAllocator:
    """Credits the account. Whether it is there, open and in the currency is the posting engine's to say."""

    async def lock(self, driver: Driver, ledger: Ledger, target_ids: Collection[str]) -> None:
        """The posting engine locks accounts."""

    async def share(
        self, driver: Driver, ledger: Ledger, claims: Sequence[Claim], *, now: datetime
    ) -> list[Share | Unfit]:
        """The one line of each."""
        return [
            Share((credit(claim.target_id, claim.amount),))
            if claim.target_id.startswith(OWNED)
            else Unfit("money is allocated to wallets and to partners' prefunded accounts alone")
            for claim in claims
        ]

    async def allocated(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """Nothing else hangs on an account."""

    async def undone(self, driver: Driver, ledger: Ledger, taken: Sequence[Taken], *, now: datetime) -> None:
        """Nothing else hangs on an account."""
