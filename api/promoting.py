"""What promotions are made of in a process, put together once for services, worker and commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ledger.journal.poster import Poster
from ledger.parties import PartyKeys
from ledger.payouts.request import Limits
from ledger.promotions.code_keys import CodeKeys
from ledger.promotions.desk import BatchDesk
from ledger.promotions.expiring import Expirer
from ledger.promotions.issuing import Mint
from ledger.promotions.redeeming import OrderBook, Redeemer
from ledger.promotions.retrying import Retrier


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionParts:
    """Who is asked about batches, who makes codes, who reads what phones type, redeems, pays again, and ends
    batches."""

    keys: CodeKeys
    desk: BatchDesk
    mint: Mint
    book: OrderBook
    redeemer: Redeemer
    retrier: Retrier
    expirer: Expirer


def promotion_parts(
    *, poster: Poster, secret: bytes, party_keys: PartyKeys, limits: Limits, randomness: Callable[[int], bytes]
) -> PromotionParts:
    """`randomness` makes codes: it is cryptographic."""
    keys = CodeKeys(secret)
    return PromotionParts(
        keys=keys,
        desk=BatchDesk(poster=poster, limits=limits),
        mint=Mint(poster=poster, keys=keys, randomness=randomness),
        book=OrderBook(keys=keys, party_keys=party_keys),
        redeemer=Redeemer(poster=poster, party_keys=party_keys, limits=limits),
        retrier=Retrier(poster=poster, party_keys=party_keys, limits=limits),
        expirer=Expirer(poster=poster),
    )
