"""The wire's enums and the ledger's, both ways. An unspecified or unknown number is refused, never guessed."""

from __future__ import annotations

from collections.abc import Mapping

from daftari.v1 import journal_pb2 as pb

from ledger.errors import ChoiceInvalid
from ledger.journal.accounts import AccountClass
from ledger.journal.entry import Side
from ledger.journal.statements import Order

SIDE_NUMBERS: Mapping[Side, pb.Side.ValueType] = {Side.DEBIT: pb.SIDE_DEBIT, Side.CREDIT: pb.SIDE_CREDIT}
SIDES: Mapping[int, Side] = {number: side for side, number in SIDE_NUMBERS.items()}

CLASS_NUMBERS: Mapping[AccountClass, pb.AccountClass.ValueType] = {
    AccountClass.ASSET: pb.ACCOUNT_CLASS_ASSET,
    AccountClass.LIABILITY: pb.ACCOUNT_CLASS_LIABILITY,
    AccountClass.EQUITY: pb.ACCOUNT_CLASS_EQUITY,
    AccountClass.INCOME: pb.ACCOUNT_CLASS_INCOME,
    AccountClass.EXPENSE: pb.ACCOUNT_CLASS_EXPENSE,
    AccountClass.MEMO: pb.ACCOUNT_CLASS_MEMO,
}
_CLASSES: Mapping[int, AccountClass] = {number: one for one, number in CLASS_NUMBERS.items()}

_ORDERS: Mapping[int, Order] = {
    pb.ORDER_UNSPECIFIED: Order.NEWEST_FIRST,
    pb.ORDER_NEWEST_FIRST: Order.NEWEST_FIRST,
    pb.ORDER_OLDEST_FIRST: Order.OLDEST_FIRST,
}


def side_of(number: int, *, field: str) -> Side:
    """Raises ChoiceInvalid."""
    side = SIDES.get(number)
    if side is None:
        raise ChoiceInvalid("say which side: SIDE_DEBIT or SIDE_CREDIT", field=field)
    return side


def account_class_of(number: int, *, field: str) -> AccountClass:
    """Raises ChoiceInvalid."""
    account_class = _CLASSES.get(number)
    if account_class is None:
        raise ChoiceInvalid("say the account's class, such as ACCOUNT_CLASS_LIABILITY", field=field)
    return account_class


def order_of(number: int, *, field: str) -> Order:
    """Newest first where unspecified. Raises ChoiceInvalid."""
    order = _ORDERS.get(number)
    if order is None:
        raise ChoiceInvalid("the order is ORDER_NEWEST_FIRST or ORDER_OLDEST_FIRST", field=field)
    return order
