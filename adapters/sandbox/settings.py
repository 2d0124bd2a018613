"""What a sandbox is started with: the credentials it accepts, its opening balances, its habits. Holds no state."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from adapters.sandbox.behaviours import PayerForm
from adapters.sandbox.credentials import Certificate
from adapters.sandbox.products import Account
from adapters.sandbox.tariff import COLLECTION_BANDS, Bands

Clock = Callable[[], datetime]
"""Gives the present moment, timezone-aware."""


class ExpiresIn(enum.Enum):
    """How the OAuth answer writes `expires_in`: captures show a string, the 2025 documents an integer."""

    TEXT = "text"
    INTEGER = "integer"


class ParameterOrder(enum.Enum):
    """Which B2C success result is sent: today's key order, or that of 2017 with whole-shilling balances."""

    CURRENT = "current"
    YEAR_2017 = "2017"


class StatusParties(enum.Enum):
    """How a status result names payer and payee: Daraja's sample has DebitPartyName twice, others the obvious names."""

    DEBIT_TWICE = "debit twice"
    DEBIT_AND_CREDIT = "debit and credit"


class Registering(enum.Enum):
    """How often C2B addresses may be registered: in the provider's sandbox freely, in production once."""

    FREELY = "freely"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Amounts are integer cents of KES, times are seconds.

    `certificate` None means a fresh one is made at start. `callback_hosts` are the hosts besides loopback that may be
    called back. `same_amount_window_seconds` 0 leaves the rule off (result code 17 for a repeat within the window).
    `till_identifier_types` are the RecieverIdentifierTypes that reach a till: Daraja's page says 4, production says 2.

    `till` belongs to the shortcode. Collections land on utility by Daraja's page, on working by what operators saw.
    `external_validation`, `validation_patience_seconds`, `payer_form` and `registering` are how C2B starts; the control
    API changes them. `reversed_status` is what a status query says of a collection all of which was taken back: no
    document settles the word.
    """

    consumer_key: str = "daftari-sandbox-key"
    consumer_secret: str = field(default="daftari-sandbox-secret", repr=False)
    initiator_name: str = "daftari_api"
    initiator_password: str = field(default="Sandbox#2026", repr=False)
    credential_mismatches_max: int = 3
    certificate: Certificate | None = None

    shortcode: str = "600584"
    opening_utility_cents: int = 100_000_000
    opening_working_cents: int = 50_000_000
    opening_charges_paid_cents: int = 0
    same_amount_window_seconds: int = 0
    till_identifier_types: frozenset[str] = frozenset({"2"})

    passkey: str = field(default="daftari-sandbox-passkey", repr=False)
    till: str = "6005841"
    collections_land_on: Account = Account.UTILITY
    collection_bands: Bands = COLLECTION_BANDS
    account_reference_length_max: int = 12
    external_validation: bool = False
    validation_patience_seconds: float = 8.0
    payer_form: PayerForm = PayerForm.MASKED
    registering: Registering = Registering.FREELY
    reversed_status: str = "Reversed"

    callback_hosts: frozenset[str] = frozenset()
    callback_delay_seconds: float = 0.05
    callback_timeout_seconds: float = 5.0
    hang_seconds_max: float = 60.0
    expires_in: ExpiresIn = ExpiresIn.TEXT
    parameter_order: ParameterOrder = ParameterOrder.CURRENT
    status_parties: StatusParties = StatusParties.DEBIT_TWICE
