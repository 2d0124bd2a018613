"""What every provider of text messages offers: a small Protocol, and what its callbacks mean."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Protocol, TypeAlias

from adapters.provider import CallbackUnreadable
from adapters.transport import Secret
from ledger.msisdn import Msisdn
from ledger.sms.message import MICROS, Cost, SmsAnswer, Text

DELIVERY, INCOMING, OPT_OUT = "delivery", "incoming", "opt-out"
KINDS = (DELIVERY, INCOMING, OPT_OUT)
_ID_LENGTH_MAX = 100
# Whole words, as operators take them.
_STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
_START = frozenset({"START", "UNSTOP", "SUBSCRIBE"})


class Delivery(enum.Enum):
    """What a report says; UNDER_WAY is not final."""

    UNDER_WAY = "under way"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of the message that the provider knows by this id."""

    message_id: str
    delivery: Delivery
    reason: str


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants no messages, or wants them again; None where they wrote something else."""

    phone: Msisdn
    wants_messages: bool | None


SmsCallback: TypeAlias = DeliveryReport | Wish


class DeclaredMessenger(Protocol):
    """What any process may know of a provider: its name, and how to read what it calls back."""

    @property
    def name(self) -> str:
        """As books and settings call it."""

    def read_callback(self, kind: str, body: bytes) -> SmsCallback | CallbackUnreadable:
        """Reads a stored body, of one of KINDS by its path. Pure."""


class Messenger(DeclaredMessenger, Protocol):
    """A provider that sends, for the worker alone."""

    async def send(self, text: Text) -> SmsAnswer:
        """Sends once. Never raises for what the network or the provider does."""

    async def close(self) -> None:
        """Closes the HTTP client."""


class KeyProvider(Protocol):
    """Where a provider's one secret is kept. Asked at each call."""

    async def key(self) -> Secret:
        """Raises LedgerError, and nothing else, where it cannot be had; its message must be safe to show."""


@dataclass(frozen=True, slots=True)
class ConstantKey:
    """A key that is known from the start."""

    secret: Secret

    async def key(self) -> Secret:
        """Always the same."""
        return self.secret


def cost_of(amount: str, currency: str) -> Cost | None:
    """A cost as providers write it, "0.8000"; None for nothing, and for what is no exact number of millionths."""
    try:
        micros = Decimal(amount) * MICROS
    except InvalidOperation:
        return None
    is_exact = micros.is_finite() and micros == micros.to_integral_value() and 0 < micros < 10**15
    known = len(currency) == 3 and currency.isascii() and currency.isupper()
    return Cost(currency, int(micros)) if is_exact and known else None


def message_id_of(told: object) -> str | None:
    """A provider's id of a message, written as a text or a number; None for what can be none."""
    if isinstance(told, bool) or not isinstance(told, str | int):
        return None
    written = str(told)
    return written if 1 <= len(written) <= _ID_LENGTH_MAX and written.isascii() and written.isprintable() else None


def wish_of(text: str) -> bool | None:
    """What somebody who wrote this wants: False for no messages, True for messages again."""
    word = text.strip().upper()
    return False if word in _STOP else True if word in _START else None
