"""Which partner a call is for: a partner's key speaks for itself alone, any other names whom it acts for."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import Caller
from ledger import partners
from ledger.errors import Denied, PartnerNotFound
from ledger.journal.books import Ledger
from ledger.partners import Partner


async def partner_of(connection: AsyncConnection, ledger: Ledger, code: str, caller: Caller) -> Partner:
    """Raises PartnerNotFound, Denied."""
    if caller.partner_id is None:
        if not code:
            raise PartnerNotFound("name the partner whose money it is", field="partner")
        return await partners.find_partner(connection, ledger_id=ledger.id, code=code)
    own = await partners.find_partners(connection, ledger_id=ledger.id, ids=[caller.partner_id])
    return check_own(own[caller.partner_id], code)


def check_own(partner: Partner, code: str) -> Partner:
    """The partner of the key itself, if the call names nobody else. Raises Denied."""
    if code not in ("", partner.code):
        raise Denied("a partner's key acts for that partner alone", field="partner")
    return partner
