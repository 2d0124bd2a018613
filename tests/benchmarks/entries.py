"""The entries that are posted: two lines each, under a request id; hot ones share an account, uniform ones do not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from daftari.v1 import journal_pb2 as pb
from daftari.v1 import money_pb2

from ledger.journal.accounts import AccountSpec
from tests.builders import account

SPREAD = 1000
HOT = "asset.float.hot"
BANKS = tuple(f"asset.bank.b{number}" for number in range(SPREAD))
WALLETS = tuple(f"liab.wallet.w{number}" for number in range(SPREAD))
KIND = "wallet.topup"


def account_specs() -> list[AccountSpec]:
    """One hot account, as many banks as wallets; wallets may not fall below zero."""
    return [account(HOT), *(account(path) for path in BANKS), *(account(path, floor=0) for path in WALLETS)]


@dataclass(frozen=True, slots=True)
class Transfer:
    """What one entry moves."""

    request_id: str
    debited: str
    credited: str
    minor_units: int


@dataclass(slots=True)
class Transfers:
    """Endless transfers; `name` keeps request ids apart from those of other sources."""

    name: str
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    def hot(self) -> Transfer:
        """From the one hot account into any wallet: a float, a settlement account."""
        return self._into_wallet(HOT)

    def uniform(self) -> Transfer:
        """From any bank into any wallet."""
        return self._into_wallet(self._random.choice(BANKS))

    def _into_wallet(self, debited: str) -> Transfer:
        request_id = f"{self.name}-{next(self._numbers)}"
        return Transfer(request_id, debited, self._random.choice(WALLETS), self._random.randint(1_00, 5_000_00))


TransferSource = Callable[[], Transfer]


def draft_of(transfer: Transfer) -> pb.EntryDraft:
    """The transfer on the wire."""
    amount = money_pb2.Money(currency="KES", minor_units=transfer.minor_units)
    lines = (
        pb.Posting(account=transfer.debited, side=pb.SIDE_DEBIT, amount=amount),
        pb.Posting(account=transfer.credited, side=pb.SIDE_CREDIT, amount=amount),
    )
    return pb.EntryDraft(kind=KIND, postings=lines)


def item_of(transfer: Transfer) -> pb.EntryItem:
    """The transfer as one item of a set."""
    return pb.EntryItem(request_id=transfer.request_id, entry=draft_of(transfer))
